"""Renewal: all that time alone brings about, in order and on its own instants."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID
from zoneinfo import ZoneInfo

from django.db import transaction

from billing.accounts.actors import Actor, system
from billing.credits import operations as credits_operations
from billing.infra import locks
from billing.invoicing import operations as invoicing_operations
from billing.invoicing.errors import NothingToBill
from billing.lifecycle import allowance
from billing.lifecycle.happenings import Happening, tell
from billing.models import Status, Subscription, SubscriptionPeriod
from billing.subscriptions import operations, queries

RENEWAL = system("renewal")


def renew_due(*, organization_id: UUID, now: datetime, actor: Actor = RENEWAL) -> list[Happening]:
    """Run what fell due on an organization's subscriptions up to ``now``. Running it again finds nothing to do."""
    with transaction.atomic():
        locks.lock_organization(organization_id)
        due = Subscription.objects.filter(organization_id=organization_id, due_at__lte=now)
        return [
            happening
            for subscription_id in due.order_by("due_at").values_list("id", flat=True)
            for happening in run(queries.get_subscription(subscription_id), now=now, actor=actor)
        ]


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
    zone = ZoneInfo(subscription.organization.zone)
    happenings: list[Happening] = []
    credits_operations.expire_due(account=subscription.marketplace, now=at)
    last = queries.find_last_period(subscription)
    if last is not None and last.ends_at <= at:
        happenings += _turn(subscription, last, zone=zone, at=at, actor=actor)
    if subscription.status == Status.ACTIVE:
        allowance.grant_due(subscription, zone=zone, at=at, actor=actor.name)
        schedule(subscription, zone=zone, after=at)
    return happenings


def _turn(
    subscription: Subscription, last: SubscriptionPeriod, *, zone: ZoneInfo, at: datetime, actor: Actor
) -> list[Happening]:
    """From one period to the next: a trial becomes active or expires, an active subscription goes on."""
    if subscription.status == Status.TRIALING:
        if subscription.confirmed_at is None and queries.costs(subscription):
            operations.end(subscription, status=Status.EXPIRED, at=at)
            return [tell(subscription, "subscription.expired", actor=actor, at=at, plan=subscription.plan.code)]
        operations.update(subscription, status=Status.ACTIVE)
    period = operations.extend(subscription, zone)
    happening = tell(
        subscription,
        "subscription.renewed",
        actor=actor,
        at=at,
        period=period.ordinal,
        starts_at=period.starts_at.isoformat(),
        ends_at=period.ends_at.isoformat(),
    )
    return [happening, *_draft(subscription, last, at=at, actor=actor)]


def _draft(subscription: Subscription, ended: SubscriptionPeriod, *, at: datetime, actor: Actor) -> list[Happening]:
    try:
        invoice = invoicing_operations.draft(subscription=subscription, actor=RENEWAL, now=at, period=ended)
    except NothingToBill:
        return []
    return [Happening(at, "invoice.drafted", str(subscription.id), {"invoice_id": str(invoice.id)})]
