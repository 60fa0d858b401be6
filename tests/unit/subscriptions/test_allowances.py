"""Allowances: stretches tile their period, and no way round grants more than the best plan straight on."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from itertools import pairwise
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from billing.kernel.periods import Interval, Span, period
from billing.subscriptions import allowances
from billing.subscriptions.allowances import Granted

ALLOWANCES = st.decimals(0, 1000, places=6) | st.integers(0, 1000).map(Decimal)
ZONES = st.sampled_from([ZoneInfo(name) for name in ("UTC", "America/Sao_Paulo", "Australia/Lord_Howe", "Asia/Beirut")])
STARTS = st.integers(0, 3 * 366 * 86400).map(
    lambda seconds: datetime(2016, 1, 1, tzinfo=UTC) + timedelta(seconds=seconds)
)
MONTH = Span(datetime(2026, 3, 1, tzinfo=UTC), datetime(2026, 4, 1, tzinfo=UTC))
INSIDE = st.integers(0, MONTH.seconds - 1).map(lambda seconds: MONTH.starts_at + timedelta(seconds=seconds))


@given(
    STARTS, ZONES, st.sampled_from(list(Interval)), st.sampled_from(["month", "period"]), st.integers(0, 8), st.data()
)
def test_stretches_tile_their_period_even_one_cut_short(
    anchor_at: datetime, zone: ZoneInfo, interval: Interval, every: str, index: int, data: st.DataObject
) -> None:
    whole = period(anchor_at, zone=zone, interval=interval, index=index)
    # Small numbers are drawn most of all, so hours are asked for too, and the end itself.
    hours = st.integers(1, whole.seconds // 3600).map(lambda number: number * 3600)
    seconds = data.draw(st.just(whole.seconds) | hours | st.integers(1, whole.seconds))
    ends_at = whole.starts_at + timedelta(seconds=seconds)
    cut = Span(whole.starts_at, ends_at)
    spans = allowances.spans(cut, anchor_at=anchor_at, zone=zone, every=every)
    assert (spans[0].starts_at, spans[-1].ends_at) == cut
    assert all(one.ends_at == other.starts_at for one, other in pairwise(spans))
    assert all(span.seconds > 0 for span in spans)
    if every == "period":
        assert len(spans) == 1
    elif cut == whole:
        assert len(spans) == {Interval.MONTH: 1, Interval.QUARTER: 3, Interval.YEAR: 12}[interval]


def utc(month: int, day: int) -> datetime:
    return datetime(2026, month, day, tzinfo=UTC)


@pytest.mark.parametrize(
    ("ends_at", "starts"),
    [
        (utc(4, 30), [(1, 31), (2, 28), (3, 31)]),
        (utc(4, 29), [(1, 31), (2, 28), (3, 31)]),
        (utc(3, 31), [(1, 31), (2, 28)]),
        (utc(3, 31) + timedelta(seconds=1), [(1, 31), (2, 28), (3, 31)]),
        (utc(2, 1), [(1, 31)]),
    ],
)
def test_months_of_a_quarter_count_from_the_anchor(ends_at: datetime, starts: list[tuple[int, int]]) -> None:
    quarter = Span(utc(1, 31), ends_at)
    # The anchor is of a quarter before.
    anchor_at = datetime(2025, 10, 31, tzinfo=UTC)
    spans = allowances.spans(quarter, anchor_at=anchor_at, zone=ZoneInfo("UTC"), every="month")
    assert [span.starts_at for span in spans] == [utc(*start) for start in starts]
    assert [span.ends_at for span in spans] == [*(span.starts_at for span in spans[1:]), ends_at]
    assert allowances.spans(quarter, anchor_at=anchor_at, zone=ZoneInfo("UTC"), every="period") == [quarter]


def test_an_allowance_of_one_second_is_earned_in_it() -> None:
    second = Span(utc(3, 1), utc(3, 1) + timedelta(seconds=1))
    one = Granted(second, Decimal(4), Decimal(4))
    assert allowances.overdrawn([(one, second.starts_at)]) == 4
    assert allowances.overdrawn([(one, second.ends_at)]) == 0


def test_an_allowance_of_no_time_is_not_divided_by_it() -> None:
    nothing = Span(utc(3, 1), utc(3, 1))
    assert allowances.overdrawn([(Granted(nothing, Decimal(4), Decimal(3)), nothing.starts_at)]) == 3


@given(st.lists(st.tuples(INSIDE, ALLOWANCES), min_size=1, max_size=10))
def test_no_order_of_changes_grants_more_than_the_best_plan_from_the_start(
    changes: list[tuple[datetime, Decimal]],
) -> None:
    steps = sorted(changes, key=lambda change: change[0])
    best = max(allowance for _, allowance in steps)
    total = allowances.total(steps, span=MONTH)
    assert 0 <= total <= best
    if steps[0][0] == MONTH.starts_at:
        assert total >= steps[0][1]
    # Taking a step back and forth once more changes nothing.
    assert allowances.total([*steps, *steps[-1:], steps[-1]], span=MONTH) == total


@given(INSIDE, ALLOWANCES, ALLOWANCES)
def test_an_upgrade_adds_its_difference_for_what_is_left(at: datetime, already: Decimal, allowance: Decimal) -> None:
    added = allowances.top_up(already=already, allowance=allowance, span=MONTH, at=at)
    assert 0 <= added <= max(Decimal(0), allowance - already)
    if allowance <= already:
        assert added == 0
    later = min(at + timedelta(hours=1), MONTH.ends_at)
    assert allowances.top_up(already=already, allowance=allowance, span=MONTH, at=later) <= added
    assert allowances.top_up(already=already, allowance=allowance, span=MONTH, at=MONTH.ends_at) == 0
    whole = allowances.top_up(already=already, allowance=allowance, span=MONTH, at=MONTH.starts_at)
    assert whole == max(Decimal(0), allowance - already)


@given(ALLOWANCES, st.lists(INSIDE, min_size=1, max_size=6), st.lists(st.integers(0, 100), min_size=6, max_size=6))
def test_leaving_and_coming_back_pays_no_more_than_one_allowance(
    allowance: Decimal, leaves: list[datetime], shares: list[int]
) -> None:
    """Whoever spends any part of each grant, leaves and returns at once, spends one allowance in one stretch."""
    cut_short: list[tuple[Granted, datetime]] = []
    begins_at = MONTH.starts_at
    consumed = Decimal(0)
    for leaves_at, share in zip(sorted(leaves), shares, strict=False):
        owed = allowances.overdrawn(each for each in cut_short if each[0].span.ends_at > begins_at)
        granted = max(Decimal(0), allowance - owed)
        spent = (granted * share / 100).quantize(Decimal("0.000001"))
        spent = min(spent, granted)
        consumed += spent
        cut_short.append(
            (Granted(Span(begins_at, begins_at + (MONTH.ends_at - MONTH.starts_at)), granted, spent), leaves_at)
        )
        begins_at = leaves_at
    on_board = Decimal((begins_at - MONTH.starts_at) // timedelta(seconds=1)) / MONTH.seconds
    assert consumed <= allowance * (1 + on_board) + Decimal("0.00001")


@given(ALLOWANCES, ALLOWANCES)
def test_what_was_not_overdrawn_costs_nothing(granted: Decimal, consumed: Decimal) -> None:
    earned_all = [(Granted(MONTH, granted, min(consumed, granted)), MONTH.ends_at)]
    assert allowances.overdrawn(earned_all) == 0
    at_once = [(Granted(MONTH, granted, min(consumed, granted)), MONTH.starts_at)]
    assert allowances.overdrawn(at_once) == min(consumed, granted)
    assert allowances.overdrawn([]) == 0
