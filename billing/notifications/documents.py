"""Plain dictionaries of endpoints and deliveries: the API's bodies and the CLI's ``--json`` are the same documents."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import Any, TypedDict

from billing.models import WebhookAttempt, WebhookDelivery, WebhookEndpoint
from billing.notifications import messages
from billing.notifications.queries import Queue


class EndpointDocument(TypedDict):
    """``waiting`` messages, the first of which has failed ``failures`` times and is tried at ``next_attempt_at``."""

    id: str
    organization: str
    url: str
    description: str
    topics: list[str]
    status: str
    paused_at: str | None
    pause_reason: str
    waiting: int
    failures: int
    next_attempt_at: str | None
    last_delivered_at: str | None
    last_failed_at: str | None
    created_at: str


class NewEndpointDocument(EndpointDocument):
    secret: str


class DeliveryDocument(TypedDict):
    """``id`` is the message's, which the receiver knows as ``webhook-id``."""

    id: str
    endpoint: str
    topic: str
    status: str
    attempts: int
    next_attempt_at: str | None
    created_at: str
    finished_at: str | None


class AttemptDocument(TypedDict):
    """``error`` is "" where the message was taken; ``excerpt`` is the beginning of the answer's body."""

    number: int
    started_at: str
    duration_ms: int
    status_code: int | None
    error: str
    excerpt: str


class DeliveryDetailDocument(DeliveryDocument):
    payload: dict[str, Any]
    log: list[AttemptDocument]


def endpoint(endpoint: WebhookEndpoint, queue: Queue) -> EndpointDocument:
    return {
        "id": str(endpoint.id),
        "organization": str(endpoint.organization_id),
        "url": endpoint.url,
        "description": endpoint.description,
        "topics": endpoint.topics,
        "status": "active" if endpoint.paused_at is None else "paused",
        "paused_at": _instant(endpoint.paused_at),
        "pause_reason": endpoint.pause_reason,
        "waiting": queue.waiting,
        "failures": queue.failures,
        # A paused endpoint is not tried, whatever its queue says.
        "next_attempt_at": _instant(queue.next_attempt_at) if endpoint.paused_at is None else None,
        "last_delivered_at": _instant(endpoint.last_delivered_at),
        "last_failed_at": _instant(endpoint.last_failed_at),
        "created_at": messages.instant(endpoint.created_at),
    }


def new_endpoint(made: WebhookEndpoint, queue: Queue, secret: str) -> NewEndpointDocument:
    return {**endpoint(made, queue), "secret": secret}


def delivery(delivery: WebhookDelivery) -> DeliveryDocument:
    """Reads ``event``."""
    return {
        "id": str(delivery.event_id),
        "endpoint": str(delivery.endpoint_id),
        "topic": delivery.event.topic,
        "status": delivery.status,
        "attempts": delivery.attempts,
        "next_attempt_at": _instant(delivery.next_attempt_at),
        "created_at": messages.instant(delivery.created_at),
        "finished_at": _instant(delivery.finished_at),
    }


def delivery_detail(shown: WebhookDelivery, log: Iterable[WebhookAttempt]) -> DeliveryDetailDocument:
    return {
        **delivery(shown),
        "payload": messages.payload(shown.event),
        "log": [
            {
                "number": attempt.number,
                "started_at": messages.instant(attempt.started_at),
                "duration_ms": attempt.duration_ms,
                "status_code": attempt.status_code,
                "error": attempt.error,
                "excerpt": attempt.excerpt,
            }
            for attempt in log
        ],
    }


def _instant(at: datetime | None) -> str | None:
    return None if at is None else messages.instant(at)
