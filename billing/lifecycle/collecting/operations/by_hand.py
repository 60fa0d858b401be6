"""What finance does about a dunning by hand: charge now, or let go."""

from __future__ import annotations

from datetime import datetime

from django.db import transaction

from billing.accounts import actors
from billing.accounts.actors import Act, Actor
from billing.infra import audit, locks
from billing.invoicing import queries as invoicing_queries
from billing.invoicing.operations import moving
from billing.lifecycle import past_due, renew
from billing.lifecycle.collecting import queries
from billing.lifecycle.collecting.errors import ChargeUnderWay, CollectionClosed
from billing.lifecycle.collecting.operations import charging, following, holding
from billing.models import Closing, Collection, Status, Subscription
from billing.subscriptions import queries as subscriptions_queries
from billing.subscriptions import transitions


def retry(*, collection: Collection, actor: Actor, now: datetime) -> Collection:
    """Charge all that is due, now, whatever the schedule says: it goes on as before if this fails.

    For finance. Not inside a transaction, but for a sandbox. Raises ``CollectionClosed``, ``ChargeUnderWay``.
    """
    actors.require(actor, Act.INVOICES, collection.organization)
    with transaction.atomic():
        current = _locked(collection, actor=actor)
        if current.closed_at is not None:
            raise CollectionClosed("This invoice is not collected any more.")
        attempt = charging.intend(current, current.invoice, step=None, now=now)
        if attempt is None:
            raise ChargeUnderWay("A charge of this invoice is under way: wait for its outcome.")
        _audit(current, "dunning.retry", actor=actor)
    charging.ask(attempt.id, actor=actor, now=now)
    return queries.get_collection(str(collection.id), actor=actor)


def stop(*, collection: Collection, actor: Actor, reason: str, now: datetime) -> Collection:
    """Collect no more, and let go of a subscription that is past due because of it, also of one written off.

    The invoice stays due. For finance, with a reason. Twice is once. Raises ``SettlementInvalid`` without a reason.
    """
    text = moving.checked_reason(reason)
    actors.require(actor, Act.INVOICES, collection.organization)
    with transaction.atomic():
        current = _locked(collection, actor=actor)
        is_held = current.past_due_at is not None and current.lifted_at is None
        if current.closed_at is not None and not is_held:
            return current
        _audit(current, "dunning.stop", actor=actor, reason=text)
        if current.closed_at is None:
            following.close(current, current.invoice, Closing.STOPPED, now=now, reason=text)
        holding.lift([current], current.invoice, actor=actor, now=now, reason=text)
    return queries.get_collection(str(collection.id), actor=actor)


def release(
    *, subscription: Subscription, actor: Actor, now: datetime, expected_version: int | None = None
) -> Subscription:
    """Serve a subscription that is past due again, for operators: all that holds it lets go, whatever is unpaid.

    Dunnings go on; one whose grace is still to end makes it past due again. Raises ``IllegalTransition`` for one that
    is not past due, ``StaleSubscription``.
    """
    actors.require(actor, Act.SUBSCRIPTIONS, subscription.organization)
    with transaction.atomic():
        current = renew.lock_current(subscription, now=now, actor=actor, expected_version=expected_version)
        if current.status != Status.PAST_DUE:
            raise transitions.IllegalTransition(f"A subscription that is {current.status} is not past due.")
        Collection.objects.filter(queries.HOLDING, subscription=current).update(lifted_at=now, cancels_at=None)
        past_due.leave(current, actor=actor, at=now, reason="set by an operator")
    return subscriptions_queries.get_subscription(subscription.id)


def _locked(collection: Collection, *, actor: Actor) -> Collection:
    locks.lock_organization(collection.organization_id)
    current = queries.get_collection(str(collection.id), actor=actor)
    current.invoice = invoicing_queries.get_invoice(str(current.invoice_id))
    return current


def _audit(collection: Collection, act: str, *, actor: Actor, reason: str = "") -> None:
    audit.record(
        actor=actor.name,
        act=act,
        object_type="collection",
        object_id=collection.id,
        organization_id=collection.organization_id,
        reason=reason,
        details={"invoice": collection.invoice.number},
    )
