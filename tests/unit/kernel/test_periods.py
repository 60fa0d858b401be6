"""Periods and calendar windows, in every zone there is, at every change of its clocks."""

import calendar
from datetime import UTC, date, datetime, timedelta
from itertools import pairwise
from zoneinfo import ZoneInfo, available_timezones

import pytest
from hypothesis import given
from hypothesis import strategies as st

from billing.kernel.periods import LIFETIME, Cadence, Interval, Span, boundary, calendar_window, floor_second, period

ZONES = sorted(available_timezones() - {"localtime", "Factory"})
MONTHS = {Interval.MONTH: 1, Interval.QUARTER: 3, Interval.YEAR: 12}
CALENDAR = (Cadence.DAILY, Cadence.WEEKLY, Cadence.MONTHLY)
# Clocks that move at midnight, by half an hour, back over midnight, or skip a day.
ODD_ZONES = [
    "Africa/Cairo",
    "America/Havana",
    "America/Sao_Paulo",
    "America/Scoresbysund",
    "America/St_Johns",
    "Asia/Beirut",
    "Asia/Kathmandu",
    "Asia/Tehran",
    "Atlantic/Azores",
    "Australia/Lord_Howe",
    "Pacific/Apia",
    "Pacific/Chatham",
    "Pacific/Kwajalein",
]


