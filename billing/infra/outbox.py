"""Domain events as rows of the transaction that caused them.

Nothing is sent from here: whoever delivers finds the rows that wait, so neither a lost broker nor a killed process
loses an event, and a rollback takes its events along.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any, NamedTuple
from uuid import UUID

from django.db import transaction

from billing.infra import inserting
from billing.kernel.ids import new_id
from billing.models import OutboxEvent


class Event(NamedTuple):
    """``payload`` is plain JSON: amounts and quantities as strings."""

    organization_id: UUID
    topic: str
    payload: dict[str, Any]
    created_at: datetime


def emit(*, organization_id: UUID, topic: str, payload: Mapping[str, Any], now: datetime) -> None:
    """Add one event to the caller's transaction.

    Raises ``TransactionManagementError`` outside a transaction: an event that commits without its cause, or a cause
    without its event, is what this table exists to prevent.
    """
    emit_all([Event(organization_id, topic, dict(payload), now)])


def emit_all(events: Iterable[Event]) -> None:
    """Add many events at once: what ``emit`` does, for work on whole sets."""
    rows = list(events)
    if rows and not transaction.get_connection().in_atomic_block:
        raise transaction.TransactionManagementError(f"outbox event {rows[0].topic} outside of a transaction")
    inserting.insert(OutboxEvent, ("id", *Event._fields), ((new_id(), *row) for row in rows))
