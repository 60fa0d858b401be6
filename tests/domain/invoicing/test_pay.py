"""Payments and refunds: booked once, never above what is due or paid, and what they make of the status."""

from typing import Any

import pytest
from django.db import IntegrityError, connection, transaction
from hypothesis import given, settings
from hypothesis import strategies as st

from billing.accounts.actors import SYSTEM, Actor
from billing.invoicing import operations, queries, settlement
from billing.invoicing.errors import (
    InvoiceNotIssued,
    InvoiceVoid,
    PaymentExceedsDue,
    PaymentReferenceTaken,
    RefundExceedsPaid,
    SettlementInvalid,
)
from billing.kernel.errors import Forbidden
from billing.models import AuditEntry, Invoice, OutboxEvent, Payment
from tests.support import factories
from tests.support.factories import at
from tests.support.invoicing import Customer, customer, team_plan

pytestmark = pytest.mark.django_db

APRIL = at("2026-04-01")


@pytest.fixture
def acme() -> Customer:
    return customer(team_plan())


@pytest.fixture
def invoice(acme: Customer) -> Invoice:
    return issued(acme)


def issued(acme: Customer) -> Invoice:
    draft = operations.draft(subscription=acme.subscription, actor=SYSTEM, now=APRIL)
    return operations.issue(invoice=draft, actor=SYSTEM, now=APRIL)


def pay(invoice: Invoice, amount_minor: int, reference: str, **given: Any) -> Payment:
    said: dict[str, Any] = {"actor": SYSTEM, "now": APRIL, **given}
    return operations.pay(invoice=invoice, amount_minor=amount_minor, reference=reference, **said)


def refund(invoice: Invoice, amount_minor: int, reference: str, **given: Any) -> Payment:
    said: dict[str, Any] = {"actor": SYSTEM, "now": APRIL, "reason": "goodwill", **given}
    return operations.refund(invoice=invoice, amount_minor=amount_minor, reference=reference, **said)


def state(invoice: Invoice) -> tuple[str, int]:
    current = queries.get_invoice(str(invoice.id))
    return current.status, settlement.due_minor(current)


def test_it_is_paid_when_nothing_is_due(invoice: Invoice) -> None:
    first = pay(invoice, 900, "a", received_at=at("2026-03-30"), method="card")
    assert (first.received_at, first.booked_at, first.method, first.provider) == (
        at("2026-03-30"), APRIL, "card", "manual",
    )  # fmt: skip
    assert state(invoice) == ("issued", 4000)
    assert pay(invoice, 4000, "b").invoice.status == "paid"
    assert state(invoice) == ("paid", 0)
    assert OutboxEvent.objects.filter(topic="payment.received").count() == 2
    assert OutboxEvent.objects.get(topic="invoice.paid").payload["status"] == "paid"
    assert AuditEntry.objects.filter(act="invoice.pay").count() == 2


@pytest.mark.parametrize("amount", [4899, 4900, 4901])
def test_no_more_than_is_due(invoice: Invoice, amount: int) -> None:
    if amount > 4900:
        with pytest.raises(PaymentExceedsDue):
            pay(invoice, amount, "a")
        assert Payment.objects.count() == 0
    else:
        pay(invoice, amount, "a")
        assert state(invoice) == ("paid" if amount == 4900 else "issued", 4900 - amount)
        with pytest.raises(PaymentExceedsDue):
            pay(invoice, 4901 - amount, "b")


def test_told_twice_it_is_booked_once(invoice: Invoice) -> None:
    assert pay(invoice, 4900, "a") == pay(invoice, 4900, "a")
    assert Payment.objects.count() == 1
    assert refund(invoice, 100, "r") == refund(invoice, 100, "r")
    assert state(invoice) == ("issued", 100)
    assert OutboxEvent.objects.filter(topic__startswith="payment.").count() == 2


def test_a_reference_names_one_payment(acme: Customer, invoice: Invoice) -> None:
    pay(invoice, 100, "a")
    with pytest.raises(PaymentReferenceTaken):
        pay(invoice, 101, "a")
    with pytest.raises(PaymentReferenceTaken):
        refund(invoice, 100, "a")
    other = issued(customer(acme.plan))
    with pytest.raises(PaymentReferenceTaken):
        pay(other, 100, "a")
    pay(invoice, 100, "a", provider="bank")
    assert state(invoice) == ("issued", 4700)


