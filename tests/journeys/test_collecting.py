"""Two months of a customer whose card stops paying, by a sandbox's clock."""

from datetime import timedelta
from typing import Any

import pytest

from billing.lifecycle import quota
from billing.lifecycle.collecting import operations
from billing.models import CreditGrant, OutboxEvent, Status
from billing.payments import stub
from billing.reporting.doctor import verify
from billing.subscriptions import queries as subscriptions_queries
from tests.support import catalogs
from tests.support.collecting import (
    ISSUED,
    OPERATOR,
    START,
    advance,
    attempts_of,
    collected,
    collection_of,
    first_invoice,
    mails_of,
    subscribed,
    topics,
)
from tests.support.factories import at

pytestmark = pytest.mark.django_db
DAY = timedelta(days=1)


def test_from_a_declined_card_to_service_again() -> None:
    catalogs.sync()
    acme = collected(means="card_declined")
    subscription = subscribed(acme)
    use: dict[str, Any] = {"event": "case_created", "record_usage": True}

    happened = advance(acme, at("2026-02-02 00:00:00"))
    assert topics(happened)[-2:] == ["invoice.issued", "dunning.opened"]
    invoice = first_invoice(acme)
    assert attempts_of(invoice) == [(0, "failed", "card_declined")]
    assert quota.enforce(acme, now=START, **use).allowed

    happened = advance(acme, at("2026-02-15 23:59:59"))
    assert topics(happened) == ["dunning.step"] * 4
    assert [each.at for each in happened] == [ISSUED + days * DAY for days in (1, 3, 5, 7)]
    assert [step for step, _, _ in attempts_of(invoice)] == [0, 1, 2, 3, 4]
    assert quota.enforce(acme, now=START, **use).allowed

    assert topics(advance(acme, at("2026-02-16 00:00:00"))) == ["subscription.past_due"]
    refused = quota.enforce(acme, now=START, **use)
    assert not refused.allowed
    assert refused.code == "subscription_past_due"
    assert refused.notes == ("billing:subscription-missing", "billing:subscription-past-due")
    assert refused.remedies[0] == {
        "action": "pay",
        "invoice": invoice.number or "",
        "due": "49.00",
        "currency": "USD",
    }

    # March begins without an allowance; February is owed, and dunned for as well.
    advance(acme, at("2026-03-02 12:00:00"))
    assert CreditGrant.objects.filter(organization=acme, starts_at__gte=at("2026-03-01")).count() == 0
    stub.choose(acme, "card_ok", now=START)
    happened = advance(acme, at("2026-03-03 00:00:00"))
    assert "subscription.recovered" not in topics(happened)
    assert subscriptions_queries.get_subscription(subscription.id).status == Status.PAST_DUE

    acme.refresh_from_db()
    assert acme.clock_at is not None
    closed = operations.retry(collection=collection_of(invoice), actor=OPERATOR, now=acme.clock_at)
    assert (closed.closed_because, closed.lifted_at) == ("settled", acme.clock_at)
    assert first_invoice(acme).status == "paid"
    back = subscriptions_queries.get_subscription(subscription.id)
    assert (back.status, back.past_due_at) == (Status.ACTIVE, None)
    granted = CreditGrant.objects.get(organization=acme, starts_at__gte=at("2026-03-01"))
    assert (granted.starts_at, granted.expires_at) == (at("2026-03-03"), at("2026-04-01"))
    assert quota.enforce(acme, now=START, **use).allowed

    assert [kind for kind, _ in mails_of(acme)][:8] == [
        "invoice_issued", "payment_failed", "reminder", "reminder", "reminder", "reminder", "past_due",
        "invoice_issued",
    ]  # fmt: skip
    assert OutboxEvent.objects.filter(organization_id=acme.id, topic="subscription.recovered").count() == 1
    assert verify() == []
