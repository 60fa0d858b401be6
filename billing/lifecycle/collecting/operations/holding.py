"""What a dunning does to its subscription: past due when grace is over, and back when nothing holds it any more.

The caller holds the organization's lock.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from uuid import UUID

from billing.accounts.actors import Actor
from billing.invoicing import queries as invoicing_queries
from billing.lifecycle import past_due, renew
from billing.lifecycle.collecting import letters, policy, queries
from billing.lifecycle.happenings import Happening
from billing.models import Collection, Invoice, Status
from billing.subscriptions import queries as subscriptions_queries


def end_grace(collection: Collection, *, actor: Actor, now: datetime) -> list[Happening]:
    """Make the subscription past due, unless another dunning did already. One out of service is left for later."""
    renewed = renew.renew_due(organization_id=collection.organization_id, now=now)
    subscription = subscriptions_queries.get_subscription(collection.subscription_id)
    if subscription.status not in (Status.ACTIVE, Status.PAST_DUE):
        return renewed
    collection.past_due_at, collection.cancels_at = now, policy.schedule().cancels_at(now)
    collection.save(update_fields=["past_due_at", "cancels_at"])
    if subscription.status == Status.PAST_DUE:
        return renewed
    invoice = invoicing_queries.get_invoice(str(collection.invoice_id))
    entered = past_due.enter(subscription, actor=actor, at=now, invoice=str(invoice.id), number=invoice.number)
    letters.past_due(collection, invoice, subscription, now=now)
    return [*renewed, entered]


def lift(
    collections: Iterable[Collection], invoice: Invoice, *, actor: Actor, now: datetime, reason: str = ""
) -> list[Happening]:
    """End the hold of these, all of one invoice, and serve the subscription again if nothing else holds it."""
    lifted = [each for each in collections if each.past_due_at is not None and each.lifted_at is None]
    if not lifted:
        return []
    Collection.objects.filter(id__in=[each.id for each in lifted]).update(lifted_at=now, cancels_at=None)
    return _recover(lifted[0], invoice, actor=actor, now=now, reason=reason)


def _recover(collection: Collection, invoice: Invoice, *, actor: Actor, now: datetime, reason: str) -> list[Happening]:
    if _is_held(collection.subscription_id):
        return []
    renewed = renew.renew_due(organization_id=collection.organization_id, now=now)
    subscription = subscriptions_queries.get_subscription(collection.subscription_id)
    if subscription.status != Status.PAST_DUE:
        return renewed
    left = past_due.leave(subscription, actor=actor, at=now, reason=reason)
    letters.recovered(collection, invoice, subscription, now=now)
    return [*renewed, left]


def _is_held(subscription_id: UUID) -> bool:
    return Collection.objects.filter(queries.HOLDING, subscription_id=subscription_id).exists()
