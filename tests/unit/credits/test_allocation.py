"""Which grants pay: only those of the instant, in order, to the last millionth and never more."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from itertools import pairwise
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from billing.credits.allocation import Share, allocate, give_back, in_drain_order, is_spendable
from billing.kernel.errors import InvariantViolation

EPOCH = datetime(2026, 1, 1, tzinfo=UTC)
DAYS = st.integers(0, 20).map(lambda days: EPOCH + timedelta(days=days))
AMOUNTS = st.decimals(0, 100, places=6)


@dataclass(frozen=True)
class Grant:
    id: UUID
    priority: int
    starts_at: datetime
    expires_at: datetime | None
    remaining: Decimal


@st.composite
def grants(draw: st.DrawFn) -> Grant:
    starts_at = draw(DAYS)
    expires_at = draw(st.none() | st.integers(1, 20).map(lambda days: starts_at + timedelta(days=days)))
    return Grant(draw(st.uuids()), draw(st.sampled_from([10, 20, 30, 40])), starts_at, expires_at, draw(AMOUNTS))


MANY = st.lists(grants(), max_size=8, unique_by=lambda grant: grant.id)


@given(MANY, AMOUNTS, DAYS)
def test_what_is_due_is_paid_or_missing_and_nothing_is_made_up(some: list[Grant], due: Decimal, at: datetime) -> None:
    shares, missing = allocate(in_drain_order(some), credits=due, at=at)
    by_id = {grant.id: grant for grant in some}
    assert sum((share.credits for share in shares), missing) == due
    assert missing >= 0
    assert len({share.grant_id for share in shares}) == len(shares)
    for share in shares:
        assert 0 < share.credits <= by_id[share.grant_id].remaining
        assert is_spendable(by_id[share.grant_id], at)
    if missing:
        spendable = sum((grant.remaining for grant in some if is_spendable(grant, at)), Decimal(0))
        assert spendable == due - missing


@given(MANY, AMOUNTS, DAYS)
def test_a_grant_pays_only_when_all_before_it_are_empty(some: list[Grant], due: Decimal, at: datetime) -> None:
    order = [grant for grant in in_drain_order(some) if is_spendable(grant, at) and grant.remaining]
    shares, _ = allocate(order, credits=due, at=at)
    assert [share.grant_id for share in shares] == [grant.id for grant in order[: len(shares)]]
    for share, grant in list(zip(shares, order, strict=False))[:-1]:
        assert share.credits == grant.remaining


@given(MANY, st.randoms())
def test_the_order_is_of_the_grants_and_not_of_their_arrival(some: list[Grant], random: object) -> None:
    shuffled = list(some)
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    ordered = in_drain_order(some)
    assert in_drain_order(shuffled) == ordered
    for one, other in pairwise(ordered):
        assert one.priority <= other.priority
        if one.priority == other.priority:
            assert one.expires_at is not None or other.expires_at is None
            if one.expires_at and other.expires_at:
                assert one.expires_at <= other.expires_at
            if one.expires_at == other.expires_at:
                assert one.starts_at <= other.starts_at


@given(grants())
def test_a_grant_is_spendable_from_its_start_until_just_before_its_end(grant: Grant) -> None:
    instant = timedelta(microseconds=1)
    assert is_spendable(grant, grant.starts_at)
    assert not is_spendable(grant, grant.starts_at - instant)
    if grant.expires_at:
        assert is_spendable(grant, grant.expires_at - instant)
        assert not is_spendable(grant, grant.expires_at)


ONE, OTHER, THIRD = UUID(int=1), UUID(int=2), UUID(int=3)


def shares(*paid: tuple[UUID, str]) -> list[Share]:
    return [Share(grant_id, Decimal(credits)) for grant_id, credits in paid]


def test_the_last_grant_to_pay_is_the_first_to_get_back() -> None:
    paid = shares((ONE, "5"), (OTHER, "3"))
    for credits, expected in (
        ("2", shares((OTHER, "2"))),
        ("3", shares((OTHER, "3"))),
        ("4", shares((OTHER, "3"), (ONE, "1"))),
        ("8", shares((OTHER, "3"), (ONE, "5"))),
        ("0", []),
    ):
        assert give_back(paid, before={}, credits=Decimal(credits)) == expected


def test_what_came_back_before_does_not_come_back_again() -> None:
    paid = shares((ONE, "5"), (OTHER, "3"), (THIRD, "1"))
    before = {OTHER: Decimal("2.5"), THIRD: Decimal(1)}
    assert give_back(iter(paid), before=before, credits=Decimal(1)) == shares((OTHER, "0.5"), (ONE, "0.5"))


def test_more_than_was_paid_is_a_broken_invariant() -> None:
    paid = shares((ONE, "5"), (OTHER, "3"))
    with pytest.raises(InvariantViolation) as caught:
        give_back(paid, before={ONE: Decimal(1)}, credits=Decimal("7.5"))
    assert str(caught.value) == "0.5 credits to give back that no grant paid"


def test_a_grant_that_is_empty_or_not_of_the_instant_is_passed_over() -> None:
    late, empty, sound = (
        Grant(ONE, 10, EPOCH + timedelta(days=1), None, Decimal(9)),
        Grant(OTHER, 10, EPOCH, None, Decimal(0)),
        Grant(THIRD, 10, EPOCH, EPOCH + timedelta(days=1), Decimal(9)),
    )
    assert allocate([late, empty, sound], credits=Decimal(4), at=EPOCH) == (shares((THIRD, "4")), 0)
    assert allocate([late, empty, sound], credits=Decimal(10), at=EPOCH) == (shares((THIRD, "9")), 1)


def test_of_two_that_are_alike_in_all_else_the_smaller_id_pays() -> None:
    alike = [Grant(grant_id, 10, EPOCH, None, Decimal(1)) for grant_id in (THIRD, ONE, OTHER)]
    assert [grant.id for grant in in_drain_order(alike)] == [ONE, OTHER, THIRD]
