"""A preview says what the invoice would say, and writes nothing."""

import pytest

from billing.accounts.actors import SYSTEM, Actor
from billing.invoicing import documents, operations
from billing.invoicing.errors import NoEndedPeriod
from billing.kernel.errors import Forbidden
from billing.models import AuditEntry, Invoice, InvoiceLine, OutboxEvent
from tests.support import factories
from tests.support.factories import at
from tests.support.invoicing import Customer, customer, team_plan, traffic

pytestmark = pytest.mark.django_db


@pytest.fixture
def acme() -> Customer:
    return customer(team_plan())


def test_it_equals_the_invoice_that_is_drafted_later(acme: Customer) -> None:
    traffic(acme)
    audited = AuditEntry.objects.count()
    preview = operations.preview(subscription=acme.subscription, actor=SYSTEM, now=at("2026-03-20"))
    assert not Invoice.objects.exists()
    assert not InvoiceLine.objects.exists()
    assert not OutboxEvent.objects.exists()
    assert AuditEntry.objects.count() == audited
    shown = documents.preview_as_dict(preview)
    invoice = operations.draft(subscription=acme.subscription, actor=SYSTEM, now=at("2026-04-01"))
    drafted = documents.as_dict(invoice)
    assert {name for name in shown if shown[name] != drafted[name]} == {"id", "status", "drafted_at", "issue_due_at"}
    assert shown.keys() == drafted.keys()
    assert shown["total"] == "51.62"


def test_it_takes_the_running_period_or_else_the_last(acme: Customer) -> None:
    april = factories.period(acme.subscription, ends_at=at("2026-05-01"))

    def shown(text: str) -> int:
        return operations.preview(subscription=acme.subscription, actor=SYSTEM, now=at(text)).period.ordinal

    assert shown("2026-03-31 23:59:59") == acme.period.ordinal
    assert shown("2026-04-01") == april.ordinal
    assert shown("2026-07-01") == april.ordinal


def test_an_organizations_finance_role_may_and_a_member_may_not(acme: Customer) -> None:
    finance = Actor("user:1", roles={acme.organization.id: "finance"})
    assert operations.preview(subscription=acme.subscription, actor=finance, now=at("2026-03-20")).total_minor == 4900
    member = Actor("user:2", roles={acme.organization.id: "member"})
    with pytest.raises(Forbidden):
        operations.preview(subscription=acme.subscription, actor=member, now=at("2026-03-20"))


def test_without_a_period_there_is_nothing_to_preview(acme: Customer) -> None:
    other = factories.subscription(organization=factories.organization(), plan=acme.plan, starts_at=at("2026-03-01"))
    with pytest.raises(NoEndedPeriod):
        operations.preview(subscription=other, actor=SYSTEM, now=at("2026-03-20"))
