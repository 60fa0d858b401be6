"""Billing periods from an anchor, and calendar windows in a zone. Everything is half-open: ``[start, end)``.

Periods count from the stored anchor in the organization's local time, so a subscription of 31 January bills on
28 February and then on 31 March: the day is clamped in each month anew, never carried over. Calendar windows start at
local midnight, whatever the length of that day (23 and 25 hours included).
"""

from __future__ import annotations

import calendar
from datetime import UTC, date, datetime, timedelta
from enum import StrEnum
from functools import lru_cache
from typing import NamedTuple
from zoneinfo import ZoneInfo


class Interval(StrEnum):
    """How long a billing period is."""

    MONTH = "month"
    QUARTER = "quarter"
    YEAR = "year"


class Cadence(StrEnum):
    """When a usage window starts anew."""

    DAILY = "daily"
    WEEKLY = "weekly"
    MONTHLY = "monthly"
    PERIOD = "billing_period"
    NEVER = "never"


class Span(NamedTuple):
    """A half-open stretch of time, both ends UTC."""

    starts_at: datetime
    ends_at: datetime

    def covers(self, at: datetime) -> bool:
        return self.starts_at <= at < self.ends_at

    @property
    def seconds(self) -> int:
        """Whole seconds from start to end; bounds are stored without fractions of a second (see ``floor_second``)."""
        return int((self.ends_at - self.starts_at).total_seconds())


MONTHS = {Interval.MONTH: 1, Interval.QUARTER: 3, Interval.YEAR: 12}
# PostgreSQL could say infinity, Python could not read it back.
LIFETIME = Span(datetime(1970, 1, 1, tzinfo=UTC), datetime(9999, 1, 1, tzinfo=UTC))


def floor_second(at: datetime) -> datetime:
    """Drop the fraction of a second: bounds of periods are whole seconds, so that proration is a ratio of integers."""
    return at.replace(microsecond=0)


def boundary(anchor_at: datetime, *, zone: ZoneInfo, interval: Interval, index: int) -> datetime:
    """Start of period ``index`` (0 is the anchor itself), as UTC.

    Local wall time is kept over a change of clocks. A wall time that a spring change skips becomes the instant of the
    change; one that an autumn change repeats means its first pass.
    """
    if index == 0:
        return anchor_at
    local = anchor_at.astimezone(zone)
    months = local.year * 12 + local.month - 1 + index * MONTHS[interval]
    year, month0 = divmod(months, 12)
    day = min(local.day, calendar.monthrange(year, month0 + 1)[1])
    return _instant(local.replace(year=year, month=month0 + 1, day=day), zone)


def period(anchor_at: datetime, *, zone: ZoneInfo, interval: Interval, index: int) -> Span:
    """Bounds of period ``index``, counted from 0 at the anchor."""
    return Span(
        boundary(anchor_at, zone=zone, interval=interval, index=index),
        boundary(anchor_at, zone=zone, interval=interval, index=index + 1),
    )


def calendar_window(cadence: Cadence, at: datetime, zone: ZoneInfo) -> Span:
    """The daily, weekly (ISO, from Monday), monthly or lifetime window that holds ``at``.

    ``Cadence.PERIOD`` has no calendar bounds: those are the stored billing period's.
    """
    if cadence is Cadence.NEVER:
        return LIFETIME
    window = _window_of(cadence, at.astimezone(zone).date(), zone)
    if at >= window.ends_at:
        # Clocks turned back over midnight bring yesterday's date back for a while (St. John's until 2011, at 00:01).
        # The new day has begun by then, and windows must not overlap.
        return _window_of(cadence, window.ends_at.astimezone(zone).date(), zone)
    return window


# Use comes in runs of the same day: finding midnight anew for each was a third of the time of recording it.
@lru_cache(maxsize=4096)
def _window_of(cadence: Cadence, day: date, zone: ZoneInfo) -> Span:
    if cadence is Cadence.DAILY:
        return Span(_midnight(day, zone), _midnight(day + timedelta(days=1), zone))
    if cadence is Cadence.WEEKLY:
        monday = day - timedelta(days=day.weekday())
        return Span(_midnight(monday, zone), _midnight(monday + timedelta(days=7), zone))
    if cadence is Cadence.MONTHLY:
        first = day.replace(day=1)
        length = timedelta(days=calendar.monthrange(day.year, day.month)[1])
        return Span(_midnight(first, zone), _midnight(first + length, zone))
    raise ValueError(f"{cadence} windows are stored periods, not calendar ones")


def _midnight(day: date, zone: ZoneInfo) -> datetime:
    return _instant(datetime(day.year, day.month, day.day), zone)  # noqa: DTZ001 - a wall time, the zone comes next


def _instant(wall: datetime, zone: ZoneInfo) -> datetime:
    """UTC of a wall time. In a gap, the offset from before the change applied to ``wall`` overshoots by the part of
    the gap already walked; the change itself is found from the two offsets."""
    early = wall.replace(tzinfo=zone, fold=0)
    late = wall.replace(tzinfo=zone, fold=1)
    before, after = early.utcoffset(), late.utcoffset()
    assert before is not None
    assert after is not None
    if after <= before:
        return early.astimezone(UTC)
    return _change_between(late.astimezone(UTC), early.astimezone(UTC), zone)


def _change_between(low: datetime, high: datetime, zone: ZoneInfo) -> datetime:
    """The instant in ``(low, high]`` at which the offset of ``zone`` changes, to the second, by bisection."""
    offset = low.astimezone(zone).utcoffset()
    while high - low > timedelta(seconds=1):
        middle = floor_second(low + (high - low) / 2)
        if middle.astimezone(zone).utcoffset() == offset:
            low = middle
        else:
            high = middle
    return high
