"""What collecting tells: the audit log, the outbox, and whoever asked for the work."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from billing.accounts.actors import Actor, system
from billing.infra import audit, logs, outbox
from billing.invoicing import settlement
from billing.kernel.money import format_minor
from billing.lifecycle.happenings import Happening
from billing.models import Collection, Invoice

COLLECTING = system("collecting")


def tell(
    collection: Collection,
    invoice: Invoice,
    topic: str,
    *,
    actor: Actor,
    at: datetime,
    reason: str = "",
    **details: Any,
) -> Happening:
    """Write that something happened to a collection, in its transaction. ``details`` are plain JSON."""
    audit.record(
        actor=actor.name,
        act=topic,
        object_type="collection",
        object_id=collection.id,
        organization_id=collection.organization_id,
        reason=reason,
        details={"invoice": invoice.number, **details},
    )
    told = {
        "dunning": str(collection.id),
        "invoice": str(invoice.id),
        "number": invoice.number,
        "subscription_id": str(collection.subscription_id),
        "due": format_minor(settlement.due_minor(invoice), invoice.currency),
        "currency": invoice.currency,
        **details,
    }
    outbox.emit(organization_id=collection.organization_id, topic=topic, payload=told, now=at)
    logs.event(topic, organization=collection.organization_id, invoice=invoice.id, **details)
    return Happening(at, topic, str(collection.subscription_id), {"invoice": invoice.number, **details})
