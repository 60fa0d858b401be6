"""From outbox rows to delivered messages: distribute, take, send (outside of any transaction), settle.

Work is found in rows, so neither a lost task nor a killed worker loses a message. An endpoint is worked on by one
worker at a time, who holds its lease. A worker that dies between sending and settling leaves a message that is sent
again when the lease has run out: at least once, and a receiver tells by ``webhook-id``.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from datetime import datetime, timedelta
from uuid import UUID

from django.db import connection
from django.db.models import Q
from django.db.transaction import atomic

from billing.infra import audit, logs
from billing.kernel import ids
from billing.models import (
    DeliveryStatus,
    PauseReason,
    WebhookAttempt,
    WebhookDelivery,
    WebhookEndpoint,
    WebhookSecret,
)
from billing.notifications import backoff, keeping, messages, sending, signing, topics
from billing.notifications.messages import Message
from billing.notifications.sending import Reply

# Longer than one attempt can take, so that nobody else starts while it lasts; renewed with each.
LEASE = timedelta(seconds=60)
# Then other endpoints have theirs; whatever is left is found by the next sweep.
TURN = timedelta(seconds=30)
DISTRIBUTE_BATCH = 2000
LOG_KEPT = timedelta(days=30)
USER_AGENT = "Countinghouse-Webhooks/1"
_JOB = "system:webhooks"
# In the key space of two integers, beside the catalog's.
_DISTRIBUTION_LOCK = (0x43484F55, 2)

# The endpoints that want an event get it into their queue, paused ones too, and only then does it count as processed:
# one statement, so there is no moment between.
_DISTRIBUTE = f"""
    WITH waiting AS MATERIALIZED (
        SELECT id, organization_id, topic, position FROM billing_outbox
        WHERE processed_at IS NULL ORDER BY position LIMIT %(batch)s
    ), queued AS (
        INSERT INTO webhook_deliveries
            (organization_id, endpoint_id, event_id, position, status, attempts, failures, next_attempt_at, created_at)
        SELECT waiting.organization_id, endpoint.id, waiting.id, waiting.position, 'pending', 0, 0, %(now)s, %(now)s
        FROM waiting JOIN webhook_endpoints AS endpoint
            ON endpoint.organization_id = waiting.organization_id AND endpoint.disabled_at IS NULL
        WHERE {topics.MATCH.format(topic="waiting.topic", patterns="endpoint.topics")}
        ON CONFLICT (organization_id, endpoint_id, event_id) DO NOTHING
    )
    UPDATE billing_outbox SET processed_at = %(now)s FROM waiting WHERE billing_outbox.id = waiting.id
"""  # noqa: S608 - put together from constants

_OLD = """
    SELECT delivery.id FROM webhook_deliveries AS delivery
    JOIN webhook_endpoints AS endpoint ON endpoint.id = delivery.endpoint_id
    WHERE delivery.finished_at < %(before)s OR endpoint.disabled_at < %(before)s
