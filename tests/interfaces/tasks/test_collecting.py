"""The tasks of collecting and of mail: they fan out over what is due, and twice does no harm."""

from collections.abc import Iterator

import pytest
from django.core import mail as django_mail

from billing import tasks
from billing.invoicing import operations as invoicing_operations
from billing.models import Collection, Invoice, Mail
from billing_project.celery import app
from tests.support import factories
from tests.support.collecting import OPERATOR
from tests.support.factories import at
from tests.support.invoicing import customer, team_plan

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def run_at_once() -> Iterator[None]:
    app.conf.update(task_always_eager=True, task_eager_propagates=False)
    yield
    app.conf.update(task_always_eager=False)


@pytest.fixture
def invoice() -> Invoice:
    """Issued on 1 April 2026: overdue for long."""
    acme = customer(team_plan(), organization=factories.organization(billing_email="money@acme.example"))
    draft = invoicing_operations.draft(subscription=acme.subscription, actor=OPERATOR, now=at("2026-04-01"))
    return invoicing_operations.issue(invoice=draft, actor=OPERATOR, now=at("2026-04-01"))


def test_what_is_overdue_is_dunned_once(invoice: Invoice) -> None:
    assert tasks.collect_due() == 1
    assert tasks.collect_due() == 0
    assert Collection.objects.get().dunning_at is not None
    assert Mail.objects.filter(kind="invoice_overdue").count() == 1


def test_a_sandbox_is_left_to_its_clock(invoice: Invoice) -> None:
    boxed = customer(invoice.lines.get().plan, organization=factories.sandbox(clock_at=at("2026-04-01")))
    draft = invoicing_operations.draft(subscription=boxed.subscription, actor=OPERATOR, now=at("2026-04-01"))
    invoicing_operations.issue(invoice=draft, actor=OPERATOR, now=at("2026-04-01"))
    assert tasks.collect_due() == 1
    assert Collection.objects.get(organization=boxed.organization).dunning_at is None


def test_mail_that_is_due_is_sent_once(invoice: Invoice) -> None:
    assert tasks.send_due_mail() == 1
    assert tasks.send_due_mail() == 0
    assert [each.to for each in django_mail.outbox] == [["money@acme.example"]]


def test_one_that_is_delivered_twice_is_done_once(invoice: Invoice) -> None:
    for _ in range(2):
        tasks.collect_organization(str(invoice.organization_id))
        tasks.send_mail(str(Mail.objects.get(kind="invoice_issued").id))
    assert Mail.objects.count() == 2
    assert len(django_mail.outbox) == 1
