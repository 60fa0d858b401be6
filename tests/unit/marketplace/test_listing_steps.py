"""The states of a listing, pair by pair, against the same written down a second time."""

import pytest

from marketplace.partners import transitions
from marketplace.partners.transitions import (
    PARTNER_STEPS,
    REVIEW_STEPS,
    TRANSITIONS,
    Change,
    IllegalStep,
    State,
    Status,
    Step,
)

EVERY = [
    *(State(status) for status in Status),
    *(State(status, change) for status in (Status.PUBLISHED, Status.SUSPENDED) for change in list(Change)[1:]),
]
# From, step, to; an arrow that is not here is refused. ``*``: whatever change is under way stays under way.
SAID = """
draft edit draft|draft submit submitted|draft withdraw withdrawn
submitted recall draft|submitted publish published|submitted reject rejected|submitted withdraw withdrawn
rejected edit draft|rejected submit submitted|rejected withdraw withdrawn
withdrawn edit draft
published edit published+draft|published+draft edit published+draft|published+rejected edit published+draft
published+draft submit published+submitted|published+rejected submit published+submitted
published+draft discard published|published+rejected discard published
published+submitted recall published+draft|published+submitted publish published
published+submitted reject published+rejected
suspended edit suspended+draft|suspended+draft edit suspended+draft|suspended+rejected edit suspended+draft
suspended+draft submit suspended+submitted|suspended+rejected submit suspended+submitted
suspended+draft discard suspended|suspended+rejected discard suspended
suspended+submitted recall suspended+draft|suspended+submitted publish published
suspended+submitted reject suspended+rejected
published* suspend suspended*|suspended* restore published*|published* withdraw withdrawn|suspended* withdraw withdrawn
"""


def name(state: State) -> str:
    return f"{state.status}+{state.change}" if state.change else str(state.status)


def said() -> dict[tuple[str, str], str]:
    arrows = {}
    for arrow in SAID.strip().replace("\n", "|").split("|"):
        before, step, after = arrow.split()
        for change in ("", "+draft", "+submitted", "+rejected") if "*" in before else ("",):
            arrows[before.replace("*", change), step] = after.replace("*", change)
    return arrows


@pytest.mark.parametrize("step", Step)
@pytest.mark.parametrize("state", EVERY, ids=name)
def test_pair_by_pair(state: State, step: Step) -> None:
    wanted = said().get((name(state), step.value))
    assert transitions.is_allowed(state, step) == (wanted is not None)
    if wanted is None:
        with pytest.raises(IllegalStep) as refusal:
            transitions.after(state, step)
        assert refusal.value.code == "illegal_transition"
    else:
        assert name(transitions.after(state, step)) == wanted


def test_the_table_knows_every_state_and_no_other() -> None:
    assert set(TRANSITIONS) == set(EVERY)
    assert {after for steps in TRANSITIONS.values() for after in steps.values()} <= set(EVERY)


def test_a_step_is_the_partner_s_or_the_reviewer_s() -> None:
    assert {*PARTNER_STEPS, *REVIEW_STEPS} == set(Step)
    assert {Step.PUBLISH, Step.REJECT, Step.SUSPEND, Step.RESTORE} == REVIEW_STEPS


def test_nothing_reaches_the_public_but_by_a_reviewer() -> None:
    for state, steps in TRANSITIONS.items():
        for step, after in steps.items():
            if after.status is Status.PUBLISHED and state.status is not Status.PUBLISHED:
                assert step in REVIEW_STEPS, (state, step)


def test_reviewers_decide_about_what_waits_and_nothing_else() -> None:
    for state, steps in TRANSITIONS.items():
        assert transitions.waits(state) == (Step.REJECT in steps) == (Step.PUBLISH in steps)
        assert not (transitions.waits(state) and Step.EDIT in steps)


def test_published_and_suspended_listings_are_drawn_up_alike() -> None:
    # Drawn up once, when the module is imported: here once more.
    for status, other, step in (
        (Status.PUBLISHED, Status.SUSPENDED, Step.SUSPEND),
        (Status.SUSPENDED, Status.PUBLISHED, Step.RESTORE),
    ):
        rows = transitions._of_one_before_the_public(status, other, step)
        assert rows == {state: steps for state, steps in TRANSITIONS.items() if state.status == status}


@pytest.mark.parametrize(
    ("state", "step", "message"),
    [
        (State(Status.DRAFT), Step.PUBLISH, "A listing that is draft does not allow to publish."),
        (
            State(Status.PUBLISHED, Change.SUBMITTED),
            Step.EDIT,
            "A listing that is published with a change that is submitted does not allow to edit.",
        ),
    ],
)
def test_a_refusal_says_where_the_listing_is(state: State, step: Step, message: str) -> None:
    with pytest.raises(IllegalStep) as refused:
        transitions.after(state, step)
    assert (refused.value.message, refused.value.details) == (message, {"step": step.value})
