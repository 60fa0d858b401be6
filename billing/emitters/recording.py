"""The three kinds of work that tell their use, each a typed call onto the one recording path."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from decimal import Decimal

from billing import enforcement
from billing.accounts.queries import Reference
from billing.enforcement import Use
from billing.lifecycle.quota import BillingQuotaOutcome
from billing.metering import flagging
from billing.metering.flagging import Guardrail, Raised

PLANNER, INSTRUMENTATION, ANALYTICS = "planner", "instrumentation", "analytics"
# Stands beside the codes of open escalations, so that a plan can have one rule for all of them.
OPEN_ESCALATION = "open_escalation"


def planner_finalization(
    organization: Reference,
    *,
    idempotency_key: str,
    open_escalations: Iterable[Raised] = (),
    quantity: Decimal | int = 1,
    occurred_at: datetime | None = None,
    now: datetime | None = None,
) -> BillingQuotaOutcome:
    """Count plans that the planner finalized, with the codes of the escalations that were open then.

    Raises ``PlanLimitError`` if the plan refuses, ``Busy`` where the same call should be made again,
    ``GuardrailInvalid`` and ``UsageInvalid`` for what no plan could admit, ``IdempotencyConflict`` for a key that
    stands for another use.
    """
    raised = flagging.read(open_escalations)
    family = (Guardrail(OPEN_ESCALATION),) if raised else ()
    return _record(
        Use(
            organization,
            "planner_finalization",
            quantity,
            idempotency_key,
            PLANNER,
            occurred_at,
            PLANNER,
            flagging.flags_of((*raised, *family)),
            flagging.payload_of(raised),
        ),
        now,
    )


def instrumentation_run(
    organization: Reference,
    *,
    idempotency_key: str,
    guardrails: Iterable[Raised] = (),
    quantity: Decimal | int = 1,
    occurred_at: datetime | None = None,
    now: datetime | None = None,
) -> BillingQuotaOutcome:
    """Count runs on an instrument, with the flags that its guardrails raised. Raises as ``planner_finalization``."""
    raised = flagging.read(guardrails)
    return _record(
        Use(
            organization,
            "instrumentation_run",
            quantity,
            idempotency_key,
            INSTRUMENTATION,
            occurred_at,
            INSTRUMENTATION,
            flagging.flags_of(raised),
            flagging.payload_of(raised),
        ),
        now,
    )


def sequence_analysis(
    organization: Reference,
    *,
    idempotency_key: str,
    units: Decimal | int,
    guardrails: Iterable[Raised] = (),
    occurred_at: datetime | None = None,
    now: datetime | None = None,
) -> BillingQuotaOutcome:
    """Count the units that a sequence analysis took. Raises as ``planner_finalization``."""
    raised = flagging.read(guardrails)
    return _record(
        Use(
            organization,
            "sequence_analysis",
            units,
            idempotency_key,
            ANALYTICS,
            occurred_at,
            ANALYTICS,
            flagging.flags_of(raised),
            flagging.payload_of(raised),
        ),
        now,
    )


def _record(use: Use, now: datetime | None) -> BillingQuotaOutcome:
    def act() -> BillingQuotaOutcome:
        with enforcement.enforce_many([use], now=now) as (outcome,):
            return outcome

    return enforcement.rerun_once(act)
