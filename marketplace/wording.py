"""How values read on a page: numbers and dates in the visitor's locale, instants in the organization's zone, states in
words."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, date, datetime
from decimal import Decimal
from zoneinfo import ZoneInfo

from django.utils import dateformat, translation
from django.utils.translation import gettext, ngettext
from django.utils.translation import gettext_lazy as _

from billing.kernel.decimals import plain
from billing.kernel.money import to_major
from billing.kernel.periods import Cadence, Interval
from billing.models import EntryKind, GrantKind, InvoiceStatus, Status
from marketplace import locales


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
    Status.INCOMPLETE: (_("Waiting for confirmation"), "warn"),
    Status.TRIALING: (_("Trial"), "good"),
    Status.ACTIVE: (_("Active"), "good"),
    Status.PAST_DUE: (_("Past due"), "bad"),
    Status.PAUSED: (_("Paused"), "warn"),
    Status.CANCELED: (_("Cancelled"), "calm"),
    Status.EXPIRED: (_("Expired"), "calm"),
}
_INVOICE_STATUS = {
    InvoiceStatus.DRAFT: (_("Draft"), "calm"),
    InvoiceStatus.ISSUED: (_("Issued"), "warn"),
    InvoiceStatus.PAID: (_("Paid"), "good"),
    InvoiceStatus.VOID: (_("Void"), "calm"),
    InvoiceStatus.UNCOLLECTIBLE: (_("Uncollectible"), "bad"),
}
_PURCHASE_STATE = {
    "open": (_("To be paid"), "warn"),
    "paid": (_("Paid"), "good"),
    "withdrawn": (_("Withdrawn"), "calm"),
}
_GRANT_KIND = {
    GrantKind.ALLOWANCE: _("Plan allowance"),
    GrantKind.PROMOTION: _("Promotion"),
    GrantKind.ADJUSTMENT: _("Adjustment"),
    GrantKind.PURCHASE: _("Purchased"),
}
_ENTRY_KIND = {
    EntryKind.GRANT: _("Granted"),
    EntryKind.DEBIT: _("Used"),
    EntryKind.ADJUSTMENT: _("Adjusted"),
    EntryKind.EXPIRY: _("Expired"),
    EntryKind.REVERSAL: _("Given back"),
    EntryKind.VOID: _("Voided"),
    EntryKind.TRANSFER: _("Moved"),
}
_CADENCE = {
    Cadence.DAILY: _("a day"),
    Cadence.WEEKLY: _("a week"),
    Cadence.MONTHLY: _("a calendar month"),
    Cadence.PERIOD: _("a billing period"),
    Cadence.NEVER: _("in all"),
}
_INTERVAL = {Interval.MONTH: _("month"), Interval.QUARTER: _("quarter"), Interval.YEAR: _("year")}
_EVERY = {Interval.MONTH: _("a month"), Interval.QUARTER: _("a quarter"), Interval.YEAR: _("a year")}
_BILLED = {Interval.MONTH: _("Monthly"), Interval.QUARTER: _("Quarterly"), Interval.YEAR: _("Yearly")}
_UNSAID = re.compile(r"^max_|_enabled$|_per_(?:day|week|month)$")
_ACRONYMS = frozenset({"ai", "api", "csv", "llm", "pdf", "sla", "sso"})
# Only signs that mean one currency to everybody who reads them here; others are named by their ISO 4217 code.
_SIGNS = {"USD": "$", "EUR": "€", "GBP": "£", "JPY": "¥"}
_GAP = "\xa0"


def status(value: str) -> Label:
    return _label(*_STATUS[Status(value)])


def invoice_status(value: str) -> Label:
    return _label(*_INVOICE_STATUS[InvoiceStatus(value)])


def purchase_state(value: str) -> Label:
    return _label(*_PURCHASE_STATE[value])


def _label(text: object, tone: str) -> Label:
    return Label(str(text), tone)


def grant_kind(value: str) -> str:
    return str(_GRANT_KIND[GrantKind(value)])


def entry_kind(value: str) -> str:
    return str(_ENTRY_KIND[EntryKind(value)])


def cadence(value: str) -> str:
    """ "a day", "a billing period": to follow a number."""
    return str(_CADENCE[Cadence(value)])


def interval(value: str) -> str:
    """ "month", "quarter", "year"."""
    return str(_INTERVAL[Interval(value)])


def every(value: str) -> str:
    """ "a month": to follow a price."""
    return str(_EVERY[Interval(value)])


def billed(value: str) -> str:
    """ "Monthly": as the name of a choice."""
    return str(_BILLED[Interval(value)])


def number(value: Decimal) -> str:
    """``1234567.500000`` → ``"1,234,567.5"``, as the visitor's locale writes it."""
    return _minus(value < 0) + _grouped(plain(abs(value)))


