"""``mcpctl billing webhooks``: endpoints of organizations, what waits for them, and what was delivered."""

from __future__ import annotations

from datetime import datetime, timedelta

import click
from django.utils import timezone

from billing.accounts import queries as accounts_queries
from billing.cli import environment, output
from billing.cli.output import Answer, answers
from billing.cli.parameters import INSTANT, LENGTH, REFERENCE
from billing.models import WebhookDelivery, WebhookEndpoint
from billing.notifications import documents, operations, queries, topics
from billing.notifications.queries import Queue

SHOWN = 50
_endpoint = click.argument("endpoint_id", type=REFERENCE)
_message = click.argument("message_id", type=REFERENCE)
_shown_once = "\nThe secret is shown this once."


@click.group("webhooks")
def command() -> None:
    """Webhook endpoints: make, pause, resume and test them, read their log, skip and replay."""


@command.command("list")
@click.argument("organization", type=REFERENCE)
@answers()
def list_endpoints(organization: str) -> Answer:
    """An organization's endpoints, and what waits for each."""
    endpoints = queries.list_endpoints(accounts_queries.get_organization(organization))
    queues = queries.queues_of(endpoints)
    header = ("id", "url", "topics", "state", "waiting", "failures", "next attempt")
    rows = [
        (
            each.id,
            each.url,
            ", ".join(each.topics),
            _state(each),
            queues[each.id].waiting,
            queues[each.id].failures,
            _next(each, queues[each.id]),
        )
        for each in endpoints
    ]
    text = output.table(header, rows, right=("waiting", "failures")) if rows else "No webhook endpoints."
    return Answer({"results": [documents.endpoint(each, queues[each.id]) for each in endpoints]}, text)


@command.command("create")
@click.argument("organization", type=REFERENCE)
@click.option("--url", required=True, help="https://…")
@click.option("--topic", "patterns", multiple=True, default=(topics.ALL,), help="May be repeated; invoice.* and * too.")
@click.option("--description", default="", help="What it is for.")
@answers()
def create(organization: str, *, url: str, patterns: tuple[str, ...], description: str) -> Answer:
    """Make an endpoint. Its secret is shown this once."""
    made, secret = operations.create(
        organization=accounts_queries.get_organization(organization),
        url=url,
        patterns=patterns,
        description=description,
        actor=environment.actor(),
        now=timezone.now(),
    )
    text = output.pairs([("id", made.id), ("url", made.url), ("topics", ", ".join(made.topics)), ("secret", secret)])
    return Answer(documents.new_endpoint(made, Queue(), secret), text + _shown_once)


@command.command("show")
@_endpoint
@answers()
def show(endpoint_id: str) -> Answer:
    """One endpoint, and what waits for it."""
    return _shown(queries.get_endpoint_by_id(endpoint_id))


@command.command("rotate")
@_endpoint
@click.option("--grace", type=LENGTH, default="24h", show_default=True, help="How long the old secret signs too.")
@answers()
def rotate(endpoint_id: str, *, grace: timedelta) -> Answer:
    """Give an endpoint a new secret, which is shown this once."""
    endpoint, secret = operations.rotate(
        endpoint=queries.get_endpoint_by_id(endpoint_id), actor=environment.actor(), now=timezone.now(), grace=grace
    )
    text = output.pairs([("id", endpoint.id), ("secret", secret)]) + _shown_once
    return Answer(documents.new_endpoint(endpoint, _queue(endpoint), secret), text)


@command.command("pause")
@_endpoint
@answers()
def pause(endpoint_id: str) -> Answer:
    """Send nothing until it is resumed; messages go on to queue up."""
    endpoint = queries.get_endpoint_by_id(endpoint_id)
    return _shown(operations.pause(endpoint=endpoint, actor=environment.actor(), now=timezone.now()))


@command.command("resume")
@_endpoint
@answers()
def resume(endpoint_id: str) -> Answer:
    """Go on where it stopped, at once and with all attempts ahead."""
    endpoint = queries.get_endpoint_by_id(endpoint_id)
    return _shown(operations.resume(endpoint=endpoint, actor=environment.actor(), now=timezone.now()))


@command.command("delete")
@_endpoint
@answers()
def delete(endpoint_id: str) -> Answer:
    """Send nothing more, and drop what waits."""
    endpoint = queries.get_endpoint_by_id(endpoint_id)
    operations.disable(endpoint=endpoint, actor=environment.actor(), now=timezone.now())
    return Answer(documents.endpoint(endpoint, _queue(endpoint)), f"{endpoint.id} deleted.")


@command.command("test")
@_endpoint
@answers()
def send_test(endpoint_id: str) -> Answer:
    """Queue a message webhook.test; `webhooks deliveries` tells how it went."""
    endpoint, now = queries.get_endpoint_by_id(endpoint_id), timezone.now()
    told_at = accounts_queries.now_for(endpoint.organization, now)
    queued = operations.send_test(endpoint=endpoint, actor=environment.actor(), now=now, told_at=told_at)
    return Answer(documents.delivery(queued), f"Message {queued.event_id} waits to be sent.")


