"""Reading subscriptions."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from uuid import UUID

from django.db.models import Max, Q
from django.db.models.functions import Least

from billing.catalog import queries as catalog_queries
from billing.infra import statements
from billing.kernel.errors import NotFound
from billing.kernel.periods import Span, floor_second
from billing.models import LIVE, SERVED, Organization, PlanSpan, Subscription, SubscriptionPeriod, UsageEvent

DEFAULT_PRODUCT = "platform"


class SubscriptionNotFound(NotFound):
    """No such subscription, or none that the caller may know of."""


def find_subscription(subscription_id: UUID) -> Subscription | None:
    """With its organization, plan, pending plan and account. One statement."""
    beside = ("organization", "plan", "pending_plan", "marketplace")
    found = statements.fetch_rows(Subscription, "own.id = %s", [subscription_id], beside=beside)
    return found[0] if found else None


def get_subscription(subscription_id: UUID) -> Subscription:
    """Raises ``SubscriptionNotFound``."""
    subscription = find_subscription(subscription_id)
    if subscription is None:
        raise SubscriptionNotFound("No such subscription.")
    return subscription


_SERVED_VERSIONS = """
SELECT subscription.plan_id, plan.content_digest
FROM organization_subscriptions subscription JOIN billing_plans plan ON plan.id = subscription.plan_id
WHERE subscription.organization_id = %s AND subscription.status = ANY(%s::text[])
ORDER BY subscription.product
"""


def list_served_versions(organization: Organization) -> list[tuple[UUID, str]]:
    """Plan versions that serve the organization now, one for each product, with their content's digest."""
    served = [status.value for status in SERVED]
    return [(plan_id, digest) for plan_id, digest in statements.fetch_all(_SERVED_VERSIONS, [organization.id, served])]


def find_live(organization: Organization, product: str = DEFAULT_PRODUCT) -> Subscription | None:
    """The one subscription of this product that has not ended, whatever its status."""
    return (
        Subscription.objects.select_related("organization", "plan", "pending_plan", "marketplace")
        .filter(organization=organization, product=product, status__in=LIVE)
        .first()
    )


def find_active(organization: Organization, *, at: datetime, product: str = DEFAULT_PRODUCT) -> Subscription | None:
    """The subscription in service at ``at``: active or trialing, and inside a period of its spine; else None."""
    return (
        Subscription.objects.select_related("organization", "plan", "pending_plan", "marketplace")
        .filter(
            organization=organization,
            product=product,
            status__in=SERVED,
            periods__starts_at__lte=at,
            periods__ends_at__gt=at,
        )
        .first()
    )


def costs(subscription: Subscription) -> bool:
    """Whether its plan has a base fee, so that somebody has to vouch for payment."""
    return catalog_queries.base_fee_minor(subscription.plan, subscription.currency) > 0


def find_period(subscription: Subscription, at: datetime) -> SubscriptionPeriod | None:
    return subscription.periods.filter(starts_at__lte=at, ends_at__gt=at).first()


def find_running_span(organization: Organization, *, at: datetime, product: str = DEFAULT_PRODUCT) -> Span | None:
    """The bounds of the live subscription's period that holds ``at``."""
    bounds = (
        SubscriptionPeriod.objects.filter(
            subscription__organization=organization,
            subscription__product=product,
            subscription__status__in=LIVE,
            starts_at__lte=at,
            ends_at__gt=at,
        )
        .values_list("starts_at", "ends_at")
        .first()
    )
    return Span(*bounds) if bounds else None


def find_last_period(subscription: Subscription) -> SubscriptionPeriod | None:
    return subscription.periods.order_by("-ordinal").first()


def find_last_ended_period(subscription: Subscription, now: datetime) -> SubscriptionPeriod | None:
    return subscription.periods.filter(ends_at__lte=now).order_by("-ordinal").first()


def find_last_ended(organization: Organization, product: str) -> Subscription | None:
    """The subscription that a customer who comes back left last."""
    return (
        Subscription.objects.select_related("marketplace")
        .filter(organization=organization, product=product)
        .exclude(status__in=LIVE)
        .order_by("-ended_at", "-created_at")
        .first()
    )