def signed(value: Decimal) -> str:
    return number(value) if value < 0 else f"+{number(value)}"


def money(minor: int, currency: str) -> str:
    """Minor units with all their digits, without the currency: ``(7500, "JPY")`` → ``"7,500"``."""
    return _minus(minor < 0) + _grouped(format(to_major(abs(minor), currency), "f"))


def price(minor: int, currency: str) -> str:
    """An amount with its currency: ``(123456, "EUR")`` → ``"€1,234.56"``, ``"1.234,56 €"`` in German."""
    return _minus(minor < 0) + _with_currency(money(abs(minor), currency), currency)


def rate(value: Decimal, currency: str) -> str:
    """A price per unit, which may be of a fraction of a minor unit: at least the digits of a price, and no more zeros.
    ``(0.0015, "EUR")`` → ``"€0.0015"``, ``(2, "EUR")`` → ``"€2.00"``."""
    digits = max(0, -to_major(1, currency).adjusted())
    whole, _dot, fraction = plain(abs(value)).partition(".")
    text = whole + (f".{fraction.ljust(digits, '0')}" if fraction or digits else "")
    return _minus(value < 0) + _with_currency(_grouped(text), currency)


def _with_currency(amount: str, currency: str) -> str:
    sign, gap = _SIGNS.get(currency), locales.current().sign_gap
    if gap is None:
        return f"{amount}{_GAP}{sign or currency}"
    return f"{sign}{gap}{amount}" if sign else f"{currency}{_GAP}{amount}"


def _grouped(text: str) -> str:
    locale = locales.current()
    whole, _dot, fraction = text.partition(".")
    grouped = f"{int(whole):,}".replace(",", locale.thousands)
    return f"{grouped}{locale.decimal}{fraction}" if fraction else grouped


def _minus(is_negative: bool) -> str:
    return "−" if is_negative else ""


def name(key: str) -> str:
    """A catalog key as words, without what the page says beside it: ``max_api_calls_per_day`` → ``"API calls"``."""
    words = _UNSAID.sub("", key).replace("_", " ").split()
    text = " ".join(word.upper() if word in _ACRONYMS else word for word in words) or key
    return text[:1].upper() + text[1:]


def days(count: int) -> str:
    return ngettext("%(count)s day", "%(count)s days", count) % {"count": number(Decimal(count))}


def countdown(until: datetime, at: datetime) -> str:
    """How long it is from ``at`` to ``until``, in whole days or hours: "in 3 days"."""
    hours = int((until - at).total_seconds()) // 3600
    if hours < 1:
        return gettext("in less than an hour")
    if hours < 48:
        return ngettext("in %(count)s hour", "in %(count)s hours", hours) % {"count": hours}
    return ngettext("in %(count)s day", "in %(count)s days", hours // 24) % {"count": number(Decimal(hours // 24))}


def moment(at: datetime, zone: ZoneInfo) -> Moment:
    local = at.astimezone(zone)
    return Moment(_iso(at), f"{on(local.date())}, {local:%H:%M}")


def day(at: datetime, zone: ZoneInfo) -> Moment:
    return Moment(_iso(at), on(at.astimezone(zone).date()))


def issues(due_at: datetime | None, zone: ZoneInfo) -> str:
    """When a draft is issued, in words for its customer. Why one waits is for those who look after it."""
    if due_at is None:
        return gettext("Looked at before it is issued")
    return gettext("Issued on %(moment)s") % {"moment": moment(due_at, zone).text}


def on(value: date) -> str:
    """``20 Jan 2026``; ``20. Jan 2026`` in German."""
    locale = locales.current()
    with translation.override(locale.code):
        return dateformat.format(value, locale.day)


def _iso(at: datetime) -> str:
    return at.astimezone(UTC).isoformat().replace("+00:00", "Z")
