"""Voiding: which invoices may be taken back, what becomes of their period, and what raw SQL may not do."""

import pytest
from django.db import IntegrityError, connection, transaction

from billing.accounts.actors import SYSTEM, Actor
from billing.invoicing import operations, queries
from billing.invoicing.errors import (
    InvoiceHasPayments,
    InvoiceNotIssued,
    InvoicePaid,
    InvoiceVoid,
    InvoiceWrittenOff,
    SettlementInvalid,
)
from billing.kernel.errors import Forbidden
from billing.models import AuditEntry, Invoice, InvoiceStatus, OutboxEvent, SubscriptionPeriod
from billing.reporting import doctor
from tests.support import factories, invoice_sums
from tests.support.factories import at
from tests.support.invoicing import Customer, customer, team_plan, traffic
from tests.unit.invoicing.test_statuses import ALLOWED

pytestmark = pytest.mark.django_db

APRIL, MAY = at("2026-04-01"), at("2026-05-01")


@pytest.fixture
def acme() -> Customer:
    return customer(team_plan())


def drafted(acme: Customer) -> Invoice:
    return operations.draft(subscription=acme.subscription, actor=SYSTEM, now=APRIL, period=acme.period)


def issued(acme: Customer) -> Invoice:
    return operations.issue(invoice=drafted(acme), actor=SYSTEM, now=APRIL)


def void(invoice: Invoice, reason: str = "wrong customer", actor: Actor = SYSTEM) -> Invoice:
    return operations.void(invoice=invoice, actor=actor, reason=reason, now=APRIL)


def test_an_issued_invoice_is_taken_back_and_its_period_billed_again(acme: Customer) -> None:
    traffic(acme)
    first = void(issued(acme))
    assert (first.status, first.number) == ("void", "INV-2026-000001")
    assert SubscriptionPeriod.objects.get().closed_at is None
    again = issued(acme)
    assert again.id != first.id
    assert (again.number, again.total_minor, again.occurrence) == ("INV-2026-000002", 5162, first.occurrence)
    assert Invoice.objects.get(id=first.id).lines.count() == 4
    assert AuditEntry.objects.get(act="invoice.void").reason == "wrong customer"
    assert OutboxEvent.objects.get(topic="invoice.void").payload["number"] == "INV-2026-000001"
    assert invoice_sums.verify_totals() == []


def test_the_sweep_finds_the_period_again(acme: Customer) -> None:
    invoice = issued(acme)
    assert list(queries.iterate_due(APRIL)) == []
    void(invoice)
    assert list(queries.iterate_due(APRIL)) == [acme.period.id]


def test_an_older_period_opens_again_under_a_closed_later_one(acme: Customer) -> None:
    """Which use belongs to which period was settled when it was recorded, so nothing moves and nothing is doubled."""
    traffic(acme)
    march = issued(acme)
    april = factories.period(acme.subscription, ends_at=MAY)
    # Reported late, after March was closed: it stands on April's invoice.
    factories.charge(april, plan=acme.plan, meter="context", overage="2000000", service=acme.period)
    later = operations.draft(subscription=acme.subscription, actor=SYSTEM, now=MAY, period=april)
    later = operations.issue(invoice=later, actor=SYSTEM, now=MAY)
    assert later.total_minor == 4900 + 100
    void(march)
    assert list(SubscriptionPeriod.objects.filter(closed_at=None)) == [acme.period]
    assert issued(acme).total_minor == 5162
    assert invoice_sums.verify_totals() == []
    # The factories' charges have no events behind them, which the doctor sees; of the invoices it has nothing to say.
    assert [found.name for found in doctor.verify(organization=acme.organization)] == ["charges-equal-events"]


def test_a_draft_is_discarded_without_a_number_and_drafted_anew(acme: Customer) -> None:
    first = void(drafted(acme))
    assert (first.status, first.number, first.lines.count()) == ("void", None, 1)
    assert drafted(acme).id != first.id
    with pytest.raises(InvoiceVoid):
        operations.issue(invoice=first, actor=SYSTEM, now=APRIL)


def test_twice_is_once(acme: Customer) -> None:
    invoice = void(issued(acme))
    assert void(invoice).status == "void"
    assert AuditEntry.objects.filter(act="invoice.void").count() == 1


def test_a_paid_invoice_is_never_voided(acme: Customer) -> None:
    invoice = issued(acme)
    operations.pay(invoice=invoice, amount_minor=4900, reference="t-1", actor=SYSTEM, now=APRIL)
    with pytest.raises(InvoicePaid) as refused:
        void(invoice)
    assert refused.value.code == "invoice_paid"
    assert SubscriptionPeriod.objects.get().closed_at == APRIL


