"""Who did what to which object, when and why: immutable rows, written in the transaction of what they tell of."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from django.utils import timezone

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
) -> None:
    """Add one row to the audit log, stamped with real time, also for a sandbox organization.

    ``actor`` is an ``Actor.name``; ``details`` is plain JSON, with amounts and quantities as strings.
    """
    AuditEntry.objects.create(
        actor=actor[:_ACTOR_LENGTH_MAX],
        act=act,
        object_type=object_type,
        object_id=str(object_id),
        organization_id=organization_id,
        reason=reason[:_REASON_LENGTH_MAX],
        details=details or {},
        recorded_at=timezone.now(),
    )
