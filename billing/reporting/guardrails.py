"""Use by guardrail flag, for compliance: every use is in exactly one row, so the rows add up to all that was used.

An event with two flags is in the row of just these two; ``by_flag`` has it under both, and so adds up to more. What was
taken back, and debits that were cleared, stand with the flags of their use.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from datetime import datetime
from decimal import Decimal
from typing import NamedTuple, TypedDict
from uuid import UUID

from django.db import connection
from django.db.models import Q

from billing.kernel.decimals import plain
from billing.kernel.errors import Invalid
from billing.models import Organization, Resolution, UsageDebitHold
from billing.reporting.representations import instant

# A reversal and a cleared debit bear no flags of their own.
_ROWS = """
    SELECT event.meter, labelled.flags,
        count(*) FILTER (WHERE event.reverses_id IS NULL AND event.clears_id IS NULL), sum(event.quantity),
        sum(event.overage), sum(event.credits_due), sum(event.credits_paid),
        coalesce(sum(hold.overage), 0), coalesce(sum(hold.credits_due), 0)
    FROM marketplace_usage_events AS event
    LEFT JOIN marketplace_usage_events AS original ON original.id = coalesce(event.reverses_id, event.clears_id)
    LEFT JOIN usage_debit_holds AS hold ON hold.event_id = event.id
        AND NOT EXISTS (SELECT FROM usage_debit_resolutions AS done WHERE done.hold_id = hold.event_id)
    CROSS JOIN LATERAL (
        SELECT ARRAY(
            SELECT DISTINCT flag FROM unnest(coalesce(original.guardrail_flags, event.guardrail_flags)) AS flag
            ORDER BY flag) AS flags
    ) AS labelled
    WHERE event.organization_id = %(organization)s
        AND event.subscription_id IN (
            SELECT id FROM organization_subscriptions WHERE organization_id = %(organization)s)
        AND event.occurred_at >= %(starts_at)s AND event.occurred_at < %(ends_at)s
    GROUP BY event.meter, labelled.flags ORDER BY event.meter, labelled.flags
"""
_TOTALS = """
    SELECT event.meter, count(*) FILTER (WHERE event.reverses_id IS NULL AND event.clears_id IS NULL),
        sum(event.quantity), sum(event.overage), sum(event.credits_due), sum(event.credits_paid),
        coalesce(sum(hold.overage), 0), coalesce(sum(hold.credits_due), 0)
    FROM marketplace_usage_events AS event
    LEFT JOIN (
        SELECT held.event_id, held.overage, held.credits_due
        FROM usage_debit_holds AS held
        LEFT JOIN usage_debit_resolutions AS done ON done.hold_id = held.event_id
        WHERE held.organization_id = %(organization)s AND done.hold_id IS NULL
    ) AS hold ON hold.event_id = event.id
    WHERE event.organization_id = %(organization)s
        AND event.subscription_id IN (
            SELECT id FROM organization_subscriptions WHERE organization_id = %(organization)s)
        AND event.occurred_at >= %(starts_at)s AND event.occurred_at < %(ends_at)s
    GROUP BY event.meter ORDER BY event.meter