def test_money_that_went_back_is_due_again(invoice: Invoice) -> None:
    pay(invoice, 4900, "a")
    with pytest.raises(RefundExceedsPaid):
        refund(invoice, 4901, "r")
    assert refund(invoice, 4900, "r", reason="charged back").invoice.status == "issued"
    assert state(invoice) == ("issued", 4900)
    with pytest.raises(RefundExceedsPaid):
        refund(invoice, 1, "r2")
    assert AuditEntry.objects.get(act="invoice.refund").reason == "charged back"
    assert OutboxEvent.objects.filter(topic="invoice.reopened").count() == 1


def test_only_what_was_issued_is_paid(acme: Customer) -> None:
    draft = operations.draft(subscription=acme.subscription, actor=SYSTEM, now=APRIL)
    with pytest.raises(InvoiceNotIssued):
        pay(draft, 1, "a")
    void = operations.void(invoice=draft, actor=SYSTEM, reason="r", now=APRIL)
    with pytest.raises(InvoiceVoid):
        pay(void, 1, "a")
    assert Payment.objects.count() == 0


@pytest.mark.parametrize(
    "wrong",
    [
        {"amount_minor": 0},
        {"amount_minor": -5},
        {"amount_minor": 10**18},
        {"reference": " "},
        {"reference": "x" * 201},
        {"reference": "a\nb"},
        {"provider": "Bank"},
        {"method": ""},
        {"received_at": at("2026-04-02")},
    ],
)
def test_what_cannot_be_is_refused(invoice: Invoice, wrong: dict[str, Any]) -> None:
    with pytest.raises(SettlementInvalid):
        pay(**{"invoice": invoice, "amount_minor": 1, "reference": "a", **wrong})
    assert Payment.objects.count() == 0


def test_a_refund_needs_a_reason(invoice: Invoice) -> None:
    pay(invoice, 4900, "a")
    with pytest.raises(SettlementInvalid):
        refund(invoice, 1, "r", reason=" ")


def test_it_takes_the_right(acme: Customer, invoice: Invoice) -> None:
    owner = Actor("user:1", roles={acme.organization.id: "owner"})
    with pytest.raises(Forbidden):
        pay(invoice, 1, "a", actor=owner)
    with pytest.raises(Forbidden):
        refund(invoice, 1, "a", actor=owner)
    assert operations.read_payments(invoice=invoice, actor=owner) == []


def test_an_invoice_of_nothing_is_paid_at_once() -> None:
    free = customer(factories.plan(base_fees={"USD": 0}))
    assert issued(free).status == "paid"


@transaction.atomic
def execute(statement: str, *, role: str) -> None:
    with connection.cursor() as cursor:
        cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")
        cursor.execute(f"SET LOCAL session_replication_role = {role}")
        cursor.execute(statement)


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE marketplace_payments SET amount_minor = 1",
        "UPDATE marketplace_payments SET amount_minor = 1 WHERE false",
        "DELETE FROM marketplace_payments",
        "TRUNCATE marketplace_payments CASCADE",
    ],
)
@pytest.mark.parametrize("role", ["origin", "replica"])
def test_raw_sql_changes_no_payment(invoice: Invoice, statement: str, role: str) -> None:
    pay(invoice, 4900, "a")
    with pytest.raises(IntegrityError):
        execute(statement, role=role)
    assert Payment.objects.get().amount_minor == 4900


@given(st.lists(st.tuples(st.booleans(), st.integers(1, 6000)), max_size=12))
@settings(max_examples=30, deadline=None)
def test_whatever_is_tried_the_invoice_is_paid_iff_nothing_is_due(moves: list[tuple[bool, int]]) -> None:
    with transaction.atomic():
        invoice, paid = issued(customer(team_plan())), 0
        for number, (is_refund, amount) in enumerate(moves):
            fits = amount <= paid if is_refund else amount <= 4900 - paid
            act = refund if is_refund else pay
            if fits:
                act(invoice, amount, f"{invoice.id}-{number}")
                paid += -amount if is_refund else amount
            else:
                with pytest.raises((PaymentExceedsDue, RefundExceedsPaid)):
                    act(invoice, amount, f"{invoice.id}-{number}")
            assert state(invoice) == ("paid" if paid == 4900 else "issued", 4900 - paid)
        transaction.set_rollback(True)
