"""Endpoints and events for tests, and a clock that a test moves."""

import base64
import hashlib
import hmac
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from django.db import transaction

from billing.accounts import actors
from billing.infra import outbox
from billing.models import Organization, OutboxEvent, WebhookDelivery, WebhookEndpoint
from billing.notifications import dispatch, operations
from tests.support import factories
from tests.support.factories import at
from tests.support.receivers import Received

ACTOR = actors.operator("ada")
NOW = at("2026-03-01 12:00:00")


@dataclass
class Clock:
    """Real time as the test has it. It stands still unless it is moved."""

    now: datetime = NOW

    def __call__(self) -> datetime:
        return self.now

    def move(self, **length: float) -> None:
        self.now += timedelta(**length)


def endpoint(
    url: str = "https://hooks.example.com/", *, organization: Organization | None = None, **fields: Any
) -> tuple[WebhookEndpoint, str]:
    """An endpoint and its secret."""
    return operations.create(
        organization=organization or factories.organization(), url=url, actor=ACTOR, now=NOW, **fields
    )


def emit(organization: Organization, *topics: str, when: datetime = NOW) -> list[str]:
    """One event for each topic; returns their ids."""
    with transaction.atomic():
        for number, topic in enumerate(topics):
            outbox.emit(organization_id=organization.id, topic=topic, payload={"n": str(number)}, now=when)
    latest = OutboxEvent.objects.filter(organization_id=organization.id).order_by("-position")[: len(topics)]
    return [str(event.id) for event in reversed(latest)]


def deliver(endpoint: WebhookEndpoint, clock: Clock, *, chance: float = 0.5) -> int:
    """Distribute, and work off what is due."""
    dispatch.distribute(now=clock.now)
    return dispatch.deliver(endpoint_id=endpoint.id, clock=clock, chance=lambda: chance, allow_local=True)


def states(endpoint: WebhookEndpoint) -> list[tuple[str, str]]:
    """(message id, status) of the endpoint's queue, first to last."""
    rows = WebhookDelivery.objects.filter(endpoint=endpoint).order_by("position")
    return [(str(event_id), status) for event_id, status in rows.values_list("event_id", "status")]


def is_signed(received: Received, secret: str) -> bool:
    """Whether one of the signatures is right, worked out from the published rules alone."""
    signed = f"{received.headers['webhook-id']}.{received.headers['webhook-timestamp']}.".encode() + received.body
    digest = hmac.new(base64.b64decode(secret.removeprefix("whsec_")), signed, hashlib.sha256).digest()
    return "v1," + base64.b64encode(digest).decode() in received.headers["webhook-signature"].split(" ")


def fresh(endpoint: WebhookEndpoint | UUID) -> WebhookEndpoint:
    return WebhookEndpoint.objects.get(id=endpoint if isinstance(endpoint, UUID) else endpoint.id)
