"""Customers that buy credits: a plan that sells them, an order, and what the provider tells of it."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal

from billing.accounts import actors
from billing.accounts.actors import Actor
from billing.kernel.ids import new_id
from billing.lifecycle import onboard
from billing.lifecycle.purchasing import operations as purchasing
from billing.models import BillingProfile, CreditPurchase, Organization, ProviderInboxEvent, Subscription
from billing.payments import inbox, stub
from tests.support import factories, provider_inbox
from tests.support.factories import at

NOW = at("2026-05-10 12:00:00")
OPERATOR = actors.operator("ada")
RATES = {"USD": "0.125", "JPY": "12.5", "KWD": "0.0375"}


def customer_of(organization: Organization) -> Actor:
    """A key of the organization that may choose plans, and so buy."""
    return Actor(name="key:1", organization_id=organization.id, scopes=frozenset({"read", "subscribe"}))


def buyer(
    currency: str = "USD", *, treatment: str = "none", rate: str = "0", is_sandbox: bool = False, **fields: object
) -> Subscription:
    """An active subscription of an organization, whose plan sells credits in its currency."""
    given = {"currency": currency, "billing_email": "money@acme.example", **fields}
    organization = factories.sandbox(clock_at=NOW, **given) if is_sandbox else factories.organization(**given)
    BillingProfile.objects.create(
        organization=organization,
        tax_treatment=treatment,
        tax_rate=Decimal(rate),
        tax_label="" if treatment == "none" else "VAT",
        updated_at=NOW,
    )
    plan = factories.plan(base_fees=dict.fromkeys(RATES, 4900), credit_rates=RATES)
    return onboard.subscribe(organization=organization, plan_code=plan.code, actor=OPERATOR, now=NOW, currency=currency)


def order(subscription: Subscription, credits: str = "100", *, key: str = "", now: datetime = NOW) -> CreditPurchase:
    return purchasing.order(
        subscription=subscription,
        credits=Decimal(credits),
        key=key or new_id().hex,
        actor=customer_of(subscription.organization),
        now=now,
    )


def told(purchase: CreditPurchase, *, amount_minor: int | None = None, payment: str = "", event_id: str = "") -> bytes:
    """The stub's delivery that the order is paid, in full unless ``amount_minor`` says otherwise."""
    invoice = purchase.invoice
    said = {
        "payment": payment or f"pay_{invoice.id.hex}",
        "invoice_id": str(invoice.id),
        "customer": stub.reference_of(invoice.organization_id),
        "amount": invoice.total_minor if amount_minor is None else amount_minor,
        "currency": invoice.currency,
        "code": "",
    }
    return stub.event("payment.succeeded", said, at=NOW, event_id=event_id or f"evt_{said['payment']}")


def receive(body: bytes, *, now: datetime = NOW) -> None:
    inbox.receive(provider="stub", body=body, headers=stub.sign(body, at=now), now=now)


def pay(purchase: CreditPurchase, *, now: datetime = NOW, **said: object) -> ProviderInboxEvent:
    """One delivery, and the worker that it wakes."""
    receive(told(purchase, **said), now=now)  # type: ignore[arg-type]  # as ``told`` takes them
    provider_inbox.run_due(now)
    return ProviderInboxEvent.objects.latest("id")
