"""Writing subscriptions, their spine and their plan spans. The caller holds the organization's lock."""

from __future__ import annotations

from datetime import datetime
from zoneinfo import ZoneInfo

from django.db.models import F

from billing.kernel.errors import Conflict, InvariantViolation
from billing.kernel.periods import Interval, boundary
from billing.models import (
    MarketplaceSubscription,
    Organization,
    PeriodKind,
    Plan,
    PlanSpan,
    Status,
    Subscription,
    SubscriptionPeriod,
    UsageWindow,
)
from billing.subscriptions import queries, transitions


class StaleSubscription(Conflict):
    """The caller believed in another subscription or version than the current one. Nothing was changed."""

    code = "stale_subscription"


def create(
    *,
    organization: Organization,
    plan: Plan,
    currency: str,
    status: Status,
    starts_at: datetime,
    confirmed_at: datetime | None,
) -> Subscription:
    """Add a subscription with its credit account and first plan span. The spine is begun separately."""
    subscription = Subscription.objects.create(
        organization=organization,
        product=plan.product,
        plan=plan,
        status=status,
        currency=currency,
        starts_at=starts_at,
        anchor_at=starts_at,
        confirmed_at=confirmed_at,
    )
    MarketplaceSubscription.objects.create(subscription=subscription, organization=organization)
    PlanSpan.objects.create(organization=organization, subscription=subscription, plan=plan, starts_at=starts_at)
    return subscription


def check_version(subscription: Subscription, expected: int | None) -> None:
    """Raise ``StaleSubscription`` if the caller named another version than the current one."""
    if expected is not None and expected != subscription.version:
        raise StaleSubscription(
            f"The subscription is at version {subscription.version}, not {expected}.", version=subscription.version
        )


def update(subscription: Subscription, **changes: object) -> None:
    """Write columns and count the version up. A status in ``changes`` must be a legal next one."""
    after = changes.get("status")
    if after is not None and after != subscription.status:
        transitions.check(subscription.status, str(after))
    written = Subscription.objects.filter(id=subscription.id, version=subscription.version).update(
        version=F("version") + 1, **changes
    )
    if written != 1:
        raise InvariantViolation(f"subscription {subscription.id} changed under the lock")
    subscription.version += 1
    for name, value in changes.items():
        setattr(subscription, name, value)


def add_trial(subscription: Subscription, *, ends_at: datetime) -> SubscriptionPeriod:
    """Begin the spine with a trial, as period 0. Period 1 starts where it ends."""
    return SubscriptionPeriod.objects.create(
        organization_id=subscription.organization_id,
        subscription=subscription,
        ordinal=0,
        kind=PeriodKind.TRIAL,
        starts_at=subscription.starts_at,
        ends_at=ends_at,
        nominal_ends_at=ends_at,
    )


def extend(subscription: Subscription, zone: ZoneInfo) -> SubscriptionPeriod:
    """Add the next regular period: it starts where the last one ends, and ends at the anchor's next boundary."""
    last = queries.find_last_period(subscription)
    starts_at = last.ends_at if last else subscription.anchor_at
    ends_at = _next_boundary(subscription, zone, starts_at)
    return SubscriptionPeriod.objects.create(
        organization_id=subscription.organization_id,
        subscription=subscription,
        ordinal=last.ordinal + 1 if last else 1,
        kind=PeriodKind.REGULAR,
        starts_at=starts_at,
        ends_at=ends_at,
        nominal_ends_at=ends_at,
        prev_end=last.ends_at if last else None,
    )


def _next_boundary(subscription: Subscription, zone: ZoneInfo, after: datetime) -> datetime:
    interval = Interval(subscription.plan.billing_period)
    # Close to the answer at once, also for a subscription of many years.
    months = {Interval.MONTH: 1, Interval.QUARTER: 3, Interval.YEAR: 12}[interval]
    elapsed = (after.year - subscription.anchor_at.year) * 12 + after.month - subscription.anchor_at.month
    index = max(0, elapsed // months - 1)
    while (at := boundary(subscription.anchor_at, zone=zone, interval=interval, index=index)) <= after:
        index += 1
    return at


def cut(subscription: Subscription, at: datetime) -> None:
    """End the period that holds ``at`` there, with the windows that follow it. Its nominal end stays for proration."""
    period = queries.find_period(subscription, at)
    if period is None or period.starts_at == at:
        return
    UsageWindow.objects.filter(subscription=subscription, cadence="billing_period", starts_at=period.starts_at).update(
        ends_at=at
    )
    SubscriptionPeriod.objects.filter(id=period.id).update(ends_at=at)


def restart(subscription: Subscription, zone: ZoneInfo, at: datetime) -> None:
    """Begin a period anew at ``at``, which is the anchor from now on; one that began there just changes its end."""
    update(subscription, anchor_at=at)
    period = queries.find_period(subscription, at)
    if period is None or period.starts_at < at:
        cut(subscription, at)
        extend(subscription, zone)
        return
    ends_at = _next_boundary(subscription, zone, at)
    SubscriptionPeriod.objects.filter(id=period.id).update(ends_at=ends_at, nominal_ends_at=ends_at)
    UsageWindow.objects.filter(subscription=subscription, cadence="billing_period", starts_at=period.starts_at).update(
        ends_at=ends_at
    )


def switch_plan(subscription: Subscription, plan: Plan, at: datetime, *, is_paused: bool = False) -> None:
    """Close the open plan span at ``at`` and open one of ``plan``."""
    _close_span(subscription, at)
    PlanSpan.objects.create(
        organization_id=subscription.organization_id,
        subscription=subscription,
        plan=plan,
        starts_at=at,
        is_paused=is_paused,
    )


def pause(subscription: Subscription, at: datetime) -> None:
    """Stop service and base fee at ``at``: a paused span begins. Periods go on."""
    switch_plan(subscription, subscription.plan, at, is_paused=True)
    update(subscription, status=Status.PAUSED, paused_at=at)


def unpause(subscription: Subscription, at: datetime) -> None:
    """Serve and bill again from ``at`` on, on the same plan version."""
    switch_plan(subscription, subscription.plan, at)
    update(subscription, status=Status.ACTIVE, paused_at=None)


def become_past_due(subscription: Subscription, at: datetime) -> None:
    """Stop service at ``at``, while periods and base fee go on: what runs is owed."""
    update(subscription, status=Status.PAST_DUE, past_due_at=at)


def recover(subscription: Subscription) -> None:
    """Serve a subscription that was past due again."""
    update(subscription, status=Status.ACTIVE, past_due_at=None)


def replace_plan(subscription: Subscription, plan: Plan) -> None:
    """Put a subscription that nothing was served under on ``plan``, as if it had never been on another."""
    PlanSpan.objects.filter(subscription=subscription, ends_at__isnull=True).update(plan=plan)
    update(subscription, plan=plan)


def end(subscription: Subscription, *, status: Status, at: datetime) -> None:
    """End the subscription for good: its period, its plan span and whatever would have fallen due."""
    cut(subscription, at)
    _close_span(subscription, at)
    update(
        subscription,
        status=status,
        ended_at=at,
        due_at=None,
        paused_at=None,
        past_due_at=None,
        cancel_at_period_end=False,
        pending_plan=None,
        parked_at=None,
        parked_reason="",
    )


def _close_span(subscription: Subscription, at: datetime) -> None:
    closed = PlanSpan.objects.filter(subscription=subscription, ends_at__isnull=True).update(ends_at=at)
    if closed != 1:
        raise InvariantViolation(f"subscription {subscription.id} has {closed} open plan spans")
