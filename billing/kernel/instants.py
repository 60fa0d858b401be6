"""Times as people and files write them: ISO 8601 dates and times, and lengths of time such as ``30d``."""

from __future__ import annotations

import re
from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

YEAR_MIN, YEAR_MAX = 1970, 2199

# ``datetime.fromisoformat`` reads much more: week dates, bare digits, any sign between date and time.
_WRITTEN = re.compile(
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}"
    r"(?:[T ][0-9]{2}:[0-9]{2}(?::[0-9]{2}(?:\.[0-9]{1,9})?)?(?:Z|[+-][0-9]{2}:?[0-9]{2})?)?",
    re.ASCII,
)
_DAY = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}", re.ASCII)
_LENGTH = re.compile(r"([1-9][0-9]{0,5})([wdhms])", re.ASCII)
_UNITS = {"w": "weeks", "d": "days", "h": "hours", "m": "minutes", "s": "seconds"}


def read(text: str) -> datetime:
    """A date, or a date and time, as written: aware if it has an offset, else naive.

    ``T`` or a blank stands between date and time; seconds may be missing; digits beyond microseconds are dropped; a
    date alone is its midnight. Raises ``ValueError`` with a sentence.
    """
    if not _WRITTEN.fullmatch(text):
        raise ValueError("is not a time such as 2026-01-31T09:00:00Z")
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        raise ValueError("is not a time that exists") from None
    if not YEAR_MIN <= at.year <= YEAR_MAX:
        raise ValueError(f"is not between the years {YEAR_MIN} and {YEAR_MAX}")
    return at


def read_day(text: str) -> date:
    """A day as written: ``2026-01-31``. Raises ``ValueError`` with a sentence."""
    if not _DAY.fullmatch(text):
        raise ValueError("is not a day such as 2026-01-31")
    return read(text).date()


def settle(at: datetime, zone: ZoneInfo) -> datetime:
    """``at`` in UTC, read on the clocks of ``zone`` if it is naive.

    Of an hour that comes twice the first is meant. Raises ``ValueError`` for one that the clocks skipped.
    """
    if at.tzinfo is not None:
        return at.astimezone(UTC)
    if zone.key == "UTC":
        return at.replace(tzinfo=UTC)
    settled = at.replace(tzinfo=zone).astimezone(UTC)
    if settled.astimezone(zone).replace(tzinfo=None) != at:
        raise ValueError(f"is not a time that exists in {zone.key}")
    return settled


def read_length(text: str) -> timedelta:
    """A length such as ``30d``, ``2w``, ``12h``, ``90m`` or ``45s``. Raises ``ValueError`` with a sentence."""
    match = _LENGTH.fullmatch(text)
    if match is None:
        raise ValueError("is not a length of time such as 30d, 2w, 12h, 90m or 45s")
    return timedelta(**{_UNITS[match[2]]: int(match[1])})
