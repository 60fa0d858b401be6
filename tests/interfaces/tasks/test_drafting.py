"""The drafting tasks: they fan out over what is due, twice does no harm, and a broken one stops only itself."""

import logging
from collections.abc import Iterator

import pytest

from billing import tasks
from billing.kernel.errors import InvariantViolation
from billing.models import Invoice, InvoiceLine, OutboxEvent, PlanSpan
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
    return [customer(plan) for _ in range(5)]


def test_all_that_is_due_is_drafted_in_chunks_and_once(
    customers: list[Customer], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tasks, "DRAFT_CHUNK", 2)
    customer(customers[0].plan, organization=factories.sandbox(clock_at=at("2026-04-05")))
    assert tasks.draft_due_invoices() == 5
    assert tasks.draft_due_invoices() == 0
    assert Invoice.objects.count() == InvoiceLine.objects.count() == 5
    assert set(Invoice.objects.values_list("subscription_id", flat=True)) == {c.subscription.id for c in customers}


def test_a_chunk_delivered_twice_drafts_once(customers: list[Customer]) -> None:
    ids = [str(each.period.id) for each in customers]
    assert tasks.draft_chunk(ids) == 5
    assert tasks.draft_chunk(ids) == 5
    assert Invoice.objects.count() == 5
    assert OutboxEvent.objects.count() == 5


def test_one_without_a_price_is_logged_and_the_others_go_on(
    customers: list[Customer], caplog: pytest.LogCaptureFixture
) -> None:
    bad = customer(factories.plan(base_fees={"EUR": 100}))
    with caplog.at_level(logging.WARNING, logger="billing"):
        assert tasks.draft_due_invoices() == 6
    assert Invoice.objects.count() == 5
    (record,) = [each for each in caplog.records if each.getMessage() == "invoice.undrafted"]
    assert record.fields["code"] == "price_missing"  # type: ignore[attr-defined]
    assert record.fields["period"] == bad.period.id  # type: ignore[attr-defined]


def test_broken_books_fail_alone_and_loudly(customers: list[Customer], caplog: pytest.LogCaptureFixture) -> None:
    broken = customers[2]
    PlanSpan.objects.filter(subscription=broken.subscription).update(starts_at=at("2026-03-10"))
    ids = [str(each.period.id) for each in customers]
    tasks.draft_chunk(ids)
    assert Invoice.objects.count() == 4
    assert [each.getMessage() for each in caplog.records].count("invoice.undrafted") == 1
    with pytest.raises(InvariantViolation):
        tasks.draft_chunk([str(broken.period.id)])
