"""Writing endpoints and their queues by hand. Every operation leaves a row in the audit log."""

from billing.notifications.operations.endpoints import create, disable, pause, resume, rotate, update
from billing.notifications.operations.queue import replay, replay_range, send_test, skip

__all__ = [
    "create",
    "disable",
    "pause",
    "replay",
    "replay_range",
    "resume",
    "rotate",
    "send_test",
    "skip",
    "update",
]
