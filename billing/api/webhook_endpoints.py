"""Webhook endpoints of an organization, and what was delivered to them."""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated, Any, Literal, TypedDict

from msgspec import Meta, field

from billing.accounts.actors import Act
from billing.api import pagination
from billing.api.endpoint import Answer, ApiView, Call, endpoint
from billing.api.pagination import NumberKey, PageQuery
from billing.api.wire import Instant, Nothing, Request
from billing.models import WebhookEndpoint
from billing.notifications import documents, operations, queries, targets, topics
from billing.notifications.documents import (
    DeliveryDetailDocument,
    DeliveryDocument,
    EndpointDocument,
    NewEndpointDocument,
)

TAG = "webhooks"
Url = Annotated[str, Meta(min_length=1, max_length=targets.LENGTH_MAX)]
Topics = Annotated[list[Annotated[str, Meta(max_length=topics.LENGTH_MAX)]], Meta(max_length=topics.PATTERNS_MAX)]
Description = Annotated[str, Meta(max_length=200)]


class NewEndpoint(Request, frozen=True):
    """``topics`` by name, by prefix (``invoice.*``), or all (``*``)."""

    url: Url
    topics: Topics = field(default_factory=lambda: [topics.ALL])
    description: Description = ""


class EndpointChange(Request, frozen=True):
    """What is left out, or null, stays as it is."""

    url: Url | None = None
    topics: Topics | None = None
    description: Description | None = None


class Rotation(Request, frozen=True):
    """For how long the old secret signs too."""

    grace_hours: Annotated[int, Meta(ge=0, le=168)] = 24


class Range(Request, frozen=True):
    """Events of ``[since, until)`` by the organization's time, until now where nothing is said."""

    since: Instant
    until: Instant | None = None


class DeliveriesQuery(PageQuery, frozen=True):
    status: Literal["pending", "delivered", "skipped"] | None = None


class EndpointsDocument(TypedDict):
    results: list[EndpointDocument]


class ReplayedDocument(TypedDict):
    queued: int


class WebhookEndpoints(ApiView):
    @endpoint("List webhook endpoints", responses={200: EndpointsDocument}, act=Act.WEBHOOKS, tag=TAG)
    def get(self, call: Call[Nothing, Nothing], organization_ref: str) -> Answer:
        """All endpoints, oldest first. Secrets are not shown again."""
        found = queries.list_endpoints(call.organization(organization_ref, Act.WEBHOOKS))
        queues = queries.queues_of(found)
        return Answer(200, {"results": [documents.endpoint(each, queues[each.id]) for each in found]})

    @endpoint(
        "Create a webhook endpoint",
        responses={201: NewEndpointDocument},
        act=Act.WEBHOOKS,
        tag=TAG,
        problems=(409,),
    )
    def post(self, call: Call[NewEndpoint, Nothing], organization_ref: str) -> Answer:
        """The secret is in this answer and nowhere else, so this call takes no ``Idempotency-Key``: a lost answer
        means an endpoint to delete. At most 20 endpoints."""
        made, secret = operations.create(
            organization=call.organization(organization_ref, Act.WEBHOOKS),
            url=call.body.url,
            patterns=call.body.topics,
            description=call.body.description,
            actor=call.actor,
            now=call.at,
        )
        return Answer(201, documents.new_endpoint(made, queries.Queue(), secret))


class WebhookEndpointDetail(ApiView):
    @endpoint("Read a webhook endpoint", responses={200: EndpointDocument}, act=Act.WEBHOOKS, tag=TAG)
    def get(self, call: Call[Nothing, Nothing], organization_ref: str, endpoint_id: str) -> Answer:
        return _shown(_find(call, organization_ref, endpoint_id))

    @endpoint("Change a webhook endpoint", responses={200: EndpointDocument}, act=Act.WEBHOOKS, tag=TAG)
    def patch(self, call: Call[EndpointChange, Nothing], organization_ref: str, endpoint_id: str) -> Answer:
        """What waits goes to the new URL; what failed at the old one is tried at once."""
        return _shown(
            operations.update(
                endpoint=_find(call, organization_ref, endpoint_id),
                url=call.body.url,
                patterns=call.body.topics,
                description=call.body.description,
                actor=call.actor,
                now=call.at,
            )
        )

    @endpoint("Delete a webhook endpoint", responses={200: EndpointDocument}, act=Act.WEBHOOKS, tag=TAG)
    def delete(self, call: Call[Nothing, Nothing], organization_ref: str, endpoint_id: str) -> Answer:
        """It gets nothing more; what waited for it is dropped."""
        found = _find(call, organization_ref, endpoint_id)
        operations.disable(endpoint=found, actor=call.actor, now=call.at)
        return _shown(found)


class RotateWebhookSecret(ApiView):
    @endpoint(
        "Rotate a webhook secret", responses={200: NewEndpointDocument}, act=Act.WEBHOOKS, tag=TAG, problems=(409,)
    )
    def post(self, call: Call[Rotation, Nothing], organization_ref: str, endpoint_id: str) -> Answer:
        """The new secret is in this answer and nowhere else. The old one signs too until its grace ends."""
        changed, secret = operations.rotate(
            endpoint=_find(call, organization_ref, endpoint_id),
            grace=timedelta(hours=call.body.grace_hours),
            actor=call.actor,
            now=call.at,
        )
        return Answer(200, documents.new_endpoint(changed, _queue(changed), secret))


