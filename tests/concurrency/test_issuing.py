"""Sweeps at once: each draft is issued by one of them, numbered without a gap."""

import threading
from concurrent.futures import ThreadPoolExecutor
from uuid import UUID

import pytest
from django.db import connection, connections

from billing.accounts.actors import SYSTEM
from billing.invoicing import operations
from billing.models import AuditEntry, DocumentCounter, Invoice, OutboxEvent
from billing.reporting import doctor
from tests.support.factories import at
from tests.support.invoicing import customer, team_plan

DUE = at("2026-04-02")
SWEEPS, ORGANIZATIONS = 4, 6


def sweep(organizations: list[UUID], barrier: threading.Barrier) -> list[UUID]:
    """Issue what is due of each; returns the invoices that moved."""
    try:
        with connection.cursor() as cursor:
            # All queue for the same locks on a busy machine: patience is not what is tested here.
            cursor.execute("SET lock_timeout = '30s'")
        barrier.wait(timeout=30)
        return [each.id for it in organizations for each in operations.issue_due(organization_id=it, now=DUE)]
    finally:
        connections.close_all()


@pytest.mark.usefixtures("real_db")
def test_sweeps_at_once_issue_each_draft_once() -> None:
    plan = team_plan()
    customers = [customer(plan) for _ in range(ORGANIZATIONS)]
    operations.draft_many(period_ids=[each.period.id for each in customers], actor=SYSTEM, now=at("2026-04-01"))
    ids = [each.organization.id for each in customers]
    barrier = threading.Barrier(SWEEPS)
    with ThreadPoolExecutor(SWEEPS) as pool:
        orders = [ids, ids[::-1], ids[3:] + ids[:3], ids]
        moved = [each for found in pool.map(lambda order: sweep(order, barrier), orders) for each in found]
    assert sorted(moved) == sorted(Invoice.objects.values_list("id", flat=True))
    numbers = list(Invoice.objects.order_by("number").values_list("number", flat=True))
    assert numbers == [f"INV-2026-{number:06}" for number in range(1, ORGANIZATIONS + 1)]
    assert DocumentCounter.objects.get().last == ORGANIZATIONS
    assert OutboxEvent.objects.filter(topic="invoice.issued").count() == ORGANIZATIONS
    assert AuditEntry.objects.filter(act="invoice.issue").count() == ORGANIZATIONS
    assert doctor.verify() == []
