"""Granting a plan's credits: at the start of each stretch it allows for, during a trial, and on top at an upgrade."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from decimal import Decimal
from zoneinfo import ZoneInfo

from django.db.models import QuerySet

from billing.credits import operations as credits_operations
from billing.kernel.decimals import ZERO
from billing.kernel.errors import InvariantViolation
from billing.kernel.periods import Span
from billing.models import CreditGrant, GrantKind, PeriodKind, Plan, PlanSpan, Subscription, SubscriptionPeriod
from billing.subscriptions import allowances
from billing.subscriptions import queries as subscriptions_queries
from billing.subscriptions.allowances import Granted


def grant_trial(subscription: Subscription, period: SubscriptionPeriod, *, actor: str) -> None:
    """Trials grant ``trial_credits`` and nothing else; they end with the trial."""
    if subscription.plan.trial_credits:
        _grant(subscription, Span(period.starts_at, period.ends_at), subscription.plan.trial_credits, actor, "trial")


def grant_due(
    subscription: Subscription, *, zone: ZoneInfo, at: datetime, actor: str, overdrawn: Decimal = ZERO
) -> None:
    """Grant the allowance of the stretch that holds ``at``, less what is overdrawn, unless it was granted before."""
    span = span_at(subscription, zone=zone, at=at)
    credits = max(ZERO, subscription.plan.credit_allowance - overdrawn)
    if span is not None and credits:
        # One per anchor and stretch: a restarted period may begin on the very instant of the one it replaces.
        _grant(subscription, span, credits, actor, f"allowance:{subscription.plan.code}")


def grant_rest(subscription: Subscription, *, zone: ZoneInfo, at: datetime, actor: str) -> None:
    """After a pause: the allowance of what is left of the running stretch, unless the stretch has one already."""
    span = span_at(subscription, zone=zone, at=at)
    if span is None:
        return
    if _own(subscription).filter(starts_at__gte=span.starts_at, starts_at__lt=span.ends_at).exists():
        return
    credits = allowances.top_up(already=ZERO, allowance=subscription.plan.credit_allowance, span=span, at=at)
    if credits:
        _grant(subscription, span, credits, actor, f"allowance:{subscription.plan.code}", starts_at=at)


def overdrawn_by_former(subscription: Subscription, at: datetime) -> Decimal:
    """What earlier subscriptions of the product consumed ahead of time, from stretches that would still run at
    ``at``."""
    return allowances.overdrawn(_former(subscription, at))


def _former(subscription: Subscription, at: datetime) -> list[tuple[Granted, datetime]]:
    grants = CreditGrant.objects.filter(
        organization_id=subscription.organization_id,
        kind=GrantKind.ALLOWANCE,
        expires_at__gt=at,
        account__subscription__product=subscription.product,
        account__subscription__ended_at__isnull=False,
    ).select_related("account__subscription")
    return [(_granted(each), each.account.subscription.ended_at or at) for each in grants]


def end_stretch(subscription: Subscription, at: datetime) -> Decimal:
    """End the running stretch at ``at``: what is left lapses. Returns what was consumed ahead of time, by earlier
    subscriptions too."""
    running = _own(subscription).filter(expires_at__gt=at)
    overdrawn = allowances.overdrawn([*((_granted(each), at) for each in running), *_former(subscription, at)])
    credits_operations.expire_allowances(account=subscription.marketplace, now=at)
    return overdrawn


def _own(subscription: Subscription) -> QuerySet[CreditGrant]:
    return CreditGrant.objects.filter(account=subscription.marketplace, kind=GrantKind.ALLOWANCE)


def _still_owed(subscription: Subscription, span: Span, held: Sequence[PlanSpan]) -> Decimal:
    """What was consumed ahead of time before ``span`` began and its grants have not made up for yet."""
    cut_short = _own(subscription).filter(starts_at__lt=span.starts_at, expires_at__gt=span.starts_at)
    before = [*((_granted(each), span.starts_at) for each in cut_short), *_former(subscription, span.starts_at)]
    if not before:
        return ZERO
    due = allowances.total(((each.starts_at, each.plan.credit_allowance) for each in held), span=span)
    of_span = _own(subscription).filter(starts_at__gte=span.starts_at, starts_at__lt=span.ends_at)
    withheld = due - sum((each.granted for each in of_span), ZERO)
    return max(ZERO, allowances.overdrawn(before) - withheld)


def _granted(grant: CreditGrant) -> Granted:
    if grant.expires_at is None:
        raise InvariantViolation(f"allowance {grant.id} never expires")
    return Granted(Span(grant.starts_at, grant.expires_at), grant.granted, grant.consumed)


def grant_top_up(subscription: Subscription, plan: Plan, *, zone: ZoneInfo, at: datetime, actor: str) -> Decimal:
    """On a change to ``plan``: what its allowance has over the highest that the running stretch was granted already.

    Highest, not current: going down and up again in one stretch must not grant the difference twice. Nor does going
    away and coming back on a small plan first.
    """
    span = span_at(subscription, zone=zone, at=at)
    if span is None:
        return ZERO
    held = subscriptions_queries.list_spans_in(subscription, starts_at=span.starts_at, ends_at=span.ends_at)
    already = max((each.plan.credit_allowance for each in held), default=ZERO)
    credits = allowances.top_up(already=already, allowance=plan.credit_allowance, span=span, at=at)
    credits = max(ZERO, credits - _still_owed(subscription, span, held)) if credits else credits
    if credits:
        _grant(subscription, span, credits, actor, f"change:{subscription.version}", starts_at=at)
    return credits


def span_at(subscription: Subscription, *, zone: ZoneInfo, at: datetime) -> Span | None:
    """The stretch of a regular period that ``at`` gets its allowance in; None in a trial."""
    period = subscriptions_queries.find_period(subscription, at)
    if period is None or period.kind == PeriodKind.TRIAL:
        return None
    return next(span for span in _spans(subscription, period, zone) if span.covers(at))


def next_start(subscription: Subscription, *, zone: ZoneInfo, after: datetime) -> datetime | None:
    """When the running period next grants an allowance; None if not before its end."""
    period = subscriptions_queries.find_period(subscription, after)
    if period is None or period.kind == PeriodKind.TRIAL:
        return None
    return min((s.starts_at for s in _spans(subscription, period, zone) if s.starts_at > after), default=None)


def _spans(subscription: Subscription, period: SubscriptionPeriod, zone: ZoneInfo) -> list[Span]:
    return allowances.spans(
        Span(period.starts_at, period.ends_at),
        anchor_at=subscription.anchor_at,
        zone=zone,
        every=subscription.plan.allowance_every,
    )


def _grant(
    subscription: Subscription,
    span: Span,
    credits: Decimal,
    actor: str,
    cause: str,
    *,
    starts_at: datetime | None = None,
) -> None:
    credits_operations.grant(
        account=subscription.marketplace,
        kind=GrantKind.ALLOWANCE,
        credits=credits,
        starts_at=starts_at or span.starts_at,
        expires_at=span.ends_at,
        actor=actor,
        reason=f"{cause.partition(':')[0]} of {subscription.plan.code}",
        now=starts_at or span.starts_at,
        cause=f"{cause}:{span.starts_at.isoformat()}",
    )
