"""A calendar month as an address names it, ``2026-03``, in the organization's zone."""

from __future__ import annotations

import calendar
import re
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from zoneinfo import ZoneInfo

from billing.kernel.periods import Cadence, Span, calendar_window

_MONTH = re.compile(r"([0-9]{4})-([0-9]{2})", re.ASCII)
YEAR_MIN, YEAR_MAX = 1970, 2199


@dataclass(frozen=True, slots=True)
class Month:
    """``span`` is the month from its first midnight to the next one's. ``after`` is empty in the month that runs."""

    first: date
    following: date
    span: Span
    before: str
    after: str


def read(text: str, *, at: datetime, zone: ZoneInfo) -> Month:
    """The month that ``text`` names; one that is none, or one to come, is the one that runs at ``at``."""
    span = calendar_window(Cadence.MONTHLY, min(_within(text, zone) or at, at), zone)
    first = span.starts_at.astimezone(zone).date()
    following = first + timedelta(days=calendar.monthrange(first.year, first.month)[1])
    return Month(
        first=first,
        following=following,
        span=span,
        before=f"{first - timedelta(days=1):%Y-%m}",
        after="" if span.ends_at > at else f"{following:%Y-%m}",
    )


def _within(text: str, zone: ZoneInfo) -> datetime | None:
    """An instant in the middle of the month."""
    match = _MONTH.fullmatch(text)
    if match is None or not 1 <= int(match[2]) <= 12 or not YEAR_MIN <= int(match[1]) <= YEAR_MAX:
        return None
    return datetime(int(match[1]), int(match[2]), 15, tzinfo=zone)
