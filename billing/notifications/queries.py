"""Reading endpoints, their queues and their logs."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from django.db import connection
from django.db.models import Count

from billing.kernel import ids
from billing.kernel.errors import NotFound
from billing.models import DeliveryStatus, Organization, WebhookAttempt, WebhookDelivery, WebhookEndpoint

# Endpoints that may be worked on, whose first delivery in the queue is due: those that failed least first, so that the
# ones that do not answer cannot keep the others waiting.
_DUE = """
    SELECT endpoint.id
    FROM webhook_endpoints AS endpoint
    CROSS JOIN LATERAL (
        SELECT failures, next_attempt_at FROM webhook_deliveries
        WHERE endpoint_id = endpoint.id AND status = 'pending' ORDER BY position LIMIT 1
    ) AS head
    WHERE endpoint.disabled_at IS NULL AND endpoint.paused_at IS NULL
        AND (endpoint.leased_until IS NULL OR endpoint.leased_until <= %(now)s)
        AND head.next_attempt_at <= %(now)s
    ORDER BY head.failures, head.next_attempt_at, endpoint.id
    LIMIT %(limit)s
"""


class EndpointNotFound(NotFound):
    """No such endpoint, or none that the caller may know of."""


class DeliveryNotFound(NotFound):
    """The endpoint never had this message, or the log of it has been dropped."""


@dataclass(frozen=True, slots=True)
class Queue:
    """What waits for an endpoint: how many, how often the first failed, and when it is tried next."""

    waiting: int = 0
    failures: int = 0
    next_attempt_at: datetime | None = None


def list_endpoints(organization: Organization) -> Sequence[WebhookEndpoint]:
    """Those that were not deleted, oldest first."""
    return list(
        WebhookEndpoint.objects.filter(organization=organization, disabled_at=None).order_by("created_at", "id")
    )


def get_endpoint(organization: Organization, endpoint_id: str) -> WebhookEndpoint:
    """An endpoint of ``organization``; raises ``EndpointNotFound``."""
    found = _endpoint(endpoint_id)
    if found is None or found.organization_id != organization.id:
        raise _no_endpoint()
    return found


def get_endpoint_by_id(endpoint_id: str) -> WebhookEndpoint:
    """Any organization's; raises ``EndpointNotFound``."""
    found = _endpoint(endpoint_id)
    if found is None:
        raise _no_endpoint()
    return found


def queues_of(endpoints: Collection[WebhookEndpoint]) -> Mapping[UUID, Queue]:
    """The queue of each endpoint, in two queries."""
    pending = WebhookDelivery.objects.filter(endpoint__in=endpoints, status=DeliveryStatus.PENDING)
    counts = dict(pending.order_by().values_list("endpoint").annotate(Count("id")))
    heads = {head.endpoint_id: head for head in pending.order_by("endpoint", "position").distinct("endpoint")}
    return {
        each.id: Queue(counts[each.id], heads[each.id].failures, heads[each.id].next_attempt_at)
        if each.id in heads and each.id in counts
        else Queue()
        for each in endpoints
    }


def list_due(*, now: datetime, limit: int) -> Sequence[UUID]:
    """Endpoints with something to deliver at ``now``, those that failed least first."""
    with connection.cursor() as cursor:
        cursor.execute(_DUE, {"now": now, "limit": limit})
        return [row[0] for row in cursor.fetchall()]


def list_deliveries(
    endpoint: WebhookEndpoint,
    *,
    status: str | None = None,
    before_position: int | None = None,
    after_position: int | None = None,
    limit: int = 50,
) -> Sequence[WebhookDelivery]:
    """A page of the endpoint's deliveries with their events, last in the queue first; ``before_position`` continues it,
    ``after_position`` goes back to the one before it."""
    rows = WebhookDelivery.objects.filter(endpoint=endpoint).select_related("event").order_by("-position")
    if status is not None:
        rows = rows.filter(status=status)
    if after_position is not None:
        return list(rows.filter(position__gt=after_position).order_by("position")[:limit])[::-1]
    if before_position is not None:
        rows = rows.filter(position__lt=before_position)
    return list(rows[:limit])


def get_delivery(endpoint: WebhookEndpoint, message_id: str) -> WebhookDelivery:
    """The delivery of one message with its event; raises ``DeliveryNotFound``."""
    wanted = ids.parse_uuid(message_id)
    found = (
        None
        if wanted is None
        else WebhookDelivery.objects.select_related("event")
        .filter(organization_id=endpoint.organization_id, endpoint=endpoint, event_id=wanted)
        .first()
    )
    if found is None:
        raise DeliveryNotFound("No such delivery.")
    return found


def list_attempts(delivery: WebhookDelivery) -> Sequence[WebhookAttempt]:
    """All attempts that are still in the log, first to last."""
    return list(WebhookAttempt.objects.filter(delivery=delivery).order_by("number"))


def last_attempts(deliveries: Collection[WebhookDelivery]) -> Mapping[int, WebhookAttempt]:
    """The last attempt of each delivery that has one in the log, by the delivery's key."""
    found = WebhookAttempt.objects.filter(delivery__in=deliveries).order_by("delivery", "-number")
    return {attempt.delivery_id: attempt for attempt in found.distinct("delivery")}


def _endpoint(endpoint_id: str) -> WebhookEndpoint | None:
    wanted = ids.parse_uuid(endpoint_id)
    if wanted is None:
        return None
    return WebhookEndpoint.objects.select_related("organization").filter(id=wanted, disabled_at=None).first()


def _no_endpoint() -> EndpointNotFound:
    return EndpointNotFound("No such webhook endpoint.")
