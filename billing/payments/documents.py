"""What the API and the command line show of a provider's events."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any, TypedDict

from billing.models import ProviderInboxEvent


class ProviderEventDocument(TypedDict):
    """``reason`` says why it is ignored or parked, or how the last try failed; ``awaits`` what has to be known
    first."""

    id: str
    provider: str
    event_id: str
    type: str
    status: str
    organization_id: str | None
    occurred_at: str
    received_at: str
    attempts: int
    next_attempt_at: str | None
    awaits: str
    reason: str
    finished_at: str | None


class ProviderEventDetailDocument(ProviderEventDocument):
    """With the event as the provider sent it; null once it is not kept any more."""

    payload: Any


def event(row: ProviderInboxEvent) -> ProviderEventDocument:
    return {
        "id": str(row.id),
        "provider": row.provider,
        "event_id": row.event_id,
        "type": row.type,
        "status": row.status,
        "organization_id": str(row.organization_id) if row.organization_id else None,
        "occurred_at": instant(row.occurred_at),
        "received_at": instant(row.received_at),
        "attempts": row.attempts,
        "next_attempt_at": instant(row.next_attempt_at) if row.next_attempt_at else None,
        "awaits": row.awaits,
        "reason": row.reason,
        "finished_at": instant(row.finished_at) if row.finished_at else None,
    }


def event_detail(row: ProviderInboxEvent) -> ProviderEventDetailDocument:
    """Reads the body."""
    payload = None if row.body is None else json.loads(bytes(row.body))
    return {**event(row), "payload": payload}


def instant(at: datetime) -> str:
    return at.astimezone(UTC).isoformat().removesuffix("+00:00") + "Z"
