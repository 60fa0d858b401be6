"""Sound books with some of everything, for bugs to be planted in."""

from __future__ import annotations

from datetime import datetime, timedelta
from decimal import Decimal
from typing import NamedTuple

from billing.accounts import actors
from billing.accounts import operations as accounts
from billing.credits import sealing
from billing.invoicing import operations as invoicing_operations
from billing.kernel.ids import new_id
from billing.lifecycle import adjust, cancel, change_plan, guardrails, onboard, renew, reversal, voiding
from billing.lifecycle.purchasing import operations as purchasing
from billing.metering import operations as metering_operations
from billing.metering import reserving
from billing.metering.offers import EventView, Offer
from billing.models import (
    CreditGrant,
    EntitlementKind,
    EntitlementPrice,
    GrantKind,
    Invoice,
    Organization,
    Plan,
    PlanEntitlement,
    ProviderObject,
    Subscription,
    UsageEvent,
)
from billing.notifications import dispatch
from billing.reporting import doctor
from tests.support import factories

START = factories.at("2026-01-20 10:30:00")
OPERATOR = actors.operator("ada")


class Books(NamedTuple):
    """Late use, overage, credits that ran short, a plan change, a cancellation, a return, reversals, held debits,
    reservations, a void invoice, a credit note; sealed."""

    organization: Organization
    subscription: Subscription
    invoice: Invoice


def make_plan(code: str, allowance: str) -> Plan:
    factories.meter("tokens")
    factories.meter("cases")
    plan = factories.plan(
        code=code,
        credit_allowance=Decimal(allowance),
        credit_rates={"USD": "10"},
        overages=[factories.Overage("tokens", included="100")],
    )
    PlanEntitlement.objects.filter(plan=plan).update(credits_per_unit=Decimal("0.1"), guardrails={"review": "hold"})
    daily = PlanEntitlement.objects.create(
        plan=plan, key="max_cases", kind=EntitlementKind.METERED, meters=["cases"], limit=50, cadence="daily"
    )
    EntitlementPrice.objects.create(entitlement=daily, currency="USD", rate=1)
    return plan


def make_plans() -> None:
    make_plan("team", "5")
    make_plan("big", "8")


def use(organization: Organization, meter: str, quantity: str, at: datetime, now: datetime, *flags: str) -> EventView:
    offer = Offer(organization, meter, Decimal(quantity), key=new_id().hex, occurred_at=at, guardrail_flags=flags)
    (outcome,) = metering_operations.record([offer], now=now)
    assert outcome.event is not None, outcome
    return outcome.event


def live_until(organization: Organization, at: datetime) -> datetime:
    organization.clock_at = at
    organization.save(update_fields=["clock_at"])
    renew.renew_due(organization_id=organization.id, now=at)
    return at


def make_books(zone: str = "America/New_York") -> Books:
    """A life of some weeks, by the operations of the product. Call ``make_plans`` before."""
    organization = factories.sandbox(clock_at=START, zone=zone)
    subscription = onboard.subscribe(organization=organization, plan_code="team", actor=OPERATOR, now=START)
    for days in (0, 11, 12, 25):
        now = live_until(organization, START + timedelta(days=days, hours=3))
        use(organization, "tokens", "40", now, now)
        use(organization, "cases", "1.5", now - timedelta(hours=2), now)
    now = live_until(organization, START + timedelta(days=33))
    use(organization, "tokens", "7", START + timedelta(days=30), now)
    first = Invoice.objects.get(subscription=subscription)
    invoice = invoicing_operations.issue(invoice=first, actor=OPERATOR, now=now)
    invoicing_operations.pay(
        invoice=invoice,
        amount_minor=invoice.total_minor - 300,
        reference=f"{organization.id}",
        actor=OPERATOR,
        now=now,
    )
    invoicing_operations.credit(invoice=invoice, lines={1: 500}, reason="an outage", actor=OPERATOR, now=now)
    use(organization, "tokens", "9", START + timedelta(days=29), now)
    subscription = change_plan.change_now(subscription=subscription, plan_code="big", actor=OPERATOR, now=now)
    now = live_until(organization, now + timedelta(days=1))
    give(subscription, 20, now)
    use(organization, "tokens", "130", now, now)
    adjust.adjust(subscription=subscription, credits=Decimal(-1), actor=OPERATOR, reason="too many", now=now)
    cancel.cancel_now(subscription=subscription, actor=OPERATOR, now=now)
    now = live_until(organization, now + timedelta(days=40))
    subscription = onboard.subscribe(organization=organization, plan_code="team", actor=OPERATOR, now=now)
    use(organization, "tokens", "3", now, now)
    take_back(organization, now)
    return Books(organization, subscription, invoice)


