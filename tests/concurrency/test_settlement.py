"""Money and voiding under true concurrency: booked once, never too much, and every event on one invoice."""

from collections import Counter
from datetime import timedelta
from decimal import Decimal

import pytest

from billing.accounts import actors
from billing.invoicing import operations
from billing.invoicing.errors import InvoiceHasPayments, InvoicePaid, InvoiceVoid, PaymentExceedsDue
from billing.kernel.errors import BillingError
from billing.lifecycle import clock, usage
from billing.metering.offers import Offer
from billing.models import Invoice, Payment, SubscriptionPeriod, UsageEvent
from billing.reporting.doctor import verify
from tests.concurrency.test_exact_quota import in_threads, tenant
from tests.concurrency.test_invoices import APRIL
from tests.support import factories
from tests.support.invoicing import customer, team_plan

OPERATOR = actors.operator("ada")


@pytest.fixture
def invoice(real_db: str) -> Invoice:
    acme = customer(team_plan())
    draft = operations.draft(subscription=acme.subscription, actor=OPERATOR, now=APRIL)
    return operations.issue(invoice=draft, actor=OPERATOR, now=APRIL)


def test_twins_of_one_payment_are_booked_once(invoice: Invoice) -> None:
    def act(_: int) -> Payment:
        return operations.pay(invoice=invoice, amount_minor=4900, reference="a", actor=OPERATOR, now=APRIL)

    assert len({payment.id for payment in in_threads(16, act)}) == 1
    assert Invoice.objects.get().status == "paid"
    assert verify() == []


def test_payments_at_once_never_exceed_what_is_due(invoice: Invoice) -> None:
    def act(number: int) -> str:
        try:
            operations.pay(invoice=invoice, amount_minor=1000, reference=f"{number}", actor=OPERATOR, now=APRIL)
        except PaymentExceedsDue:
            return "refused"
        return "booked"

    assert Counter(in_threads(16, act)) == {"booked": 4, "refused": 12}
    assert verify() == []


def test_a_payment_racing_a_void_meets_one_or_the_other(invoice: Invoice) -> None:
    def act(number: int) -> str:
        try:
            if number % 2:
                operations.void(invoice=invoice, actor=OPERATOR, reason="r", now=APRIL)
            else:
                operations.pay(invoice=invoice, amount_minor=100, reference=f"{number}", actor=OPERATOR, now=APRIL)
        except (InvoiceHasPayments, InvoicePaid, InvoiceVoid) as refusal:
            return refusal.code
        return "void" if number % 2 else "paid"

    met = set(in_threads(8, act))
    assert met in ({"void", "invoice_void"}, {"paid", "invoice_has_payments"})
    assert verify() == []


def test_one_reference_for_invoices_of_two_organizations_is_booked_once(invoice: Invoice) -> None:
    plan = invoice.lines.get().plan
    others = [customer(plan) for _ in range(7)]
    invoices = [invoice]
    for each in others:
        draft = operations.draft(subscription=each.subscription, actor=OPERATOR, now=APRIL)
        invoices.append(operations.issue(invoice=draft, actor=OPERATOR, now=APRIL))

    def act(number: int) -> str:
        try:
            operations.pay(invoice=invoices[number], amount_minor=100, reference="a", actor=OPERATOR, now=APRIL)
        except BillingError as refusal:
            return refusal.code
        return "booked"

    assert Counter(in_threads(8, act)) == {"booked": 1, "payment_reference_taken": 7}
    assert verify() == []


@pytest.mark.usefixtures("real_db")
@pytest.mark.parametrize("seed", range(8))
def test_use_racing_a_void_is_on_exactly_one_invoice(seed: int) -> None:
    """Late use goes to February while January is closed and to January once it is open again: never to both."""
    organization = tenant(is_sandbox=True, clock_at=factories.at("2026-01-01"))
    now = factories.at("2026-02-01") + timedelta(hours=1)
    clock.advance(organization=organization, to=now, actor=OPERATOR)
    first = operations.issue(invoice=Invoice.objects.get(), actor=OPERATOR, now=now)
    at = factories.at("2026-01-15")

    def act(number: int) -> object:
        if number == seed:
            return operations.void(invoice=first, actor=OPERATOR, reason="r", now=now)
        return usage.record([Offer(organization, "token", Decimal(100), f"{number}", occurred_at=at)], now=now)[
            0
        ].status

    in_threads(8, act)
    january = operations.draft(subscription=first.subscription, actor=OPERATOR, now=now, period=first.period)
    january = operations.issue(invoice=january, actor=OPERATOR, now=now)
    later = factories.at("2026-03-01") + timedelta(hours=1)
    clock.advance(organization=organization, to=later, actor=OPERATOR)
    february = Invoice.objects.get(status="draft")
    operations.issue(invoice=february, actor=OPERATOR, now=later)
    standing = Invoice.objects.exclude(status="void")
    assert standing.count() == 2
    billed = [line.quantity for each in standing for line in each.lines.filter(charge="overage")]
    # 700 tokens of which 400 are included.
    assert sum(billed) == 300
    assert UsageEvent.objects.count() == 7
    assert SubscriptionPeriod.objects.filter(closed_at__isnull=False).count() == 2
    assert verify() == []
