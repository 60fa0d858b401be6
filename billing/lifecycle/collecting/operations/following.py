"""What an invoice's fate means for its collection, in the transaction that settles it."""

from __future__ import annotations

from datetime import datetime
from zoneinfo import ZoneInfo

from billing.accounts import profiles
from billing.invoicing import settlement
from billing.kernel.errors import InvariantViolation
from billing.lifecycle.collecting import letters
from billing.lifecycle.collecting.errors import ChargeUnderWay
from billing.lifecycle.collecting.operations import holding, telling
from billing.lifecycle.collecting.schedule import REOPENED_WAITS, overdue_at
from billing.models import (
    UNDER_WAY,
    ChargeAttempt,
    Closing,
    Collection,
    CollectionMethod,
    Invoice,
    InvoiceKind,
    InvoiceStatus,
)

_CLOSES = {
    InvoiceStatus.PAID.value: Closing.SETTLED,
    InvoiceStatus.VOID.value: Closing.VOID,
    InvoiceStatus.UNCOLLECTIBLE.value: Closing.UNCOLLECTIBLE,
}


def follow(invoice: Invoice, *, was: str, now: datetime) -> None:
    """Begin a collection at issue and when a paid invoice opens again; close it when nothing is to be collected. Of a
    purchase of credits only the document is sent: it was paid in advance, and nobody is asked for it.

    Raises ``ChargeUnderWay`` for an invoice that is voided while a provider is asked for its money.
    """
    if was == InvoiceStatus.DRAFT and invoice.status in (InvoiceStatus.ISSUED, InvoiceStatus.PAID):
        _issued(invoice, now=now)
    elif invoice.kind == InvoiceKind.PURCHASE:
        return
    elif was == InvoiceStatus.PAID and invoice.status == InvoiceStatus.ISSUED:
        # Charging by itself what somebody just sent back would go round in circles.
        _begin(invoice, CollectionMethod.MANUAL, next_at=max(_overdue_at(invoice), now + REOPENED_WAITS), now=now)
    elif invoice.status in _CLOSES and was != InvoiceStatus.DRAFT:
        _close(invoice, _CLOSES[invoice.status], now=now)


def _issued(invoice: Invoice, *, now: datetime) -> None:
    profile = profiles.find_profile(invoice.organization)
    method = CollectionMethod(profile.collection) if profile else CollectionMethod.MANUAL
    letters.issued(invoice, is_automatic=method is CollectionMethod.AUTOMATIC, now=now)
    if settlement.due_minor(invoice) > 0:
        next_at = now if method is CollectionMethod.AUTOMATIC else _overdue_at(invoice)
        _begin(invoice, method, next_at=next_at, now=now)


def _begin(invoice: Invoice, method: CollectionMethod, *, next_at: datetime, now: datetime) -> None:
    Collection.objects.create(
        organization_id=invoice.organization_id,
        subscription_id=invoice.subscription_id,
        invoice=invoice,
        method=method,
        started_at=now,
        next_at=next_at,
    )


def _overdue_at(invoice: Invoice) -> datetime:
    if invoice.due_on is None:
        raise InvariantViolation(f"invoice {invoice.id} is owed and never due")
    return overdue_at(invoice.due_on, ZoneInfo(invoice.organization.zone))


def _close(invoice: Invoice, because: Closing, *, now: datetime) -> None:
    if because is Closing.VOID and ChargeAttempt.objects.filter(invoice=invoice, status__in=UNDER_WAY).exists():
        raise ChargeUnderWay("A charge of this invoice is under way: wait for its outcome.")
    collections = list(Collection.objects.filter(invoice=invoice).select_related("subscription"))
    for each in collections:
        if each.closed_at is None:
            close(each, invoice, because, now=now)
    # What was written off is not paid: it goes on holding the subscription until it is, or an operator lets go.
    if because is not Closing.UNCOLLECTIBLE:
        holding.lift(collections, invoice, actor=telling.COLLECTING, now=now)


def close(collection: Collection, invoice: Invoice, because: Closing, *, now: datetime, reason: str = "") -> None:
    """Collect no more. What the collection holds is the caller's to lift."""
    collection.closed_at, collection.closed_because, collection.next_at = now, because, None
    collection.save(update_fields=["closed_at", "closed_because", "next_at"])
    if collection.dunning_at is not None:
        telling.tell(
            collection,
            invoice,
            "dunning.closed",
            actor=telling.COLLECTING,
            at=now,
            reason=reason,
            because=because.value,
        )
