"""Credit notes: numbered, frozen, never above what is left; what was paid goes to the customer's balance."""

from typing import Any
from zoneinfo import ZoneInfo

import pytest
from django.db import IntegrityError, connection, transaction

from billing.accounts.actors import SYSTEM, Actor
from billing.invoicing import balance, documents, operations, pdf, queries, settlement
from billing.invoicing.errors import (
    BalanceInsufficient,
    CreditExceedsLine,
    CreditNoteNotFound,
    InvoiceHasCreditNotes,
    InvoiceNotIssued,
    NothingToCredit,
    PaymentReferenceTaken,
    SettlementInvalid,
)
from billing.kernel.errors import Forbidden
from billing.models import AuditEntry, BalanceEntry, CreditNote, EntitlementPrice, Invoice, OutboxEvent, Payment
from billing.reporting import doctor
from tests.support import factories
from tests.support.factories import at
from tests.support.invoicing import Customer, customer, team_plan, traffic

pytestmark = pytest.mark.django_db

APRIL, MAY = at("2026-04-01"), at("2026-05-01")


@pytest.fixture
def acme() -> Customer:
    return customer(team_plan())


@pytest.fixture
def invoice(acme: Customer) -> Invoice:
    traffic(acme)
    return issued(acme)


def issued(acme: Customer) -> Invoice:
    draft = operations.draft(subscription=acme.subscription, actor=SYSTEM, now=APRIL, period=acme.period)
    return operations.issue(invoice=draft, actor=SYSTEM, now=APRIL)


def credit(invoice: Invoice, lines: dict[int, int | None] | None = None, **given: Any) -> CreditNote:
    said: dict[str, Any] = {"actor": SYSTEM, "now": APRIL, "reason": "broken", **given}
    return operations.credit(invoice=invoice, lines=lines, **said)


def pay(invoice: Invoice, amount_minor: int) -> None:
    operations.pay(invoice=invoice, amount_minor=amount_minor, reference=f"p{amount_minor}", actor=SYSTEM, now=APRIL)


def state(invoice: Invoice) -> tuple[str, int]:
    current = queries.get_invoice(str(invoice.id))
    return current.status, settlement.due_minor(current)


def held(acme: Customer, currency: str = "USD") -> int:
    assert [v for v in doctor.verify(organization=acme.organization) if v.name != "charges-equal-events"] == []
    return balance.balance_minor(acme.organization.id, currency)


def test_all_that_is_left_is_credited(acme: Customer, invoice: Invoice) -> None:
    note = credit(invoice)
    assert (note.number, note.total_minor, note.currency) == ("CN-2026-000001", 5162, "USD")
    assert [line.amount_minor for line in note.lines.all()] == [4900, 153, 9, 100]
    assert (note.customer, note.issuer) == (invoice.customer, invoice.issuer)
    assert state(invoice) == ("paid", 0)
    assert held(acme) == 0
    assert AuditEntry.objects.get(act="invoice.credit").reason == "broken"
    assert OutboxEvent.objects.get(topic="credit_note.issued").payload["total"] == "51.62"
    with pytest.raises(NothingToCredit):
        credit(invoice)
    assert CreditNote.objects.count() == 1


def test_lines_are_credited_in_parts(invoice: Invoice) -> None:
    assert credit(invoice, {2: 100}).total_minor == 100
    with pytest.raises(CreditExceedsLine):
        credit(invoice, {2: 54})
    assert credit(invoice, {2: None, 4: 40}).total_minor == 93
    assert state(invoice) == ("issued", 5162 - 193)
    assert credit(invoice).total_minor == 5162 - 193
    assert [note.number for note in CreditNote.objects.order_by("id")] == [f"CN-2026-00000{n}" for n in (1, 2, 3)]


def test_what_was_paid_goes_to_the_balance_and_pays_the_next_invoice(acme: Customer, invoice: Invoice) -> None:
    pay(invoice, 5162)
    credit(invoice, {1: 900})
    assert state(invoice) == ("paid", 0)
    assert held(acme) == 900
    april = factories.period(acme.subscription, ends_at=MAY)
    draft = operations.draft(subscription=acme.subscription, actor=SYSTEM, now=MAY, period=april)
    later = operations.issue(invoice=draft, actor=SYSTEM, now=MAY)
    assert state(later) == ("issued", 4000)
    assert documents.as_dict(later)["from_balance"] == "9.00"
    assert held(acme) == 0
    assert [entry.kind for entry in BalanceEntry.objects.order_by("sequence")] == ["credited", "applied"]
    # Taken back, the invoice gives the balance what it took.
    assert operations.void(invoice=later, actor=SYSTEM, reason="r", now=MAY).status == "void"
    assert held(acme) == 900


def test_of_a_part_payment_only_what_is_too_much_goes_to_the_balance(acme: Customer, invoice: Invoice) -> None:
    pay(invoice, 5000)
    credit(invoice, {1: 162})
    assert (state(invoice), held(acme)) == (("paid", 0), 0)
    credit(invoice, {1: 1})
    assert (state(invoice), held(acme)) == (("paid", 0), 1)


def test_an_invoice_below_nothing_becomes_balance() -> None:
    """Late use can move all use of its period to a cheaper tier, and so give back more than it costs."""
    plan = factories.plan(base_fees={"USD": 0}, overages=[factories.Overage("runs", rates={"USD": "1"})])
    tiers = [{"up_to": "10", "rate": "10", "flat": "0"}, {"up_to": None, "rate": "1", "flat": "0"}]
    EntitlementPrice.objects.update(model="volume", rate=None, tiers=tiers)
    acme = customer(plan)
    factories.charge(acme.period, plan=plan, meter="runs", overage="10")
    assert issued(acme).total_minor == 10000
    april = factories.period(acme.subscription, ends_at=MAY)
    factories.charge(april, plan=plan, meter="runs", overage="1", service=acme.period)
    draft = operations.draft(subscription=acme.subscription, actor=SYSTEM, now=MAY, period=april)
    later = operations.issue(invoice=draft, actor=SYSTEM, now=MAY)
    assert (later.total_minor, later.status) == (1100 - 10000, "paid")
    assert held(acme) == 8900


