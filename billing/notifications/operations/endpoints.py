"""Endpoints: creating, changing, rotating their secret, pausing, resuming and deleting them."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from uuid import UUID

from django.conf import settings
from django.db.transaction import atomic

from billing.accounts import fields
from billing.accounts.actors import Actor
from billing.infra import locks
from billing.kernel.errors import Conflict, Invalid
from billing.kernel.ids import new_id
from billing.models import DeliveryStatus, Organization, PauseReason, WebhookDelivery, WebhookEndpoint, WebhookSecret
from billing.notifications import keeping, queries, signing, targets, topics
from billing.notifications.operations import rows

ENDPOINTS_MAX = 20
SECRETS_MAX = 5
DESCRIPTION_LENGTH_MAX = 200
GRACE = timedelta(hours=24)
GRACE_MAX = timedelta(days=7)


class TooManyEndpoints(Conflict):
    """An organization has at most ``ENDPOINTS_MAX`` endpoints."""

    code = "too_many_webhook_endpoints"


class EndpointExists(Conflict):
    """One of this id was created before."""

    code = "webhook_endpoint_exists"


class TooManySecrets(Conflict):
    """``SECRETS_MAX`` secrets sign already; one of them has to run out first."""

    code = "too_many_webhook_secrets"


@atomic
def create(
    *,
    organization: Organization,
    url: str,
    actor: Actor,
    now: datetime,
    patterns: Sequence[str] = (topics.ALL,),
    description: str = "",
    endpoint_id: UUID | None = None,
) -> tuple[WebhookEndpoint, str]:
    """Create an endpoint; returns it and its secret, which is not shown again.

    It gets the events that are distributed from now on. ``endpoint_id`` names it before it is there, so that a form
    sent twice makes one. Raises ``InvalidUrl``, ``InvalidTopics``, ``Invalid`` naming the field, ``EndpointExists``,
    or ``TooManyEndpoints``.
    """
    endpoint = WebhookEndpoint(
        id=endpoint_id or new_id(),
        organization=organization,
        url=_url(url),
        description=_description(description),
        topics=topics.check(patterns),
        created_at=now,
    )
    # Or two at once would each be the last that fits.
    locks.lock_organization(organization.id)
    if endpoint_id is not None and WebhookEndpoint.objects.filter(id=endpoint_id).exists():
        raise EndpointExists("This endpoint was created before.")
    if len(queries.list_endpoints(organization)) >= ENDPOINTS_MAX:
        raise TooManyEndpoints(f"An organization has at most {ENDPOINTS_MAX} webhook endpoints.")
    endpoint.save(force_insert=True)
    secret = _new_secret(endpoint, now)
    rows.record("create", endpoint, actor, topics=endpoint.topics)
    return endpoint, secret


@atomic
def update(
    *,
    endpoint: WebhookEndpoint,
    actor: Actor,
    now: datetime,
    url: str | None = None,
    patterns: Sequence[str] | None = None,
    description: str | None = None,
) -> WebhookEndpoint:
    """Change what is given. What waits goes to the new URL, and what failed at the old one is tried at once."""
    endpoint = rows.lock(endpoint)
    if url is not None and endpoint.url != _url(url):
        endpoint.url = url
        _retry_now(endpoint, now)
    if patterns is not None:
        endpoint.topics = topics.check(patterns)
    if description is not None:
        endpoint.description = _description(description)
    endpoint.save(update_fields=["url", "topics", "description"])
    given = {"url": url, "topics": patterns, "description": description}
    rows.record("update", endpoint, actor, changed=[name for name, value in given.items() if value is not None])
    return endpoint


@atomic
def rotate(
    *, endpoint: WebhookEndpoint, actor: Actor, now: datetime, grace: timedelta = GRACE
) -> tuple[WebhookEndpoint, str]:
    """Give the endpoint a new secret, which is not shown again. The old one signs too until ``grace`` has passed.

    Raises ``Invalid`` for a grace beyond ``GRACE_MAX``, or ``TooManySecrets``.
    """
    if not timedelta(0) <= grace <= GRACE_MAX:
        raise Invalid(f"A grace is at most {GRACE_MAX.days} days.", field="grace_hours")
    endpoint = rows.lock(endpoint)
    WebhookSecret.objects.filter(endpoint=endpoint, expires_at__lte=now).delete()
    if WebhookSecret.objects.filter(endpoint=endpoint).count() >= SECRETS_MAX:
        raise TooManySecrets(f"{SECRETS_MAX} secrets sign already; wait until one of them has run out.")
    WebhookSecret.objects.filter(endpoint=endpoint, expires_at=None).update(expires_at=now + grace)
    secret = _new_secret(endpoint, now)
    rows.record("rotate", endpoint, actor, grace_seconds=int(grace.total_seconds()))
    return endpoint, secret


@atomic
def pause(*, endpoint: WebhookEndpoint, actor: Actor, now: datetime) -> WebhookEndpoint:
    """Send nothing until it is resumed; events go on to queue up. Pausing a paused one changes nothing."""
    endpoint = rows.lock(endpoint)
    if endpoint.paused_at is None:
        endpoint.paused_at, endpoint.pause_reason = now, PauseReason.MANUAL
        endpoint.save(update_fields=["paused_at", "pause_reason"])
        rows.record("pause", endpoint, actor)
    return endpoint


@atomic
def resume(*, endpoint: WebhookEndpoint, actor: Actor, now: datetime) -> WebhookEndpoint:
    """Go on where it stopped, at once and with all attempts ahead. For one that is not paused: retry at once."""
    endpoint = rows.lock(endpoint)
    endpoint.paused_at, endpoint.pause_reason = None, ""
    endpoint.save(update_fields=["paused_at", "pause_reason"])
    _retry_now(endpoint, now)
    rows.record("resume", endpoint, actor)
    return endpoint


@atomic
def disable(*, endpoint: WebhookEndpoint, actor: Actor, now: datetime) -> None:
    """Delete the endpoint as far as anybody can see: it gets nothing more, and its secrets are gone."""
    endpoint = rows.lock(endpoint)
    WebhookEndpoint.objects.filter(id=endpoint.id).update(disabled_at=now)
    WebhookSecret.objects.filter(endpoint=endpoint).delete()
    WebhookDelivery.objects.filter(endpoint=endpoint, status=DeliveryStatus.PENDING).update(
        status=DeliveryStatus.SKIPPED, next_attempt_at=None, finished_at=now
    )
    rows.record("disable", endpoint, actor)


def _retry_now(endpoint: WebhookEndpoint, now: datetime) -> None:
    WebhookDelivery.objects.filter(endpoint=endpoint, status=DeliveryStatus.PENDING, failures__gt=0).update(
        failures=0, next_attempt_at=now
    )


def _url(url: str) -> str:
    targets.parse(url, allow_local=settings.BILLING_WEBHOOKS_ALLOW_LOCAL)
    return url


def _description(text: str) -> str:
    return fields.name(text, field="description", length_max=DESCRIPTION_LENGTH_MAX, blank=True)


def _new_secret(endpoint: WebhookEndpoint, now: datetime) -> str:
    """A secret that signs for ``endpoint`` from ``now`` on, as it is told once."""
    secret = signing.new_secret()
    WebhookSecret.objects.create(endpoint=endpoint, text=keeping.close(secret), created_at=now)
    return secret