def list_live(organizations: Iterable[Organization]) -> list[Subscription]:
    """The live subscriptions of these organizations, with their plans, in one query."""
    live = Subscription.objects.select_related("organization", "plan", "pending_plan", "marketplace")
    return list(live.filter(organization__in=list(organizations), status__in=LIVE).order_by("organization", "product"))


def list_ended(organization: Organization, product: str) -> list[Subscription]:
    """All that a customer who comes back has left of this product, longest ago first."""
    return list(
        Subscription.objects.select_related("marketplace")
        .filter(organization=organization, product=product)
        .exclude(status__in=LIVE)
        .order_by("ended_at", "created_at")
    )


def change_instant(subscription: Subscription, now: datetime) -> datetime:
    """The full second at which a change asked for at ``now`` takes effect: that one, or the first still open to change.

    Who waited for the lock comes with a ``now`` from before what it waited for. A period or a plan that has begun
    since stands, and so does the plan by which use was judged since.
    """
    at = floor_second(now)
    last = find_last_period(subscription)
    held = PlanSpan.objects.filter(subscription=subscription, ends_at__isnull=True).values_list("starts_at", flat=True)
    # Use may be told minutes ahead of the clock: then it was judged when it was recorded.
    judged_at = UsageEvent.objects.filter(
        organization_id=subscription.organization_id, subscription=subscription, occurred_at__gt=at
    ).aggregate(last=Max(Least("occurred_at", "recorded_at")))["last"]
    return max(
        at,
        subscription.starts_at,
        *held,
        *([last.starts_at] if last else ()),
        *([floor_second(judged_at)] if judged_at else ()),
    )


def had_trial(organization: Organization, product: str) -> bool:
    return Subscription.objects.filter(
        organization=organization, product=product, trial_starts_at__isnull=False
    ).exists()


def list_spans_in(subscription: Subscription, *, starts_at: datetime, ends_at: datetime) -> list[PlanSpan]:
    """Plan spans that touch ``[starts_at, ends_at)``, spans of no length inside it included, oldest first."""
    return list(
        PlanSpan.objects.select_related("plan")
        .filter(subscription=subscription, starts_at__lt=ends_at)
        .filter(Q(ends_at__isnull=True) | Q(ends_at__gt=starts_at) | Q(starts_at__gte=starts_at))
        .order_by("starts_at", "id")
    )


def list_due_organizations(*, now: datetime, limit: int) -> list[UUID]:
    """Organizations, not sandboxes, with a subscription that something falls due on; longest overdue first."""
    due = (
        Subscription.objects.filter(
            due_at__lte=now, organization__is_sandbox=False, held_at__isnull=True, parked_at__isnull=True
        )
        .order_by("due_at")
        .values_list("organization_id", flat=True)[:limit]
    )
    return list(dict.fromkeys(due))


def list_history(
    organization: Organization, *, before: tuple[datetime, UUID] | None = None, limit: int = 50
) -> list[Subscription]:
    """All subscriptions there ever were, newest first; ``before`` is the last row of the page before."""
    rows = (
        Subscription.objects.select_related("organization", "plan", "pending_plan", "marketplace")
        .prefetch_related("discounts")
        .filter(organization=organization)
    )
    if before is not None:
        created_at, subscription_id = before
        rows = rows.filter(Q(created_at__lt=created_at) | Q(created_at=created_at, id__lt=subscription_id))
    return list(rows.order_by("-created_at", "-id")[:limit])


def find_periods(subscriptions: Iterable[Subscription], at: datetime) -> dict[UUID, SubscriptionPeriod]:
    """The period that each is in at ``at``, by subscription id; those that are in none are left out."""
    periods = SubscriptionPeriod.objects.filter(
        subscription__in=[each.id for each in subscriptions], starts_at__lte=at, ends_at__gt=at
    )
    return {period.subscription_id: period for period in periods}
