"""Moving subscribers from older versions of a plan to its current one, or to another plan: previewed, then one by one.

Each subscription is moved in a transaction of its own, by the journeys that move any other. Nothing but the rows says
how far a run has come: one that was killed is run again, and one that is run twice finds nothing left to do.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from uuid import UUID

from django.db import transaction
from django.db.models import Q, QuerySet, prefetch_related_objects

from billing.accounts import actors
from billing.accounts import queries as accounts_queries
from billing.accounts.actors import Act, Actor
from billing.catalog import queries as catalog_queries
from billing.infra import locks
from billing.kernel.errors import BillingError, Busy, Conflict
from billing.lifecycle import change_plan, pending, renew
from billing.lifecycle.change_plan import PaymentRequired, PlanOfOtherProduct
from billing.models import LIVE, Organization, Plan, Status, Subscription
from billing.subscriptions import queries, transitions

BATCH = 200
REASON = "plan migration"


class PlanMoved(Conflict):
    """Another version of the plan is current than the one that is migrated to."""

    code = "plan_moved"


class ChangePending(Conflict):
    """Another plan was chosen for the end of the running period, and that choice stands."""

    code = "change_pending"


class CancelPending(Conflict):
    """The subscription ends with the running period."""

    code = "cancel_pending"


class SignUpOpen(Conflict):
    """A sign-up that nobody confirmed yet keeps the price that it was made for."""

    code = "subscription_incomplete"


class When(StrEnum):
    NOW = "now"
    PERIOD_END = "period-end"


@dataclass(frozen=True, slots=True)
class Migration:
    """Who is moved where, and when. ``source_ids`` are the plan versions that are left; ``organization`` None is every
    organization, sandboxes only where ``has_sandboxes``."""

    source_ids: frozenset[UUID]
    target: Plan
    when: When
    organization: Organization | None = None
    has_sandboxes: bool = False


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one subscription: moved (now, or scheduled for its period's end), or the refusal."""

    subscription: Subscription
    refusal: BillingError | None


def prepare(
    *,
    source: str,
    actor: Actor,
    source_version: int | None = None,
    target: str | None = None,
    target_version: int | None = None,
    when: When = When.PERIOD_END,
    organization: Organization | None = None,
    has_sandboxes: bool = False,
) -> Migration:
    """Settle what is asked for: from ``source`` (one version, or all of them) to the current version of ``target``, by
    default the same plan. For operators.

    Raises ``PlanUnknown``, ``PlanRetired``, ``PlanOfOtherProduct``, and ``PlanMoved`` where ``target_version`` is not
    the current one.
    """
    actors.require(actor, Act.SUBSCRIPTIONS, organization)
    plan = catalog_queries.get_plan(target or source)
    # Once, and not for each subscriber.
    prefetch_related_objects([plan], "prices")
    if target_version not in (None, plan.version):
        raise PlanMoved(f"The current version of {plan.code} is {plan.version}, not {target_version}.")
    versions = list(Plan.objects.filter(code=source))
    wanted = [each for each in versions if source_version in (None, each.version)]
    if not wanted:
        asked = source if source_version is None else f"{source} version {source_version}"
        raise catalog_queries.PlanUnknown(f"There is no plan {asked}.", field="plan_code")
    for each in wanted:
        if each.product != plan.product:
            raise PlanOfOtherProduct(f"{plan.code} belongs to the product {plan.product}.", field="plan")
    ids = frozenset(each.id for each in wanted if each.id != plan.id)
    if organization is not None and organization.is_sandbox:
        has_sandboxes = True
    return Migration(ids, plan, when, organization, has_sandboxes)


def count(migration: Migration) -> int:
    """How many subscriptions are still to be looked at."""
    return _waiting(migration).count()


def list_versions_left(migration: Migration) -> set[UUID]:
    """Ids of the plan versions that somebody would be moved from."""
    return set(_waiting(migration).values_list("plan_id", flat=True).distinct())


def count_scheduled(migration: Migration) -> int:
    """How many will be moved at their period's end already."""
    return _subscribed(migration).filter(pending_plan=migration.target).count()


def iterate(migration: Migration, *, after: UUID | None = None, size: int = BATCH) -> Iterator[list[UUID]]:
    """Ids of the subscriptions to be moved, ``size`` at a time, in order, each once. Read page by page, so that what a
    run moves meanwhile neither shifts nor repeats anything."""
    while page := list_page(migration, after=after, size=size):
        yield page
        after = page[-1]


