"""Whom a change of the catalog touches: set-based, whatever the number of subscribers."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from datetime import datetime
from typing import Any

from django.db import connection
from django.db.models import Count

from billing.catalog.diffing import Lowered, OverLimit
from billing.models import LIVE, Subscription

# A sandbox lives by its own clock. Calendar and lifetime windows count for the organization, over all its
# subscriptions; a billing period is the subscription's own.
_OVER_LIMIT = """
WITH lowered AS (
    SELECT * FROM unnest(%s::text[], %s::text[], %s::text[], %s::text[], %s::numeric[])
        AS t(code, key, meter, cadence, new_limit)
)
SELECT lowered.code, organization.slug, lowered.key, sum(usage.used), entitlement.limit, lowered.new_limit
FROM lowered
JOIN billing_plans plan ON plan.code = lowered.code
JOIN billing_plan_entitlements entitlement
    ON entitlement.plan_id = plan.id AND entitlement.key = lowered.key AND entitlement.kind = 'metered'
    AND (entitlement.limit IS NULL OR entitlement.limit > lowered.new_limit)
JOIN organization_subscriptions subscription ON subscription.plan_id = plan.id AND subscription.status = ANY(%s)
JOIN organizations organization ON organization.id = subscription.organization_id
JOIN subscription_usage_ledger usage
    ON usage.organization_id = organization.id AND usage.meter = lowered.meter AND usage.cadence = lowered.cadence
    AND usage.starts_at <= coalesce(organization.clock_at, %s) AND usage.ends_at > coalesce(organization.clock_at, %s)
    AND (lowered.cadence <> 'billing_period' OR usage.subscription_id = subscription.id)
GROUP BY lowered.code, organization.slug, lowered.key, entitlement.limit, lowered.new_limit
HAVING sum(usage.used) > lowered.new_limit
ORDER BY lowered.code, organization.slug, lowered.key
"""


def count_live_by_plan() -> dict[str, int]:
    """Live subscriptions of each plan code, over all its versions."""
    counts = Subscription.objects.filter(status__in=LIVE).values_list("plan__code").annotate(Count("id"))
    return dict(counts.order_by("plan__code"))


def list_over_limit(lowered: Sequence[Lowered], *, now: datetime) -> dict[str, list[OverLimit]]:
    """By plan code: organizations with a live subscription whose current use is above a limit that is lowered.

    Use is that of the stored window of the new cadence that holds ``now``.
    """
    if not lowered:
        return {}
    columns: list[list[Any]] = [
        [limit.plan for limit in lowered],
        [limit.key for limit in lowered],
        [limit.meter for limit in lowered],
        [limit.cadence.value for limit in lowered],
        [limit.limit for limit in lowered],
    ]
    with connection.cursor() as cursor:
        cursor.execute(_OVER_LIMIT, [*columns, [status.value for status in LIVE], now, now])
        rows = cursor.fetchall()
    found: dict[str, list[OverLimit]] = defaultdict(list)
    for code, slug, key, used, limit_old, limit_new in rows:
        found[code].append(OverLimit(slug, key, used, limit_old, limit_new))
    return dict(found)