"""
_DROP_ATTEMPTS = f"DELETE FROM webhook_attempts WHERE started_at < %(before)s OR delivery_id IN ({_OLD})"  # noqa: S608
_DROP_DELIVERIES = f"DELETE FROM webhook_deliveries WHERE id IN ({_OLD})"  # noqa: S608


def distribute(*, now: datetime) -> int:
    """Put waiting events into the queues of the endpoints that want them; returns how many events that were.

    Also drains the events of organizations without an endpoint. One at a time: two would do the same work and wait for
    each other's rows. Whoever comes second leaves it to the first and returns 0.
    """
    distributed = 0
    while batch := _distribute_batch(now):
        distributed += batch
        if batch < DISTRIBUTE_BATCH:
            break
    return distributed


@atomic
def _distribute_batch(now: datetime) -> int:
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_try_advisory_xact_lock(%s, %s)", _DISTRIBUTION_LOCK)
        if not cursor.fetchone()[0]:
            return 0
        cursor.execute(_DISTRIBUTE, {"now": now, "batch": DISTRIBUTE_BATCH})
        return int(cursor.rowcount)


def deliver(*, endpoint_id: UUID, clock: Callable[[], datetime], chance: Callable[[], float], allow_local: bool) -> int:
    """Work off the endpoint's queue until nothing is due, or for ``TURN``; returns how many attempts were made.

    ``clock`` tells real time, as it passes here; ``chance`` a number in [0, 1) to spread retries.
    """
    holder, attempts, ends_at = ids.new_id(), 0, clock() + TURN
    while (now := clock()) < ends_at:
        message = take(endpoint_id=endpoint_id, holder=holder, now=now)
        if message is None:
            return attempts
        reply = send(message, now=now, allow_local=allow_local)
        attempts += 1
        if not settle(message=message, reply=reply, started_at=now, now=clock(), chance=chance()):
            return attempts
    release(endpoint_id=endpoint_id, holder=holder)
    return attempts


def take(*, endpoint_id: UUID, holder: UUID, now: datetime) -> Message | None:
    """The endpoint's next message if it is due at ``now``, under a lease that is ``holder``'s for ``LEASE``.

    None, and no lease, where nothing is due, the endpoint is paused or deleted, or somebody else holds it.
    """
    free = Q(leased_until=None) | Q(leased_until__lte=now) | Q(lease_holder=holder)
    taken = WebhookEndpoint.objects.filter(free, id=endpoint_id, disabled_at=None, paused_at=None).update(
        lease_holder=holder, leased_until=now + LEASE
    )
    if not taken:
        return None
    head = (
        WebhookDelivery.objects.filter(endpoint_id=endpoint_id, status=DeliveryStatus.PENDING)
        .select_related("event", "endpoint")
        .order_by("position")
        .first()
    )
    if head is None or head.next_attempt_at is None or head.next_attempt_at > now:
        release(endpoint_id=endpoint_id, holder=holder)
        return None
    secrets = WebhookSecret.objects.filter(endpoint_id=endpoint_id).order_by("-created_at", "-id")
    return Message(
        delivery_id=head.id,
        endpoint_id=endpoint_id,
        organization_id=head.organization_id,
        holder=holder,
        position=head.position,
        number=head.attempts + 1,
        failures=head.failures,
        id=str(head.event_id),
        topic=head.event.topic,
        url=head.endpoint.url,
        secrets=tuple(keeping.reveal(secret.text) for secret in secrets if secret.signs_at(now)),
        body=messages.body_of(head.event),
    )


def send(message: Message, *, now: datetime, allow_local: bool) -> Reply:
    """Make the attempt. No transaction may be open: the other side takes up to ``sending.TOTAL_SECONDS``."""
    headers = signing.headers(message.secrets, message_id=message.id, body=message.body, at=now)
    return sending.send(
        message.url,
        headers={"Content-Type": "application/json", "User-Agent": USER_AGENT, **headers},
        body=message.body,
        allow_local=allow_local,
    )


@atomic
def settle(*, message: Message, reply: Reply, started_at: datetime, now: datetime, chance: float) -> bool:
    """Write down how the attempt went: done, or when it is tried next, or that the endpoint is paused.

    ``chance`` in [0, 1) spreads the retries. False, and nothing written, where the lease is no longer the message's:
    then somebody else has taken over and sends it again.
    """
    seen = {"last_failed_at": now} if reply.error else {"last_delivered_at": now}
    held = WebhookEndpoint.objects.filter(id=message.endpoint_id, lease_holder=message.holder).update(**seen)
    if not held:
        logs.event("webhook.lease_lost", level=logging.WARNING, endpoint=message.endpoint_id, message=message.id)
        return False
    WebhookAttempt.objects.create(
        organization_id=message.organization_id,
        delivery_id=message.delivery_id,
        number=message.number,
        started_at=started_at,
        duration_ms=reply.duration_ms,
        status_code=reply.status_code,
        error=reply.error,
        excerpt=reply.excerpt,
    )
    delivery = WebhookDelivery.objects.filter(id=message.delivery_id)
    delivery.update(attempts=message.number)
    # Meanwhile it may have been skipped, and then queued anew: that is another matter than this attempt.
    queued = delivery.filter(status=DeliveryStatus.PENDING, position=message.position)
    if not reply.error:
        queued.update(status=DeliveryStatus.DELIVERED, failures=0, next_attempt_at=None, finished_at=now)
        return True
    failures = message.failures + 1
    queued.update(failures=failures, next_attempt_at=now + backoff.delay_after(failures, chance=chance))
    if backoff.is_exhausted(failures):
        _pause(message, now)
    return True


def release(*, endpoint_id: UUID, holder: UUID) -> None:
    """Give a lease back before its end."""
    WebhookEndpoint.objects.filter(id=endpoint_id, lease_holder=holder).update(lease_holder=None, leased_until=None)


@atomic
def prune(*, now: datetime) -> int:
    """Drop attempts and finished deliveries that are older than ``LOG_KEPT``; returns how many deliveries went."""
    with connection.cursor() as cursor:
        cursor.execute(_DROP_ATTEMPTS, {"before": now - LOG_KEPT})
        cursor.execute(_DROP_DELIVERIES, {"before": now - LOG_KEPT})
        return int(cursor.rowcount)


def _pause(message: Message, now: datetime) -> None:
    paused = WebhookEndpoint.objects.filter(id=message.endpoint_id, paused_at=None).update(
        paused_at=now, pause_reason=PauseReason.FAILING
    )
    if not paused:
        return
    audit.record(
        actor=_JOB,
        act="webhook.pause",
        object_type="webhook_endpoint",
        object_id=message.endpoint_id,
        organization_id=message.organization_id,
        reason=PauseReason.FAILING,
        details={"message": message.id, "attempts": message.number},
    )
    logs.event(
        "webhook.endpoint_paused",
        level=logging.WARNING,
        organization=message.organization_id,
        endpoint=message.endpoint_id,
        message=message.id,
    )