def test_nor_one_that_is_paid_in_part_until_that_went_back(acme: Customer) -> None:
    invoice = issued(acme)
    operations.pay(invoice=invoice, amount_minor=1, reference="t-1", actor=SYSTEM, now=APRIL)
    with pytest.raises(InvoiceHasPayments):
        void(invoice)
    operations.refund(invoice=invoice, amount_minor=1, reference="t-2", reason="bounced", actor=SYSTEM, now=APRIL)
    assert void(invoice).status == "void"


def test_nor_one_that_was_written_off(acme: Customer) -> None:
    invoice = operations.mark_uncollectible(invoice=issued(acme), actor=SYSTEM, reason="bankrupt", now=APRIL)
    with pytest.raises(InvoiceWrittenOff):
        void(invoice)


@pytest.mark.parametrize("reason", ["", "  ", "x" * 501])
def test_a_reason_is_needed(acme: Customer, reason: str) -> None:
    with pytest.raises(SettlementInvalid):
        void(issued(acme), reason=reason)
    assert Invoice.objects.get().status == "issued"


def test_it_takes_the_right(acme: Customer) -> None:
    invoice = issued(acme)
    member = Actor("user:1", roles={acme.organization.id: "owner"})
    with pytest.raises(Forbidden):
        void(invoice, actor=member)
    with pytest.raises(Forbidden):
        operations.mark_uncollectible(invoice=invoice, actor=member, reason="r", now=APRIL)


def test_writing_off(acme: Customer) -> None:
    draft = drafted(acme)
    with pytest.raises(InvoiceNotIssued):
        operations.mark_uncollectible(invoice=draft, actor=SYSTEM, reason="bankrupt", now=APRIL)
    invoice = issued(acme)
    for _ in range(2):
        assert operations.mark_uncollectible(invoice=invoice, actor=SYSTEM, reason="b", now=APRIL).status == (
            "uncollectible"
        )
    assert AuditEntry.objects.filter(act="invoice.uncollectible").count() == 1
    operations.pay(invoice=invoice, amount_minor=4899, reference="late", actor=SYSTEM, now=APRIL)
    assert Invoice.objects.get().status == "uncollectible"
    operations.pay(invoice=invoice, amount_minor=1, reference="later", actor=SYSTEM, now=APRIL)
    assert Invoice.objects.get().status == "paid"
    with pytest.raises(InvoicePaid):
        operations.mark_uncollectible(invoice=invoice, actor=SYSTEM, reason="b", now=APRIL)


@pytest.mark.parametrize("status", InvoiceStatus.values)
@pytest.mark.parametrize("following", InvoiceStatus.values)
@pytest.mark.parametrize("role", ["origin", "replica"])
def test_raw_sql_takes_the_same_edges(acme: Customer, status: str, following: str, role: str) -> None:
    invoice = drafted(acme) if status == "draft" else issued(acme)
    if status in ("void", "uncollectible", "paid"):
        Invoice.objects.update(status=status)
    sql = "UPDATE marketplace_invoices SET status = %s"
    if status == "draft" and following != "draft":
        sql += ", number = 'X-1', issued_at = now(), issue_due_at = NULL"
    if status != "draft" and following == "draft":
        sql += ", number = NULL, issued_at = NULL"

    def act() -> None:
        with transaction.atomic(), connection.cursor() as cursor:
            cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")
            cursor.execute(f"SET LOCAL session_replication_role = {role}")
            cursor.execute(sql, [following])

    if (status, following) in ALLOWED or status == following:
        act()
        assert Invoice.objects.get(id=invoice.id).status == following
    else:
        with pytest.raises(IntegrityError):
            act()
        assert Invoice.objects.get(id=invoice.id).status == status


def test_use_taken_back_since_stands_until_the_later_period_gives_it_back(acme: Customer) -> None:
    """What is still to be given back on a later invoice does not make the use look billed twice."""
    factories.charge(acme.period, plan=acme.plan, meter="context", overage="3000000")
    first = issued(acme)
    april = factories.period(acme.subscription, ends_at=MAY)
    factories.charge(april, plan=acme.plan, meter="context", overage="-1000000", service=acme.period)
    void(first)
    assert issued(acme).total_minor == 4900 + 150
    draft = operations.draft(subscription=acme.subscription, actor=SYSTEM, now=MAY, period=april)
    assert operations.issue(invoice=draft, actor=SYSTEM, now=MAY).total_minor == 4900 - 50
