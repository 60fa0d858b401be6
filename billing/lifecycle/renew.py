"""Renewal: all that time alone brings about, in order and on its own instants."""

from __future__ import annotations

import logging
from datetime import datetime
from uuid import UUID
from zoneinfo import ZoneInfo

from django.db import DataError, IntegrityError, transaction
from django.db.models import Min

from billing.accounts import actors
from billing.accounts.actors import Act, Actor, system
from billing.credits import operations as credits_operations
from billing.infra import locks, logs
from billing.invoicing import operations as invoicing_operations
from billing.invoicing.errors import AmountOutOfBounds, NothingToBill
from billing.kernel.errors import BillingError, Busy, Conflict, InvariantViolation
from billing.lifecycle import allowance
from billing.lifecycle.happenings import Happening, tell
from billing.models import LIVE, Status, Subscription, SubscriptionPeriod
from billing.subscriptions import operations, queries

RENEWAL = system("renewal")
PARKED_REASON_MAX = 500


class RenewalsWaiting(Conflict):
    """Renewals of this subscription are held or parked, and nothing else can happen to it before they ran."""

    code = "renewals_waiting"


def renew_due(*, organization_id: UUID, now: datetime, actor: Actor = RENEWAL) -> list[Happening]:
    """Run what fell due on an organization's subscriptions up to ``now``. Running it again finds nothing to do.

    A subscription that cannot be renewed is parked with the reason, and the others go on; held ones wait.
    """
    with transaction.atomic():
        locks.lock_organization(organization_id)
        due = Subscription.objects.filter(
            organization_id=organization_id, due_at__lte=now, held_at__isnull=True, parked_at__isnull=True
        )
        return [
            happening
            for subscription_id in due.order_by("due_at").values_list("id", flat=True)
            for happening in _run_or_park(subscription_id, now=now, actor=actor)
        ]


def next_due(organization_id: UUID) -> datetime | None:
    """When something next falls due for one of the organization's subscriptions that is neither held nor parked."""
    waiting = Subscription.objects.filter(
        organization_id=organization_id, due_at__isnull=False, held_at__isnull=True, parked_at__isnull=True
    )
    next_at: datetime | None = waiting.aggregate(at=Min("due_at"))["at"]
    return next_at


def release(
    *, subscription: Subscription, actor: Actor, now: datetime, expected_version: int | None = None
) -> list[Happening]:
    """Let held or parked renewals run, now, for operators. One that fails again parks again, with the new reason."""
    actors.require(actor, Act.SUBSCRIPTIONS, subscription.organization)
    with transaction.atomic():
        locks.lock_organization(subscription.organization_id)
        current = queries.get_subscription(subscription.id)
        operations.check_version(current, expected_version)
        if current.held_at is None and current.parked_at is None:
            return []
        operations.update(current, held_at=None, parked_at=None, parked_reason="")
        released = tell(current, "subscription.released", actor=actor, at=now)
        return [released, *_run_or_park(current.id, now=now, actor=actor)]


def _run_or_park(subscription_id: UUID, *, now: datetime, actor: Actor) -> list[Happening]:
    subscription = queries.get_subscription(subscription_id)
    try:
        with transaction.atomic():
            return run(subscription, now=now, actor=actor)
    except Busy:
        # Not the subscription's fault: the next sweep tries again.
        raise
    except (BillingError, InvariantViolation, IntegrityError, DataError, ArithmeticError) as error:
        logs.event(
            "subscription.parked",
            level=logging.ERROR,
            error=error,
            organization=subscription.organization_id,
            subscription=subscription_id,
        )
        current = queries.get_subscription(subscription_id)
        reason = f"{type(error).__name__}: {error}"[:PARKED_REASON_MAX]
        operations.update(current, parked_at=now, parked_reason=reason)
        return [tell(current, "subscription.parked", actor=actor, at=now, why=reason)]


def lock_current(
    subscription: Subscription, *, now: datetime, actor: Actor, expected_version: int | None
) -> Subscription:
    """The subscription as it is, under the organization's lock and with what fell due done: where every change begins.

    Raises ``StaleSubscription`` for another version than the expected one, and ``RenewalsWaiting`` where an operator
    has to let renewals run first: what comes next would be judged by periods that are not there.
    """
    locks.lock_organization(subscription.organization_id)
    current = queries.get_subscription(subscription.id)
    operations.check_version(current, expected_version)
    waits = current.held_at is not None or current.parked_at is not None
    if waits and current.due_at is not None and current.due_at <= now:
        raise RenewalsWaiting("Its renewals are held or parked: an operator has to let them run first.")
    run(current, now=now, actor=actor)
    return current


def run(subscription: Subscription, *, now: datetime, actor: Actor) -> list[Happening]:
    """Run one subscription's due instants up to ``now``, each as if it were now. The caller holds the lock."""
    happenings = []
    while subscription.due_at is not None and subscription.due_at <= now:
        happenings += _step(subscription, at=subscription.due_at, actor=actor)
    return happenings


