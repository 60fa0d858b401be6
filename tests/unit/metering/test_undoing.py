"""Taking use back: what cost money comes back first, and all parts together are exactly the event."""

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from billing.metering.undoing import NOTHING, Figures, take_back

ZERO = Decimal(0)


def figures(quantity: str, overage: str = "0", due: str = "0", paid: str = "0") -> Figures:
    return Figures(Decimal(quantity), Decimal(overage), Decimal(due), Decimal(paid))


def plus(one: Figures, other: Figures) -> Figures:
    return Figures(*(mine + theirs for mine, theirs in zip(one, other, strict=True)))


@pytest.mark.parametrize(
    ("quantity", "expected"),
    [
        # Of ten units three are over; the seven inside cost 14 credits, of which grants paid 9.
        ("1", figures("1", "1")),
        ("3", figures("3", "3")),
        ("4", figures("4", "3", "2", "0")),
        ("5.5", figures("5.5", "3", "5", "0")),
        ("6", figures("6", "3", "6", "1")),
        ("10", figures("10", "3", "14", "9")),
    ],
)
def test_what_was_over_comes_back_first_then_what_nobody_paid(quantity: str, expected: Figures) -> None:
    assert take_back(figures("10", "3", "14", "9"), before=NOTHING, quantity=Decimal(quantity)) == expected


def test_credits_due_follow_the_units_inside_to_the_millionth_half_to_even() -> None:
    event = figures("3", "0", "1", "1")
    first = take_back(event, before=NOTHING, quantity=Decimal(1))
    assert first == figures("1", "0", "0.333333", "0.333333")
    second = take_back(event, before=first, quantity=Decimal(1))
    assert second.credits_due == Decimal("0.333334")
    assert take_back(event, before=plus(first, second), quantity=Decimal(1)).credits_due == Decimal("0.333333")
    # Half of a millionth is left with the event where that is even.
    assert take_back(figures("2", "0", "0.000001"), before=NOTHING, quantity=Decimal(1)).credits_due == Decimal(
        "0.000001"
    )
    assert take_back(figures("2", "0", "0.000003"), before=NOTHING, quantity=Decimal(1)).credits_due == Decimal(
        "0.000001"
    )


def test_an_event_wholly_beyond_the_limit_costs_no_credits() -> None:
    assert take_back(figures("5", "5"), before=NOTHING, quantity=Decimal(2)) == figures("2", "2")


def test_figures_know_what_is_inside_and_what_nobody_paid() -> None:
    event = figures("10", "3", "14", "9")
    assert (event.inside, event.credit_deficit) == (7, 5)
    assert event.less(figures("4", "3", "2", "1")) == figures("6", "0", "12", "8")


AMOUNTS = st.integers(0, 10**9).map(lambda millionths: Decimal(millionths).scaleb(-6))


@st.composite
def events(draw: st.DrawFn) -> Figures:
    inside, overage, due = draw(AMOUNTS), draw(AMOUNTS), draw(AMOUNTS)
    due = due if inside else ZERO
    paid = min(due, draw(AMOUNTS))
    return Figures(inside + overage, overage, due, paid)


@given(events(), st.lists(st.integers(1, 100), max_size=5))
def test_parts_come_to_the_whole_and_none_is_more_than_what_is_left(event: Figures, shares: list[int]) -> None:
    gone = NOTHING
    for share in shares:
        left = event.less(gone)
        quantity = (left.quantity * share / 100).quantize(Decimal("0.000001"))
        part = take_back(event, before=gone, quantity=min(quantity, left.quantity))
        assert all(ZERO <= mine <= theirs for mine, theirs in zip(part, left, strict=True))
        assert part.overage == min(part.quantity, left.overage)
        assert part.credits_paid == max(ZERO, part.credits_due - left.credit_deficit)
        gone = plus(gone, part)
    rest = take_back(event, before=gone, quantity=event.quantity - gone.quantity)
    assert plus(gone, rest) == event
