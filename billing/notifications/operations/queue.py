"""The queue of an endpoint: a test message, skipping what blocks it, and sending again."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from django.db import connection
from django.db.transaction import atomic

from billing.accounts.actors import Actor
from billing.kernel.errors import Conflict, Invalid
from billing.models import NEXT_POSITION, DeliveryStatus, OutboxEvent, WebhookDelivery, WebhookEndpoint
from billing.notifications import queries, topics
from billing.notifications.operations import rows

REPLAY_MAX = 10_000

_IN_RANGE = f"""
    FROM billing_outbox AS event, webhook_endpoints AS endpoint
    WHERE endpoint.id = %(endpoint)s AND event.organization_id = endpoint.organization_id
        AND event.created_at >= %(since)s AND event.created_at < %(until)s
        AND event.processed_at IS NOT NULL AND event.topic <> %(test)s
        AND {topics.MATCH.format(topic="event.topic", patterns="endpoint.topics")}
"""
_COUNT = f"SELECT count(*) FROM (SELECT event.id {_IN_RANGE} LIMIT %(limit)s) AS found"  # noqa: S608 - constants too
# What waits already stays where it is; the rest goes to the end of the queue, in its order.
_REPLAY = f"""
    INSERT INTO webhook_deliveries AS delivery
        (organization_id, endpoint_id, event_id, position, status, attempts, failures, next_attempt_at, created_at)
    SELECT organization_id, %(endpoint)s, id, nextval('billing_outbox_position'), 'pending', 0, 0, %(now)s, %(now)s
    FROM (SELECT event.organization_id, event.id {_IN_RANGE} ORDER BY event.position) AS chosen
    ON CONFLICT (organization_id, endpoint_id, event_id) DO UPDATE
    SET position = excluded.position, status = 'pending', failures = 0, next_attempt_at = excluded.next_attempt_at,
        finished_at = NULL
    WHERE delivery.status <> 'pending'
"""  # noqa: S608 - put together from constants


class EndpointPaused(Conflict):
    """Nothing is sent to a paused endpoint."""

    code = "webhook_endpoint_paused"


class DeliveryFinished(Conflict):
    """What is delivered or skipped cannot be skipped."""

    code = "webhook_delivery_finished"


@atomic
def send_test(*, endpoint: WebhookEndpoint, actor: Actor, now: datetime, told_at: datetime) -> WebhookDelivery:
    """Queue a message ``webhook.test`` for this endpoint alone, whatever it subscribed to.

    ``told_at`` is the organization's time, ``now`` real time. Raises ``EndpointPaused``.
    """
    endpoint = rows.lock(endpoint)
    if endpoint.paused_at is not None:
        raise EndpointPaused("This endpoint is paused; resume it first.")
    event = OutboxEvent.objects.create(
        organization_id=endpoint.organization_id,
        topic=topics.TEST,
        payload={"endpoint_id": str(endpoint.id)},
        created_at=told_at,
        processed_at=now,
    )
    delivery = WebhookDelivery.objects.create(
        organization_id=endpoint.organization_id,
        endpoint=endpoint,
        event=event,
        position=OutboxEvent.objects.values_list("position", flat=True).get(id=event.id),
        next_attempt_at=now,
        created_at=now,
    )
    rows.record("test", endpoint, actor, message=str(event.id))
    return delivery


@atomic
def skip(*, endpoint: WebhookEndpoint, message_id: str, actor: Actor, now: datetime) -> WebhookDelivery:
    """Give one message up, so that those behind it move on. Raises ``DeliveryNotFound`` or ``DeliveryFinished``."""
    endpoint = rows.lock(endpoint)
    delivery = queries.get_delivery(endpoint, message_id)
    skipped = WebhookDelivery.objects.filter(id=delivery.id, status=DeliveryStatus.PENDING).update(
        status=DeliveryStatus.SKIPPED, next_attempt_at=None, finished_at=now
    )
    if not skipped:
        raise DeliveryFinished("This message does not wait any more.")
    rows.record("skip", endpoint, actor, message=message_id)
    return queries.get_delivery(endpoint, message_id)


@atomic
def replay(*, endpoint: WebhookEndpoint, message_id: str, actor: Actor, now: datetime) -> WebhookDelivery:
    """Send one message again, after all that waits now; one that waits itself keeps its place and is tried at once.

    Raises ``DeliveryNotFound``.
    """
    endpoint = rows.lock(endpoint)
    delivery = queries.get_delivery(endpoint, message_id)
    row = WebhookDelivery.objects.filter(id=delivery.id)
    if not row.filter(status=DeliveryStatus.PENDING).update(next_attempt_at=now):
        row.update(
            status=DeliveryStatus.PENDING, position=NEXT_POSITION, failures=0, next_attempt_at=now, finished_at=None
        )
    rows.record("replay", endpoint, actor, message=message_id)
    return queries.get_delivery(endpoint, message_id)


@atomic
def replay_range(*, endpoint: WebhookEndpoint, since: datetime, until: datetime, actor: Actor, now: datetime) -> int:
    """Queue every event of ``[since, until)`` that the endpoint subscribes to, in order, behind all that waits.

    Times are the organization's. Events from before the endpoint was there come too; those that wait already keep
    their place. Returns how many were queued. Raises ``Invalid`` for an empty range or one of too many events.
    """
    if until <= since:
        raise Invalid("A range ends after it starts.", field="until")
    endpoint = rows.lock(endpoint)
    chosen: dict[str, UUID | datetime | str | int] = {
        "endpoint": endpoint.id,
        "since": since,
        "until": until,
        "test": topics.TEST,
        "limit": REPLAY_MAX + 1,
        "now": now,
    }
    with connection.cursor() as cursor:
        cursor.execute(_COUNT, chosen)
        if cursor.fetchone()[0] > REPLAY_MAX:
            raise Invalid(f"A range holds at most {REPLAY_MAX} events; take a shorter one.", field="since")
        cursor.execute(_REPLAY, chosen)
        queued = int(cursor.rowcount)
    rows.record("replay", endpoint, actor, since=since.isoformat(), until=until.isoformat(), queued=queued)
    return queued
