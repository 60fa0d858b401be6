"""Emitters: what planner, instrumentation and analytics call to tell what they used, with what guardrails said of it.

    emitters.planner_finalization(organization, idempotency_key=f"plan-{plan.pk}", open_escalations=plan.escalations)

Inside a transaction the use commits with it; outside, in one of its own. The same as Celery tasks (``emitters.tasks``),
and as signals (``emitters.signals``), which are always part of their sender's transaction. Each use is counted once for
its key, whichever of the three told it.
"""

from billing.emitters.recording import (
    ANALYTICS,
    INSTRUMENTATION,
    OPEN_ESCALATION,
    PLANNER,
    instrumentation_run,
    planner_finalization,
    sequence_analysis,
)
from billing.metering.flagging import Guardrail, GuardrailInvalid

__all__ = [
    "ANALYTICS",
    "INSTRUMENTATION",
    "OPEN_ESCALATION",
    "PLANNER",
    "Guardrail",
    "GuardrailInvalid",
    "instrumentation_run",
    "planner_finalization",
    "sequence_analysis",
]
