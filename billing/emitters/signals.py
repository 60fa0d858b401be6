"""Signals that a host fires where it would rather not call: each is counted in the transaction of whoever sends it.

    signals.instrumentation_run_finished.send(sender=Run, organization=run.tenant, idempotency_key=f"run-{run.pk}")

The other arguments are those of the emitter of the same name. A refusal is raised through ``send`` (and so ends the
sender's transaction, unless it is caught in a savepoint); ``send_robust`` gives it back. Outside a transaction nothing
is counted and ``HostTransactionMissing`` is raised.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from django.db import DEFAULT_DB_ALIAS, connections
from django.dispatch import Signal

from billing.emitters import recording
from billing.enforcement import HostTransactionMissing
from billing.lifecycle.quota import BillingQuotaOutcome

planner_finalized = Signal()
instrumentation_run_finished = Signal()
sequence_analyzed = Signal()

_EMITTERS: tuple[tuple[Signal, Callable[..., BillingQuotaOutcome]], ...] = (
    (planner_finalized, recording.planner_finalization),
    (instrumentation_run_finished, recording.instrumentation_run),
    (sequence_analyzed, recording.sequence_analysis),
)


def connect() -> None:
    """Listen to the signals. Connecting twice is connecting once."""
    for signal, emit in _EMITTERS:
        signal.connect(_receiver(emit), weak=False, dispatch_uid=f"billing.emitters.{emit.__name__}")


def _receiver(emit: Callable[..., BillingQuotaOutcome]) -> Callable[..., BillingQuotaOutcome]:
    def receive(sender: object, signal: Signal, organization: Any, **arguments: Any) -> BillingQuotaOutcome:
        if not connections[DEFAULT_DB_ALIAS].in_atomic_block:
            raise HostTransactionMissing("The signal was sent outside a transaction: send it in transaction.atomic().")
        return emit(organization, **arguments)

    return receive
