"""Coming aboard: a first subscription, or a return."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

from django.db import transaction

from billing.accounts import actors, fields
from billing.accounts.actors import Act, Actor
from billing.catalog import queries as catalog_queries
from billing.credits import operations as credits_operations
from billing.infra import locks
from billing.kernel.errors import Conflict, Invalid
from billing.kernel.periods import floor_second
from billing.lifecycle import allowance, renew, sla
from billing.lifecycle.happenings import tell
from billing.models import Organization, Plan, PlanSpan, Status, Subscription
from billing.subscriptions import operations, queries, transitions

# A sign-up that nobody confirms stands in the way of the next one for this long.
INCOMPLETE_KEPT = timedelta(hours=24)


class SubscriptionExists(Conflict):
    """The organization already has a live subscription of this product."""

    code = "subscription_exists"


class StartTaken(Conflict):
    """An earlier subscription of the product was still there then."""

    code = "starts_at_taken"


class StartInvalid(Invalid):
    """A subscription cannot start there."""

    code = "starts_at_invalid"


def subscribe(
    *,
    organization: Organization,
    plan_code: str,
    actor: Actor,
    now: datetime,
    currency: str | None = None,
    starts_at: datetime | None = None,
    accepted: sla.Acceptance | None = None,
) -> Subscription:
    """Put ``organization`` on the current version of a plan.

    With a trial if the plan has one and the organization never had one of this product; ``active`` if the plan is free
    or an operator (right to ``subscriptions``) vouches for it; else ``incomplete``: no credits and no quota until it is
    confirmed; given up on, it expires. Only operators choose plans that are not on sale or set ``starts_at``, which
    lies in the past: a sandbox catches up at once, elsewhere the renewals are held until an operator lets them run.
    What was bought on an earlier subscription of the product comes along. ``accepted`` terms of the service level are
    kept with it. Raises ``SubscriptionExists``, ``SlaVersionStale``.
    """
    actors.require(actor, Act.SUBSCRIBE, organization)
    is_operator = actors.may(actor, Act.SUBSCRIPTIONS, organization)
    start = _start(organization, starts_at, now, is_operator=is_operator)
    currency = fields.currency(currency or organization.currency)
    with transaction.atomic():
        locks.lock_organization(organization.id)
        plan = catalog_queries.get_plan(plan_code, must_be_on_sale=not is_operator)
        if queries.find_live(organization, plan.product) is not None:
            raise SubscriptionExists("There is a live subscription of this product.", product=plan.product)
        ended = queries.list_ended(organization, plan.product)
        start = _after(ended, start, is_chosen=starts_at is not None)
        is_free = not catalog_queries.base_fee_minor(plan, currency)
        has_trial = bool(plan.trial_days) and not queries.had_trial(organization, plan.product)
        serves_at_once = is_operator or is_free
        subscription = operations.create(
            organization=organization,
            plan=plan,
            currency=currency,
            status=Status.TRIALING if has_trial else Status.ACTIVE if serves_at_once else Status.INCOMPLETE,
            starts_at=start,
            # A free plan needs nobody's word, and must not pass for one when a paid plan is chosen later.
            confirmed_at=now if is_operator and not is_free else None,
        )
        sla.accept(subscription=subscription, plan=plan, acceptance=accepted, actor=actor, now=now)
        for former in ended:
            if former.marketplace.credit_balance:
                credits_operations.move_remaining(source=former.marketplace, target=subscription.marketplace, now=now)
        if has_trial:
            _begin_trial(subscription, actor)
        elif subscription.status == Status.ACTIVE:
            _begin_service(subscription, actor)
        else:
            operations.update(subscription, due_at=start + INCOMPLETE_KEPT)
        tell(subscription, "subscription.created", actor=actor, at=start, plan=plan.code, plan_version=plan.version)
        if organization.is_sandbox:
            renew.run(subscription, now=now, actor=actor)
        elif subscription.due_at is not None and subscription.due_at <= now:
            operations.update(subscription, held_at=now)
    return queries.get_subscription(subscription.id)


def begins_trial(live: Subscription, plan: Plan, *, actor: Actor) -> bool:
    """Whether a customer who is on a plan free of charge goes over to ``plan`` by its trial: nobody has vouched for
    payment yet, and there was no trial before."""
    if live.status != Status.ACTIVE or live.confirmed_at is not None or not plan.trial_days:
        return False
    if plan.product != live.product or actors.may(actor, Act.SUBSCRIPTIONS, live.organization):
        return False
    is_upwards = not queries.costs(live) and catalog_queries.base_fee_minor(plan, live.currency) > 0
    return is_upwards and not queries.had_trial(live.organization, live.product)


def activate(
    *, subscription: Subscription, actor: Actor, now: datetime, expected_version: int | None = None
) -> Subscription:
    """Confirm an ``incomplete`` subscription: its service, periods and credits begin now. For operators."""
    actors.require(actor, Act.SUBSCRIPTIONS, subscription.organization)
    with transaction.atomic():
        locks.lock_organization(subscription.organization_id)
        current = queries.get_subscription(subscription.id)
        operations.check_version(current, expected_version)
        if current.status != Status.INCOMPLETE:
            raise transitions.IllegalTransition(f"A subscription that is {current.status} needs no confirmation.")
        start = max(floor_second(now), current.starts_at)
        # A free plan needs nobody's word, and must not pass for one when a paid plan is chosen later.
        confirmed_at = now if queries.costs(current) else None
        operations.update(current, status=Status.ACTIVE, starts_at=start, anchor_at=start, confirmed_at=confirmed_at)
        PlanSpan.objects.filter(subscription=current, ends_at__isnull=True).update(starts_at=start)
        _begin_service(current, actor)
        tell(current, "subscription.activated", actor=actor, at=start, plan=current.plan.code)
    return queries.get_subscription(subscription.id)


def _begin_trial(subscription: Subscription, actor: Actor) -> None:
    zone = ZoneInfo(subscription.organization.zone)
    local = subscription.starts_at.astimezone(zone)
    ends_at = (local + timedelta(days=subscription.plan.trial_days)).astimezone(subscription.starts_at.tzinfo)
    period = operations.add_trial(subscription, ends_at=ends_at)
    operations.update(
        subscription,
        trial_starts_at=subscription.starts_at,
        trial_ends_at=ends_at,
        anchor_at=ends_at,
        due_at=ends_at,
    )
    allowance.grant_trial(subscription, period, actor=actor.name)


def _begin_service(subscription: Subscription, actor: Actor) -> None:
    zone = ZoneInfo(subscription.organization.zone)
    operations.extend(subscription, zone)
    overdrawn = allowance.overdrawn_by_former(subscription, subscription.anchor_at)
    allowance.grant_due(subscription, zone=zone, at=subscription.anchor_at, actor=actor.name, overdrawn=overdrawn)
    renew.schedule(subscription, zone=zone, after=subscription.anchor_at)
    renew.draft_advance(subscription, at=subscription.anchor_at)


def _after(ended: Sequence[Subscription], start: datetime, *, is_chosen: bool) -> datetime:
    """``start``, or the end of the last subscription where that is later: an instant belongs to one subscription."""
    last = max((each.ended_at for each in ended if each.ended_at), default=start)
    if is_chosen and start < last:
        raise StartTaken(f"The subscription before ended at {last.isoformat()}.", field="starts_at")
    return max(start, last)


def _start(organization: Organization, starts_at: datetime | None, now: datetime, *, is_operator: bool) -> datetime:
    if starts_at is None:
        return floor_second(now)
    if not is_operator:
        raise StartInvalid("Only an operator can say when a subscription starts.", field="starts_at")
    if starts_at > now:
        raise StartInvalid("A subscription cannot start in the future.", field="starts_at")
    return floor_second(starts_at)
