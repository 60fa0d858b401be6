"""Recording changes rows in place: no index depends on what it changes, or each event would write all of a row's."""

from __future__ import annotations

import pytest
from django.db import connection

CHANGED = {
    "subscription_usage_ledger": {"used", "overage", "events", "peak"},
    "marketplace_credit_grants": {"remaining", "consumed"},
    "marketplace_subscriptions": {"credit_balance", "entries", "told"},
}

# Columns that an index is on, or that its condition or expressions mention: a row that changes one of them moves.
DEPENDED_ON = """
SELECT depended.attname, held.relname
FROM pg_index AS index JOIN pg_class AS held ON held.oid = index.indexrelid
JOIN pg_depend AS link ON link.classid = 'pg_class'::regclass AND link.objid = index.indexrelid
    AND link.refclassid = 'pg_class'::regclass AND link.refobjid = index.indrelid AND link.refobjsubid > 0
JOIN pg_attribute AS depended ON depended.attrelid = index.indrelid AND depended.attnum = link.refobjsubid
WHERE index.indrelid = %s::regclass
"""


@pytest.mark.django_db
@pytest.mark.parametrize("table", CHANGED)
def test_no_index_depends_on_what_an_event_changes(table: str) -> None:
    with connection.cursor() as cursor:
        cursor.execute(DEPENDED_ON, [table])
        found = cursor.fetchall()
    assert found, "a table without any index?"
    assert [(column, index) for column, index in found if column in CHANGED[table]] == []


@pytest.mark.django_db
def test_the_question_finds_a_condition() -> None:
    with connection.cursor() as cursor:
        cursor.execute("CREATE INDEX planted ON marketplace_credit_grants (id) WHERE remaining > 0")
        cursor.execute(DEPENDED_ON, ["marketplace_credit_grants"])
        assert ("remaining", "planted") in cursor.fetchall()
