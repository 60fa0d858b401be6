"""Windows, credit ledger and usage events of one organization for auditors: whole, in order, of any size.

Each export is one statement read through a server-side cursor, so it is one consistent snapshot of the books, and the
process holds some hundred rows of it at a time. Columns and their order are part of the interface: new ones come last.
"""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any

import msgspec
from django.db import connection, transaction

from billing.invoicing.documents import Echo, inert
from billing.kernel.decimals import plain
from billing.models import Organization
from billing.reporting.representations import instant

ROWS_AT_ONCE = 500


@dataclass(frozen=True, slots=True)
class Export:
    """``columns`` by name in order, each with its SQL; ``rest`` is what follows, with ``%(organization)s``, and
    ``%(since)s`` and ``%(until)s``, which may be null."""

    columns: dict[str, str]
    rest: str

    @property
    def sql(self) -> str:
        return f"SELECT {', '.join(self.columns.values())} {self.rest}"


_WINDOWS = Export(
    {
        "organization": "usage.organization_id::text",
        "subscription": "usage.subscription_id::text",
        "product": "subscription.product",
        "meter": "usage.meter",
        "cadence": "usage.cadence",
        "starts_at": "usage.starts_at",
        "ends_at": "usage.ends_at",
        "used": "usage.used",
        "overage": "usage.overage",
        "events": "usage.events",
    },
    """
    FROM subscription_usage_ledger AS usage
    JOIN organization_subscriptions AS subscription ON subscription.id = usage.subscription_id
    WHERE usage.organization_id = %(organization)s
        AND (%(since)s::timestamptz IS NULL OR usage.ends_at > %(since)s)
        AND (%(until)s::timestamptz IS NULL OR usage.starts_at < %(until)s)
    ORDER BY usage.meter, usage.cadence, usage.starts_at, usage.subscription_id
    """,
)
_LEDGER = Export(
    {
        "organization": "entry.organization_id::text",
        "subscription": "entry.subscription_id::text",
        "sequence": "entry.sequence",
        "id": "entry.id::text",
        "kind": "entry.kind",
        "amount": "entry.amount",
        "balance_after": "entry.balance_after",
        "grant": "entry.grant_id::text",
        "event": "entry.event_id::text",
        "actor": "entry.actor",
        "reason": "entry.reason",
        "booked_at": "entry.booked_at",
        "seal_before": """encode(CASE WHEN entry.sequence = 1 THEN billing_ledger_origin(entry.subscription_id)
            ELSE before.digest END, 'hex')""",
        "seal": "encode(seal.digest, 'hex')",
    },
    """
    FROM marketplace_credit_ledger AS entry
    LEFT JOIN marketplace_credit_seals AS seal ON seal.organization_id = entry.organization_id
        AND seal.subscription_id = entry.subscription_id AND seal.sequence = entry.sequence
    LEFT JOIN marketplace_credit_seals AS before ON before.organization_id = entry.organization_id
        AND before.subscription_id = entry.subscription_id AND before.sequence = entry.sequence - 1
    WHERE entry.organization_id = %(organization)s
        AND (%(since)s::timestamptz IS NULL OR entry.booked_at >= %(since)s)
        AND (%(until)s::timestamptz IS NULL OR entry.booked_at < %(until)s)
    ORDER BY entry.subscription_id, entry.sequence
    """,
)
_EVENTS = Export(
    {
        "organization": "event.organization_id::text",
        "subscription": "event.subscription_id::text",
        "id": "event.id::text",
        "reverses": "event.reverses_id::text",
        "clears": "event.clears_id::text",
        "meter": "event.meter",
        "service": "event.service",
        "source": "event.source",
        "key": "event.key",
        "quantity": "event.quantity",
        "overage": "event.overage",
        "credits_due": "event.credits_due",
        "credits_paid": "event.credits_paid",
        "plan": "plan.code",
        "plan_version": "plan.version",
        "period": "period.ordinal",
        "billed_period": "billed.ordinal",
        "guardrail_flags": "array_to_string(event.guardrail_flags, ' ')",
        "occurred_at": "event.occurred_at",
        "recorded_at": "event.recorded_at",
        "fingerprint": "encode(event.fingerprint, 'hex')",
    },
    """
    FROM marketplace_usage_events AS event
    JOIN billing_plans AS plan ON plan.id = event.plan_id
    JOIN subscription_periods AS period ON period.id = event.period_id
    JOIN subscription_periods AS billed ON billed.id = event.billed_period_id
    WHERE event.organization_id = %(organization)s
        AND event.subscription_id IN (
            SELECT id FROM organization_subscriptions WHERE organization_id = %(organization)s)
        AND (%(since)s::timestamptz IS NULL OR event.occurred_at >= %(since)s)
        AND (%(until)s::timestamptz IS NULL OR event.occurred_at < %(until)s)
    ORDER BY event.subscription_id, event.occurred_at, event.id
    """,
)
LEDGER = "ledger"
EXPORTS = {"windows": _WINDOWS, LEDGER: _LEDGER, "events": _EVENTS}
FORMATS = ("csv", "jsonl")


def stream(
    what: str,
    *,
    organization: Organization,
    shape: str,
    since: datetime | None = None,
    until: datetime | None = None,
) -> Iterator[str]:
    """The rows of an export as pieces of text: CSV (RFC 4180) under a header, or one JSON object a line.

    ``what`` is a key of ``EXPORTS``, ``shape`` one of ``FORMATS``. ``since`` and ``until`` bound when windows overlap,
    entries were booked and events occurred, the end left out.
    """
    export = EXPORTS[what]
    write, header = _csv(export) if shape == "csv" else _jsonl(export)
    yield header
    parameters = {"organization": organization.id, "since": since, "until": until}
    with _snapshot(), connection.chunked_cursor() as cursor:
        cursor.execute(export.sql, parameters)
        while rows := cursor.fetchmany(ROWS_AT_ONCE):
            yield "".join(write([_plain(value) for value in row]) for row in rows)


@contextmanager
def _snapshot() -> Iterator[None]:
    is_outermost = not connection.in_atomic_block
    with transaction.atomic():
        if is_outermost:
            with connection.cursor() as cursor:
                cursor.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
        yield


def _plain(value: Any) -> str | int | None:
    if isinstance(value, Decimal):
        return plain(value)
    if isinstance(value, datetime):
        return instant(value)
    return value  # type: ignore[no-any-return]


def _csv(export: Export) -> tuple[Callable[[Sequence[Any]], str], str]:
    writer = csv.writer(Echo())

    def write(row: Sequence[Any]) -> str:
        return str(writer.writerow([_cell(value) for value in row]))

    return write, str(writer.writerow(list(export.columns)))


def _cell(value: Any) -> str:
    """What no spreadsheet runs, and can be undone: an apostrophe in front means that one was put there."""
    text = "" if value is None else str(value)
    return f"'{text}" if text.startswith("'") else inert(text)


def _jsonl(export: Export) -> tuple[Callable[[Sequence[Any]], str], str]:
    encode = msgspec.json.Encoder().encode
    columns = list(export.columns)

    def write(row: Sequence[Any]) -> str:
        return encode(dict(zip(columns, row, strict=True))).decode() + "\n"

    return write, ""
