"""Pausing and resuming, for operators.

While paused nothing is served and no base fee runs: the plan span of that time is marked so. Periods go on, so that
the anchor keeps its day.
"""

from __future__ import annotations

from datetime import datetime
from zoneinfo import ZoneInfo

from django.db import transaction

from billing.accounts import actors
from billing.accounts.actors import Act, Actor
from billing.lifecycle import allowance, renew
from billing.lifecycle.happenings import tell
from billing.models import Status, Subscription
from billing.subscriptions import operations, queries, transitions


def pause(
    *,
    subscription: Subscription,
    actor: Actor,
    now: datetime,
    reason: str = "",
    expected_version: int | None = None,
) -> Subscription:
    """Stop an active subscription from this second on. Raises ``IllegalTransition`` for any other status."""
    actors.require(actor, Act.SUBSCRIPTIONS, subscription.organization)
    with transaction.atomic():
        current = renew.lock_current(subscription, now=now, actor=actor, expected_version=expected_version)
        transitions.check(current.status, Status.PAUSED)
        operations.pause(current, queries.change_instant(current, now))
        tell(current, "subscription.paused", actor=actor, at=now, reason=reason, plan=current.plan.code)
    return queries.get_subscription(subscription.id)


def resume(
    *, subscription: Subscription, actor: Actor, now: datetime, expected_version: int | None = None
) -> Subscription:
    """Serve a paused subscription again, with the allowance of what is left of the stretch if it had none yet."""
    actors.require(actor, Act.SUBSCRIPTIONS, subscription.organization)
    with transaction.atomic():
        current = renew.lock_current(subscription, now=now, actor=actor, expected_version=expected_version)
        if current.status != Status.PAUSED:
            raise transitions.IllegalTransition(f"A subscription that is {current.status} is not paused.")
        zone = ZoneInfo(current.organization.zone)
        at = queries.change_instant(current, now)
        operations.unpause(current, at)
        allowance.grant_rest(current, zone=zone, at=at, actor=actor.name)
        renew.schedule(current, zone=zone, after=at)
        tell(current, "subscription.resumed", actor=actor, at=now, plan=current.plan.code)
    return queries.get_subscription(subscription.id)
