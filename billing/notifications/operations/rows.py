"""What every operation on an endpoint begins and ends with."""

from __future__ import annotations

from typing import Any

from billing.accounts.actors import Actor
from billing.infra import audit, locks
from billing.models import WebhookEndpoint
from billing.notifications import queries


def lock(endpoint: WebhookEndpoint) -> WebhookEndpoint:
    """The row as it is now, and still is when the transaction ends. Raises ``EndpointNotFound`` once it is deleted.

    Not against those who only refer to it: deliveries are queued meanwhile.
    """
    with locks.busy_on_timeout():
        found = (
            WebhookEndpoint.objects.select_for_update(no_key=True, of=("self",))
            .select_related("organization")
            .filter(id=endpoint.id, disabled_at=None)
            .first()
        )
    if found is None:
        raise queries.EndpointNotFound("No such webhook endpoint.")
    return found


def record(act: str, endpoint: WebhookEndpoint, actor: Actor, **details: Any) -> None:
    """The audit row: without URL or secret, as a URL may hold a secret of the receiver."""
    audit.record(
        actor=actor.name,
        act=f"webhook.{act}",
        object_type="webhook_endpoint",
        object_id=endpoint.id,
        organization_id=endpoint.organization_id,
        details=details,
    )
