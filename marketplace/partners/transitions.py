"""Which state of a listing may follow which: the only table that says so. Pure.

A listing is in a status and, once it is before the public, may have a change under way: the public goes on reading the
published revision while the latest one is written and reviewed.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import NamedTuple

from billing.kernel.errors import Conflict


class Status(StrEnum):
    DRAFT = "draft"
    SUBMITTED = "submitted"
    REJECTED = "rejected"
    PUBLISHED = "published"
    # Published once and taken off the pages by staff, until they put it back.
    SUSPENDED = "suspended"
    WITHDRAWN = "withdrawn"


class Change(StrEnum):
    """Where the latest revision of a published or suspended listing is, if it is not the published one."""

    NONE = ""
    DRAFT = "draft"
    SUBMITTED = "submitted"
    REJECTED = "rejected"


class Step(StrEnum):
    EDIT = "edit"
    SUBMIT = "submit"
    RECALL = "recall"
    DISCARD = "discard"
    WITHDRAW = "withdraw"
    PUBLISH = "publish"
    REJECT = "reject"
    SUSPEND = "suspend"
    RESTORE = "restore"


class State(NamedTuple):
    status: Status
    change: Change = Change.NONE


# Steps of the partner's members; the others are the reviewers'.
PARTNER_STEPS = frozenset({Step.EDIT, Step.SUBMIT, Step.RECALL, Step.DISCARD, Step.WITHDRAW})
REVIEW_STEPS = frozenset(Step) - PARTNER_STEPS
REASON_NEEDED = frozenset({Step.REJECT, Step.SUSPEND})

_DRAFT, _SUBMITTED, _REJECTED, _WITHDRAWN = (
    State(status) for status in (Status.DRAFT, Status.SUBMITTED, Status.REJECTED, Status.WITHDRAWN)
)


def _of_one_before_the_public(status: Status, other: Status, step: Step) -> dict[State, dict[Step, State]]:
    """What can be done to a published listing, and to a suspended one: the same, but that ``step`` leads across."""
    plain, draft, submitted, rejected = (State(status, change) for change in Change)
    change = {Step.EDIT: draft, Step.SUBMIT: submitted, Step.DISCARD: plain}
    steps: dict[State, dict[Step, State]] = {
        plain: {Step.EDIT: draft},
        draft: dict(change),
        # A change that passes review is published, of a suspended listing too: that is what reviewers are asked for.
        submitted: {Step.RECALL: draft, Step.PUBLISH: State(Status.PUBLISHED), Step.REJECT: rejected},
        rejected: dict(change),
    }
    for state, found in steps.items():
        found[step] = State(other, state.change)
        found[Step.WITHDRAW] = _WITHDRAWN
    return steps


TRANSITIONS: Mapping[State, Mapping[Step, State]] = {
    _DRAFT: {Step.EDIT: _DRAFT, Step.SUBMIT: _SUBMITTED, Step.WITHDRAW: _WITHDRAWN},
    # Its text stands still for whoever reviews it: it is edited after it was taken back.
    _SUBMITTED: {
        Step.RECALL: _DRAFT,
        Step.PUBLISH: State(Status.PUBLISHED),
        Step.REJECT: _REJECTED,
        Step.WITHDRAW: _WITHDRAWN,
    },
    _REJECTED: {Step.EDIT: _DRAFT, Step.SUBMIT: _SUBMITTED, Step.WITHDRAW: _WITHDRAWN},
    **_of_one_before_the_public(Status.PUBLISHED, Status.SUSPENDED, Step.SUSPEND),
    **_of_one_before_the_public(Status.SUSPENDED, Status.PUBLISHED, Step.RESTORE),
    # It begins anew, and is reviewed anew.
    _WITHDRAWN: {Step.EDIT: _DRAFT},
}


class IllegalStep(Conflict):
    """The listing's state does not allow the step."""

    code = "illegal_transition"


def is_allowed(state: State, step: Step) -> bool:
    return step in TRANSITIONS[state]


def after(state: State, step: Step) -> State:
    """The state that ``step`` leads to. Raises ``IllegalStep``."""
    if not is_allowed(state, step):
        change = f" with a change that is {state.change}" if state.change else ""
        raise IllegalStep(f"A listing that is {state.status}{change} does not allow to {step}.", step=step.value)
    return TRANSITIONS[state][step]


def waits(state: State) -> bool:
    """Whether a reviewer has to decide."""
    return Status.SUBMITTED in (state.status, state.change)
