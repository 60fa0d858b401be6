"""Who did what to which object, when and why: immutable rows, written in the transaction of what they tell of."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, NamedTuple
from uuid import UUID

from django.db import DEFAULT_DB_ALIAS
from django.utils import timezone

from billing.infra import inserting, refusals
from billing.kernel.ids import new_id
from billing.models import AuditEntry

_ACTOR_LENGTH_MAX = 120
_REASON_LENGTH_MAX = 500


def record(
    *,
    actor: str,
    act: str,
    object_type: str,
    object_id: object,
    organization_id: UUID | None,
    reason: str = "",
    details: dict[str, Any] | None = None,
    survives_rollback: bool = False,
) -> None:
    """Add one row to the audit log, stamped with real time, also for a sandbox organization.

    ``actor`` is an ``Actor.name``; ``details`` is plain JSON, with amounts and quantities as strings. What was refused
    is told with ``survives_rollback``, on a connection apart from the transaction that the refusal ends.
    """
    AuditEntry.objects.using(refusals.ALIAS if survives_rollback else DEFAULT_DB_ALIAS).create(
        actor=actor[:_ACTOR_LENGTH_MAX],
        act=act,
        object_type=object_type,
        object_id=str(object_id),
        organization_id=organization_id,
        reason=reason[:_REASON_LENGTH_MAX],
        details=details or {},
        recorded_at=timezone.now(),
    )


class Entry(NamedTuple):
    """As the arguments of ``record``; of many acts, none of which needs a reason or details."""

    organization_id: UUID
    actor: str
    act: str
    object_type: str
    object_id: str


def record_all(entries: Iterable[Entry]) -> None:
    """Add many rows at once: what ``record`` does, for work on whole sets."""
    now = timezone.now()
    inserting.insert(
        AuditEntry,
        ("id", "recorded_at", *Entry._fields),
        ((new_id(), now, *entry._replace(actor=entry.actor[:_ACTOR_LENGTH_MAX])) for entry in entries),
    )
