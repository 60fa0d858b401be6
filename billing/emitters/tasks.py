"""The emitters as Celery tasks, for hosts whose work ends elsewhere than in their transaction.

Arguments are plain JSON: quantities as text, times as RFC 3339. Safe to run twice: the key names the use. Run again,
later and later, while the books are busy or the database is away; ``occurred_at`` keeps the instant of the work
meanwhile. A use that the plan refuses is counted among the refusals and ends the task; one that is not sound fails it.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any

from celery import shared_task
from django.db import InterfaceError, OperationalError

from billing.emitters import recording
from billing.infra import logs
from billing.kernel.errors import Busy
from billing.lifecycle.quota import BillingQuotaOutcome, PlanLimitError

# About two hours, from one second up to ten minutes apart.
RETRYING: dict[str, Any] = {
    "autoretry_for": (Busy, OperationalError, InterfaceError),
    "retry_backoff": 1,
    "retry_backoff_max": 600,
    "max_retries": 20,
}
Raised = Sequence[str | Mapping[str, Any]]


@shared_task(name="billing.emitters.planner_finalization", **RETRYING)
def planner_finalization(
    organization: str,
    idempotency_key: str,
    *,
    open_escalations: Raised = (),
    quantity: str = "1",
    occurred_at: str | None = None,
) -> str:
    """Count plans that the planner finalized; returns "accepted", "duplicate" or the code of the refusal."""
    return _status(
        lambda: recording.planner_finalization(
            organization,
            idempotency_key=idempotency_key,
            open_escalations=open_escalations,
            quantity=Decimal(quantity),
            occurred_at=_instant(occurred_at),
        ),
        idempotency_key,
    )


@shared_task(name="billing.emitters.instrumentation_run", **RETRYING)
def instrumentation_run(
    organization: str,
    idempotency_key: str,
    *,
    guardrails: Raised = (),
    quantity: str = "1",
    occurred_at: str | None = None,
) -> str:
    """Count runs on an instrument; returns as ``planner_finalization``."""
    return _status(
        lambda: recording.instrumentation_run(
            organization,
            idempotency_key=idempotency_key,
            guardrails=guardrails,
            quantity=Decimal(quantity),
            occurred_at=_instant(occurred_at),
        ),
        idempotency_key,
    )


@shared_task(name="billing.emitters.sequence_analysis", **RETRYING)
def sequence_analysis(
    organization: str,
    idempotency_key: str,
    *,
    units: str,
    guardrails: Raised = (),
    occurred_at: str | None = None,
) -> str:
    """Count units of sequence analysis; returns as ``planner_finalization``."""
    return _status(
        lambda: recording.sequence_analysis(
            organization,
            idempotency_key=idempotency_key,
            units=Decimal(units),
            guardrails=guardrails,
            occurred_at=_instant(occurred_at),
        ),
        idempotency_key,
    )


def _instant(text: str | None) -> datetime | None:
    return None if text is None else datetime.fromisoformat(text)


def _status(emit: Callable[[], BillingQuotaOutcome], key: str) -> str:
    try:
        outcome = emit()
    except PlanLimitError as refused:
        logs.event(
            "usage.emission_refused",
            level=logging.WARNING,
            code=refused.outcome.code,
            notes=refused.outcome.notes,
            key=key,
        )
        return refused.outcome.code
    return "duplicate" if outcome.duplicate else "accepted"
