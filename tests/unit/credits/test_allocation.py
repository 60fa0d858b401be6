"""Which grants pay: only those of the instant, in order, to the last millionth and never more."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from itertools import pairwise
from uuid import UUID

from hypothesis import given
from hypothesis import strategies as st

from billing.credits.allocation import allocate, in_drain_order, is_spendable

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
