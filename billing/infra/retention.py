"""What is kept for a time only. Nothing that a sum, a window, a ledger or a chain is made of is here.

Rows carry version 7 identifiers, which begin with the milliseconds of real time: so what is old is found by its key,
without an index of its own, in sandboxes too.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from uuid import UUID

from django.conf import settings
from django.db import connection

# Rows a statement: no lock is held for long, and nothing waits for a day's worth.
BATCH = 5000

_PAYLOADS = """
DELETE FROM usage_event_payloads WHERE event_id IN (
    SELECT event_id FROM usage_event_payloads WHERE event_id < %(before)s ORDER BY event_id LIMIT %(batch)s)
"""
_REQUESTS = """
DELETE FROM billing_idempotent_requests WHERE id IN (
    SELECT id FROM billing_idempotent_requests WHERE created_at < %(before_at)s ORDER BY id LIMIT %(batch)s)
"""
_OUTBOX = """
DELETE FROM billing_outbox WHERE id IN (
    SELECT event.id FROM billing_outbox AS event
    WHERE event.id < %(before)s AND event.processed_at IS NOT NULL
        AND NOT EXISTS (SELECT FROM webhook_deliveries AS delivery
            WHERE delivery.organization_id = event.organization_id AND delivery.event_id = event.id)
    ORDER BY event.id LIMIT %(batch)s)
"""


def prune(*, now: datetime) -> dict[str, int]:
    """Drop what is older than its setting says; returns how many rows of what. ``now`` is real time.

    A setting of 0 days keeps for ever.
    """
    kept = {
        "payloads": (_PAYLOADS, settings.BILLING_PAYLOADS_KEPT_DAYS),
        "requests": (_REQUESTS, settings.BILLING_REQUESTS_KEPT_DAYS),
        "outbox": (_OUTBOX, settings.BILLING_OUTBOX_KEPT_DAYS),
    }
    return {
        name: _drop(statement, before=now - timedelta(days=days)) if days else 0
        for name, (statement, days) in kept.items()
    }


def first_id(at: datetime) -> UUID:
    """The lowest identifier that a row of ``at`` can have."""
    return UUID(int=int(at.timestamp() * 1000) << 80)


def _drop(statement: str, *, before: datetime) -> int:
    dropped = 0
    with connection.cursor() as cursor:
        while True:
            cursor.execute(statement, {"before": first_id(before), "before_at": before, "batch": BATCH})
            count = int(cursor.rowcount)
            dropped += count
            if count < BATCH:
                return dropped
