"""Planting a bug in the data: behind the triggers and constraints, as the owner of the tables could."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from django.db import connection, transaction

from billing.reporting import doctor
from billing.reporting.doctor import Violation


@dataclass(frozen=True)
class DataBug:
    """``sql`` changes one row of ``table`` and returns how it is known; ``found_by`` are the invariants that must see
    it, and ``column`` is what their rows know it by."""

    name: str
    found_by: frozenset[str]
    table: str
    sql: str
    column: str = "id"
    # Constraints and indexes of the database that would refuse even its owner.
    drops: tuple[str, ...] = ()
    # Whether the guards stay as the bug leaves them.
    leaves_guards_off: bool = False
    # It stands between two organizations: each alone shows another side of it.
    is_of_two: bool = False


def bug(
    name: str, table: str, sql: str, *found_by: str, column: str = "id", drops: tuple[str, ...] = (), **more: bool
) -> DataBug:
    return DataBug(name, frozenset(found_by), table, sql, column, drops, **more)


def one(table: str, where: str, order: str = "id") -> str:
    """The condition that picks the first row of those."""
    return f"id = (SELECT id FROM {table} WHERE {where} ORDER BY {order} LIMIT 1)"


@dataclass(frozen=True)
class Caught:
    broken: str
    violations: dict[str, Violation]


@contextmanager
def planted(bug: DataBug) -> Iterator[Caught]:
    """The books with the bug in them and what the doctor says; both are as before afterwards."""
    with transaction.atomic():
        broken = plant(bug)
        yield Caught(broken, {violation.name: violation for violation in doctor.verify()})
        transaction.set_rollback(True)


def plant(bug: DataBug) -> str:
    with connection.cursor() as cursor:
        cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")
        for statement in bug.drops:
            cursor.execute(statement)
        cursor.execute(
            "SELECT conname FROM pg_constraint WHERE conrelid = to_regclass(%s) AND contype = 'c'", [bug.table]
        )
        for (name,) in cursor.fetchall():
            cursor.execute(f"ALTER TABLE {bug.table} DROP CONSTRAINT {name}")
        cursor.execute(
            "SELECT tgname FROM pg_trigger WHERE tgrelid = to_regclass(%s) AND NOT tgisinternal", [bug.table]
        )
        guards = [name for (name,) in cursor.fetchall()]
        for name in guards:
            cursor.execute(f"ALTER TABLE {bug.table} DISABLE TRIGGER {name}")
        cursor.execute(bug.sql)
        rows = cursor.fetchall() if cursor.description else [("",)]
        if not bug.leaves_guards_off:
            for name in guards:
                cursor.execute(f"ALTER TABLE {bug.table} ENABLE ALWAYS TRIGGER {name}")
    assert len(rows) == 1, f"{bug.name} broke {len(rows)} rows"
    return str(rows[0][0])
