"""How values read on a page: numbers grouped, instants in the organization's zone, states in words."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, date, datetime
from decimal import Decimal
from zoneinfo import ZoneInfo

from billing.kernel.decimals import plain
from billing.kernel.money import to_major
from billing.kernel.periods import Cadence, Interval
from billing.models import EntryKind, GrantKind, InvoiceStatus, Status


@dataclass(frozen=True, slots=True)
class Moment:
    """An instant: ``iso`` for machines, ``text`` for the reader, in the zone of the page."""

    iso: str
    text: str


@dataclass(frozen=True, slots=True)
class Label:
    """A state in a word; ``tone`` (good, warn, bad, calm) picks its colour, which never says more than the word."""

    text: str
    tone: str


_STATUS = {
    Status.INCOMPLETE: Label("Waiting for confirmation", "warn"),
    Status.TRIALING: Label("Trial", "good"),
    Status.ACTIVE: Label("Active", "good"),
    Status.PAST_DUE: Label("Past due", "bad"),
    Status.PAUSED: Label("Paused", "warn"),
    Status.CANCELED: Label("Cancelled", "calm"),
    Status.EXPIRED: Label("Expired", "calm"),
}
_INVOICE_STATUS = {
    InvoiceStatus.DRAFT: Label("Draft", "calm"),
    InvoiceStatus.ISSUED: Label("Issued", "warn"),
    InvoiceStatus.PAID: Label("Paid", "good"),
    InvoiceStatus.VOID: Label("Void", "calm"),
    InvoiceStatus.UNCOLLECTIBLE: Label("Uncollectible", "bad"),
}
_GRANT_KIND = {
    GrantKind.ALLOWANCE: "Plan allowance",
    GrantKind.PROMOTION: "Promotion",
    GrantKind.ADJUSTMENT: "Adjustment",
    GrantKind.PURCHASE: "Purchased",
}
_ENTRY_KIND = {
    EntryKind.GRANT: "Granted",
    EntryKind.DEBIT: "Used",
    EntryKind.ADJUSTMENT: "Adjusted",
    EntryKind.EXPIRY: "Expired",
    EntryKind.REVERSAL: "Given back",
    EntryKind.VOID: "Voided",
    EntryKind.TRANSFER: "Moved",
}
_CADENCE = {
    Cadence.DAILY: "a day",
    Cadence.WEEKLY: "a week",
    Cadence.MONTHLY: "a calendar month",
    Cadence.PERIOD: "a billing period",
    Cadence.NEVER: "in all",
}
_UNSAID = re.compile(r"^max_|_enabled$|_per_(?:day|week|month)$")
_ACRONYMS = frozenset({"ai", "api", "csv", "llm", "pdf", "sla", "sso"})
_INTERVAL = {Interval.MONTH: "month", Interval.QUARTER: "quarter", Interval.YEAR: "year"}


def status(value: str) -> Label:
    return _STATUS[Status(value)]


def invoice_status(value: str) -> Label:
    return _INVOICE_STATUS[InvoiceStatus(value)]


def grant_kind(value: str) -> str:
    return _GRANT_KIND[GrantKind(value)]


def entry_kind(value: str) -> str:
    return _ENTRY_KIND[EntryKind(value)]


def cadence(value: str) -> str:
    """ "a day", "a billing period": to follow a number."""
    return _CADENCE[Cadence(value)]


def interval(value: str) -> str:
    return _INTERVAL[Interval(value)]


def number(value: Decimal) -> str:
    """``1234567.500000`` → ``"1,234,567.5"``."""
    whole, _, fraction = plain(abs(value)).partition(".")
    return ("−" if value < 0 else "") + f"{int(whole):,}" + (f".{fraction}" if fraction else "")


def signed(value: Decimal) -> str:
    return number(value) if value < 0 else f"+{number(value)}"


def money(minor: int, currency: str) -> str:
    """Minor units with all their digits, without the currency: ``(7500, "JPY")`` → ``"7,500"``."""
    return ("−" if minor < 0 else "") + format(to_major(abs(minor), currency), ",f")


def name(key: str) -> str:
    """A catalog key as words, without what the page says beside it: ``max_api_calls_per_day`` → ``"API calls"``."""
    words = _UNSAID.sub("", key).replace("_", " ").split()
    text = " ".join(word.upper() if word in _ACRONYMS else word for word in words) or key
    return text[:1].upper() + text[1:]


def moment(at: datetime, zone: ZoneInfo) -> Moment:
    local = at.astimezone(zone)
    return Moment(_iso(at), f"{local.day} {local:%b %Y, %H:%M}")


def day(at: datetime, zone: ZoneInfo) -> Moment:
    return Moment(_iso(at), on(at.astimezone(zone).date()))


def issues(due_at: datetime | None, zone: ZoneInfo) -> str:
    """When a draft is issued, in words for its customer. Why one waits is for those who look after it."""
    return f"Issued on {moment(due_at, zone).text}" if due_at else "Looked at before it is issued"


def on(value: date) -> str:
    return f"{value.day} {value:%b %Y}"


def _iso(at: datetime) -> str:
    return at.astimezone(UTC).isoformat().replace("+00:00", "Z")
