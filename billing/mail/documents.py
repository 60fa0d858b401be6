"""Plain dictionaries of messages: the same over the API and with ``--json``."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TypedDict

from billing.models import Mail


class MailDocument(TypedDict):
    """``reason`` says why it is skipped or parked, or how the last attempt failed."""

    id: str
    kind: str
    invoice: str | None
    to: str
    status: str
    reason: str
    attempts: int
    next_attempt_at: str | None
    created_at: str
    sent_at: str | None


def mail(row: Mail) -> MailDocument:
    """Reads ``invoice``."""
    return {
        "id": str(row.id),
        "kind": row.kind,
        "invoice": row.invoice.number if row.invoice else None,
        "to": row.to,
        "status": row.status,
        "reason": row.reason,
        "attempts": row.attempts,
        "next_attempt_at": _instant(row.next_attempt_at),
        "created_at": _instant(row.created_at) or "",
        "sent_at": _instant(row.sent_at),
    }


def _instant(at: datetime | None) -> str | None:
    return None if at is None else at.astimezone(UTC).isoformat().replace("+00:00", "Z")
