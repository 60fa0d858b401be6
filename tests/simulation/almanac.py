"""Calendars, a second time: anchors, periods and windows from the written rules, with nothing but ``zoneinfo``.

* A period starts on the anchor's day of the month at the anchor's local time, or on the month's last day.
* A local time that clocks skip means the instant of the change; one that they repeat means its first pass.
* Days begin at local midnight, weeks on Monday, months on the first.
"""

from __future__ import annotations

from calendar import monthrange
from datetime import UTC, date, datetime, time, timedelta
from functools import lru_cache
from zoneinfo import ZoneInfo

MONTHS = {"month": 1, "quarter": 3, "year": 12}
SECOND = timedelta(seconds=1)
DAY = timedelta(days=1)


def whole_second(at: datetime) -> datetime:
    return at - timedelta(microseconds=at.microsecond)


def seconds(since: datetime, until: datetime) -> int:
    return (until - since) // SECOND


@lru_cache(maxsize=200_000)
def instant(wall: datetime, zone: ZoneInfo) -> datetime:
    """UTC of a naive wall time."""
    passes = {wall.replace(tzinfo=zone, fold=fold).astimezone(UTC) for fold in (0, 1)}
    shown = [each for each in passes if each.astimezone(zone).replace(tzinfo=None) == wall]
    if shown:
        return min(shown)
    # No clock ever shows it: look for the first second at which clocks show something later.
    before, after = min(passes) - 2 * DAY, max(passes) + 2 * DAY
    while after - before > SECOND:
        middle = before + (after - before) // 2 // SECOND * SECOND
        if middle.astimezone(zone).replace(tzinfo=None) < wall:
            before = middle
        else:
            after = middle
    return after


@lru_cache(maxsize=200_000)
def anniversary(anchor: datetime, zone: ZoneInfo, months: int) -> datetime:
    """``months`` months after the anchor, always counted from the anchor itself."""
    if months == 0:
        return anchor
    local = anchor.astimezone(zone).replace(tzinfo=None, fold=0)
    years, month = divmod(local.month - 1 + months, 12)
    year, month = local.year + years, month + 1
    return instant(local.replace(year=year, month=month, day=min(local.day, monthrange(year, month)[1])), zone)


def next_boundary(anchor: datetime, zone: ZoneInfo, interval: str, after: datetime) -> datetime:
    """The first boundary of the anchor's periods after ``after``."""
    step = MONTHS[interval]
    # A year early: counting all months of ten years for each of them takes its time.
    passed = max(0, (after - anchor).days // 31 - 13)
    months = passed - passed % step
    while (found := anniversary(anchor, zone, months)) <= after:
        months += step
    return found


def days_later(at: datetime, zone: ZoneInfo, days: int) -> datetime:
    """The same local time ``days`` days later."""
    return instant(at.astimezone(zone).replace(tzinfo=None, fold=0) + days * DAY, zone)


def day_of(at: datetime, zone: ZoneInfo) -> date:
    """The day that ``at`` belongs to. Clocks that turn back over midnight show yesterday again, but today has begun."""
    shown = at.astimezone(zone).date()
    tomorrow = shown + DAY
    return tomorrow if at >= _midnight(tomorrow, zone) else shown


@lru_cache(maxsize=200_000)
def _midnight(day: date, zone: ZoneInfo) -> datetime:
    return instant(datetime.combine(day, time()), zone)


def window(cadence: str, at: datetime, zone: ZoneInfo) -> tuple[int, ...]:
    """A name for the calendar window of ``at``, the same for all instants in it."""
    if cadence == "never":
        return ()
    day = day_of(at, zone)
    if cadence == "daily":
        return day.year, day.month, day.day
    if cadence == "weekly":
        return tuple(day.isocalendar())[:2]
    assert cadence == "monthly"
    return day.year, day.month
