"""Changing plans at once."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from zoneinfo import ZoneInfo

from django.db import transaction

from billing.accounts import actors
from billing.accounts.actors import Act, Actor
from billing.catalog import queries as catalog_queries
from billing.kernel.decimals import ZERO, plain
from billing.kernel.errors import Conflict, LimitExceeded
from billing.kernel.periods import Interval
from billing.lifecycle import allowance, renew
from billing.lifecycle.happenings import tell
from billing.models import Plan, Status, Subscription
from billing.subscriptions import operations, queries, transitions


class PaymentRequired(LimitExceeded):
    """The plan costs money, and neither a provider nor an operator has vouched for its payment."""

    code = "payment_required"


class PlanOfOtherProduct(Conflict):
    """The plan belongs to another product than the subscription."""

    code = "plan_of_other_product"


class BillingPeriodDiffers(Conflict):
    """The plan bills or grants by other periods, and the change would start a new one in the middle of this one."""

    code = "billing_period_differs"


class DowngradeWaits(Conflict):
    """A customer moves to a cheaper plan when the running period ends: what it paid for until then is not undone."""

    code = "downgrade_waits"


CHANGEABLE = (Status.INCOMPLETE, Status.TRIALING, Status.ACTIVE)


def change_now(
    *,
    subscription: Subscription,
    plan_code: str,
    actor: Actor,
    now: datetime,
    expected_version: int | None = None,
    vouches: bool = True,
    reason: str = "",
) -> Subscription:
    """Move a subscription to the current version of a plan, from this second on.

    Use and windows go on; base fees are prorated by the second; an upgrade adds the difference in credit allowance for
    what is left of the stretch, a downgrade claws nothing back. A plan that bills or grants by other periods starts one
    of its own now. To the plan version that it is on, nothing changes. An operator who moves it to a plan with a base
    fee vouches for its payment, unless ``vouches`` is false. Raises ``StaleSubscription``, ``PaymentRequired``,
    ``BillingPeriodDiffers`` and ``DowngradeWaits`` (operators may), ``PlanOfOtherProduct``, ``CurrencyNotSold``,
    ``IllegalTransition`` where the status allows no change.
    """
    actors.require(actor, Act.SUBSCRIBE, subscription.organization)
    is_operator = actors.may(actor, Act.SUBSCRIPTIONS, subscription.organization)
    with transaction.atomic():
        current = renew.lock_current(subscription, now=now, actor=actor, expected_version=expected_version)
        plan = catalog_queries.get_plan(plan_code, must_be_on_sale=not is_operator)
        if current.plan_id == plan.id:
            return queries.get_subscription(current.id)
        _check(current, plan, is_operator=is_operator)
        was = current.plan
        at = queries.change_instant(current, now)
        credits = _switch(current, plan, at=at, actor=actor)
        if is_operator and vouches and current.confirmed_at is None and queries.costs(current):
            operations.update(current, confirmed_at=now)
        renew.draft_advance(current, at=max(at, now))
        tell(
            current,
            "subscription.plan_changed",
            actor=actor,
            at=now,
            reason=reason,
            plan=plan.code,
            plan_version=plan.version,
            plan_before=was.code,
            plan_version_before=was.version,
            credits_added=plain(credits),
        )
    return queries.get_subscription(subscription.id)


def _check(current: Subscription, plan: Plan, *, is_operator: bool) -> None:
    if current.status not in CHANGEABLE:
        raise transitions.IllegalTransition(f"The plan of a subscription that is {current.status} cannot be changed.")
    check_offer(current, plan, is_operator=is_operator)
    if current.status != Status.ACTIVE or is_operator:
        return
    if not _have_one_rhythm(plan, current.plan):
        raise BillingPeriodDiffers(
            f"{plan.code} bills or grants by other periods: choose it for the end of the running one."
        )
    if _is_cheaper(current, plan):
        raise DowngradeWaits(f"{plan.code} costs less: choose it for the end of the running period.")


def waits_for_period_end(current: Subscription, plan: Plan, *, actor: Actor) -> bool:
    """Whether a change that names no time should wait: a customer's to a cheaper plan, or to one of another rhythm."""
    if current.status != Status.ACTIVE or actors.may(actor, Act.SUBSCRIPTIONS, current.organization):
        return False
    return not _have_one_rhythm(plan, current.plan) or _is_cheaper(current, plan)


def _is_cheaper(current: Subscription, plan: Plan) -> bool:
    """By base fee. Going up at once and down at once would leave the higher plan's credits for the fee of a second."""
    fee_minor = catalog_queries.base_fee_minor(plan, current.currency)
    return fee_minor < catalog_queries.base_fee_minor(current.plan, current.currency)


def check_offer(current: Subscription, plan: Plan, *, is_operator: bool) -> None:
    """Raise unless ``current`` can move to ``plan`` at all: its product, its currency, and payment vouched for."""
    if plan.product != current.product:
        raise PlanOfOtherProduct(f"{plan.code} belongs to the product {plan.product}.", field="plan")
    fee_minor = catalog_queries.base_fee_minor(plan, current.currency)
    if fee_minor and not is_operator and current.status == Status.ACTIVE and current.confirmed_at is None:
        raise PaymentRequired(f"{plan.code} costs money: payment has to be confirmed first.")


def _have_one_rhythm(plan: Plan, other: Plan) -> bool:
    """Whether two plans bill and grant by the same stretches of time, so that one can follow the other within one.

    Were a plan that grants by the month to follow one that grants by the year, each month would add its allowance to
    what the whole year was granted already.
    """
    if plan.billing_period != other.billing_period:
        return False
    return plan.billing_period == Interval.MONTH or plan.allowance_every == other.allowance_every


def _switch(current: Subscription, plan: Plan, *, at: datetime, actor: Actor) -> Decimal:
    zone = ZoneInfo(current.organization.zone)
    if current.status == Status.INCOMPLETE:
        operations.replace_plan(current, plan)
        return ZERO
    if current.status != Status.ACTIVE:
        # No period to bill and no allowance to top up yet: a trial goes on.
        operations.switch_plan(current, plan, at)
        operations.update(current, plan=plan, pending_plan=None)
        return ZERO
    if _have_one_rhythm(plan, current.plan):
        credits = allowance.grant_top_up(current, plan, zone=zone, at=at, actor=actor.name)
        operations.switch_plan(current, plan, at)
        operations.update(current, plan=plan, pending_plan=None)
    else:
        overdrawn = allowance.end_stretch(current, at)
        operations.switch_plan(current, plan, at)
        operations.update(current, plan=plan, pending_plan=None)
        operations.restart(current, zone, at)
        renew.draft_ended(current, now=at)
        allowance.grant_due(current, zone=zone, at=at, actor=actor.name, overdrawn=overdrawn)
        credits = ZERO
    renew.schedule(current, zone=zone, after=at)
    return credits
