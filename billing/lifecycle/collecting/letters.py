"""What is written to a customer about an invoice and its dunning: facts as they are now, in the customer's zone."""

from __future__ import annotations

from datetime import UTC, date, datetime, time
from typing import Any
from zoneinfo import ZoneInfo

from billing.invoicing import settlement, wording
from billing.kernel.money import format_minor
from billing.lifecycle.collecting import policy
from billing.mail import operations as mail_operations
from billing.mail.kinds import Kind
from billing.models import Collection, CollectionMethod, Invoice, Status, Subscription

_UTC = ZoneInfo("UTC")
# What a customer is told of a provider's code; of others only that it said no.
_WHY = {
    "card_declined": "the card was declined.",
    "insufficient_funds": "the account does not hold enough.",
    "no_payment_method": "there is no means of payment on file.",
    "expired_card": "the card has expired.",
}
_REFUSED = "the payment was refused."


def issued(invoice: Invoice, *, is_automatic: bool, now: datetime) -> None:
    facts = {**_facts(invoice), "is_automatic": is_automatic, "is_settled": settlement.due_minor(invoice) <= 0}
    _write(invoice, Kind.INVOICE_ISSUED, str(invoice.id), facts, now=now)


def opened(collection: Collection, invoice: Invoice, *, code: str, now: datetime) -> None:
    """The dunning was opened, by a failed charge or because nothing came."""
    kind = Kind.INVOICE_OVERDUE if collection.method == CollectionMethod.MANUAL else Kind.PAYMENT_FAILED
    _write(invoice, kind, str(collection.id), {**_facts(invoice), **_ahead(collection, invoice, code)}, now=now)


def reminder(collection: Collection, invoice: Invoice, *, code: str, now: datetime) -> None:
    facts = {
        **_facts(invoice),
        **_ahead(collection, invoice, code),
        "step": collection.step,
        "steps": policy.schedule().steps,
    }
    _write(invoice, Kind.REMINDER, f"{collection.id}:{collection.step}", facts, now=now)


def past_due(collection: Collection, invoice: Invoice, subscription: Subscription, *, now: datetime) -> None:
    facts = {**_facts(invoice), "plan": subscription.plan.name}
    _write(invoice, Kind.PAST_DUE, str(collection.id), facts, now=now)


def recovered(collection: Collection, invoice: Invoice, subscription: Subscription, *, now: datetime) -> None:
    facts = {**_facts(invoice), "plan": subscription.plan.name}
    _write(invoice, Kind.RECOVERED, f"{collection.id}:{now.isoformat()}", facts, now=now)


def _facts(invoice: Invoice) -> dict[str, Any]:
    return {
        "customer": str(invoice.customer.get("name") or invoice.organization.name),
        "number": invoice.number,
        "currency": invoice.currency,
        "total": format_minor(invoice.total_minor, invoice.currency),
        "due": format_minor(settlement.due_minor(invoice), invoice.currency),
        "due_on": _date(invoice.due_on) if invoice.due_on else "",
    }


def _ahead(collection: Collection, invoice: Invoice, code: str) -> dict[str, Any]:
    zone = ZoneInfo(invoice.organization.zone)
    stops = collection.past_due_at is None and collection.subscription.status == Status.ACTIVE
    return {
        "is_automatic": collection.method == CollectionMethod.AUTOMATIC,
        "why": _WHY.get(code, _REFUSED) if code else "",
        "next_on": wording.day(collection.next_at, zone) if collection.next_at else "",
        "grace_on": wording.day(collection.grace_ends_at, zone) if stops and collection.grace_ends_at else "",
    }


def _date(day: date) -> str:
    """A date is the same day everywhere."""
    return wording.day(datetime.combine(day, time.min, UTC), _UTC)


def _write(invoice: Invoice, kind: Kind, about: str, facts: dict[str, Any], *, now: datetime) -> None:
    mail_operations.write(
        organization=invoice.organization, kind=kind, about=about, facts=facts, invoice=invoice, now=now
    )
