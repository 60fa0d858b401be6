"""Receiving and processing what providers tell, as the door and the workers do; and where an organization stands."""

from datetime import datetime, timedelta
from typing import Any

from django.db.models import Sum

from billing.invoicing import queries as invoicing_queries
from billing.invoicing import settlement
from billing.lifecycle import provider_events
from billing.models import (
    LIVE,
    BalanceEntry,
    Collection,
    Invoice,
    MarketplaceSubscription,
    Organization,
    ProviderInboxEvent,
    ProviderObject,
    Subscription,
)
from billing.payments import inbox
from tests.support import stripe_payloads


def receive(body: bytes, *, now: datetime) -> None:
    """One delivery of Stripe's, stored."""
    inbox.receive(provider="stripe", body=body, headers=stripe_payloads.headers(body, at=now), now=now)


def deliver(body: bytes, *, now: datetime) -> None:
    """One delivery of Stripe's, and the worker that it wakes."""
    receive(body, now=now)
    run_due(now)


def run_due(now: datetime) -> None:
    """What the sweep would hand out at ``now``, until nothing is due."""
    while due := inbox.list_due(now=now, limit=100):
        for event_id in due:
            provider_events.process(event_id=event_id, now=now)


def settle(now: datetime) -> None:
    """Let time pass until no event waits."""
    while waiting := ProviderInboxEvent.objects.filter(status="waiting").order_by("next_attempt_at").first():
        assert waiting.next_attempt_at is not None
        now = max(now + timedelta(seconds=1), waiting.next_attempt_at)
        run_due(now)


def standing(organization: Organization) -> dict[str, Any]:
    """What the organization may use, what it owes, what it has, and what is believed of the provider's objects."""
    live = Subscription.objects.filter(organization=organization, status__in=LIVE)
    owed = {}
    for row in Invoice.objects.filter(organization=organization):
        invoice = invoicing_queries.get_invoice(str(row.id))
        owed[str(invoice.id)] = (invoice.status, settlement.due_minor(invoice))
    balances = {
        entry.currency: entry.balance_after_minor
        for entry in BalanceEntry.objects.filter(organization=organization).order_by("sequence")
    }
    accounts = MarketplaceSubscription.objects.filter(organization=organization)
    return {
        "live": [
            (each.plan.code, each.status, each.cancel_at_period_end, each.provider_reference)
            for each in live.select_related("plan")
        ],
        "credits": str(accounts.aggregate(total=Sum("credit_balance"))["total"] or 0),
        "invoices": owed,
        "balances": {currency: amount for currency, amount in balances.items() if amount},
        "collections": Collection.objects.filter(organization=organization, closed_at=None).count(),
        "inbox": sorted(set(ProviderInboxEvent.objects.values_list("status", flat=True)) - {"applied", "ignored"}),
        "objects": sorted(ProviderObject.objects.values_list("subject", "state", "is_final", "event_id")),
    }
