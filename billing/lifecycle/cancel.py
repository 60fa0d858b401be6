"""Leaving."""

from __future__ import annotations

from datetime import datetime

from django.db import transaction

from billing.accounts import actors
from billing.accounts.actors import Act, Actor
from billing.credits import operations as credits_operations
from billing.infra import locks
from billing.kernel.errors import Conflict
from billing.lifecycle import pending, renew
from billing.lifecycle.happenings import tell
from billing.models import Status, Subscription
from billing.subscriptions import operations, queries, transitions


class CancelWaits(Conflict):
    """A customer leaves a paid plan when the running period ends: its allowance was given for the whole of it."""

    code = "cancel_waits"


# A trial, a sign-up nobody confirmed and a pause cost nothing that leaving at once would save.
WAITS = (Status.ACTIVE, Status.PAST_DUE)


def cancel(
    *,
    subscription: Subscription,
    actor: Actor,
    now: datetime,
    at_period_end: bool | None = None,
    reason: str = "",
    expected_version: int | None = None,
) -> Subscription:
    """End a subscription now or at the period's end; where ``at_period_end`` is None, at once unless that is refused.

    Raises as ``cancel_now`` and ``pending.cancel_at_period_end`` do.
    """
    with transaction.atomic():
        locks.lock_organization(subscription.organization_id)
        current = queries.get_subscription(subscription.id)
        waits = waits_for_period_end(current, actor=actor) if at_period_end is None else at_period_end
        act = pending.cancel_at_period_end if waits else cancel_now
        return act(subscription=current, actor=actor, now=now, reason=reason, expected_version=expected_version)


def cancel_now(
    *,
    subscription: Subscription,
    actor: Actor,
    now: datetime,
    reason: str = "",
    expected_version: int | None = None,
) -> Subscription:
    """End a subscription at once: the running period ends now and its allowance lapses.

    What was bought stays on the account and comes along if the organization returns. Raises ``IllegalTransition`` if
    the subscription has ended, ``CancelWaits`` (operators may), ``StaleSubscription``.
    """
    actors.require(actor, Act.SUBSCRIBE, subscription.organization)
    with transaction.atomic():
        current = renew.lock_current(subscription, now=now, actor=actor, expected_version=expected_version)
        transitions.check(current.status, Status.CANCELED)
        if waits_for_period_end(current, actor=actor):
            raise CancelWaits("A paid plan is left when the running period ends: cancel at the period's end.")
        at = queries.change_instant(current, now)
        credits_operations.expire_allowances(account=current.marketplace, now=now)
        operations.end(current, status=Status.CANCELED, at=at)
        renew.draft_ended(current, now=max(at, now))
        tell(current, "subscription.canceled", actor=actor, at=now, reason=reason, plan=current.plan.code)
    return queries.get_subscription(subscription.id)


def waits_for_period_end(current: Subscription, *, actor: Actor) -> bool:
    """Whether ``actor`` may leave only when the period ends: a customer, on a paid plan in service."""
    if current.status not in WAITS or actors.may(actor, Act.SUBSCRIPTIONS, current.organization):
        return False
    return queries.costs(current)
