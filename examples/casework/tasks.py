"""Work in the background, which tells its use by itself: the same three ways for any host.

Each job names its use by its own arguments, so Celery may run it as often as it likes.
"""

from __future__ import annotations

from decimal import Decimal

from celery import shared_task
from django.db import transaction

from billing import emitters
from billing.emitters import signals
from billing.emitters import tasks as emitter_tasks
from examples.casework.models import Case, Result


@shared_task(name="casework.plan")
def plan(case_id: str, run: str, open_escalations: list[str]) -> None:
    """By call, in the job's own transaction: the plan and its use are both there, or neither."""
    case = Case.objects.select_related("organization").get(pk=case_id)
    with transaction.atomic():
        Result.objects.get_or_create(case=case, kind="plan", request_key=run, defaults={"text": "finalized"})
        emitters.planner_finalization(
            case.organization, idempotency_key=f"case-{case.pk}-{run}", open_escalations=open_escalations
        )


@shared_task(name="casework.instrumentation")
def instrumentation(case_id: str, run: str, raised: list[str]) -> None:
    """By signal: the host need not import the emitter, and still it is one transaction."""
    case = Case.objects.select_related("organization").get(pk=case_id)
    with transaction.atomic():
        Result.objects.get_or_create(case=case, kind="run", request_key=run, defaults={"text": "measured"})
        signals.instrumentation_run_finished.send(
            sender=Case,
            organization=case.organization,
            idempotency_key=f"case-{case.pk}-{run}",
            guardrails=[{"code": code, "severity": "medium", "subject": case.reference} for code in raised],
        )


@shared_task(name="casework.analysis")
def analysis(case_id: str, run: str, sequence: str) -> None:
    """By task: where the work writes nothing of its own, its use can be told later, and is told once."""
    case = Case.objects.get(pk=case_id)
    units = Decimal(len(sequence)) / 1000
    emitter_tasks.sequence_analysis.delay(str(case.organization_id), f"case-{case.pk}-{run}", units=str(units))
