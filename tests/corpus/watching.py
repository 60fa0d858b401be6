"""Whether anything in the database changed, at the cost of one small statement where nothing did.

PostgreSQL counts what a transaction writes to each table, for itself alone and whatever becomes of it. Only where these
counters moved are the tables read and compared, so writes that were taken back are told from those that stay.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django.db import connection

from billing.models import AuditEntry

# What may change with a request that is refused, and why.
EXEMPT = {
    "billing_refusal_counts": "how often a plan said no is what it counts",
}
# That somebody was refused for a region is a row of the audit log, which outlives the refusal.
DENIALS = "refused.%"

_COUNTED = """
    SELECT sum(pg_stat_get_xact_tuples_inserted(oid) + pg_stat_get_xact_tuples_updated(oid)
               + pg_stat_get_xact_tuples_deleted(oid))
    FROM unnest(%s::oid[]) AS given (oid)
"""
Digest = Mapping[str, tuple[Any, ...]]


class Watch:
    """Of one database, in the transaction that cases are sent in."""

    def __init__(self) -> None:
        with connection.cursor() as cursor:
            cursor.execute(
                "SELECT relname, oid FROM pg_class"
                " WHERE relkind IN ('r', 'p') AND relnamespace = 'public'::regnamespace ORDER BY relname"
            )
            self._oids = {name: oid for name, oid in cursor.fetchall() if name not in EXEMPT}
        # A sum, so that the order of rows does not matter; the count, so that two that cancel out do not hide.
        self._reading = " UNION ALL ".join(
            f"SELECT '{name}', count(*), sum(hashtextextended(own::text, 0)::numeric) FROM {name} AS own"
            + (f" WHERE act NOT LIKE '{DENIALS}'" if name == AuditEntry._meta.db_table else "")
            for name in self._oids
        )
        self._numbers = list(self._oids.values())

    def count(self) -> int:
        """Rows that this transaction wrote so far, also where it took them back."""
        with connection.cursor() as cursor:
            cursor.execute(_COUNTED, [self._numbers])
            return int(cursor.fetchone()[0])

    def digest(self) -> Digest:
        with connection.cursor() as cursor:
            cursor.execute(self._reading)
            return {name: tuple(rest) for name, *rest in cursor.fetchall()}


def changed(before: Digest, after: Digest) -> list[str]:
    return [name for name in before if before[name] != after.get(name)]