def at(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


@st.composite
def instants(draw: st.DrawFn, years: tuple[int, int] = (1971, 2100)) -> tuple[ZoneInfo, datetime]:
    """A zone, and an instant that is often within two hours of a change of its clocks."""
    zone = ZoneInfo(draw(st.sampled_from(ODD_ZONES) | st.sampled_from(ZONES)))
    when = datetime(draw(st.integers(*years)), 1, 1, tzinfo=UTC) + timedelta(
        days=draw(st.integers(0, 364)), microseconds=draw(st.integers(0, 86_400_000_000 - 1))
    )
    change = _next_change(zone, when)
    if change is not None and draw(st.booleans()):
        when = change + timedelta(seconds=draw(st.integers(-7200, 7200)), microseconds=draw(st.integers(-1, 1)))
    return zone, when


def _next_change(zone: ZoneInfo, when: datetime) -> datetime | None:
    offset = when.astimezone(zone).utcoffset()
    for _ in range(53):
        later = when + timedelta(days=7)
        if later.astimezone(zone).utcoffset() == offset:
            when = later
            continue
        low, high = when, later
        while high - low > timedelta(seconds=1):
            middle = low + (high - low) // 2
            low, high = (middle, high) if middle.astimezone(zone).utcoffset() == offset else (low, middle)
        return floor_second(high)
    return None


@given(instants(), st.sampled_from(CALENDAR))
def test_a_calendar_window_holds_its_instant_and_tiles_time(where: tuple[ZoneInfo, datetime], cadence: Cadence) -> None:
    zone, when = where
    window = calendar_window(cadence, when, zone)
    assert window.covers(when)
    for inside in (window.starts_at, window.ends_at - timedelta(microseconds=1)):
        assert calendar_window(cadence, inside, zone) == window
    following = calendar_window(cadence, window.ends_at, zone)
    before = calendar_window(cadence, window.starts_at - timedelta(microseconds=1), zone)
    assert (before.ends_at, following.starts_at) == (window.starts_at, window.ends_at)


@given(instants(), st.sampled_from(CALENDAR))
def test_a_calendar_window_starts_at_the_first_instant_of_its_day(
    where: tuple[ZoneInfo, datetime], cadence: Cadence
) -> None:
    zone, when = where
    starts_at = calendar_window(cadence, when, zone).starts_at
    day = starts_at.astimezone(zone).date()
    assert (starts_at - timedelta(microseconds=1)).astimezone(zone).date() < day
    if day != date(2011, 12, 31) and zone.key != "Pacific/Kwajalein":  # where the Monday or the first was skipped
        assert cadence is not Cadence.WEEKLY or day.isoweekday() == 1
        assert cadence is not Cadence.MONTHLY or day.day == 1


@pytest.mark.parametrize(
    ("zone", "inside", "starts_at", "hours"),
    [
        ("America/Sao_Paulo", "2018-11-04 12:00", "2018-11-04 03:00", 23),  # midnight was skipped
        ("America/Sao_Paulo", "2018-02-17 12:00", "2018-02-17 02:00", 25),
        ("Africa/Cairo", "2024-04-26 12:00", "2024-04-25 22:00", 23),
        ("Asia/Beirut", "2024-03-31 12:00", "2024-03-30 22:00", 23),
        ("Australia/Lord_Howe", "2024-10-06 01:00", "2024-10-05 13:30", 23.5),
        ("Australia/Lord_Howe", "2024-04-06 16:00", "2024-04-06 13:00", 24.5),
        ("Pacific/Apia", "2011-12-30 09:59:59", "2011-12-29 10:00", 24),  # the 29th, and then …
        ("Pacific/Apia", "2011-12-30 10:00", "2011-12-30 10:00", 24),  # … the 31st
        ("America/Havana", "2024-11-03 04:30", "2024-11-03 04:00", 25),  # midnight comes twice: the first one counts
        ("America/St_Johns", "2010-11-07 02:30:30", "2010-11-07 02:30", 25),
        ("America/St_Johns", "2010-11-07 03:00", "2010-11-07 02:30", 25),  # the 6th again, by its clocks
    ],
)
def test_days_of_an_odd_length(zone: str, inside: str, starts_at: str, hours: float) -> None:
    window = calendar_window(Cadence.DAILY, at(inside), ZoneInfo(zone))
    assert window == Span(at(starts_at), at(starts_at) + timedelta(hours=hours))


def test_a_lifetime_is_the_same_everywhere() -> None:
    assert calendar_window(Cadence.NEVER, at("2026-03-10"), ZoneInfo("Asia/Tokyo")) == LIFETIME


def test_a_billing_period_has_no_calendar_bounds() -> None:
    with pytest.raises(ValueError, match="stored periods"):
        calendar_window(Cadence.PERIOD, at("2026-03-10"), ZoneInfo("UTC"))


@given(instants(), st.sampled_from(list(Interval)), st.integers(0, 60))
def test_periods_are_contiguous_and_go_forward(
    where: tuple[ZoneInfo, datetime], interval: Interval, index: int
) -> None:
    zone, anchor_at = where[0], floor_second(where[1])
    this = period(anchor_at, zone=zone, interval=interval, index=index)
    following = period(anchor_at, zone=zone, interval=interval, index=index + 1)
    assert this.starts_at < this.ends_at == following.starts_at
    assert this.seconds == (this.ends_at - this.starts_at).total_seconds()


@given(instants(), st.sampled_from(list(Interval)), st.integers(1, 60))
def test_a_boundary_keeps_the_anchors_day_and_wall_time(
    where: tuple[ZoneInfo, datetime], interval: Interval, index: int
) -> None:
    zone, anchor_at = where[0], floor_second(where[1])
    anchor = anchor_at.astimezone(zone).replace(tzinfo=None)
    bound = boundary(anchor_at, zone=zone, interval=interval, index=index)
    local = bound.astimezone(zone).replace(tzinfo=None)
    months = anchor.month - 1 + index * MONTHS[interval]
    year, month = anchor.year + months // 12, months % 12 + 1
    wanted = anchor.replace(year=year, month=month, day=min(anchor.day, calendar.monthrange(year, month)[1]))
    if local != wanted:
        # The wall time does not exist: the change itself, which is where it was skipped.
        just_before = (bound - timedelta(seconds=1)).astimezone(zone).replace(tzinfo=None)
        assert just_before < wanted < local
    else:
        # Of a time that comes twice, the first.
        assert bound == local.replace(tzinfo=zone, fold=0).astimezone(UTC)


@pytest.mark.parametrize(
    ("anchor", "days"),
    [
        ("2023-12-31 10:00", ["2024-01-31", "2024-02-29", "2024-03-31", "2024-04-30", "2024-05-31"]),
        ("2024-12-30 10:00", ["2025-01-30", "2025-02-28", "2025-03-30"]),
        ("2024-01-29 10:00", ["2024-02-29", "2024-03-29"]),
    ],
)
def test_a_day_that_a_month_lacks_is_clamped_in_that_month_alone(anchor: str, days: list[str]) -> None:
    bounds = [
        boundary(at(anchor), zone=ZoneInfo("UTC"), interval=Interval.MONTH, index=n + 1) for n in range(len(days))
    ]
    assert [f"{bound:%Y-%m-%d}" for bound in bounds] == days


def test_a_leap_day_bills_yearly_on_the_28th_and_on_the_29th_again() -> None:
    years = [boundary(at("2024-02-29"), zone=ZoneInfo("UTC"), interval=Interval.YEAR, index=n) for n in range(1, 5)]
    assert [f"{bound:%m-%d}" for bound in years] == ["02-28", "02-28", "02-28", "02-29"]


@pytest.mark.parametrize("seconds", [0, 1, 2, 3, 5, 17 * 60 + 23, 1799, 1800, 1801, 3598, 3599])
def test_a_wall_time_that_a_spring_change_skips_is_the_change_to_the_second(seconds: int) -> None:
    # In Berlin two o'clock of 29 March 2026 was three at once.
    anchor_at = at("2026-01-29 01:00") + timedelta(seconds=seconds)
    found = boundary(anchor_at, zone=ZoneInfo("Europe/Berlin"), interval=Interval.MONTH, index=2)
    assert found == at("2026-03-29 01:00")
    assert found.tzinfo is UTC


def test_a_wall_time_that_an_autumn_change_repeats_is_its_first_pass() -> None:
    berlin = ZoneInfo("Europe/Berlin")
    # Half past two of 25 October 2026 comes twice: an anchor of summer meets it, and one of a second pass itself.
    assert boundary(at("2025-10-25 00:30"), zone=berlin, interval=Interval.YEAR, index=1) == at("2026-10-25 00:30")
    second_pass = at("2020-10-25 01:30")
    assert boundary(second_pass, zone=berlin, interval=Interval.YEAR, index=6) == at("2026-10-25 00:30")
    assert boundary(second_pass, zone=berlin, interval=Interval.YEAR, index=1) == at("2021-10-25 00:30")


def test_a_span_covers_its_first_instant_and_not_its_last() -> None:
    tick = timedelta(microseconds=1)
    span = Span(at("2026-03-01"), at("2026-04-01"))
    found = [span.covers(when) for when in (at("2026-03-01") - tick, at("2026-03-01"), at("2026-04-01") - tick)]
    assert found == [False, True, True]
    assert not span.covers(at("2026-04-01"))


@given(instants(), st.sampled_from(list(Interval)), st.sampled_from(CALENDAR))
def test_bounds_are_said_in_utc(where: tuple[ZoneInfo, datetime], interval: Interval, cadence: Cadence) -> None:
    zone, when = where
    bounds = (*calendar_window(cadence, when, zone), boundary(when, zone=zone, interval=interval, index=1))
    assert all(bound.tzinfo is UTC for bound in bounds)


def test_a_boundary_in_the_day_that_a_zone_skipped_is_the_change() -> None:
    anchor_at = datetime(2011, 11, 30, 15, tzinfo=ZoneInfo("Pacific/Apia")).astimezone(UTC)
    bounds = [boundary(anchor_at, zone=ZoneInfo("Pacific/Apia"), interval=Interval.MONTH, index=n) for n in range(3)]
    assert bounds[1] == at("2011-12-30 10:00")
    assert all(before < after for before, after in pairwise(bounds))
