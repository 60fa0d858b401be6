"""Leaving."""

from __future__ import annotations

from datetime import datetime

from django.db import transaction

from billing.accounts import actors
from billing.accounts.actors import Act, Actor
from billing.credits import operations as credits_operations
from billing.lifecycle import renew
from billing.lifecycle.happenings import tell
from billing.models import Status, Subscription
from billing.subscriptions import operations, queries, transitions


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
    the subscription has ended, ``StaleSubscription``.
    """
    if not actors.may(actor, Act.SUBSCRIPTIONS, subscription.organization):
        actors.require(actor, Act.SUBSCRIBE, subscription.organization)
    with transaction.atomic():
        current = renew.lock_current(subscription, now=now, actor=actor, expected_version=expected_version)
        transitions.check(current.status, Status.CANCELED)
        at = queries.change_instant(current, now)
        credits_operations.expire_allowances(account=current.marketplace, now=now)
        operations.end(current, status=Status.CANCELED, at=at)
        renew.draft_ended(current, now=max(at, now))
        tell(current, "subscription.canceled", actor=actor, at=now, reason=reason, plan=current.plan.code)
    return queries.get_subscription(subscription.id)
