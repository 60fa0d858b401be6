"""Issuing: numbered without a gap, closed, copied in, frozen."""

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

import pytest
from django.db import IntegrityError, connection, transaction
from pytest_django.fixtures import Settings

from billing.accounts.actors import SYSTEM, Actor
from billing.invoicing import operations
from billing.invoicing.errors import InvoiceVoid, PeriodNotEnded, PriceMissing
from billing.kernel.errors import Forbidden
from billing.models import (
    AuditEntry,
    DocumentCounter,
    EntitlementPrice,
    Invoice,
    InvoiceLine,
    InvoiceStatus,
    Organization,
    OutboxEvent,
    SubscriptionPeriod,
    UsageCharge,
)
from tests.support import factories, invoice_sums
from tests.support.factories import at
from tests.support.invoicing import Customer, customer, team_plan, traffic

pytestmark = pytest.mark.django_db

APRIL = at("2026-04-01")
ISSUED_AT = at("2026-04-02 09:30:00")


@pytest.fixture
def acme() -> Customer:
    return customer(team_plan(), organization=factories.organization(name="Acme", billing_email="pay@acme.example"))


def drafted(acme: Customer, now: datetime = APRIL) -> Invoice:
    return operations.draft(subscription=acme.subscription, actor=SYSTEM, now=now)


def issued(invoice: Invoice, now: datetime = ISSUED_AT) -> Invoice:
    return operations.issue(invoice=invoice, actor=SYSTEM, now=now)


def test_it_numbers_closes_and_copies_in(acme: Customer, settings: Settings) -> None:
    settings.BILLING_ISSUER = {"name": "Ledger Ltd", "address": "1 Main St", "timezone": "UTC"}
    traffic(acme)
    invoice = issued(drafted(acme))
    assert invoice == Invoice.objects.get()
    stored = Invoice.objects.get()
    assert (stored.status, stored.number, stored.issued_at) == ("issued", "INV-2026-000001", ISSUED_AT)
    assert stored.due_on == date(2026, 4, 16)
    assert stored.issuer == settings.BILLING_ISSUER
    assert stored.customer["name"] == "Acme"
    assert stored.customer["billing_email"] == "pay@acme.example"
    assert stored.customer["slug"] == acme.organization.slug
    assert stored.total_minor == 5162
    assert SubscriptionPeriod.objects.get().closed_at == ISSUED_AT
    assert AuditEntry.objects.filter(act="invoice.issue", object_id=str(invoice.id)).count() == 1
    assert OutboxEvent.objects.get(topic="invoice.issued").payload["total"] == "51.62"
    assert invoice_sums.verify_totals() == []


def test_it_bills_what_the_books_say_at_issue_not_at_draft(acme: Customer) -> None:
    invoice = drafted(acme)
    assert invoice.total_minor == 4900
    traffic(acme)
    assert issued(invoice).total_minor == 5162
    assert [line.amount_minor for line in InvoiceLine.objects.order_by("position")] == [4900, 153, 9, 100]


def test_twice_is_once(acme: Customer) -> None:
    first = issued(drafted(acme))
    again = issued(first, now=at("2026-05-05"))
    assert (again.number, again.issued_at, again.due_on) == (first.number, ISSUED_AT, first.due_on)
    assert DocumentCounter.objects.get().last == 1
    assert OutboxEvent.objects.filter(topic="invoice.issued").count() == 1
    assert AuditEntry.objects.filter(act="invoice.issue").count() == 1
    # Drafting the period again finds the issued invoice too.
    assert drafted(acme, now=at("2026-05-05")).status == "issued"


def test_a_void_one_is_refused(acme: Customer) -> None:
    invoice = issued(drafted(acme))
    Invoice.objects.update(status=InvoiceStatus.VOID)
    with pytest.raises(InvoiceVoid):
        issued(invoice)


def test_the_period_must_have_ended(acme: Customer) -> None:
    invoice = drafted(acme)
    with pytest.raises(PeriodNotEnded):
        issued(invoice, now=at("2026-03-31 23:59:59"))
    assert not DocumentCounter.objects.exists()
    assert SubscriptionPeriod.objects.get().closed_at is None
    assert issued(invoice, now=APRIL).status == "issued"


def test_a_refusal_uses_no_number(acme: Customer) -> None:
    traffic(acme)
    invoice = drafted(acme)
    EntitlementPrice.objects.all().delete()
    with pytest.raises(PriceMissing):
        issued(invoice)
    assert not DocumentCounter.objects.exists()
    assert Invoice.objects.get().status == "draft"
    assert SubscriptionPeriod.objects.get().closed_at is None


def test_an_owner_cannot_issue(acme: Customer) -> None:
    invoice = drafted(acme)
    owner = Actor("user:1", roles={acme.organization.id: "owner"})
    with pytest.raises(Forbidden):
        operations.issue(invoice=invoice, actor=owner, now=ISSUED_AT)
    assert Invoice.objects.get().status == "draft"


def test_numbers_run_on_across_organizations_and_start_anew_each_year() -> None:
    plan = team_plan()
    numbers = [
        issued(drafted(customer(plan)), now=now).number
        for now in (ISSUED_AT, ISSUED_AT, at("2026-12-31 23:59:59"), at("2027-01-01"), at("2026-12-31"))
    ]
    assert numbers == ["INV-2026-000001", "INV-2026-000002", "INV-2026-000003", "INV-2027-000001", "INV-2026-000004"]
    assert invoice_sums.verify_totals() == []


