"""What issued invoices carry of a service period: what late use, a fee in advance or a period drafted anew is rated
against."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import replace
from typing import NamedTuple
from uuid import UUID

from billing.infra import columns, statements
from billing.invoicing.books import BilledFee, BilledPart

# For an issued invoice only what was issued before it: so that it derives as it did at its issue. A period's fee may
# stand on the invoice of the period before, and its late use on that of any later one.
_LOAD = """SELECT wanted.claim, service.ordinal, line.charge, plan.code, plan.version, line.meter,
    coalesce((line.details ->> 'tier')::int, 0) AS tier, sum(line.quantity), sum(line.amount_minor)::bigint,
    fee.starts_at, max(line.ends_at), fee.rate, fee.of_seconds,
    coalesce(sum((line.details ->> 'seconds')::bigint) FILTER (WHERE line.charge = 'base'), 0)::bigint,
    coalesce(sum(line.quantity) FILTER (WHERE invoice.period_id = wanted.period_id), 0),
    coalesce(sum(credited.amount_minor), 0)::bigint
FROM unnest(%s::int[], %s::uuid[], %s::uuid[], %s::uuid[]) AS wanted (claim, own_id, period_id, service_id)
JOIN subscription_periods AS service ON service.id = wanted.service_id
JOIN subscription_periods AS billing ON billing.subscription_id = service.subscription_id
    AND billing.ordinal >= service.ordinal - 1
JOIN marketplace_invoices AS invoice ON invoice.period_id = billing.id AND invoice.status NOT IN ('draft', 'void')
    AND invoice.id IS DISTINCT FROM wanted.own_id
JOIN marketplace_invoice_lines AS line ON line.invoice_id = invoice.id
    AND line.starts_at >= service.starts_at AND line.starts_at < service.ends_at
    AND line.charge IN ('base', 'overage', 'flat', 'credits', 'minimum', 'discount')
JOIN billing_plans AS plan ON plan.id = line.plan_id
LEFT JOIN marketplace_invoices AS own ON own.id = wanted.own_id AND own.number IS NOT NULL
LEFT JOIN LATERAL (
    SELECT sum(taken.amount_minor) AS amount_minor FROM marketplace_credit_note_lines AS taken
    JOIN marketplace_credit_notes AS note ON note.id = taken.credit_note_id
    WHERE taken.invoice_line_id = line.id AND (own.id IS NULL OR note.issued_at <= own.issued_at)
) AS credited ON TRUE
CROSS JOIN LATERAL (SELECT
    CASE WHEN line.charge = 'base' THEN line.starts_at END AS starts_at,
    CASE WHEN line.charge = 'base' THEN line.rate END AS rate,
    CASE WHEN line.charge = 'base' THEN (line.details ->> 'of_seconds')::bigint END AS of_seconds) AS fee
WHERE own.id IS NULL OR (invoice.issued_at, invoice.number) < (own.issued_at, own.number)
GROUP BY 1, 2, 3, 4, 5, 6, 7, fee.starts_at, fee.rate, fee.of_seconds
ORDER BY 1, 2, 3, 4, 5, 6, 7, fee.starts_at, fee.rate, fee.of_seconds
"""


class Wanted(NamedTuple):
    """What other invoices than ``own_id`` carry of ``service_id``, asked by the claim that bills ``period_id``."""

    claim: int
    own_id: UUID | None
    period_id: UUID
    service_id: UUID


def load(wanted: Iterable[Wanted]) -> dict[int, tuple[BilledPart, ...]]:
    """What other invoices carry, by claim. One query, whatever the number of claims."""
    rows = sorted(set(wanted), key=lambda row: (row.claim, row.service_id))
    found: dict[int, list[BilledPart]] = defaultdict(list)
    if not rows:
        return {}
    asked = [
        columns.of_plain([row.claim for row in rows]),
        columns.of_plain([row.own_id or "NULL" for row in rows]),
        columns.of_ids(row.period_id for row in rows),
        columns.of_ids(row.service_id for row in rows),
    ]
    for row in statements.fetch_texts(_LOAD, asked):
        claim, *identity, starts_at, ends_at, rate, of_seconds, seconds, here, credited = row
        fee = None if starts_at is None else BilledFee(starts_at, ends_at, rate, seconds, of_seconds)
        part = replace(BilledPart(*identity), fee=fee, quantity_here=here, credited_minor=credited)
        found[claim].append(part)
    return {claim: tuple(parts) for claim, parts in found.items()}
