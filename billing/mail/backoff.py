"""When a message that could not be sent is tried again, and when no more: 8 attempts over a day and a half. Pure."""

from __future__ import annotations

from datetime import timedelta

WAITS = (
    timedelta(minutes=1),
    timedelta(minutes=5),
    timedelta(minutes=30),
    timedelta(hours=2),
    timedelta(hours=6),
    timedelta(hours=12),
    timedelta(hours=12),
)
ATTEMPTS_MAX = len(WAITS) + 1


def delay_after(attempts: int) -> timedelta | None:
    """How long to wait after the ``attempts``-th attempt failed; None where that was the last."""
    return WAITS[attempts - 1] if attempts < ATTEMPTS_MAX else None
