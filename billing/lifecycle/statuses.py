"""Setting a status by hand: each maps to the journey that leads there, and to nothing else."""

from __future__ import annotations

from datetime import datetime

from billing.accounts import actors
from billing.accounts.actors import Act, Actor
from billing.lifecycle import cancel, onboard, pause
from billing.lifecycle.collecting import operations as collecting_operations
from billing.models import Status, Subscription
from billing.subscriptions import transitions

REASON = "set by an operator"


def set_status(
    *, subscription: Subscription, status: str, actor: Actor, now: datetime, expected_version: int | None = None
) -> Subscription:
    """Bring a subscription to ``status``, for operators. The status it has already changes nothing.

    Raises ``IllegalTransition`` where no journey leads there.
    """
    actors.require(actor, Act.SUBSCRIPTIONS, subscription.organization)
    if status == subscription.status:
        return subscription
    if status == Status.ACTIVE and subscription.status == Status.INCOMPLETE:
        return onboard.activate(subscription=subscription, actor=actor, now=now, expected_version=expected_version)
    if status == Status.ACTIVE and subscription.status == Status.PAST_DUE:
        return collecting_operations.release(
            subscription=subscription, actor=actor, now=now, expected_version=expected_version
        )
    if status == Status.PAUSED and subscription.status == Status.ACTIVE:
        return pause.pause(
            subscription=subscription, actor=actor, now=now, reason=REASON, expected_version=expected_version
        )
    if status == Status.ACTIVE and subscription.status == Status.PAUSED:
        return pause.resume(subscription=subscription, actor=actor, now=now, expected_version=expected_version)
    if status == Status.CANCELED:
        return cancel.cancel_now(
            subscription=subscription,
            actor=actor,
            now=now,
            reason=REASON,
            expected_version=expected_version,
        )
    raise transitions.IllegalTransition(
        f"A subscription that is {subscription.status} cannot be set to {status}.", field="status"
    )
