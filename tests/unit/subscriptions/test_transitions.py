"""The table of statuses: complete, no way back from the end, and what it refuses."""

from itertools import product

import pytest

from billing.models import LIVE, Status
from billing.subscriptions.transitions import TRANSITIONS, IllegalTransition, check, is_allowed

ENDED = {Status.CANCELED, Status.EXPIRED}


def test_every_status_has_its_row_and_leads_to_known_ones() -> None:
    assert set(TRANSITIONS) == set(Status.values)
    assert set().union(*TRANSITIONS.values()) <= set(Status.values)
    assert set(LIVE) | ENDED == set(Status.values)


def test_ended_is_ended() -> None:
    assert all(not TRANSITIONS[status] for status in ENDED)


def test_every_live_status_can_end() -> None:
    assert all(TRANSITIONS[status] & ENDED for status in LIVE)


def test_nothing_waits_for_confirmation_or_is_tried_a_second_time() -> None:
    later = set().union(*TRANSITIONS.values())
    assert not later & {Status.INCOMPLETE, Status.TRIALING}


@pytest.mark.parametrize(("before", "after"), list(product(Status.values, Status.values)))
def test_what_is_not_allowed_raises_and_what_is_does_not(before: str, after: str) -> None:
    if is_allowed(before, after):
        check(before, after)
        assert before != after
    else:
        with pytest.raises(IllegalTransition) as caught:
            check(before, after)
        assert caught.value.message == f"A subscription that is {before} cannot become {after}."
        assert caught.value.details == {"before": before, "after": after}


def test_what_may_follow_what_is_this_and_nothing_else() -> None:
    assert {before: sorted(after) for before, after in TRANSITIONS.items()} == {
        "incomplete": ["active", "canceled", "expired"],
        "trialing": ["active", "canceled", "expired"],
        "active": ["canceled", "expired", "past_due", "paused"],
        "past_due": ["active", "canceled", "expired"],
        "paused": ["active", "canceled", "expired"],
        "canceled": [],
        "expired": [],
    }
