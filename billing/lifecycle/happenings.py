"""What a journey did, told to its caller and to the outside."""

from __future__ import annotations

from datetime import datetime
from typing import Any, NamedTuple

from billing.accounts.actors import Actor
from billing.infra import audit, logs, outbox
from billing.models import Subscription


class Happening(NamedTuple):
    """``topic`` as in the outbox, at the instant it counts from."""

    at: datetime
    topic: str
    subscription_id: str
    details: dict[str, Any]


def tell(
    subscription: Subscription, topic: str, *, actor: Actor, at: datetime, reason: str = "", **details: Any
) -> Happening:
    """Write the audit row and the outbox row of something that happened to a subscription, in its transaction."""
    audit.record(
        actor=actor.name,
        act=topic,
        object_type="subscription",
        object_id=subscription.id,
        organization_id=subscription.organization_id,
        reason=reason,
        details=details,
    )
    told = {"subscription_id": str(subscription.id), "status": subscription.status, **details}
    outbox.emit(organization_id=subscription.organization_id, topic=topic, payload=told, now=at)
    logs.event("plan.updated", organization=subscription.organization_id, topic=topic, **details)
    return Happening(at, topic, str(subscription.id), details)