def schedule(subscription: Subscription, *, zone: ZoneInfo, after: datetime) -> None:
    """Note when time next changes something: the period's end, or an allowance that starts before it."""
    last = queries.find_last_period(subscription)
    starts_at = allowance.next_start(subscription, zone=zone, after=after)
    due_at = min(filter(None, (last.ends_at if last else None, starts_at)), default=None)
    operations.update(subscription, due_at=due_at)


def _step(subscription: Subscription, *, at: datetime, actor: Actor) -> list[Happening]:
    if subscription.status == Status.INCOMPLETE:
        return _expire(subscription, at=at, actor=actor)
    zone = ZoneInfo(subscription.organization.zone)
    happenings: list[Happening] = []
    credits_operations.expire_due(account=subscription.marketplace, now=at)
    last = queries.find_last_period(subscription)
    if last is not None and last.ends_at <= at:
        happenings += _turn(subscription, last, zone=zone, at=at, actor=actor)
    if subscription.status == Status.ACTIVE:
        allowance.grant_due(subscription, zone=zone, at=at, actor=actor.name)
    if subscription.status in LIVE:
        schedule(subscription, zone=zone, after=at)
    return happenings


def _turn(
    subscription: Subscription, last: SubscriptionPeriod, *, zone: ZoneInfo, at: datetime, actor: Actor
) -> list[Happening]:
    """From one period to the next, with what was pending for its end."""
    if subscription.cancel_at_period_end:
        operations.end(subscription, status=Status.CANCELED, at=at)
        ended = tell(subscription, "subscription.canceled", actor=actor, at=at, plan=subscription.plan.code)
        return [ended, *_draft(subscription, last, at=at)]
    happenings = _apply_pending(subscription, at=at, actor=actor)
    if subscription.status == Status.TRIALING:
        if subscription.confirmed_at is None and queries.costs(subscription):
            return [*happenings, *_expire(subscription, at=at, actor=actor)]
        operations.update(subscription, status=Status.ACTIVE)
    period = operations.extend(subscription, zone)
    happenings.append(
        tell(
            subscription,
            "subscription.renewed",
            actor=actor,
            at=at,
            period=period.ordinal,
            starts_at=period.starts_at.isoformat(),
            ends_at=period.ends_at.isoformat(),
        )
    )
    return [*happenings, *_draft(subscription, last, at=at)]


def _apply_pending(subscription: Subscription, *, at: datetime, actor: Actor) -> list[Happening]:
    plan = subscription.pending_plan
    if plan is None:
        return []
    was = subscription.plan
    operations.switch_plan(subscription, plan, at, is_paused=subscription.status == Status.PAUSED)
    # Another billing period counts from here; the same one goes on from its old anchor.
    anchor_at = subscription.anchor_at if plan.billing_period == was.billing_period else at
    operations.update(subscription, plan=plan, pending_plan=None, anchor_at=anchor_at)
    return [
        tell(
            subscription,
            "subscription.plan_changed",
            actor=actor,
            at=at,
            plan=plan.code,
            plan_version=plan.version,
            plan_before=was.code,
            plan_version_before=was.version,
        )
    ]


def _expire(subscription: Subscription, *, at: datetime, actor: Actor) -> list[Happening]:
    operations.end(subscription, status=Status.EXPIRED, at=at)
    return [tell(subscription, "subscription.expired", actor=actor, at=at, plan=subscription.plan.code)]


def draft_advance(subscription: Subscription, *, at: datetime) -> None:
    """Draft the fee in advance of the period that a start or a change of plan at ``at`` asks for, if any."""
    invoicing_operations.draft_change(subscription=subscription, actor=RENEWAL, now=at)


def draft_ended(subscription: Subscription, *, now: datetime) -> list[Happening]:
    """Draft the invoice of the period that a cancellation or a change of rhythm just cut short: in a sandbox no sweep
    would. One that was left in its first instant keeps its end, and is drafted for the fee that was paid for it. One
    that cannot be drafted keeps nobody from leaving."""
    last = queries.find_last_period(subscription)
    is_unlived = last is not None and subscription.ended_at is not None and subscription.ended_at <= last.starts_at
    ended = last if is_unlived else queries.find_last_ended_period(subscription, now)
    if ended is None:
        return []
    try:
        return _draft(subscription, ended, at=now)
    except BillingError as refusal:
        return _undrafted(subscription, ended, refusal)


def _draft(subscription: Subscription, ended: SubscriptionPeriod, *, at: datetime) -> list[Happening]:
    try:
        invoice = invoicing_operations.draft(subscription=subscription, actor=RENEWAL, now=at, period=ended)
    except NothingToBill:
        return []
    except AmountOutOfBounds as refusal:
        # Use alone brings this about, so it must not stop time: whoever used too much is still counted and may leave.
        return _undrafted(subscription, ended, refusal)
    return [Happening(at, "invoice.drafted", str(subscription.id), {"invoice_id": str(invoice.id)})]


def _undrafted(subscription: Subscription, ended: SubscriptionPeriod, refusal: BillingError) -> list[Happening]:
    logs.event(
        "invoice.undrafted",
        level=logging.ERROR,
        organization=subscription.organization_id,
        period=ended.id,
        code=refusal.code,
        reason=refusal.message,
    )
    return []