def test_the_year_and_the_due_date_are_the_issuers(acme: Customer, settings: Settings) -> None:
    settings.BILLING_ISSUER = {"name": "Ledger", "address": "", "timezone": "Pacific/Auckland"}
    settings.BILLING_PAYMENT_TERMS_DAYS = 30
    invoice = issued(drafted(acme), now=at("2026-12-31 11:00:00"))
    assert invoice.number == "INV-2027-000001"
    assert invoice.due_on == date(2027, 1, 31)


def test_a_sandbox_numbers_in_a_series_of_its_own() -> None:
    plan = team_plan()
    now = at("2026-04-03")
    long_slug = "a-very-long-slug-that-takes-all-of-the-sixty-characters-of-it"[:60]
    sandboxes = [factories.sandbox(clock_at=now, slug=slug) for slug in ("lab", "lab-2026", long_slug)]
    real = issued(drafted(customer(plan)), now=now)
    numbers = [issued(drafted(customer(plan, organization=each)), now=now).number for each in sandboxes]
    assert real.number == "INV-2026-000001"
    assert numbers == ["SBX-lab-2026-000001", "SBX-lab-2026-2026-000001", f"SBX-{long_slug}-2026-000001"]
    assert invoice_sums.verify_totals() == []


FROZEN = [
    "UPDATE marketplace_invoices SET total_minor = 0, subtotal_minor = 0",
    "UPDATE marketplace_invoices SET customer = '{}'",
    "UPDATE marketplace_invoices SET number = 'INV-2026-000009'",
    "UPDATE marketplace_invoices SET status = 'draft', number = NULL, issued_at = NULL",
    "DELETE FROM marketplace_invoices",
    "UPDATE marketplace_invoice_lines SET amount_minor = 0",
    "DELETE FROM marketplace_invoice_lines",
    (
        "INSERT INTO marketplace_invoice_lines (organization_id, invoice_id, position, charge, description, plan_id,"
        " starts_at, ends_at, quantity, rate, per, amount_minor, details)"
        " SELECT organization_id, invoice_id, 99, charge, description,"
        " plan_id, starts_at, ends_at, quantity, rate, per, amount_minor, details"
        " FROM marketplace_invoice_lines LIMIT 1"
    ),
    "TRUNCATE marketplace_invoice_lines CASCADE",
    "TRUNCATE marketplace_invoices CASCADE",
]


@transaction.atomic
def execute(statement: str, *, replication_role: str) -> None:
    with connection.cursor() as cursor:
        # Or TRUNCATE would be refused for the foreign keys that the test's own rows still have to prove.
        cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")
        cursor.execute(f"SET LOCAL session_replication_role = {replication_role}")
        cursor.execute(statement)


@pytest.mark.parametrize("statement", FROZEN)
def test_raw_sql_changes_nothing_of_an_issued_invoice(acme: Customer, statement: str) -> None:
    traffic(acme)
    issued(drafted(acme))
    for mode in ("origin", "replica"):
        with pytest.raises(IntegrityError):
            execute(statement, replication_role=mode)
    stored = Invoice.objects.get()
    assert (stored.total_minor, stored.number, stored.lines.count()) == (5162, "INV-2026-000001", 4)


def test_raw_sql_may_say_that_it_was_paid(acme: Customer) -> None:
    issued(drafted(acme))
    Invoice.objects.update(status=InvoiceStatus.PAID)
    assert Invoice.objects.get().status == "paid"


def test_what_changes_later_does_not_change_the_document(acme: Customer) -> None:
    traffic(acme)
    issued(drafted(acme))
    Organization.objects.update(name="Acme Holdings", slug="renamed")
    UsageCharge.objects.update(overage=Decimal(1))
    read = operations.read_invoice(reference="INV-2026-000001", actor=SYSTEM)
    assert read.customer["name"] == "Acme"
    assert read.total_minor == 5162


def test_the_doctor_names_charges_that_are_on_no_invoice(acme: Customer) -> None:
    traffic(acme)
    issued(drafted(acme))
    UsageCharge.objects.filter(meter="context").update(overage=Decimal(3059975))
    (found,) = invoice_sums.verify_totals(organization_id=acme.organization.id)
    assert found.row == f"period {acme.period.id}"


def test_the_doctor_names_a_gap_in_the_numbers(acme: Customer) -> None:
    issued(drafted(acme))
    DocumentCounter.objects.update(last=2)
    (found,) = invoice_sums.verify_totals()
    assert found.row == "counter INV-2026-"


def test_the_doctor_names_a_draft_whose_lines_do_not_sum(acme: Customer) -> None:
    invoice = drafted(acme)
    InvoiceLine.objects.all().delete()
    (found,) = invoice_sums.verify_totals()
    assert found.row == f"invoice {invoice.id}"


def test_earlier_periods_may_be_issued_later(acme: Customer) -> None:
    """Use goes to the earliest open period from its own on, so issuing out of order loses and doubles nothing."""
    april = factories.period(acme.subscription, ends_at=at("2026-05-01"))
    may = datetime(2026, 5, 1, tzinfo=UTC) + timedelta(days=1)
    later = operations.draft(subscription=acme.subscription, actor=SYSTEM, now=may, period=april)
    issued(later, now=may)
    traffic(acme)
    earlier = operations.draft(subscription=acme.subscription, actor=SYSTEM, now=may, period=acme.period)
    assert issued(earlier, now=may).total_minor == 5162
    assert invoice_sums.verify_totals() == []
