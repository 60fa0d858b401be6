"""Use taken back by hand."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from uuid import UUID, uuid4

from django.db import transaction

from billing.accounts import actors
from billing.accounts.actors import Act, Actor
from billing.credits import operations as credits_operations
from billing.infra import audit, locks, logs, outbox
from billing.kernel.decimals import plain
from billing.lifecycle import renew
from billing.lifecycle.usage import RenewalStuck
from billing.metering import holding, reversing
from billing.metering.decisions import RenewalDue
from billing.metering.reversing import EventNotFound, Reversal, ReversalInvalid
from billing.models import Organization, UsageEvent
from billing.subscriptions import queries as subscriptions_queries

REASON_LENGTH_MAX = 500


def reverse(
    *,
    event_id: UUID,
    actor: Actor,
    reason: str,
    now: datetime,
    quantity: Decimal | None = None,
    key: str | None = None,
) -> Reversal:
    """Take back ``quantity`` units of a usage event, or all that is left of it; for who may adjust credits.

    Windows, charges and grants are as if it had not been used, from this moment on; ``key`` makes it happen once.
    ``now`` is real time; a sandbox's clock replaces it. Raises ``EventNotFound`` and as ``reversing.reverse`` does.
    """
    event = reversing.find_event(event_id)
    if event is None or not actors.is_visible(actor, event.organization):
        raise EventNotFound("No such usage event.")
    actors.require(actor, Act.CREDITS, event.organization)
    if not reason.strip() or len(reason) > REASON_LENGTH_MAX:
        raise ReversalInvalid(f"A reason of 1 to {REASON_LENGTH_MAX} characters is needed.", field="reason")
    with transaction.atomic():
        locks.lock_organization(event.organization_id)
        organization = Organization.objects.get(id=event.organization_id)
        at = organization.clock_at or now
        # What fell due comes first: a grant that expired an hour ago does not get anything back.
        renew.renew_due(organization_id=organization.id, now=at)
        event = UsageEvent.objects.select_related("period", "billed_period", "subscription").get(id=event_id)
        try:
            reversal = reversing.reverse(
                event, quantity=quantity, key=key or str(uuid4()), actor=actor.name, reason=reason, now=at
            )
        except RenewalDue as stuck:
            raise RenewalStuck("The subscription's next period has not begun yet; try again.") from stuck
        if not reversal.is_duplicate:
            holding.close_reversed(reversal, actor=actor.name, reason=reason, now=at)
            _bring_along(reversal, now=at)
            _tell(reversal, actor=actor, reason=reason, now=at)
    return reversal


def _bring_along(reversal: Reversal, *, now: datetime) -> None:
    """Credits that came back to a subscription that was left follow to the one after it, as others did before."""
    left = reversal.original.subscription
    if left.ended_at is None or not reversal.credits_returned:
        return
    live = subscriptions_queries.find_live(left.organization, left.product)
    if live is not None:
        credits_operations.move_remaining(source=left.marketplace, target=live.marketplace, now=now)


def _tell(reversal: Reversal, *, actor: Actor, reason: str, now: datetime) -> None:
    event = reversal.event
    details = {
        "event_id": str(reversal.original.id),
        "reversal_id": str(event.id),
        "subscription_id": str(event.subscription_id),
        "meter": event.meter_id,
        "quantity": plain(-event.quantity),
        "overage": plain(-event.overage),
        "credits_returned": plain(reversal.credits_returned),
        "credits_lapsed": plain(reversal.credits_lapsed),
    }
    audit.record(
        actor=actor.name,
        act="usage.reverse",
        object_type="usage_event",
        object_id=reversal.original.id,
        organization_id=event.organization_id,
        reason=reason,
        details=details,
    )
    outbox.emit(organization_id=event.organization_id, topic="usage.reversed", payload=details, now=now)
    logs.event("usage.reversed", organization=event.organization_id, meter=event.meter_id, quantity=details["quantity"])
