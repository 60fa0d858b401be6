"""Only legal edges between statuses: the database refuses the others, raw SQL included, by the same tables as we do."""

from collections.abc import Mapping
from decimal import Decimal
from itertools import product
from uuid import UUID

import pytest
from django.db import IntegrityError, connection, transaction

from billing.accounts import actors
from billing.invoicing import operations as invoicing_operations
from billing.invoicing import statuses
from billing.lifecycle import onboard
from billing.metering import reserving
from billing.metering.offers import Offer
from billing.models import InvoiceStatus, Organization, ReservationStatus, Status, Subscription
from billing.subscriptions import transitions
from tests.support import catalogs, factories

pytestmark = pytest.mark.django_db
START = factories.at("2026-03-01")
OPERATOR = actors.operator("test")

Edge = tuple[str, str]


@pytest.fixture
def acme() -> Organization:
    catalogs.sync()
    return factories.sandbox(clock_at=START)


@pytest.fixture
def subscription(acme: Organization) -> Subscription:
    return onboard.subscribe(organization=acme, plan_code="team", actor=OPERATOR, now=START)


def edges(table: str, row_id: UUID, values: list[str]) -> set[Edge]:
    """Where raw SQL may take the row. What else goes with a status is another matter: checks of it are left out."""
    with connection.cursor() as cursor:
        cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")
        cursor.execute("SELECT conname FROM pg_constraint WHERE conrelid = %s::regclass AND contype = 'c'", [table])
        for (name,) in cursor.fetchall():
            cursor.execute(f"ALTER TABLE {table} DROP CONSTRAINT {name}")
    return {edge for edge in product(values, values) if leads(table, row_id, *edge)}


def leads(table: str, row_id: UUID, before: str, after: str) -> bool:
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(f"ALTER TABLE {table} DISABLE TRIGGER USER")
        cursor.execute(f"UPDATE {table} SET status = %s WHERE id = %s", [before, row_id])
        cursor.execute(f"ALTER TABLE {table} ENABLE TRIGGER USER")
    try:
        with transaction.atomic(), connection.cursor() as cursor:
            cursor.execute(f"UPDATE {table} SET status = %s WHERE id = %s", [after, row_id])
            return True
    except IntegrityError:
        return False


def known(following: Mapping[str, frozenset[str]]) -> set[Edge]:
    """The edges of a table of ours, and staying where one is."""
    return {(before, after) for before in following for after in {before, *following[before]}}


def test_of_subscriptions(subscription: Subscription) -> None:
    found = edges("organization_subscriptions", subscription.id, list(Status.values))
    assert found == known(transitions.TRANSITIONS)


def test_of_invoices(subscription: Subscription) -> None:
    period = subscription.periods.get()
    now = period.ends_at
    Organization.objects.update(clock_at=now)
    draft = invoicing_operations.draft(subscription=subscription, actor=OPERATOR, now=now, period=period)
    invoice = invoicing_operations.issue(invoice=draft, actor=OPERATOR, now=now)
    assert edges("marketplace_invoices", invoice.id, list(InvoiceStatus.values)) == known(statuses.EDGES)


def test_of_reservations(acme: Organization, subscription: Subscription) -> None:
    reserved = reserving.reserve(offer=Offer(acme, "tokens", Decimal(1), "r1"), now=START)
    assert reserved.reservation is not None
    found = edges("usage_reservations", reserved.reservation.id, list(ReservationStatus.values))
    ours = {"open": {"settled", "released", "expired"}, "expired": {"settled", "released"}}
    assert found == known({status: frozenset(ours.get(status, ())) for status in ReservationStatus.values})