@command.command("deliveries")
@_endpoint
@click.option("--status", type=click.Choice(["pending", "delivered", "skipped"]), help="[default: all]")
@click.option("--limit", type=click.IntRange(1, 1000), default=SHOWN, show_default=True)
@answers()
def deliveries(endpoint_id: str, *, status: str | None, limit: int) -> Answer:
    """What was, and is to be, delivered; last queued first."""
    rows = queries.list_deliveries(queries.get_endpoint_by_id(endpoint_id), status=status, limit=limit)
    header = ("message", "topic", "status", "attempts", "queued", "next attempt")
    lines = [
        (row.event_id, row.event.topic, row.status, row.attempts, row.created_at, row.next_attempt_at) for row in rows
    ]
    text = output.table(header, lines, right=("attempts",)) if rows else "No deliveries."
    return Answer({"results": [documents.delivery(row) for row in rows]}, text)


@command.command("delivery")
@_endpoint
@_message
@answers()
def show_delivery(endpoint_id: str, message_id: str) -> Answer:
    """One message, and every attempt to deliver it."""
    found = queries.get_delivery(queries.get_endpoint_by_id(endpoint_id), message_id)
    log = queries.list_attempts(found)
    head = [("message", found.event_id), ("topic", found.event.topic), ("status", found.status)]
    header = ("attempt", "at", "ms", "status", "error", "answer")
    # A status is a code, not a figure.
    rows = [
        (row.number, row.started_at, row.duration_ms, str(row.status_code or ""), row.error, row.excerpt[:60])
        for row in log
    ]
    text = output.pairs(head) + ("\n\n" + output.table(header, rows, right=("attempt", "ms")) if rows else "")
    return Answer(documents.delivery_detail(found, log), text)


@command.command("skip")
@_endpoint
@_message
@answers()
def skip(endpoint_id: str, message_id: str) -> Answer:
    """Give a waiting message up, so that those behind it move on."""
    return _moved(
        operations.skip(
            endpoint=queries.get_endpoint_by_id(endpoint_id),
            message_id=message_id,
            actor=environment.actor(),
            now=timezone.now(),
        )
    )


@command.command("replay")
@_endpoint
@click.argument("message_id", type=REFERENCE, required=False)
@click.option("--since", type=INSTANT, help="In place of a message: every event from this time on, …")
@click.option("--until", type=INSTANT, help="… and before this one, by the organization's time.  [default: now]")
@answers()
def replay(endpoint_id: str, message_id: str | None, *, since: datetime | None, until: datetime | None) -> Answer:
    """Send a message, or a range of events, again, behind all that waits."""
    endpoint, now, actor = queries.get_endpoint_by_id(endpoint_id), timezone.now(), environment.actor()
    if message_id is not None and since is None and until is None:
        return _moved(operations.replay(endpoint=endpoint, message_id=message_id, actor=actor, now=now))
    if message_id is not None or since is None:
        raise click.UsageError("Name a message, or a range with --since.")
    queued = operations.replay_range(
        endpoint=endpoint,
        since=since,
        until=until or accounts_queries.now_for(endpoint.organization, now),
        actor=actor,
        now=now,
    )
    return Answer({"queued": queued}, f"{output.figure(queued)} queued.")


def _queue(endpoint: WebhookEndpoint) -> Queue:
    return queries.queues_of([endpoint])[endpoint.id]


def _shown(endpoint: WebhookEndpoint) -> Answer:
    queue = _queue(endpoint)
    text = output.pairs(
        [
            ("id", endpoint.id),
            ("organization", endpoint.organization.slug),
            ("url", endpoint.url),
            ("description", endpoint.description),
            ("topics", ", ".join(endpoint.topics)),
            ("state", _state(endpoint)),
            ("waiting", queue.waiting),
            ("failures of the first", queue.failures),
            ("next attempt", _next(endpoint, queue)),
            ("last delivered", endpoint.last_delivered_at),
            ("last failed", endpoint.last_failed_at),
        ]
    )
    return Answer(documents.endpoint(endpoint, queue), text)


def _moved(delivery: WebhookDelivery) -> Answer:
    return Answer(documents.delivery(delivery), f"{delivery.event_id} {delivery.status}.")


def _state(endpoint: WebhookEndpoint) -> str:
    if endpoint.paused_at is None:
        return "active"
    return f"paused ({endpoint.pause_reason}) since {output.instant(endpoint.paused_at)}"


def _next(endpoint: WebhookEndpoint, queue: Queue) -> datetime | None:
    return queue.next_attempt_at if endpoint.paused_at is None else None
