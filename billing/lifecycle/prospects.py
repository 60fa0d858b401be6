"""What a migration would mean for each subscriber: who pays how much more or less. Reads, and writes nothing."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime
from decimal import Decimal
from uuid import UUID

from billing.accounts import queries as accounts_queries
from billing.catalog import comparing, storage
from billing.catalog import queries as catalog_queries
from billing.catalog.comparing import EntitlementChange
from billing.invoicing import past_use, rerating
from billing.invoicing.comparison import Prospect
from billing.invoicing.rerating import PeriodUse, Rated, Terms
from billing.kernel.errors import BillingError
from billing.kernel.periods import MONTHS, Interval
from billing.lifecycle import migrate
from billing.lifecycle.migrate import Migration
from billing.models import AllowanceEvery, Plan, Subscription, SubscriptionPeriod

# A month has at least 28 days; a period that was cut or re-anchored is none of the plan's.
DAYS_OFF_MAX = 5


def changes(migration: Migration) -> list[tuple[Plan, tuple[EntitlementChange, ...]]]:
    """For each version that is left, what its subscribers gain and lose; versions without subscribers are left out."""
    plans = Plan.objects.select_related("pricing_plan").prefetch_related(*storage.PARTS)
    target = storage.read(plans.get(id=migration.target.id))
    left = plans.filter(id__in=migrate.list_versions_left(migration)).order_by("code", "version")
    return [(plan, comparing.entitlements(storage.read(plan), target)) for plan in left]


def preview(migration: Migration, ids: Collection[UUID], *, now: datetime) -> list[Prospect]:
    """The prospects of these subscriptions, in order of id: a few queries, however many they are."""
    subscriptions = migrate.list_subscriptions(ids)
    catalog = _Catalog()
    found = past_use.last_full_periods([each.id for each in subscriptions], now=now)
    periods = {each.id: found[each.id] for each in subscriptions if each.id in found and _fits(found[each.id], each)}
    plans = {each.plan_id for each in subscriptions} | {migration.target.id}
    use = past_use.load(list(periods.values()), [catalog_queries.compiled_plan(each) for each in plans])
    return [_prospect(migration, each, periods.get(each.id), use, catalog, now) for each in subscriptions]


def _fits(period: SubscriptionPeriod, subscription: Subscription) -> bool:
    months = MONTHS[Interval(subscription.plan.billing_period)]
    return abs((period.ends_at - period.starts_at).days - months * 61 // 2) <= DAYS_OFF_MAX


def _prospect(
    migration: Migration,
    subscription: Subscription,
    period: SubscriptionPeriod | None,
    use: dict[UUID, PeriodUse],
    catalog: _Catalog,
    now: datetime,
) -> Prospect:
    at = accounts_queries.now_for(subscription.organization, now)
    refusal = migrate.find_refusal(subscription, migration, now=at)
    interval = Interval(subscription.plan.billing_period)
    used = PeriodUse() if period is None else use[period.id]
    rated: list[Rated | None] = []
    problems: list[BillingError | None] = [refusal]
    for plan in (subscription.plan, migration.target):
        try:
            rated.append(rerating.rate(catalog.terms(plan, subscription.currency), used, interval=interval))
        except BillingError as problem:
            rated.append(None)
            problems.append(problem)
    return Prospect(
        subscription=subscription,
        interval=interval,
        period=period,
        now=rated[0],
        then=rated[1],
        allowance_now=_allowance(subscription.plan, interval),
        allowance_then=_allowance(migration.target, interval),
        refusal=next(filter(None, problems), None),
    )


def _allowance(plan: Plan, interval: Interval) -> Decimal:
    return rerating.allowance_in(interval, allowance=plan.credit_allowance, every=_allowance_every(plan))


def _allowance_every(plan: Plan) -> Interval:
    return Interval.MONTH if plan.allowance_every == AllowanceEvery.MONTH else Interval(plan.billing_period)


class _Catalog:
    """Terms that were asked for before."""

    def __init__(self) -> None:
        self._terms: dict[tuple[UUID, str], Terms] = {}

    def terms(self, plan: Plan, currency: str) -> Terms:
        """Raises ``CurrencyNotSold``."""
        key = plan.id, currency
        if key not in self._terms:
            price = catalog_queries.find_price(plan, currency)
            self._terms[key] = Terms(
                plan=catalog_queries.compiled_plan(plan.id, plan.content_digest),
                currency=currency,
                base_fee_minor=price.base_fee_minor if price else 0,
                minimum_minor=price.minimum_minor if price else 0,
                interval=Interval(plan.billing_period),
                allowance=plan.credit_allowance,
                allowance_every=_allowance_every(plan),
            )
        return self._terms[key]