def list_page(migration: Migration, *, after: UUID | None, size: int) -> list[UUID]:
    """The next ``size`` ids behind ``after``."""
    found = _waiting(migration) if after is None else _waiting(migration).filter(id__gt=after)
    return list(found.order_by("id").values_list("id", flat=True)[:size])


def apply(migration: Migration, *, subscription_id: UUID, actor: Actor, now: datetime) -> Outcome:
    """Move one subscription, or say why not; then nothing of it is written.

    ``now`` is real time; a sandbox organization's own clock goes before it. Raises ``Busy`` where its books are in use,
    and ``PlanMoved`` once another version of the target is current: that ends the run.
    """
    subscription = queries.get_subscription(subscription_id)
    actors.require(actor, Act.SUBSCRIPTIONS, subscription.organization)
    try:
        with transaction.atomic():
            locks.lock_organization(subscription.organization_id)
            return _move(migration, subscription, actor=actor, now=now)
    except (Busy, PlanMoved):
        raise
    except BillingError as refusal:
        return untouched(subscription_id, refusal)


def untouched(subscription_id: UUID, refusal: BillingError) -> Outcome:
    """The outcome for a subscription that was not come to."""
    return Outcome(queries.get_subscription(subscription_id), refusal)


def _move(migration: Migration, subscription: Subscription, *, actor: Actor, now: datetime) -> Outcome:
    target = catalog_queries.get_plan(migration.target.code)
    if target.id != migration.target.id:
        raise PlanMoved(f"Version {target.version} of {target.code} became current: preview it first.")
    at = accounts_queries.now_for(subscription.organization, now)
    current = renew.lock_current(subscription, now=at, actor=actor, expected_version=None)
    if current.plan_id not in migration.source_ids or current.status not in LIVE:
        raise transitions.IllegalTransition(f"It is {current.status} on {current.plan} by now.")
    refusal = find_refusal(current, migration, now=at)
    if refusal is not None:
        raise refusal
    if migration.when is When.NOW:
        moved = change_plan.change_now(
            subscription=current, plan_code=target.code, actor=actor, now=at, vouches=False, reason=REASON
        )
    else:
        moved = pending.change_at_period_end(
            subscription=current, plan_code=target.code, actor=actor, now=at, reason=REASON
        )
    return Outcome(moved, None)


def find_refusal(current: Subscription, migration: Migration, *, now: datetime) -> BillingError | None:
    """Why a subscription that is on one of the versions to be left will not be moved; None if it will."""
    target, is_now = migration.target, migration.when is When.NOW
    try:
        fee_minor = catalog_queries.base_fee_minor(target, current.currency)
        was_minor = catalog_queries.base_fee_minor(current.plan, current.currency)
    except catalog_queries.CurrencyNotSold as refusal:
        return refusal
    if _has_renewals_waiting(current, now):
        return renew.RenewalsWaiting("Its renewals are held or parked: an operator has to let them run first.")
    if current.status == Status.INCOMPLETE:
        return SignUpOpen("It was signed up for and is not confirmed yet: it keeps what it was signed up for.")
    if current.cancel_at_period_end:
        return CancelPending("It ends with its running period.")
    if current.pending_plan_id not in (None, target.id):
        return ChangePending("Another plan was chosen for the end of its running period.")
    if is_now and current.status not in change_plan.CHANGEABLE:
        return transitions.IllegalTransition(f"It is {current.status}: that can only change at its period's end.")
    if fee_minor and not was_minor and current.confirmed_at is None:
        return PaymentRequired("It was free so far, and nobody vouched for its payment.")
    return None


def _has_renewals_waiting(current: Subscription, now: datetime) -> bool:
    is_stopped = current.held_at is not None or current.parked_at is not None
    return is_stopped and current.due_at is not None and current.due_at <= now


def list_subscriptions(ids: Collection[UUID]) -> list[Subscription]:
    """With all that a preview reads of them, in order of id."""
    found = Subscription.objects.filter(id__in=ids).select_related("organization", "plan", "pending_plan")
    return list(found.prefetch_related("plan__prices").order_by("id"))


def _subscribed(migration: Migration) -> QuerySet[Subscription]:
    found = Subscription.objects.filter(plan_id__in=migration.source_ids, status__in=LIVE)
    if migration.organization is not None:
        return found.filter(organization=migration.organization)
    return found if migration.has_sandboxes else found.filter(organization__is_sandbox=False)


def _waiting(migration: Migration) -> QuerySet[Subscription]:
    if migration.when is When.NOW:
        return _subscribed(migration)
    return _subscribed(migration).filter(Q(pending_plan__isnull=True) | ~Q(pending_plan=migration.target))