def give(subscription: Subscription, credits: int, now: datetime) -> None:
    adjust.adjust(
        subscription=subscription,
        credits=Decimal(credits),
        actor=OPERATOR,
        reason="bought",
        now=now,
        kind=GrantKind.PURCHASE,
    )


def buy(subscription: Subscription, now: datetime) -> None:
    """Orders of credits: one that is paid, one that waits to be, and one that was withdrawn."""
    paid, _waits, withdrawn = (
        purchasing.order(
            subscription=subscription, credits=Decimal(credits), key=f"order-{credits}", actor=OPERATOR, now=now
        )
        for credits in (6, 7, 8)
    )
    invoicing_operations.pay(
        invoice=paid.invoice,
        amount_minor=paid.invoice.total_minor,
        reference=str(paid.id),
        actor=OPERATOR,
        now=now,
    )
    purchasing.withdraw(purchase=withdrawn, actor=OPERATOR, now=now)


def take_back(organization: Organization, now: datetime) -> None:
    """A use without a price in part, and one that was paid in credits whole."""
    events = UsageEvent.objects.filter(organization=organization).order_by("recorded_at", "id")
    unpriced = events.filter(meter_id="cases").latest("recorded_at", "id")
    paid = events.filter(meter_id="tokens", overage=0, credits_paid__gt=0)[1]
    for event, quantity in ((unpriced, Decimal("0.5")), (paid, None)):
        reversal.reverse(event_id=event.id, quantity=quantity, actor=OPERATOR, reason="a mistake", now=now)


def make_rich_books() -> Books:
    """The same, with what is rarer, and all of it sealed."""
    made = make_books()
    organization, subscription, now = made.organization, made.subscription, made.organization.clock_at
    assert now is not None
    for settle in (guardrails.clear, guardrails.reject):
        held = use(organization, "tokens", "30", now, now, "review")
        settle(organization=organization, event_id=held.id, actor=OPERATOR, reason="looked at", now=now)
    use(organization, "tokens", "5", now, now, "review")
    for key in ("r1", "r2"):
        reserved = reserving.reserve(offer=Offer(organization, "cases", Decimal(2), key), now=now).reservation
        assert reserved is not None
        if key == "r1":
            reserving.settle(reservation=reserved, quantity=Decimal(2), now=now)
    buy(subscription, now)
    for name in ("kept", "left"):
        made_key, _ = accounts.create_key(organization=organization, name=name, scopes=["read"], actor=OPERATOR)
        if name == "left":
            accounts.revoke_key(key=made_key, actor=OPERATOR, now=now)
    give(subscription, 3, now)
    spare = CreditGrant.objects.filter(account__subscription=subscription).latest("created_at", "id")
    voiding.void(grant=spare, actor=OPERATOR, reason="given twice", now=now)
    now = live_until(organization, now + timedelta(days=40))
    drafts = Invoice.objects.filter(subscription=subscription, status="draft")
    draft = drafts.exclude(kind="purchase").earliest("id")
    issued = invoicing_operations.issue(invoice=draft, actor=OPERATOR, now=now)
    invoicing_operations.void(invoice=issued, actor=OPERATOR, reason="wrong address", now=now)
    ProviderObject.objects.create(
        provider="stripe",
        subject="subscription:sub_1",
        organization=organization,
        is_final=False,
        occurred_at=now,
        rank=0,
        event_id="evt_1",
        state="active",
    )
    sealing.seal()
    dispatch.distribute(now=now)
    assert doctor.seal_use(now=now) > 0
    return made
