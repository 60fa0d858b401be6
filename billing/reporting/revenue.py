"""Revenue and liability as finance watches them: from plans, invoices and open grants, never from events.

Sandboxes are left out. ``regions`` are those that the reader is cleared for; None is all.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from decimal import ROUND_HALF_EVEN, Decimal
from typing import Any

from django.db import connection

MONTHS_SHOWN = 12

_OURS = """
    JOIN organizations AS organization ON organization.id = {0}.organization_id AND NOT organization.is_sandbox
        AND (%(regions)s::text[] IS NULL OR organization.residency_region = ANY(%(regions)s))
"""
# What a year of the plan's fee comes to, in whole minor units: summed first, divided and rounded once.
_RECURRING = f"""
SELECT point.at, price.currency, sum(price.base_fee_minor
    * CASE plan.billing_period WHEN 'month' THEN 12 WHEN 'quarter' THEN 4 ELSE 1 END)
FROM unnest(%(points)s::timestamptz[]) AS point (at)
JOIN subscription_plan_spans AS span ON span.starts_at < point.at AND (span.ends_at IS NULL OR span.ends_at >= point.at)
    AND NOT span.is_paused
{_OURS.format("span")}
JOIN organization_subscriptions AS subscription ON subscription.id = span.subscription_id
JOIN billing_plans AS plan ON plan.id = span.plan_id
JOIN billing_plan_prices AS price ON price.plan_id = plan.id AND price.currency = subscription.currency
WHERE EXISTS (
    SELECT FROM subscription_periods AS period
    WHERE period.subscription_id = span.subscription_id AND period.kind = 'regular' AND period.starts_at < point.at
)
GROUP BY point.at, price.currency ORDER BY point.at, price.currency
"""  # noqa: S608 - put together from constants
_OVERAGE = f"""
SELECT date_trunc('month', invoice.issued_at AT TIME ZONE 'UTC')::date AS month, invoice.currency,
    sum(line.amount_minor - CASE WHEN line.tax_included THEN line.tax_minor ELSE 0 END)
FROM marketplace_invoices AS invoice
{_OURS.format("invoice")}
JOIN marketplace_invoice_lines AS line ON line.invoice_id = invoice.id AND line.charge IN ('overage', 'flat', 'credits')
WHERE invoice.issued_at >= %(since)s AND invoice.status IN ('issued', 'paid', 'uncollectible')
GROUP BY month, invoice.currency ORDER BY month, invoice.currency
"""  # noqa: S608 - put together from constants
_LIABILITY = f"""
SELECT date_trunc('month', open.expires_at AT TIME ZONE 'UTC')::date AS month, open.kind, sum(open.remaining)
FROM marketplace_credit_grants AS open
{_OURS.format("open")}
WHERE open.is_open AND (open.expires_at IS NULL OR open.expires_at > %(now)s)
GROUP BY month, open.kind ORDER BY month NULLS LAST, open.kind
"""  # noqa: S608 - put together from constants


@dataclass(frozen=True, slots=True)
class Amount:
    """Minor units of ``currency`` in the month that begins on ``month``."""

    month: date
    currency: str
    minor: int


@dataclass(frozen=True, slots=True)
class Open:
    """Credits of one kind of grant that expire in the month that begins on ``month``; None: never."""

    month: date | None
    kind: str
    credits: Decimal


def recurring(*, now: datetime, regions: Collection[str] | None) -> list[Amount]:
    """Monthly recurring revenue by currency at the end of each of the last twelve months, the running one as of now.

    The base fees of the plan versions that subscriptions were on, at list price: a yearly fee counts a twelfth, a
    quarterly one a third. Rounded once a month and currency, half to even. Coupons, minimums, tax and use are left
    out, and so are trials, paused and unconfirmed subscriptions; one that is past due counts until it ends.
    """
    months = months_until(now)
    ends = dict(zip((*(_instant(month) for month in months[1:]), now), months, strict=True))
    rows = _query(_RECURRING, points=list(ends), regions=regions)
    return [
        Amount(
            ends[at.astimezone(UTC)],
            currency,
            int((Decimal(yearly) / 12).quantize(Decimal(1), rounding=ROUND_HALF_EVEN)),
        )
        for at, currency, yearly in rows
    ]


def overage(*, now: datetime, regions: Collection[str] | None) -> list[Amount]:
    """What was invoiced for use beyond limits and beyond credits, by month of issue (UTC) and currency, without tax.

    Drafts and void invoices are left out; coupons are not taken off, nor is what was credited afterwards.
    """
    rows = _query(_OVERAGE, since=_instant(months_until(now)[0]), regions=regions)
    return [Amount(month, currency, int(minor)) for month, currency, minor in rows]


def liability(*, now: datetime, regions: Collection[str] | None) -> list[Open]:
    """Credits that could still be used, by the month in which they expire and the kind of grant; never last.

    What expired already does not count, whether or not that is booked.
    """
    return [Open(month, kind, credits) for month, kind, credits in _query(_LIABILITY, now=now, regions=regions)]


def months_until(now: datetime, count: int = MONTHS_SHOWN) -> list[date]:
    """First days of the last ``count`` months (UTC), the running one last."""
    at = now.astimezone(UTC)
    index = at.year * 12 + at.month - 1
    return [date((index - back) // 12, (index - back) % 12 + 1, 1) for back in reversed(range(count))]


def _instant(day: date) -> datetime:
    return datetime(day.year, day.month, day.day, tzinfo=UTC)


def _query(sql: str, *, regions: Collection[str] | None, **parameters: Any) -> Sequence[Any]:
    with connection.cursor() as cursor:
        cursor.execute(sql, {"regions": None if regions is None else sorted(regions), **parameters})
        return list(cursor.fetchall())
