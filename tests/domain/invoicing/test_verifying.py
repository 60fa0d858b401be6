"""Issued invoices, rated again from the raw events: all agree, and a cent that was moved is found."""

import random
from datetime import timedelta
from decimal import Decimal

import pytest
from django.db import connection

from billing.accounts import actors, profiles
from billing.accounts.actors import SYSTEM
from billing.accounts.profiles import Profile
from billing.catalog import operations as catalog_operations
from billing.catalog import parsing
from billing.invoicing import operations as invoicing
from billing.invoicing import settlement, verifying
from billing.invoicing.errors import InvoiceNotIssued
from billing.lifecycle import cancel, change_plan, clock, coupons, discounts, onboard, pause, usage
from billing.metering.offers import Offer
from billing.models import Invoice, Organization, Subscription, UsageCharge
from tests.domain.invoicing.test_advance import TEXT, USE
from tests.support import factories
from tests.support.factories import at

pytestmark = pytest.mark.django_db
OPERATOR = actors.operator("ada")
MARCH = at("2026-03-01")


@pytest.fixture
def acme(db: None) -> Organization:
    catalog_operations.sync(spec=parsing.load(TEXT.replace(" *use", USE)), actor="test", now=at("2026-01-01"))
    return factories.sandbox(clock_at=MARCH, zone="Europe/Berlin")


def checked() -> list[verifying.Verification]:
    issued = Invoice.objects.exclude(status__in=["draft", "void"]).order_by("issued_at", "number")
    return [verifying.verify(invoice=invoice, actor=SYSTEM) for invoice in issued]


def paid(now_of: Organization) -> None:
    now_of.refresh_from_db()
    assert now_of.clock_at is not None
    for invoice in Invoice.objects.filter(status="issued"):
        due = settlement.due_minor(invoice)
        invoicing.pay(invoice=invoice, amount_minor=due, reference=str(invoice.id), actor=OPERATOR, now=now_of.clock_at)


@pytest.mark.parametrize("seed", range(10))
def test_every_invoice_of_a_random_life_agrees(acme: Organization, seed: int) -> None:
    chance = random.Random(seed)  # noqa: S311 - a walk, not a secret
    plans = ["small", "large", "arrears", "minimum"]
    now = MARCH
    subscription = onboard.subscribe(organization=acme, plan_code=chance.choice(plans), actor=OPERATOR, now=now)
    coupons.create(code="SOME", name="Some", percent=Decimal("12.5"), periods=3, actor=OPERATOR, now=now)
    treatment = chance.choice(["exclusive", "inclusive", "none"])
    rate = Decimal(19) if treatment != "none" else Decimal(0)
    profiles.set_profile(
        organization=acme,
        profile=Profile(tax_treatment=treatment, tax_rate=rate, tax_label="VAT" if rate else ""),
        actor=OPERATOR,
        now=now,
    )
    paused = False
    for step in range(14):
        now += timedelta(days=chance.randint(0, 12), seconds=chance.randint(1, 90_000))
        clock.advance(organization=acme, to=now, actor=OPERATOR)
        paid(acme)
        subscription = Subscription.objects.get(id=subscription.id)
        what = chance.random()
        if step == 4:
            discounts.redeem(subscription=subscription, code="SOME", actor=OPERATOR, now=now)
        if paused or what < 0.15:
            (pause.resume if paused else pause.pause)(subscription=subscription, actor=OPERATOR, now=now)
            paused = not paused
        elif what < 0.5:
            change_plan.change_now(subscription=subscription, plan_code=chance.choice(plans), actor=OPERATOR, now=now)
        acme.refresh_from_db()
        for place in range(3):
            when = max(MARCH, now - timedelta(days=chance.randint(0, 30)))
            quantity = Decimal(chance.randint(1, 999_999)) / 1000
            usage.record([Offer(acme, "task", quantity, f"{step}.{place}", occurred_at=when)], now=now)
    cancel.cancel_now(subscription=Subscription.objects.get(id=subscription.id), actor=OPERATOR, now=now)
    clock.advance(organization=acme, to=now + timedelta(days=3), actor=OPERATOR)
    acme.refresh_from_db()
    usage.record([Offer(acme, "task", Decimal(7), "final", occurred_at=now - timedelta(days=3))], now=now)
    clock.advance(organization=acme, to=now + timedelta(days=9), actor=OPERATOR)
    found = checked()
    assert len(found) > 3
    assert [(each.invoice.number, each.differences) for each in found if not each.agrees] == []
    assert [each.total_minor for each in found] == [each.invoice.total_minor for each in found]


def small(acme: Organization) -> Invoice:
    onboard.subscribe(organization=acme, plan_code="arrears", actor=OPERATOR, now=MARCH)
    usage.record([Offer(acme, "task", Decimal(3), "a")], now=MARCH)
    clock.advance(organization=acme, to=at("2026-04-03"), actor=OPERATOR)
    return Invoice.objects.get()


@pytest.mark.parametrize(
    ("tampered", "field"),
    [
        ("UPDATE marketplace_invoice_lines SET amount_minor = amount_minor + 1 WHERE position = 2", "amount_minor"),
        ("UPDATE marketplace_invoice_lines SET rate = rate + 1 WHERE position = 1", "rate"),
        ("DELETE FROM marketplace_invoice_lines WHERE position = 2", "line"),
        ("UPDATE marketplace_invoices SET total_minor = total_minor + 1, tax_minor = tax_minor + 1", "tax"),
        ("UPDATE marketplace_usage_events SET overage = 4, quantity = 4", "quantity"),
    ],
)
def test_a_cent_that_moved_is_found(acme: Organization, tampered: str, field: str) -> None:
    invoice = small(acme)
    assert verifying.verify(invoice=invoice, actor=SYSTEM).agrees
    with connection.cursor() as cursor:
        cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")
        for table in ("marketplace_invoice_lines", "marketplace_invoices", "marketplace_usage_events"):
            cursor.execute(f"ALTER TABLE {table} DISABLE TRIGGER USER")
        cursor.execute(tampered)
    again = verifying.verify(invoice=invoice, actor=SYSTEM)
    assert field in [each.field for each in again.differences]


def test_it_reads_the_events_and_not_what_was_summed_of_them(acme: Organization) -> None:
    invoice = small(acme)
    UsageCharge.objects.update(overage=Decimal(99))
    checked_again = verifying.verify(invoice=invoice, actor=SYSTEM)
    assert checked_again.agrees
    assert checked_again.events == 1


def test_a_draft_is_not_verified(acme: Organization) -> None:
    onboard.subscribe(organization=acme, plan_code="small", actor=OPERATOR, now=MARCH)
    with pytest.raises(InvoiceNotIssued):
        verifying.verify(invoice=Invoice.objects.get(), actor=SYSTEM)
