"""The words on an invoice's lines. Plain English; days are the organization's."""

from __future__ import annotations

from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

from billing.kernel.periods import Span

# Not strftime's: those depend on the locale of the process.
_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
# Half of the line's column each, with room for the words and dates between.
NAME_LENGTH_MAX = 100


def day(at: datetime, zone: ZoneInfo) -> str:
    local = at.astimezone(zone)
    return f"{local.day} {_MONTHS[local.month - 1]} {local.year}"


def days(span: Span, zone: ZoneInfo) -> str:
    """First and last day that ``span`` touches, both included: ``1 Nov 2023 – 30 Nov 2023``."""
    first, last = day(span.starts_at, zone), day(span.ends_at - timedelta(microseconds=1), zone)
    return first if first == last else f"{first} – {last}"


def short(name: str) -> str:
    return name if len(name) <= NAME_LENGTH_MAX else name[: NAME_LENGTH_MAX - 1] + "…"
