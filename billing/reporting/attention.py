"""What of an organization needs somebody: unpaid invoices, refusals, endpoints that fail, debits that wait. One
statement, bounded whatever the number of rows."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any
from uuid import UUID

from django.db import connection

from billing.infra import refusals
from billing.models import Organization

RECENT = timedelta(hours=24)
UNPAID_SHOWN = 5

# An invoice is paid as far as its payments, less refunds, and its credit notes reach. A purchase is never asked for.
_SQL = """
    SELECT
        (SELECT coalesce(sum(count), 0)::bigint FROM billing_refusal_counts
         WHERE organization_id = %(organization)s AND hour_at > %(since)s AND hour_at > %(total_at)s),
        (SELECT count(*) FROM webhook_endpoints
         WHERE organization_id = %(organization)s AND disabled_at IS NULL AND pause_reason = 'failing'),
        (SELECT count(*) FROM (
            SELECT FROM usage_debit_holds AS hold
            WHERE hold.organization_id = %(organization)s
                AND NOT EXISTS (SELECT FROM usage_debit_resolutions AS done WHERE done.hold_id = hold.event_id)
            LIMIT 1000) AS waiting),
        (SELECT coalesce(json_agg(json_build_array(
                unpaid.id, unpaid.number, unpaid.currency, unpaid.due_on, unpaid.due_minor)
                ORDER BY unpaid.due_on, unpaid.number), '[]')
         FROM (
            SELECT invoice.id, invoice.number, invoice.currency, invoice.due_on,
                invoice.total_minor - coalesce(paid.minor, 0) - coalesce(credited.minor, 0) AS due_minor
            FROM marketplace_invoices AS invoice
            LEFT JOIN LATERAL (
                SELECT sum(CASE kind WHEN 'payment' THEN amount_minor ELSE -amount_minor END) AS minor
                FROM marketplace_payments WHERE invoice_id = invoice.id) AS paid ON TRUE
            LEFT JOIN LATERAL (
                SELECT sum(total_minor) AS minor FROM marketplace_credit_notes
                WHERE invoice_id = invoice.id) AS credited ON TRUE
            WHERE invoice.organization_id = %(organization)s AND invoice.status = 'issued'
                AND invoice.kind <> 'purchase'
                AND invoice.total_minor > coalesce(paid.minor, 0) + coalesce(credited.minor, 0)
            ORDER BY invoice.due_on, invoice.number LIMIT %(unpaid)s) AS unpaid)
"""


@dataclass(frozen=True, slots=True)
class Unpaid:
    """An issued invoice with something left to pay."""

    id: UUID
    number: str
    currency: str
    due_on: date
    due_minor: int


@dataclass(frozen=True, slots=True)
class Attention:
    """``refused``: uses refused within ``RECENT``. ``unpaid``: the ``UNPAID_SHOWN`` due first."""

    refused: int
    failing_endpoints: int
    held_debits: int
    unpaid: tuple[Unpaid, ...]


def attention(organization: Organization, at: datetime) -> Attention:
    """``at`` is the organization's own now."""
    with connection.cursor() as cursor:
        cursor.execute(
            _SQL,
            {
                "organization": organization.id,
                "since": at - RECENT,
                "total_at": refusals.TOTAL_AT,
                "unpaid": UNPAID_SHOWN,
            },
        )
        refused, failing, held, unpaid = cursor.fetchone()
    return Attention(refused, failing, held, tuple(_unpaid(*row) for row in unpaid))


def _unpaid(*row: Any) -> Unpaid:
    invoice_id, number, currency, due_on, due_minor = row
    return Unpaid(UUID(invoice_id), number, currency, date.fromisoformat(due_on), due_minor)
