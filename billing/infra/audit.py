"""Who did what to which object, when and why: immutable rows, written in the transaction of what they tell of."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any
from uuid import UUID

from django.db import DEFAULT_DB_ALIAS
from django.utils import timezone

from billing.infra import inserting, refusals
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


def record_all(entries: Iterable[AuditEntry]) -> None:
    """Add many rows at once, unsaved ones without ``recorded_at``: what ``record`` does, for work on whole sets."""
    rows = list(entries)
    now = timezone.now()
    for row in rows:
        row.actor, row.reason, row.recorded_at = row.actor[:_ACTOR_LENGTH_MAX], row.reason[:_REASON_LENGTH_MAX], now
    inserting.insert(rows)
