"""Webhook endpoints and what was delivered to them, as pages show it: frozen. Their times are real ones."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from zoneinfo import ZoneInfo

from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from billing.accounts import actors
from billing.accounts.actors import Act, Actor
from billing.models import (
    DeliveryStatus,
    Organization,
    PauseReason,
    WebhookAttempt,
    WebhookDelivery,
    WebhookEndpoint,
)
from billing.notifications import queries
from billing.notifications.queries import Queue
from marketplace import wording
from marketplace.dashboard import paging
from marketplace.dashboard.paging import Links
from marketplace.wording import Label, Moment

PAGE_LENGTH = 25
_STATUS = {
    DeliveryStatus.PENDING: (gettext_lazy("Waiting"), "calm"),
    DeliveryStatus.DELIVERED: (gettext_lazy("Delivered"), "good"),
    DeliveryStatus.SKIPPED: (gettext_lazy("Given up"), "warn"),
}


@dataclass(frozen=True, slots=True)
class EndpointRow:
    """``next_at`` is when the first message that waits is tried, where something waits and it is not paused."""

    reference: str
    url: str
    description: str
    topics: tuple[str, ...]
    status: Label
    is_paused: bool
    waiting: int
    failures: int
    next_at: Moment | None
    last_delivered_at: Moment | None
    last_failed_at: Moment | None


@dataclass(frozen=True, slots=True)
class DeliveryRow:
    """``answer`` is what the last attempt brought, ``excerpt`` the beginning of the body."""

    reference: str
    topic: str
    status: Label
    is_waiting: bool
    attempts: int
    queued_at: Moment
    next_at: Moment | None
    finished_at: Moment | None
    answer: str
    excerpt: str


@dataclass(frozen=True, slots=True)
class WebhooksPage:
    endpoints: tuple[EndpointRow, ...]


@dataclass(frozen=True, slots=True)
class EndpointPage:
    endpoint: EndpointRow
    deliveries: tuple[DeliveryRow, ...]
    links: Links


def webhooks_page(*, organization: Organization, actor: Actor) -> WebhooksPage:
    """Raises ``OrganizationNotFound`` or ``Forbidden``."""
    actors.require(actor, Act.WEBHOOKS, organization)
    zone, found = ZoneInfo(organization.zone), queries.list_endpoints(organization)
    queues = queries.queues_of(found)
    return WebhooksPage(tuple(_endpoint(each, queues[each.id], zone) for each in found))


def endpoint_page(
    *, organization: Organization, endpoint: WebhookEndpoint, query: Mapping[str, str], actor: Actor
) -> EndpointPage:
    """One of ``organization``'s endpoints with a page of its deliveries, last queued first."""
    actors.require(actor, Act.WEBHOOKS, organization)
    zone, wanted = ZoneInfo(organization.zone), paging.read_number(query)
    found = queries.list_deliveries(
        endpoint, before_position=wanted.before, after_position=wanted.after, limit=PAGE_LENGTH + 1
    )
    shown, links = paging.cut(found, wanted, length=PAGE_LENGTH, key=lambda row: row.position)
    attempts = queries.last_attempts(shown)
    return EndpointPage(
        endpoint=_endpoint(endpoint, queries.queues_of([endpoint])[endpoint.id], zone),
        deliveries=tuple(
            _delivery(row, attempts.get(row.pk), zone, is_paused=endpoint.paused_at is not None) for row in shown
        ),
        links=links,
    )


def _endpoint(endpoint: WebhookEndpoint, queue: Queue, zone: ZoneInfo) -> EndpointRow:
    is_paused = endpoint.paused_at is not None
    return EndpointRow(
        reference=str(endpoint.id),
        url=endpoint.url,
        description=endpoint.description,
        topics=tuple(endpoint.topics),
        status=_endpoint_status(endpoint, queue),
        is_paused=is_paused,
        waiting=queue.waiting,
        failures=queue.failures,
        next_at=wording.moment(queue.next_attempt_at, zone) if queue.next_attempt_at and not is_paused else None,
        last_delivered_at=wording.moment(endpoint.last_delivered_at, zone) if endpoint.last_delivered_at else None,
        last_failed_at=wording.moment(endpoint.last_failed_at, zone) if endpoint.last_failed_at else None,
    )


def _endpoint_status(endpoint: WebhookEndpoint, queue: Queue) -> Label:
    if endpoint.pause_reason == PauseReason.FAILING:
        return Label(_("Paused: it kept failing"), "bad")
    if endpoint.paused_at is not None:
        return Label(_("Paused"), "warn")
    if queue.failures:
        return Label(_("Failing"), "warn")
    return Label(_("Active"), "good")


def _delivery(row: WebhookDelivery, attempt: WebhookAttempt | None, zone: ZoneInfo, *, is_paused: bool) -> DeliveryRow:
    is_waiting = row.status == DeliveryStatus.PENDING
    text, tone = _STATUS[DeliveryStatus(row.status)]
    status = Label(_("Failing"), "warn") if is_waiting and row.failures else Label(str(text), tone)
    return DeliveryRow(
        reference=str(row.event_id),
        topic=row.event.topic,
        status=status,
        is_waiting=is_waiting,
        attempts=row.attempts,
        queued_at=wording.moment(row.created_at, zone),
        next_at=wording.moment(row.next_attempt_at, zone) if row.next_attempt_at and not is_paused else None,
        finished_at=wording.moment(row.finished_at, zone) if row.finished_at else None,
        answer=_answer(attempt) if attempt else "",
        excerpt=attempt.excerpt if attempt else "",
    )


def _answer(attempt: WebhookAttempt) -> str:
    said = str(attempt.status_code) if attempt.status_code else attempt.error.replace("_", " ")
    return _("%(answer)s after %(duration)s ms") % {"answer": said, "duration": attempt.duration_ms}
