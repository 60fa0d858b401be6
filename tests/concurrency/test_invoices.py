"""Invoices under true concurrency: one a period, and numbers without a gap, whatever rolls back in between."""

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

import pytest
from django.db import connection, connections, transaction

from billing.accounts.actors import SYSTEM
from billing.invoicing import operations
from billing.models import AuditEntry, DocumentCounter, Invoice, InvoiceLine, OutboxEvent
from tests.support import invoice_sums
from tests.support.factories import at
from tests.support.invoicing import Customer, customer, team_plan, traffic

APRIL = at("2026-04-01")
T = TypeVar("T")


class Undone(Exception):
    """The host's transaction fails after the invoice was issued in it."""


def at_once(acts: list[Callable[[], T]]) -> list[T]:
    """Run all in threads of their own that start together; each closes its connection."""
    barrier = threading.Barrier(len(acts))

    def run(act: Callable[[], T]) -> T:
        try:
            with connection.cursor() as cursor:
                # Many queue for one lock on a busy machine: patience is not what is tested here.
                cursor.execute("SET lock_timeout = '30s'")
            barrier.wait(timeout=30)
            return act()
        finally:
            connections.close_all()

    with ThreadPoolExecutor(len(acts)) as pool:
        return list(pool.map(run, acts))


@pytest.mark.usefixtures("real_db")
def test_32_drafts_at_once_make_one_invoice() -> None:
    acme = customer(team_plan())
    traffic(acme)
    invoices = at_once(
        [lambda: operations.draft(subscription=acme.subscription, actor=SYSTEM, now=APRIL) for _ in range(32)]
    )
    assert len({invoice.id for invoice in invoices}) == 1
    assert {invoice.total_minor for invoice in invoices} == {5162}
    assert (Invoice.objects.count(), InvoiceLine.objects.count()) == (1, 4)
    assert OutboxEvent.objects.filter(topic="invoice.drafted").count() == 1
    assert AuditEntry.objects.filter(act="invoice.draft").count() == 1


@pytest.mark.usefixtures("real_db")
def test_eight_issues_at_once_use_one_number() -> None:
    acme = customer(team_plan())
    invoice = operations.draft(subscription=acme.subscription, actor=SYSTEM, now=APRIL)
    numbers = at_once([lambda: operations.issue(invoice=invoice, actor=SYSTEM, now=APRIL).number for _ in range(8)])
    assert set(numbers) == {"INV-2026-000001"}
    assert DocumentCounter.objects.get().last == 1
    assert OutboxEvent.objects.filter(topic="invoice.issued").count() == 1


@pytest.mark.usefixtures("real_db")
def test_numbers_have_no_gap_where_other_issues_roll_back() -> None:
    plan = team_plan()
    customers = [customer(plan) for _ in range(12)]
    undone = {each.organization.id for each in customers[::3]}

    def issue(each: Customer) -> str | None:
        invoice = operations.draft(subscription=each.subscription, actor=SYSTEM, now=APRIL)
        try:
            with transaction.atomic():
                number = operations.issue(invoice=invoice, actor=SYSTEM, now=APRIL).number
                if each.organization.id in undone:
                    raise Undone
        except Undone:
            return None
        return number

    numbers = at_once([lambda each=each: issue(each) for each in customers])  # type: ignore[misc]
    assert sorted(filter(None, numbers)) == [f"INV-2026-{number:06d}" for number in range(1, 9)]
    assert Invoice.objects.filter(status="draft").count() == 4
    assert invoice_sums.verify_totals() == []
    for each in customers[::3]:
        invoice = Invoice.objects.get(subscription=each.subscription)
        operations.issue(invoice=invoice, actor=SYSTEM, now=APRIL)
    assert invoice_sums.verify_totals() == []
    assert DocumentCounter.objects.get().last == 12


@pytest.mark.usefixtures("real_db")
def test_overlapping_runs_over_many_do_not_deadlock_or_double() -> None:
    plan = team_plan()
    periods = [customer(plan).period.id for _ in range(20)]
    at_once(
        [
            lambda ids=ids: operations.draft_many(period_ids=ids, actor=SYSTEM, now=APRIL)  # type: ignore[misc]
            for ids in (periods, periods[::-1], periods[5:], periods[10:][::-1])
        ]
    )
    assert Invoice.objects.count() == 20
    assert InvoiceLine.objects.count() == 20
    assert OutboxEvent.objects.count() == 20
