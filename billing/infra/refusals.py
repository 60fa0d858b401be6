"""How often a guard said no: counted per organization, note and hour, on a connection of its own.

The caller's transaction is about to roll back because of the refusal, and must not take the count with it. Counting is
best effort: it never raises into the caller and never makes it wait for long.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Sequence
from datetime import UTC, datetime
from uuid import UUID

from django.db import Error, connections

from billing.infra import logs

ALIAS = "refusals"
# Where the counts of hours long past are kept, summed.
TOTAL_AT = datetime(1970, 1, 1, tzinfo=UTC)
NOTE_LENGTH_MAX = 120

# A note ends in a key that the caller chose. Keys that the catalog does not know share one row, or anyone could make
# rows and metric labels without end. Rows in order of note, so that two counters cannot deadlock.
_COUNT = """
    INSERT INTO billing_refusal_counts (organization_id, note, hour_at, count)
    SELECT %(organization_id)s, bounded.note, %(hour_at)s, sum(bounded.times)
    FROM (
        SELECT CASE
            WHEN offered.key = '' OR offered.note LIKE 'billing:error:%%'
                OR EXISTS (SELECT FROM billing_plan_entitlements WHERE key = offered.key)
                OR EXISTS (SELECT FROM billing_meters WHERE code = offered.key)
            THEN offered.note
            ELSE split_part(offered.note, ':', 1) || ':' || split_part(offered.note, ':', 2) || ':(unknown)'
        END AS note, offered.times
        FROM (
            SELECT note, split_part(note, ':', 3) AS key, times
            FROM unnest(%(notes)s::text[], %(times)s::bigint[]) AS given (note, times)
        ) AS offered
    ) AS bounded
    GROUP BY bounded.note ORDER BY bounded.note
    ON CONFLICT (organization_id, note, hour_at)
    DO UPDATE SET count = billing_refusal_counts.count + excluded.count
"""

# One statement, so that no reader sees an hour gone and its total not yet grown.
_FOLD = """
    WITH gone AS (
        DELETE FROM billing_refusal_counts
        WHERE hour_at < %(before)s AND hour_at > %(total_at)s
        RETURNING organization_id, note, count
    )
    INSERT INTO billing_refusal_counts (organization_id, note, hour_at, count)
    SELECT organization_id, note, %(total_at)s, sum(count) FROM gone
    GROUP BY organization_id, note ORDER BY organization_id, note
    ON CONFLICT (organization_id, note, hour_at)
    DO UPDATE SET count = billing_refusal_counts.count + excluded.count
"""


def count(organization_id: UUID, notes: Sequence[str], at: datetime) -> None:
    """Add one for each of ``notes`` in the hour of ``at``; a note given twice counts twice. Never raises ``Error``."""
    if not notes:
        return
    tally = Counter(note[:NOTE_LENGTH_MAX] for note in notes)
    hour_at = at.astimezone(UTC).replace(minute=0, second=0, microsecond=0)
    connection = connections[ALIAS]
    try:
        with connection.cursor() as cursor:
            cursor.execute(
                _COUNT,
                {
                    "organization_id": organization_id,
                    "hour_at": hour_at,
                    "notes": list(tally.keys()),
                    "times": list(tally.values()),
                },
            )
    except Error as error:
        # A connection that the server dropped would fail for as long as the thread lives: the next count opens one.
        if not connection.in_atomic_block:
            connection.close()
        logs.event(
            "refusal.uncounted", level=logging.WARNING, error=error, organization=organization_id, notes=list(notes)
        )


def prune(*, before: datetime) -> int:
    """Fold the hours before ``before`` into one total per organization and note. Returns the number of totals touched.

    Exported totals stay exactly what they were, and the table stays as small as there are organizations and notes.
    """
    with connections[ALIAS].cursor() as cursor:
        cursor.execute(_FOLD, {"before": before, "total_at": TOTAL_AT})
        return int(cursor.rowcount)
