"""What issued invoices carry of a service period: what late use, or a period drafted anew, is rated against."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from uuid import UUID

from django.db import connection

from billing.invoicing.books import BilledPart

# Of each target, only what was issued before its own invoice: so that an issued one derives as it did at its issue.
_LOAD = """SELECT wanted.target_id, service.ordinal, line.charge, plan.code, plan.version, line.meter,
    coalesce((line.details ->> 'tier')::int, 0) AS tier, sum(line.quantity), sum(line.amount_minor)::bigint
FROM unnest(%s::uuid[], %s::uuid[]) AS wanted (target_id, service_id)
JOIN subscription_periods AS service ON service.id = wanted.service_id
JOIN subscription_periods AS billing ON billing.subscription_id = service.subscription_id
    AND billing.ordinal >= service.ordinal AND billing.id <> wanted.target_id
JOIN marketplace_invoices AS invoice ON invoice.period_id = billing.id AND invoice.kind = 'cycle'
    AND invoice.status NOT IN ('draft', 'void')
JOIN marketplace_invoice_lines AS line ON line.invoice_id = invoice.id
    AND line.starts_at >= service.starts_at AND line.starts_at < service.ends_at
    AND line.charge IN ('base', 'overage', 'flat', 'credits', 'minimum')
JOIN billing_plans AS plan ON plan.id = line.plan_id
WHERE NOT EXISTS (
    SELECT FROM marketplace_invoices AS own
    WHERE own.period_id = wanted.target_id AND own.kind = 'cycle' AND own.status NOT IN ('draft', 'void')
        AND (own.issued_at, own.number) < (invoice.issued_at, invoice.number))
GROUP BY 1, 2, 3, 4, 5, 6, 7
ORDER BY 1, 2, 3, 4, 5, 6, 7
"""


def load(wanted: Iterable[tuple[UUID, UUID]]) -> dict[UUID, tuple[BilledPart, ...]]:
    """Of each (period to be billed, service period on its invoice): what other invoices carry. One query."""
    pairs = sorted(set(wanted))
    found: dict[UUID, list[BilledPart]] = defaultdict(list)
    with connection.cursor() as cursor:
        cursor.execute(_LOAD, [[target for target, _ in pairs], [service for _, service in pairs]])
        for target_id, *part in cursor:
            found[target_id].append(BilledPart(*part))
    return {target_id: tuple(parts) for target_id, parts in found.items()}
