"""What stands beside an organization's posture on the desk: money owed to it, dunnings, credit notes, refusals. One
statement, whatever there is of each."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from django.db import connection

from billing.accounts import queries as accounts_queries
from billing.models import Organization

ROWS_SHOWN = 10
REFUSALS_OF = timedelta(days=7)

_SQL = """
SELECT
    (SELECT coalesce(jsonb_agg(jsonb_build_object('currency', last.currency, 'minor', last.balance_after_minor)
        ORDER BY last.currency), '[]') FROM (
        SELECT DISTINCT ON (currency) currency, balance_after_minor FROM billing_balance_entries
        WHERE organization_id = %(organization)s ORDER BY currency, sequence DESC) AS last
        WHERE last.balance_after_minor <> 0),
    (SELECT coalesce(jsonb_agg(to_jsonb(found)), '[]') FROM (
        SELECT collection.id, invoice.number AS invoice, collection.dunning_at AS since, collection.step,
            collection.next_at, collection.past_due_at
        FROM billing_collections AS collection
        JOIN marketplace_invoices AS invoice ON invoice.id = collection.invoice_id
        WHERE collection.organization_id = %(organization)s AND collection.closed_at IS NULL
            AND collection.dunning_at IS NOT NULL
        ORDER BY collection.started_at DESC LIMIT %(limit)s) AS found),
    (SELECT coalesce(jsonb_agg(to_jsonb(found)), '[]') FROM (
        SELECT note.id, note.number, invoice.number AS invoice, note.issued_at, note.total_minor, note.currency,
            note.reason
        FROM marketplace_credit_notes AS note JOIN marketplace_invoices AS invoice ON invoice.id = note.invoice_id
        WHERE note.organization_id = %(organization)s ORDER BY note.id DESC LIMIT %(limit)s) AS found),
    (SELECT coalesce(jsonb_agg(to_jsonb(found)), '[]') FROM (
        SELECT note, sum(count)::bigint AS times, max(hour_at) AS last_at FROM billing_refusal_counts
        WHERE organization_id = %(organization)s AND hour_at >= %(since)s
        GROUP BY note ORDER BY times DESC, note LIMIT %(limit)s) AS found)
"""


@dataclass(frozen=True, slots=True)
class Owed:
    """Money that we owe the organization, in minor units."""

    currency: str
    minor: int


@dataclass(frozen=True, slots=True)
class Dunning:
    id: UUID
    invoice: str
    since: datetime
    step: int
    next_at: datetime | None
    past_due_at: datetime | None


@dataclass(frozen=True, slots=True)
class Note:
    id: UUID
    number: str
    invoice: str
    issued_at: datetime
    total_minor: int
    currency: str
    reason: str


@dataclass(frozen=True, slots=True)
class Refused:
    note: str
    times: int
    last_at: datetime


@dataclass(frozen=True, slots=True)
class Dossier:
    balances: tuple[Owed, ...]
    dunnings: tuple[Dunning, ...]
    notes: tuple[Note, ...]
    refusals: tuple[Refused, ...]


def dossier(organization: Organization, now: datetime | None = None) -> Dossier:
    """``now`` is real time, which a sandbox's own clock replaces; refusals are of the seven days before it."""
    at = accounts_queries.now_for(organization, now)
    with connection.cursor() as cursor:
        cursor.execute(_SQL, {"organization": organization.id, "limit": ROWS_SHOWN, "since": at - REFUSALS_OF})
        balances, dunnings, notes, refusals = (json.loads(each) for each in cursor.fetchone())
    return Dossier(
        balances=tuple(Owed(**each) for each in balances),
        dunnings=tuple(Dunning(**_read(each)) for each in dunnings),
        notes=tuple(Note(**_read(each)) for each in notes),
        refusals=tuple(Refused(**_read(each)) for each in refusals),
    )


def _read(row: dict[str, Any]) -> dict[str, Any]:
    """Instants as the database writes them into JSON."""
    return {
        name: datetime.fromisoformat(value) if value and name in _INSTANTS else value for name, value in row.items()
    }


_INSTANTS = frozenset({"since", "next_at", "past_due_at", "issued_at", "last_at"})