def test_balances_are_kept_by_currency(acme: Customer, invoice: Invoice) -> None:
    pay(invoice, 5162)
    credit(invoice, {1: 900})
    assert held(acme, "JPY") == 0
    yen = customer(acme.plan, currency="JPY", organization=factories.organization(currency="JPY"))
    assert issued(yen).status == "issued"


def test_the_balance_is_paid_out_once(acme: Customer, invoice: Invoice) -> None:
    pay(invoice, 5162)
    credit(invoice, {1: 900})

    def out(amount: int, reference: str) -> BalanceEntry:
        return operations.pay_out(
            organization=acme.organization, currency="USD", amount_minor=amount, reference=reference,
            reason="asked for", actor=SYSTEM, now=APRIL,
        )  # fmt: skip

    with pytest.raises(BalanceInsufficient):
        out(901, "a")
    assert out(300, "a") == out(300, "a")
    assert held(acme) == 600
    with pytest.raises(PaymentReferenceTaken):
        out(301, "a")
    with pytest.raises(SettlementInvalid):
        out(0, "b")
    assert out(600, "b").balance_after_minor == 0
    with pytest.raises(BalanceInsufficient):
        out(1, "c")
    assert held(acme) == 0


def test_only_what_was_issued_is_credited(acme: Customer) -> None:
    draft = operations.draft(subscription=acme.subscription, actor=SYSTEM, now=APRIL)
    with pytest.raises(InvoiceNotIssued):
        credit(draft)
    with pytest.raises(SettlementInvalid):
        credit(draft, reason=" ")


def test_what_is_refused_uses_no_number(invoice: Invoice) -> None:
    with pytest.raises(CreditExceedsLine):
        credit(invoice, {1: 4901})
    with pytest.raises(SettlementInvalid):
        credit(invoice, {9: None})
    assert credit(invoice, {1: 4900}).number == "CN-2026-000001"
    assert Payment.objects.count() == 0


def test_a_credited_invoice_is_not_voided(invoice: Invoice) -> None:
    credit(invoice, {1: 1})
    with pytest.raises(InvoiceHasCreditNotes):
        operations.void(invoice=invoice, actor=SYSTEM, reason="r", now=APRIL)


def test_it_takes_the_right(acme: Customer, invoice: Invoice) -> None:
    owner = Actor("user:1", roles={acme.organization.id: "owner"})
    with pytest.raises(Forbidden):
        credit(invoice, actor=owner)
    note = credit(invoice)
    assert operations.read_credit_note(reference=note.number, actor=owner) == note
    with pytest.raises(CreditNoteNotFound):
        operations.read_credit_note(reference=note.number, actor=Actor("user:2"))


def test_a_sandbox_has_a_series_of_its_own() -> None:
    played = customer(team_plan(), organization=factories.sandbox(clock_at=APRIL, slug="play"))
    assert credit(issued(played)).number == "CN-SBX-play-2026-000001"
    assert doctor.verify() == []


def test_the_documents_agree(invoice: Invoice) -> None:
    note = credit(invoice, {2: 100, 4: None})
    shown = documents.credit_note_as_dict(note)
    assert (shown["total"], shown["invoice"]["number"]) == ("2.00", "INV-2026-000001")
    assert [line["amount"] for line in shown["lines"]] == ["1.00", "1.00"]
    rows = documents.credit_note_as_csv(note).splitlines()
    assert len(rows) == 1 + 2 + 3
    assert rows[-1] == f"total,{note.id},CN-2026-000001,INV-2026-000001,,,,2.00,,,,USD"
    assert pdf.render_credit_note(shown, zone=ZoneInfo("UTC")).startswith(b"%PDF-")
    invoice_document = documents.as_dict(queries.get_invoice(str(invoice.id)))
    assert (invoice_document["credited"], invoice_document["credit_notes"]) == ("2.00", ["CN-2026-000001"])


@transaction.atomic
def execute(statement: str, *, role: str) -> None:
    with connection.cursor() as cursor:
        cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")
        cursor.execute(f"SET LOCAL session_replication_role = {role}")
        cursor.execute(statement)


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE marketplace_credit_notes SET reason = 'x'",
        "DELETE FROM marketplace_credit_notes",
        "TRUNCATE marketplace_credit_notes CASCADE",
        "UPDATE marketplace_credit_note_lines SET amount_minor = 1",
        "DELETE FROM marketplace_credit_note_lines",
        "UPDATE billing_balance_entries SET amount_minor = 1",
        "DELETE FROM billing_balance_entries",
        (
            "INSERT INTO marketplace_credit_note_lines (organization_id, credit_note_id, invoice_line_id, position,"
            " amount_minor, tax_rate, tax_included, tax_minor) SELECT line.organization_id, note.id, line.id, 9, 1, 0,"
            " false, 0 FROM marketplace_invoice_lines line, marketplace_credit_notes note WHERE line.position = 3"
        ),
    ],
)
@pytest.mark.parametrize("role", ["origin", "replica"])
def test_raw_sql_changes_nothing(invoice: Invoice, statement: str, role: str) -> None:
    pay(invoice, 5162)
    credit(invoice, {1: 900})
    with pytest.raises(IntegrityError):
        execute(statement, role=role)
    assert CreditNote.objects.get().lines.get().amount_minor == 900
