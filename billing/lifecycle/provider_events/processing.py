"""One stored event, from its row to the books: everything it means and its own status in one transaction.

A worker that dies leaves the row waiting, and the next sweep finds it. Two workers with one event are serialized by the
organization's lock, and the second finds it dealt with.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from django.db import InterfaceError, OperationalError
from django.db.transaction import atomic

from billing.accounts import queries as accounts_queries
from billing.infra import locks, logs
from billing.kernel.errors import Busy
from billing.lifecycle.provider_events import money, subscriptions
from billing.lifecycle.provider_events.outcomes import Context, Outcome, Waits
from billing.models import BalanceEntry, InboxStatus, Invoice, Organization, Payment, ProviderInboxEvent, Subscription
from billing.payments import customers, inbox, registry
from billing.payments import events as provider_events
from billing.payments.events import ProviderEvent

_APPLY: Mapping[type[ProviderEvent], Callable[[Any, Context], Outcome]] = {
    provider_events.SubscriptionConfirmed: subscriptions.confirmed,
    provider_events.SubscriptionChanged: subscriptions.changed,
    provider_events.SubscriptionDeleted: subscriptions.deleted,
    provider_events.PaymentSucceeded: money.succeeded,
    provider_events.PaymentFailed: money.failed,
    provider_events.RefundReported: money.refunded,
}


def process(*, event_id: UUID, now: datetime) -> InboxStatus | None:
    """Apply a waiting event; its status afterwards, None where it did not wait or its books are busy.

    ``now`` is real time. What goes wrong is written to the row and tried again later, and in the end parked. Raises
    only when the database is gone.
    """
    row = ProviderInboxEvent.objects.filter(id=event_id, status=InboxStatus.WAITING).first()
    if row is None:
        return None
    try:
        return _apply(row, now)
    except Waits as missing:
        return inbox.postpone(row, reason=str(missing), awaits=missing.awaits, now=now)
    except Busy:
        # Nobody's fault: the row is still due.
        return None
    except (OperationalError, InterfaceError):
        raise
    except Exception as error:
        # Whatever it is, it must not keep the other events waiting, and somebody has to see it.
        logs.event(
            "provider.event_failed",
            level=logging.WARNING,
            error=error,
            provider=row.provider,
            event_id=row.event_id,
            type=row.type,
        )
        return inbox.postpone(row, reason=f"{type(error).__name__}: {error}", now=now)


def _apply(row: ProviderInboxEvent, now: datetime) -> InboxStatus | None:
    verified = inbox.read(row)
    events = registry.get(row.provider).interpret(verified)
    if not events:
        with atomic():
            if (locked := _lock(row)) is None:
                return None
            inbox.finish(
                locked, status=InboxStatus.IGNORED, now=now, organization_id=None, reason="Of no interest here."
            )
        return InboxStatus.IGNORED
    organization = _organization(row.provider, events)
    with atomic():
        locks.lock_organization(organization.id)
        if (locked := _lock(row)) is None:
            return None
        context = Context(
            provider=row.provider,
            event_id=row.event_id,
            organization=organization,
            now=accounts_queries.now_for(organization, now),
        )
        known = _link_customer(events, context)
        outcomes = [_APPLY[type(event)](event, context) for event in events]
        status = InboxStatus.APPLIED if any(each.is_applied for each in outcomes) else InboxStatus.IGNORED
        reason = " ".join(dict.fromkeys(each.reason for each in outcomes if each.reason))
        inbox.finish(locked, status=status, now=now, organization_id=organization.id, reason=reason)
        inbox.wake(row.provider, [*known, *(name for each in outcomes for name in each.known)], now=now)
    logs.event(
        "provider.event_applied" if status is InboxStatus.APPLIED else "provider.event_ignored",
        organization=organization.id,
        provider=row.provider,
        event_id=row.event_id,
        type=row.type,
        reason=reason,
    )
    return status


def _lock(row: ProviderInboxEvent) -> ProviderInboxEvent | None:
    with locks.busy_on_timeout():
        return inbox.lock_waiting(row.id)


def _organization(provider: str, events: Sequence[ProviderEvent]) -> Organization:
    """Whose event it is, by what it names of ours, else by the provider's customer. Raises ``Waits``."""
    for event in events:
        found = _named(provider, event)
        if found is not None:
            return found
    references = [event.customer_reference for event in events if event.customer_reference]
    for reference in references:
        found = customers.find_organization(provider, reference)
        if found is not None:
            return found
    refunds = [event for event in events if isinstance(event, provider_events.RefundReported)]
    if refunds:
        payment = refunds[0].payment_reference
        raise Waits(f"payment:{payment}", f"The payment {payment} is not known yet.")
    awaits = f"customer:{references[0]}" if references else ""
    raise Waits(awaits, "It names no organization that is known" + (f" ({references[0]})." if references else "."))


def _named(provider: str, event: ProviderEvent) -> Organization | None:
    invoice_id = getattr(event, "invoice_id", None)
    if invoice_id is not None:
        invoice = Invoice.objects.select_related("organization").filter(id=invoice_id).first()
        if invoice is not None:
            return invoice.organization
    subscription_id = getattr(event, "subscription_id", None)
    if subscription_id is not None:
        subscription = Subscription.objects.select_related("organization").filter(id=subscription_id).first()
        if subscription is not None:
            return subscription.organization
    reference = getattr(event, "organization", "")
    if reference:
        return accounts_queries.find_organization(reference)
    if isinstance(event, provider_events.RefundReported):
        return _paying(provider, event.payment_reference)
    return None


def _paying(provider: str, reference: str) -> Organization | None:
    booked = {"provider": provider, "reference": reference}
    payment = Payment.objects.select_related("organization").filter(**booked).first()
    if payment is not None:
        return payment.organization
    kept = BalanceEntry.objects.select_related("organization").filter(**booked).first()
    return kept.organization if kept else None


def _link_customer(events: Sequence[ProviderEvent], context: Context) -> list[str]:
    """Note the customer that came along, so that what names only that finds its organization."""
    references = list(dict.fromkeys(event.customer_reference for event in events if event.customer_reference))
    for reference in references[:1]:
        customers.link(context.organization, provider=context.provider, reference=reference, now=context.now)
    return [f"customer:{reference}" for reference in references]
