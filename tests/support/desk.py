"""A row of everything that the desk shows, as many times as asked, straight through the models."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from billing.models import (
    ApiKey,
    AuditEntry,
    Collection,
    Coupon,
    CreditEntry,
    CreditGrant,
    CreditNote,
    CreditRequest,
    Invoice,
    InvoiceLine,
    MarketplaceSubscription,
    Membership,
    OutboxEvent,
    Payment,
    PlanSpan,
    ProviderInboxEvent,
    Subscription,
    SubscriptionPeriod,
    UsageEvent,
    User,
    WebhookAttempt,
    WebhookDelivery,
    WebhookEndpoint,
)
from tests.support import factories
from tests.support.factories import at

NOW = at("2026-03-15 12:00:00")
MARCH = {"starts_at": at("2026-03-01"), "ends_at": at("2026-04-01")}


def fill(count: int) -> None:
    """``count`` more organizations, each with one of everything. Their invoices are issued: what a draft says is
    derived when it is looked at."""
    for _ in range(count):
        _one()


def _one() -> None:
    organization = factories.organization()
    own: dict[str, Any] = {"organization": organization}
    plan = factories.plan()
    subscription = Subscription.objects.create(
        **own, product="platform", plan=plan, status="active", currency="USD", starts_at=MARCH["starts_at"],
        anchor_at=MARCH["starts_at"], parked_at=NOW, parked_reason="x",
    )  # fmt: skip
    PlanSpan.objects.create(**own, subscription=subscription, plan=plan, starts_at=MARCH["starts_at"])
    period = SubscriptionPeriod.objects.create(
        **own, subscription=subscription, ordinal=1, kind="regular", nominal_ends_at=MARCH["ends_at"], **MARCH
    )
    account = MarketplaceSubscription.objects.create(**own, subscription=subscription, credit_balance=5, entries=1)
    grant = CreditGrant.objects.create(
        **own, account=account, kind="adjustment", priority=30, starts_at=NOW, granted=5, remaining=5, reason="r"
    )
    CreditEntry.objects.create(
        **own, account=account, sequence=1, kind="adjustment", amount=5, balance_after=5, grant=grant,
        actor=f"user:{User.objects.values_list('id', flat=True).first()}", booked_at=NOW,
    )  # fmt: skip
    CreditRequest.objects.create(
        **own, subscription=subscription, kind="adjustment", credits=1, reason="r", requested_by="cli:a",
        requested_at=NOW, lapses_at=NOW + timedelta(days=14),
    )  # fmt: skip
    _invoice(own, subscription, period, plan)
    UsageEvent.objects.create(
        **own, subscription=subscription, period=period, billed_period=period, plan=plan, meter=factories.meter("m"),
        source="api", key="k", fingerprint=b"0" * 32, quantity=1, overage=0, credits_due=0, credits_paid=0,
        occurred_at=NOW, recorded_at=NOW,
    )  # fmt: skip
    endpoint = WebhookEndpoint.objects.create(**own, url="https://a.example", topics=["*"], created_at=NOW)
    event = OutboxEvent.objects.create(organization_id=organization.id, topic="t", payload={}, created_at=NOW)
    delivery = WebhookDelivery.objects.create(
        **own, endpoint=endpoint, event=event, position=1, failures=1, next_attempt_at=NOW, created_at=NOW
    )
    WebhookAttempt.objects.create(**own, delivery=delivery, number=1, started_at=NOW, duration_ms=1, error="refused")
    number = Coupon.objects.count()
    Coupon.objects.create(code=f"C{number}", name="n", percent=10, created_at=NOW)
    ProviderInboxEvent.objects.create(
        **own, provider="stripe", event_id=f"e{number}", type="t", occurred_at=NOW, received_at=NOW, status="parked",
        finished_at=NOW,
    )  # fmt: skip
    ApiKey.objects.create(
        **own, name="k", prefix="chk_live_abcde", digest=str(number).zfill(32).encode(), scopes=["read"]
    )
    Membership.objects.create(**own, user=User.objects.create_user(f"member{number}@example.com"), role="owner")
    for kind, of in (("invoice", Invoice), ("subscription", Subscription), ("organization", type(organization))):
        found = of.objects.order_by("-pk").first()
        assert found is not None
        AuditEntry.objects.create(
            organization_id=organization.id, actor="cli:a", act="x.y", object_type=kind, object_id=str(found.pk),
            reason="r", details={"a": "b"}, recorded_at=NOW,
        )  # fmt: skip


def _invoice(own: dict[str, Any], subscription: Subscription, period: SubscriptionPeriod, plan: Any) -> None:
    invoice = Invoice.objects.create(
        **own, subscription=subscription, period=period, kind="cycle", occurrence=1, currency="USD", drafted_at=NOW,
        subtotal_minor=100, total_minor=100, **MARCH,
    )  # fmt: skip
    line = InvoiceLine.objects.create(
        **own, invoice=invoice, position=1, charge="base", description="fee", plan=plan, quantity=1, rate=1,
        amount_minor=100, **MARCH,
    )  # fmt: skip
    Invoice.objects.filter(id=invoice.id).update(
        status="issued", number=f"N-{invoice.id}", issued_at=NOW, due_on=NOW.date()
    )
    Payment.objects.create(
        **own, invoice=invoice, kind="payment", amount_minor=10, provider="manual", method="transfer",
        reference=str(invoice.id), actor="cli:a", received_at=NOW, booked_at=NOW,
    )  # fmt: skip
    note = CreditNote.objects.create(
        **own, invoice=invoice, number=f"CN-{invoice.id}", currency="USD", subtotal_minor=10, tax_minor=0,
        total_minor=10, reason="r", issuer={}, customer={}, actor="cli:a", issued_at=NOW,
    )  # fmt: skip
    note.lines.create(**own, invoice_line=line, position=1, amount_minor=10)
    Collection.objects.create(
        **own, subscription=subscription, invoice=invoice, method="manual", started_at=NOW, dunning_at=NOW,
        grace_ends_at=NOW + timedelta(days=14),
    )  # fmt: skip