class PauseWebhookEndpoint(ApiView):
    @endpoint("Pause a webhook endpoint", responses={200: EndpointDocument}, act=Act.WEBHOOKS, tag=TAG)
    def post(self, call: Call[Nothing, Nothing], organization_ref: str, endpoint_id: str) -> Answer:
        """Nothing is sent until it is resumed; messages go on to queue up."""
        found = _find(call, organization_ref, endpoint_id)
        return _shown(operations.pause(endpoint=found, actor=call.actor, now=call.at))


class ResumeWebhookEndpoint(ApiView):
    @endpoint("Resume a webhook endpoint", responses={200: EndpointDocument}, act=Act.WEBHOOKS, tag=TAG)
    def post(self, call: Call[Nothing, Nothing], organization_ref: str, endpoint_id: str) -> Answer:
        """Goes on where it stopped, at once and with all attempts ahead."""
        found = _find(call, organization_ref, endpoint_id)
        return _shown(operations.resume(endpoint=found, actor=call.actor, now=call.at))


class TestWebhookEndpoint(ApiView):
    @endpoint("Send a test message", responses={202: DeliveryDocument}, act=Act.WEBHOOKS, tag=TAG, problems=(409,))
    def post(self, call: Call[Nothing, Nothing], organization_ref: str, endpoint_id: str) -> Answer:
        """Queues a message ``webhook.test`` for this endpoint, behind what waits. How it went is among its
        deliveries a few seconds later."""
        found = _find(call, organization_ref, endpoint_id)
        queued = operations.send_test(
            endpoint=found, actor=call.actor, now=call.at, told_at=call.now(found.organization)
        )
        return Answer(202, documents.delivery(queued))


class WebhookDeliveries(ApiView):
    @endpoint(
        "List webhook deliveries",
        responses={200: pagination.page_of(DeliveryDocument)},
        act=Act.WEBHOOKS,
        tag=TAG,
    )
    def get(self, call: Call[Nothing, DeliveriesQuery], organization_ref: str, endpoint_id: str) -> Answer:
        """Last queued first; finished ones are kept for 30 days."""
        found = _find(call, organization_ref, endpoint_id)
        after = pagination.read_cursor(call.query, NumberKey)
        rows = queries.list_deliveries(
            found,
            status=call.query.status,
            before_position=after.number if after else None,
            limit=call.query.size + 1,
        )
        return Answer(
            200,
            pagination.page(
                call.request, call.query, rows, show=documents.delivery, key=lambda row: NumberKey(row.position)
            ),
        )


class WebhookDeliveryDetail(ApiView):
    @endpoint("Read a webhook delivery", responses={200: DeliveryDetailDocument}, act=Act.WEBHOOKS, tag=TAG)
    def get(self, call: Call[Nothing, Nothing], organization_ref: str, endpoint_id: str, message_id: str) -> Answer:
        """The message and every attempt to deliver it."""
        found = queries.get_delivery(_find(call, organization_ref, endpoint_id), message_id)
        return Answer(200, documents.delivery_detail(found, queries.list_attempts(found)))


class ReplayWebhookDelivery(ApiView):
    @endpoint("Replay a webhook delivery", responses={202: DeliveryDocument}, act=Act.WEBHOOKS, tag=TAG)
    def post(self, call: Call[Nothing, Nothing], organization_ref: str, endpoint_id: str, message_id: str) -> Answer:
        """Sends a message again, behind all that waits; one that waits itself keeps its place and is tried at once."""
        found = _find(call, organization_ref, endpoint_id)
        queued = operations.replay(endpoint=found, message_id=message_id, actor=call.actor, now=call.at)
        return Answer(202, documents.delivery(queued))


class SkipWebhookDelivery(ApiView):
    @endpoint("Skip a webhook delivery", responses={200: DeliveryDocument}, act=Act.WEBHOOKS, tag=TAG, problems=(409,))
    def post(self, call: Call[Nothing, Nothing], organization_ref: str, endpoint_id: str, message_id: str) -> Answer:
        """Gives a waiting message up, so that those behind it move on."""
        found = _find(call, organization_ref, endpoint_id)
        skipped = operations.skip(endpoint=found, message_id=message_id, actor=call.actor, now=call.at)
        return Answer(200, documents.delivery(skipped))


class ReplayWebhooks(ApiView):
    @endpoint("Replay a range of events", responses={202: ReplayedDocument}, act=Act.WEBHOOKS, tag=TAG)
    def post(self, call: Call[Range, Nothing], organization_ref: str, endpoint_id: str) -> Answer:
        """Queues every event of the range that the endpoint subscribes to, in order, behind all that waits; events
        from before the endpoint was there too. At most 10,000."""
        found = _find(call, organization_ref, endpoint_id)
        until = call.body.until.value if call.body.until else call.now(found.organization)
        queued = operations.replay_range(
            endpoint=found, since=call.body.since.value, until=until, actor=call.actor, now=call.at
        )
        return Answer(202, {"queued": queued})


def _find(call: Call[Any, Any], organization_ref: str, endpoint_id: str) -> WebhookEndpoint:
    return queries.get_endpoint(call.organization(organization_ref, Act.WEBHOOKS), endpoint_id)


def _queue(found: WebhookEndpoint) -> queries.Queue:
    return queries.queues_of([found])[found.id]


def _shown(found: WebhookEndpoint) -> Answer:
    return Answer(200, documents.endpoint(found, _queue(found)))
