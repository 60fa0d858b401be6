"""Planner, instrumentation and analytics tell their use: by call, by signal, by task; each use is counted once."""

import threading
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pytest
from celery.signals import task_retry
from django.db import connections, transaction
from django.utils import timezone

from billing import emitters
from billing.accounts import actors
from billing.catalog import operations as catalog_operations
from billing.catalog import parsing
from billing.emitters import GuardrailInvalid, signals, tasks
from billing.enforcement import HostTransactionMissing
from billing.infra import locks
from billing.lifecycle import onboard
from billing.lifecycle.quota import PlanLimitError
from billing.models import Organization, UsageDebitHold, UsageEvent, UsageEventPayload
from billing.reporting.doctor import verify
from tests.support import factories

TEXT = """
default_plan: lab
events:
  planner_finalization: [plans_per_week]
  instrumentation_run: [runs]
  sequence_analysis: [units]
plans:
  lab:
    name: Lab
    price: {USD: "10.00"}
    credit_price: {USD: "1.00"}
    entitlements:
      plans_per_week: {limit: 3, cadence: weekly, credits_per_unit: "1", guardrails: {open_escalation: hold}}
      runs:
        limit: 2
        on_limit: overage
        overage_price: {USD: "1.00"}
        guardrails: {interlock: hold, calibration: waive}
      units: {limit: null, on_limit: overage, credits_per_unit: "0.1"}
    credit_allowance: 100
"""


@pytest.fixture
def organization() -> Organization:
    return make()


def make() -> Organization:
    catalog_operations.sync(spec=parsing.load(TEXT, "test"), actor="test", now=timezone.now())
    made = factories.organization()
    onboard.subscribe(organization=made, plan_code="lab", actor=actors.operator("test"), now=timezone.now())
    return made


@pytest.mark.django_db
def test_a_finalized_plan_bears_the_escalations_that_were_open(organization: Organization) -> None:
    outcome = emitters.planner_finalization(
        organization,
        idempotency_key="plan-1",
        open_escalations=["ESC-17", {"code": "dose limit", "severity": "high", "subject": "case 4"}],
    )
    event = UsageEvent.objects.get()
    assert (outcome.recorded, outcome.event_id) == (True, event.id)
    assert (event.meter_id, event.service, event.source, event.quantity) == (
        "planner_finalization", "planner", "planner", 1,
    )  # fmt: skip
    assert event.guardrail_flags == ["dose_limit", "esc_17", "open_escalation"]
    assert UsageEventPayload.objects.get().payload == {
        "guardrails": [{"code": "esc_17"}, {"code": "dose_limit", "severity": "high", "subject": "case 4"}]
    }
    assert UsageDebitHold.objects.get().flags == ["open_escalation"]
    assert verify() == []


@pytest.mark.django_db
def test_a_run_bears_its_flags_and_an_analysis_its_units(organization: Organization) -> None:
    emitters.instrumentation_run(organization, idempotency_key="1", quantity=5, guardrails=["interlock"])
    emitters.sequence_analysis(organization, idempotency_key="1", units=Decimal("12.5"))
    run, analysis = UsageEvent.objects.order_by("id")
    assert (run.service, run.quantity, run.guardrail_flags, run.overage) == ("instrumentation", 5, ["interlock"], 0)
    assert UsageDebitHold.objects.get().overage == 3
    assert (analysis.service, analysis.quantity, analysis.credits_paid) == (
        "analytics",
        Decimal("12.5"),
        Decimal("1.25"),
    )
    assert not UsageEventPayload.objects.filter(event_id=analysis.id).exists()


@pytest.mark.django_db
def test_a_key_counts_once_and_a_refusal_raises(organization: Organization) -> None:
    for n in (1, 2, 3, 3):
        emitters.planner_finalization(organization, idempotency_key=f"plan-{n}")
    assert UsageEvent.objects.count() == 3
    with pytest.raises(PlanLimitError):
        emitters.planner_finalization(organization, idempotency_key="plan-4")
    with pytest.raises(GuardrailInvalid):
        emitters.instrumentation_run(organization, idempotency_key="1", guardrails=[{"flag": "x"}])
    assert UsageEvent.objects.count() == 3


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("signal", "arguments", "meter"),
    [
        (signals.planner_finalized, {"open_escalations": ["a"]}, "planner_finalization"),
        (signals.instrumentation_run_finished, {"guardrails": ["calibration"]}, "instrumentation_run"),
        (signals.sequence_analyzed, {"units": 3}, "sequence_analysis"),
    ],
)
def test_a_signal_is_counted_with_its_sender(
    organization: Organization, signal: Any, arguments: dict[str, Any], meter: str
) -> None:
    with transaction.atomic():
        ((_, outcome),) = signal.send(sender=object, organization=organization, idempotency_key="1", **arguments)
    assert outcome.recorded
    assert UsageEvent.objects.get().meter_id == meter


def test_a_signal_is_undone_with_its_sender_and_needs_a_transaction(real_db: str) -> None:
    organization = make()
    with transaction.atomic():
        signals.sequence_analyzed.send(sender=object, organization=organization, idempotency_key="1", units=3)
        transaction.set_rollback(True)
    with pytest.raises(HostTransactionMissing):
        signals.sequence_analyzed.send(sender=object, organization=organization, idempotency_key="1", units=3)
    assert not UsageEvent.objects.exists()


Task = Callable[..., str]


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("task", "arguments"),
    [
        (tasks.planner_finalization, {"open_escalations": [{"code": "a"}], "quantity": "2"}),
        (tasks.instrumentation_run, {"guardrails": ["interlock"]}),
        (tasks.sequence_analysis, {"units": "0.000001"}),
    ],
)
def test_a_task_counts_once_however_often_it_runs(
    organization: Organization, task: Task, arguments: dict[str, Any]
) -> None:
    at = timezone.now().isoformat()
    assert task(str(organization.id), "job-1", occurred_at=at, **arguments) == "accepted"
    assert task(str(organization.id), "job-1", occurred_at=at, **arguments) == "duplicate"
    assert UsageEvent.objects.get().key == "job-1"


@pytest.mark.django_db
def test_a_task_ends_where_the_plan_refuses(organization: Organization) -> None:
    assert tasks.planner_finalization(organization.slug, "job-1", quantity="4") == "quota_exceeded"


def test_a_task_is_tried_again_while_the_books_are_busy(real_db: str) -> None:
    organization = make()
    taken, free = threading.Event(), threading.Event()

    def keep_the_books() -> None:
        with transaction.atomic():
            locks.lock_organization(organization.id)
            taken.set()
            free.wait(30)
        connections.close_all()

    keeper = threading.Thread(target=keep_the_books)
    keeper.start()
    taken.wait(30)
    tries = []

    def count_tries(**_: Any) -> None:
        tries.append(1)
        free.set()
        # On a busy machine the next try could come before the books are given back.
        keeper.join(30)

    task_retry.connect(count_tries)
    result = tasks.sequence_analysis.apply((str(organization.id), "job-1"), {"units": "1"}, throw=False)
    task_retry.disconnect(count_tries)
    keeper.join()
    assert (result.result, tries) == ("accepted", [1])
    assert UsageEvent.objects.count() == 1
