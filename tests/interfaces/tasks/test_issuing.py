"""The issuing tasks: they find whose drafts are due, twice does no harm, and sandboxes keep their own time."""

from collections.abc import Iterator

import pytest

from billing import tasks
from billing.accounts.actors import SYSTEM
from billing.invoicing import operations
from billing.models import DocumentCounter, Invoice, PlanSpan
from billing_project.celery import app
from tests.support import factories
from tests.support.factories import at
from tests.support.invoicing import Customer, customer, team_plan

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def run_at_once() -> Iterator[None]:
    app.conf.update(task_always_eager=True, task_eager_propagates=False)
    yield
    app.conf.update(task_always_eager=False)


@pytest.fixture
def customers() -> list[Customer]:
    plan = team_plan()
    made = [customer(plan) for _ in range(3)]
    made.append(customer(plan, organization=factories.sandbox(clock_at=at("2026-04-05"))))
    operations.draft_many(period_ids=[each.period.id for each in made], actor=SYSTEM, now=at("2026-04-05"))
    return made


def statuses(customers: list[Customer]) -> list[str]:
    found = dict(Invoice.objects.values_list("subscription_id", "status"))
    return [found[each.subscription.id] for each in customers]


def test_what_is_due_is_issued_once_and_sandboxes_are_left_alone(customers: list[Customer]) -> None:
    assert tasks.issue_due_invoices() == 3
    assert statuses(customers) == ["issued", "issued", "issued", "draft"]
    assert tasks.issue_due_invoices() == 0
    assert tasks.issue_organizations([str(customers[0].organization.id)]) == 0
    assert DocumentCounter.objects.get().last == 3


def test_one_that_fails_does_not_keep_the_others_of_its_message(customers: list[Customer]) -> None:
    ids = [str(each.organization.id) for each in customers[:2]]
    assert tasks.issue_organizations([ids[0], "nobody", ids[1]]) == 2
    assert statuses(customers) == ["issued", "issued", "draft", "draft"]


def test_what_is_not_due_is_not_looked_for(customers: list[Customer]) -> None:
    Invoice.objects.update(issue_due_at=at("2199-01-01"))
    assert tasks.issue_due_invoices() == 0
    assert set(statuses(customers)) == {"draft"}


def test_broken_books_stop_only_themselves(customers: list[Customer]) -> None:
    PlanSpan.objects.filter(subscription=customers[1].subscription).update(starts_at=at("2026-03-10"))
    assert tasks.issue_due_invoices() == 3
    assert statuses(customers) == ["issued", "draft", "issued", "draft"]
    parked = Invoice.objects.get(parked_at__isnull=False)
    assert parked.subscription_id == customers[1].subscription.id
    # It is not tried again until somebody has looked at it.
    assert tasks.issue_due_invoices() == 0


def test_beat_wakes_the_sweep() -> None:
    assert "billing.tasks.issue_due_invoices" in {each["task"] for each in app.conf.beat_schedule.values()}
