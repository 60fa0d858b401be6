"""What is to happen at the end of the running period: another plan, or the end. Visible until then, and revocable."""

from __future__ import annotations

from datetime import datetime

from django.db import transaction

from billing.accounts import actors
from billing.accounts.actors import Act, Actor
from billing.catalog import queries as catalog_queries
from billing.lifecycle import change_plan, renew
from billing.lifecycle.happenings import tell
from billing.models import SERVED, Status, Subscription
from billing.subscriptions import operations, queries, transitions

MAY_WAIT = (*SERVED, Status.PAST_DUE, Status.PAUSED)


def change_at_period_end(
    *,
    subscription: Subscription,
    plan_code: str,
    actor: Actor,
    now: datetime,
    expected_version: int | None = None,
    reason: str = "",
) -> Subscription:
    """Move to the current version of a plan when the running period ends. Takes the place of whatever was pending.

    The plan that it is on already withdraws what was pending. Raises as ``change_plan.change_now`` does, except that
    another billing period is fine here.
    """
    is_operator = _require(subscription, actor)
    with transaction.atomic():
        current = _lock(subscription, now=now, actor=actor, expected_version=expected_version)
        plan = catalog_queries.get_plan(plan_code, must_be_on_sale=not is_operator)
        change_plan.check_offer(current, plan, is_operator=is_operator)
        pending = None if plan.id == current.plan_id else plan
        operations.update(current, pending_plan=pending, cancel_at_period_end=False)
        tell(
            current,
            "subscription.change_scheduled",
            actor=actor,
            at=now,
            reason=reason,
            plan=plan.code,
            plan_version=plan.version,
        )
    return queries.get_subscription(subscription.id)


def cancel_at_period_end(
    *,
    subscription: Subscription,
    actor: Actor,
    now: datetime,
    reason: str = "",
    expected_version: int | None = None,
) -> Subscription:
    """End the subscription when the running period (or trial) ends. Until then it serves as before."""
    _require(subscription, actor)
    with transaction.atomic():
        current = _lock(subscription, now=now, actor=actor, expected_version=expected_version)
        operations.update(current, pending_plan=None, cancel_at_period_end=True)
        tell(current, "subscription.cancel_scheduled", actor=actor, at=now, reason=reason, plan=current.plan.code)
    return queries.get_subscription(subscription.id)


def withdraw(
    *, subscription: Subscription, actor: Actor, now: datetime, expected_version: int | None = None
) -> Subscription:
    """Go on as before: neither the scheduled change nor the scheduled end will happen."""
    _require(subscription, actor)
    with transaction.atomic():
        current = _lock(subscription, now=now, actor=actor, expected_version=expected_version)
        if current.cancel_at_period_end or current.pending_plan is not None:
            operations.update(current, pending_plan=None, cancel_at_period_end=False)
            tell(current, "subscription.reactivated", actor=actor, at=now, plan=current.plan.code)
    return queries.get_subscription(subscription.id)


def _require(subscription: Subscription, actor: Actor) -> bool:
    actors.require(actor, Act.SUBSCRIBE, subscription.organization)
    return actors.may(actor, Act.SUBSCRIPTIONS, subscription.organization)


def _lock(subscription: Subscription, *, now: datetime, actor: Actor, expected_version: int | None) -> Subscription:
    current = renew.lock_current(subscription, now=now, actor=actor, expected_version=expected_version)
    if current.status not in MAY_WAIT:
        raise transitions.IllegalTransition(f"A subscription that is {current.status} has no period to wait for.")
    return current
