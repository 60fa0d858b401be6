"""A message as it goes over the wire: the same bytes at every attempt."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from billing.models import OutboxEvent


@dataclass(frozen=True, slots=True)
class Message:
    """One attempt that is to be made: what, whereto, signed with which secrets, and under whose lease."""

    delivery_id: int
    endpoint_id: UUID
    organization_id: UUID
    holder: UUID
    position: int
    number: int
    failures: int
    id: str
    topic: str
    url: str
    secrets: tuple[str, ...]
    body: bytes

    def __repr__(self) -> str:
        return f"<Message {self.id} to {self.endpoint_id}, attempt {self.number}>"


def payload(event: OutboxEvent) -> dict[str, Any]:
    """``type``, ``timestamp`` (when it happened, by the organization's clock) and ``data`` with the organization."""
    return {
        "type": event.topic,
        "timestamp": instant(event.created_at),
        "data": {**event.payload, "organization_id": str(event.organization_id)},
    }


def body_of(event: OutboxEvent) -> bytes:
    """The payload as compact ASCII JSON. PostgreSQL keeps the order of its keys, so the bytes never change."""
    return json.dumps(payload(event), separators=(",", ":")).encode()


def instant(at: datetime) -> str:
    """RFC 3339 in UTC with ``Z``."""
    return at.astimezone(UTC).isoformat().removesuffix("+00:00") + "Z"