"""


class SpanInvalid(Invalid):
    """A stretch of time that ends before it begins."""

    code = "span_invalid"


class Figures(NamedTuple):
    """``events`` counts uses; quantities and credits are what is left of them. The last two are debits that wait, at
    what they were held for."""

    events: int
    quantity: Decimal
    overage: Decimal
    credits_due: Decimal
    credits_paid: Decimal
    held_overage: Decimal
    held_credits: Decimal

    def plus(self, other: Figures) -> Figures:
        return Figures(
            self.events + other.events,
            *(mine + theirs for mine, theirs in zip(self[1:], other[1:], strict=True)),
        )


class Row(NamedTuple):
    """All use of a meter that bore exactly ``flags``; none of them: use without a flag."""

    meter: str
    flags: tuple[str, ...]
    figures: Figures


class Report(NamedTuple):
    """``totals`` are summed on their own, without looking at flags: ``rows`` add up to them."""

    starts_at: datetime
    ends_at: datetime
    rows: Sequence[Row]
    by_flag: Sequence[Row]
    totals: Sequence[Row]


def report(organization: Organization, *, starts_at: datetime, ends_at: datetime) -> Report:
    """What an organization used in ``[starts_at, ends_at)``, by meter and flags. Raises ``SpanInvalid``."""
    if starts_at >= ends_at:
        raise SpanInvalid("The report's end must be after its beginning.", field="to")
    parameters: dict[str, UUID | datetime] = {
        "organization": organization.id,
        "starts_at": starts_at,
        "ends_at": ends_at,
    }
    with connection.cursor() as cursor:
        cursor.execute(_ROWS, parameters)
        rows = [Row(meter, tuple(flags), Figures(*figures)) for meter, flags, *figures in cursor.fetchall()]
        cursor.execute(_TOTALS, parameters)
        totals = [Row(meter, (), Figures(*figures)) for meter, *figures in cursor.fetchall()]
    return Report(starts_at, ends_at, rows, _by_flag(rows), totals)


def _by_flag(rows: Sequence[Row]) -> list[Row]:
    sums: dict[tuple[str, str], Figures] = {}
    for row in rows:
        for flag in row.flags:
            known = sums.get((row.meter, flag))
            sums[row.meter, flag] = row.figures if known is None else known.plus(row.figures)
    return [Row(meter, (flag,), figures) for (meter, flag), figures in sorted(sums.items())]


class FlaggedUseDocument(TypedDict):
    meter: str
    flags: list[str]
    events: int
    quantity: str
    overage: str
    credits_due: str
    credits_paid: str
    held_overage: str
    held_credits: str


# ``from`` is no name that Python would take in a class.
GuardrailReportDocument = TypedDict(
    "GuardrailReportDocument",
    {
        "from": str,
        "to": str,
        "rows": list[FlaggedUseDocument],
        "by_flag": list[FlaggedUseDocument],
        "totals": list[FlaggedUseDocument],
    },
)


class DebitHoldDocument(TypedDict):
    event_id: str
    meter: str
    flags: list[str]
    quantity: str
    overage: str
    credits_due: str
    occurred_at: str
    held_at: str
    state: str
    resolved_at: str | None
    booked_id: str | None
    actor: str | None
    reason: str | None


def as_dict(found: Report) -> GuardrailReportDocument:
    return {
        "from": instant(found.starts_at),
        "to": instant(found.ends_at),
        "rows": [_row(row) for row in found.rows],
        "by_flag": [_row(row) for row in found.by_flag],
        "totals": [_row(row) for row in found.totals],
    }


def as_csv(found: Report) -> str:
    """The rows, each use once; flags of one row apart by blanks."""
    out = io.StringIO()
    writer = csv.writer(out)
    writer.writerow(("meter", "flags", *Figures._fields))
    for row in found.rows:
        writer.writerow((row.meter, " ".join(row.flags), row.figures.events, *map(plain, row.figures[1:])))
    return out.getvalue()


def _row(row: Row) -> FlaggedUseDocument:
    figures = row.figures
    return {
        "meter": row.meter,
        "flags": list(row.flags),
        "events": figures.events,
        "quantity": plain(figures.quantity),
        "overage": plain(figures.overage),
        "credits_due": plain(figures.credits_due),
        "credits_paid": plain(figures.credits_paid),
        "held_overage": plain(figures.held_overage),
        "held_credits": plain(figures.held_credits),
    }


def list_holds(
    organization: Organization, *, state: str | None = None, before: tuple[datetime, UUID] | None = None, limit: int
) -> list[UsageDebitHold]:
    """Debits that were held, the last first; ``state`` is open, cleared or rejected."""
    holds = UsageDebitHold.objects.filter(organization=organization).select_related("event", "resolution")
    if state == "open":
        holds = holds.filter(resolution=None)
    elif state is not None:
        holds = holds.filter(resolution__state=state)
    if before is not None:
        at, event_id = before
        holds = holds.filter(Q(held_at__lt=at) | Q(held_at=at, event_id__lt=event_id))
    return list(holds.order_by("-held_at", "-event_id")[:limit])


def hold_as_dict(hold: UsageDebitHold) -> DebitHoldDocument:
    resolution = hold.resolution if hasattr(hold, "resolution") else None
    return {
        "event_id": str(hold.event_id),
        "meter": hold.event.meter_id,
        "flags": list(hold.flags),
        "quantity": plain(hold.event.quantity),
        "overage": plain(hold.overage),
        "credits_due": plain(hold.credits_due),
        "occurred_at": instant(hold.event.occurred_at),
        "held_at": instant(hold.held_at),
        "state": Resolution(resolution.state).value if resolution else "open",
        "resolved_at": instant(resolution.resolved_at) if resolution else None,
        "booked_id": str(resolution.booked_id) if resolution and resolution.booked_id else None,
        "actor": resolution.actor if resolution else None,
        "reason": resolution.reason if resolution else None,
    }
