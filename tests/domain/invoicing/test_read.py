"""Reading: drafts as the books are now, issued ones as they were, and nothing of other organizations."""

from decimal import Decimal

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from billing.accounts import actors
from billing.accounts.actors import SYSTEM, Actor
from billing.infra import locks
from billing.invoicing import documents, operations
from billing.invoicing.errors import InvoiceNotFound
from billing.models import EntitlementPrice, Invoice, InvoiceLine, UsageCharge
from tests.support import factories, invoice_sums
from tests.support.factories import at
from tests.support.invoicing import Customer, customer, team_plan, traffic

pytestmark = pytest.mark.django_db

APRIL = at("2026-04-01")


@pytest.fixture
def acme() -> Customer:
    return customer(team_plan())


def drafted(acme: Customer) -> Invoice:
    return operations.draft(subscription=acme.subscription, actor=SYSTEM, now=APRIL)


def read(invoice: Invoice, actor: Actor = SYSTEM) -> Invoice:
    return operations.read_invoice(reference=str(invoice.id), actor=actor)


def test_a_draft_is_read_as_the_books_are_now(acme: Customer) -> None:
    invoice = drafted(acme)
    traffic(acme)
    assert read(invoice).total_minor == 5162
    assert [line.amount_minor for line in read(invoice).lines.all()] == [4900, 153, 9, 100]
    assert Invoice.objects.get().total_minor == 5162
    assert invoice_sums.verify_totals() == []


def test_reading_writes_nothing_where_nothing_moved(acme: Customer, monkeypatch: pytest.MonkeyPatch) -> None:
    traffic(acme)
    invoice = drafted(acme)

    def lock(_: object) -> None:
        raise AssertionError("reading takes a lock")

    monkeypatch.setattr(locks, "lock_organizations", lock)
    with CaptureQueriesContext(connection) as seen:
        read(invoice)
    assert all(query["sql"].startswith("SELECT") for query in seen)


def test_a_draft_that_cannot_be_priced_any_more_is_still_read(acme: Customer) -> None:
    traffic(acme)
    invoice = drafted(acme)
    EntitlementPrice.objects.all().delete()
    UsageCharge.objects.update(overage=Decimal(1))
    assert read(invoice).total_minor == 5162


def test_another_organizations_invoice_is_as_one_that_is_not_there(acme: Customer) -> None:
    invoice = drafted(acme)
    key = Actor("key:1", organization_id=factories.organization().id, scopes=actors.ORGANIZATION_KEY_ACTS)
    seen = []
    for reference in (str(invoice.id), "00000000-0000-7000-8000-000000000000", "INV-2026-000001", "\x00", "' or 1"):
        with pytest.raises(InvoiceNotFound) as raised:
            operations.read_invoice(reference=reference, actor=key)
        seen.append((raised.value.code, raised.value.message, raised.value.details))
    assert len(set(map(str, seen))) == 1
    own = Actor("key:2", organization_id=acme.organization.id, scopes=actors.ORGANIZATION_KEY_ACTS)
    assert read(invoice, own) == invoice


def test_it_is_found_by_number_too(acme: Customer) -> None:
    invoice = operations.issue(invoice=drafted(acme), actor=SYSTEM, now=APRIL)
    assert operations.read_invoice(reference="INV-2026-000001", actor=SYSTEM) == invoice


def test_pages_follow_each_other_and_refresh_their_drafts(acme: Customer) -> None:
    for month in range(5, 9):
        factories.period(acme.subscription, ends_at=at(f"2026-{month:02d}-01"))
    for period in acme.subscription.periods.all():
        # All in one instant, so that only the id can order them.
        operations.draft(subscription=acme.subscription, actor=SYSTEM, now=at("2026-09-01"), period=period)
    traffic(acme)
    customer(factories.plan())
    seen: list[Invoice] = []
    before = None
    while page := operations.read_invoices(
        organization=acme.organization, actor=SYSTEM, before=before, limit=2, subscription_id=acme.subscription.id
    ):
        seen.extend(page)
        before = (page[-1].drafted_at, page[-1].id)
    assert [invoice.occurrence for invoice in seen] == [5, 4, 3, 2, 1]
    assert seen[-1].total_minor == 5162


def test_a_list_costs_the_same_however_long_it_is(acme: Customer) -> None:
    def cost() -> int:
        with CaptureQueriesContext(connection) as seen:
            page = operations.read_invoices(organization=acme.organization, actor=SYSTEM)
            assert all(documents.as_dict(invoice)["lines"] for invoice in page)
        return len(seen)

    drafted(acme)
    one = cost()
    for month in range(5, 13):
        period = factories.period(acme.subscription, ends_at=at(f"2026-{month:02d}-01"))
        operations.draft(subscription=acme.subscription, actor=SYSTEM, now=at("2027-01-01"), period=period)
    assert InvoiceLine.objects.count() == 9
    assert cost() == one
