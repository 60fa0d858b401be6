"""Sums of the use that is stored for past periods, as ``rerating`` wants them: a few queries, however many periods."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable
from datetime import datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

from django.db import connection
from django.db.models import F, Value
from django.db.models.functions import Coalesce

from billing.catalog.compiled import CompiledPlan
from billing.invoicing.rerating import PeriodUse, WindowUse
from billing.kernel.decimals import ZERO
from billing.kernel.periods import Cadence
from billing.models import PeriodKind, SubscriptionPeriod, UsageWindow

_UNITS = {Cadence.DAILY: "day", Cadence.WEEKLY: "week", Cadence.MONTHLY: "month"}

# A calendar window counts for the organization over all its subscriptions of the meter's product: whoever came back
# finds in it what was used before. It begins where the first window that touches the period does.
_CALENDAR = """
SELECT target.id, event.meter,
    coalesce(sum(event.quantity) FILTER (WHERE event.occurred_at < target.starts_at), 0),
    coalesce(sum(event.quantity) FILTER (WHERE event.occurred_at >= target.starts_at), 0)
FROM unnest(%s::uuid[], %s::uuid[], %s::text[], %s::timestamptz[], %s::timestamptz[])
    AS target (id, organization_id, zone, starts_at, ends_at)
JOIN organization_subscriptions AS subscription ON subscription.organization_id = target.organization_id
JOIN marketplace_usage_events AS event ON event.subscription_id = subscription.id
    AND event.occurred_at >= date_trunc(%s, target.starts_at AT TIME ZONE target.zone) AT TIME ZONE target.zone
    AND event.occurred_at < target.ends_at
WHERE event.meter = ANY(%s)
GROUP BY target.id, event.meter, date_trunc(%s, event.occurred_at AT TIME ZONE target.zone)
"""

# What was used ever, less what was used since: years of events before the period are not read.
_EVER = """
SELECT target.id, ever.meter, ever.used - coalesce(since.used, 0), coalesce(since.within, 0)
FROM unnest(%s::uuid[], %s::uuid[], %s::text[], %s::timestamptz[], %s::timestamptz[])
    AS target (id, organization_id, zone, starts_at, ends_at)
CROSS JOIN LATERAL (
    SELECT meter, sum(used) AS used FROM subscription_usage_ledger
    WHERE organization_id = target.organization_id AND cadence = 'never' AND meter = ANY(%s) GROUP BY meter) AS ever
LEFT JOIN LATERAL (
    SELECT sum(event.quantity) AS used,
        sum(event.quantity) FILTER (WHERE event.occurred_at < target.ends_at) AS within
    FROM organization_subscriptions AS subscription
    JOIN marketplace_usage_events AS event ON event.subscription_id = subscription.id
        AND event.occurred_at >= target.starts_at
    WHERE subscription.organization_id = target.organization_id AND event.meter = ever.meter) AS since ON TRUE
"""

# What was paid in credits, less what the period's own allowances paid of it.
_BOUGHT = """
SELECT target.id, greatest(0, paid.credits - coalesce((
    SELECT sum(consumed) FROM marketplace_credit_grants
    WHERE organization_id = target.organization_id AND subscription_id = target.subscription_id AND kind = 'allowance'
        AND starts_at >= target.starts_at AND expires_at <= target.ends_at), 0))
FROM unnest(%s::uuid[], %s::uuid[], %s::uuid[], %s::timestamptz[], %s::timestamptz[])
    AS target (id, organization_id, subscription_id, starts_at, ends_at)
CROSS JOIN LATERAL (
    SELECT coalesce(sum(credits_paid), 0) AS credits FROM marketplace_usage_events
    WHERE subscription_id = target.subscription_id
        AND occurred_at >= target.starts_at AND occurred_at < target.ends_at) AS paid
"""


def last_full_periods(subscription_ids: Collection[UUID], *, now: datetime) -> dict[UUID, SubscriptionPeriod]:
    """By subscription: the last ended period that ran its full length; trials do not count. A sandbox's now is its own
    clock."""
    periods = (
        SubscriptionPeriod.objects.filter(
            subscription_id__in=subscription_ids,
            kind=PeriodKind.REGULAR,
            ends_at=F("nominal_ends_at"),
            ends_at__lte=Coalesce("organization__clock_at", Value(now)),
        )
        .select_related("organization")
        .order_by("subscription_id", "-ordinal")
        .distinct("subscription_id")
    )
    return {period.subscription_id: period for period in periods}


def load(periods: Collection[SubscriptionPeriod], plans: Iterable[CompiledPlan]) -> dict[UUID, PeriodUse]:
    """What was used in each period, by its id, in all windows that the guards of ``plans`` look at."""
    guards = [guards for plan in plans for guards in plan.guards_by_meter.items()]
    meters: dict[Cadence, set[str]] = defaultdict(set)
    for meter, each in guards:
        for guard in each.metered:
            meters[guard.cadence].add(meter)
    windows: dict[UUID, dict[tuple[str, Cadence], list[WindowUse]]] = defaultdict(lambda: defaultdict(list))
    for cadence in (*_UNITS, Cadence.NEVER):
        for period_id, meter, before, within in _in_windows(periods, cadence, sorted(meters[cadence])):
            windows[period_id][meter, cadence].append(WindowUse(before, within))
    needs_credits = any(guard.credits_per_unit for _, each in guards for guard in each.metered)
    bought = _credits_bought(periods) if needs_credits else {}
    totals = _totals(periods)
    return {
        period.id: PeriodUse(
            totals=totals[period.id],
            windows={key: tuple(found) for key, found in windows[period.id].items()},
            credits_bought=bought.get(period.id, ZERO),
        )
        for period in periods
    }


def _totals(periods: Collection[SubscriptionPeriod]) -> dict[UUID, dict[str, Decimal]]:
    by_start = {(period.subscription_id, period.starts_at): period.id for period in periods}
    rows = UsageWindow.objects.filter(
        organization_id__in={period.organization_id for period in periods},
        subscription_id__in={period.subscription_id for period in periods},
        cadence=Cadence.PERIOD.value,
        starts_at__in={period.starts_at for period in periods},
    ).values_list("subscription_id", "starts_at", "meter_id", "used")
    found: dict[UUID, dict[str, Decimal]] = defaultdict(dict)
    for subscription_id, starts_at, meter, used in rows:
        if (subscription_id, starts_at) in by_start:
            found[by_start[subscription_id, starts_at]][meter] = used
    return found


def _in_windows(
    periods: Collection[SubscriptionPeriod], cadence: Cadence, meters: list[str]
) -> list[tuple[UUID, str, Decimal, Decimal]]:
    if not periods or not meters:
        return []
    targets: list[Any] = [
        [period.id for period in periods],
        [period.organization_id for period in periods],
        [period.organization.zone for period in periods],
        [period.starts_at for period in periods],
        [period.ends_at for period in periods],
    ]
    with connection.cursor() as cursor:
        if cadence is Cadence.NEVER:
            cursor.execute(_EVER, [*targets, meters])
        else:
            cursor.execute(_CALENDAR, [*targets, _UNITS[cadence], meters, _UNITS[cadence]])
        return list(cursor.fetchall())


def _credits_bought(periods: Collection[SubscriptionPeriod]) -> dict[UUID, Decimal]:
    targets: list[Any] = [
        [period.id for period in periods],
        [period.organization_id for period in periods],
        [period.subscription_id for period in periods],
        [period.starts_at for period in periods],
        [period.ends_at for period in periods],
    ]
    with connection.cursor() as cursor:
        cursor.execute(_BOUGHT, targets)
        return dict(cursor.fetchall())
