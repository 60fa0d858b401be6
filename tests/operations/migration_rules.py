"""What a migration may not do while the code before it still runs, and what would hold a big table for long.

A deployment migrates first and replaces the processes afterwards (docs/operations.md), so for some minutes old code
meets the new schema. The rules name what that code would stumble over; whoever needs such a step all the same takes two
releases for it (expand, then contract), or says in ``test_migrations.py`` why it is safe.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from django.contrib.postgres.operations import AddConstraintNotValid, AddIndexConcurrently
from django.db import connection, migrations, models
from django.db.migrations.operations.base import Operation
from django.db.migrations.state import ProjectState

# Tables that grow with use: an index on one takes minutes, during which nobody may write to it.
BIG = frozenset(
    {
        "marketplace_usage_events",
        "usage_event_payloads",
        "subscription_usage_ledger",
        "billing_usage_charges",
        "marketplace_credit_ledger",
        "marketplace_credit_grants",
        "usage_reservations",
        "marketplace_invoices",
        "marketplace_invoice_lines",
        "subscription_periods",
        "billing_audit_log",
        "billing_outbox",
        "billing_idempotent_requests",
        "billing_policy_decisions",
        "webhook_deliveries",
        "webhook_attempts",
    }
)

_GONE = re.compile(r"ALTER\s+TABLE\s+[^;]*?\b(DROP\s+COLUMN|RENAME)\b|DROP\s+(TABLE|VIEW)\s", re.I)
_TIGHTER = re.compile(
    r"ALTER\s+TABLE\s+[^;]*?\b(SET\s+NOT\s+NULL|TYPE\s|ADD\s+(CONSTRAINT\b(?![^;]*NOT\s+VALID)|COLUMN\b[^;]*NOT\s+NULL))",
    re.I,
)
_INDEX = re.compile(r"CREATE\s+(?:UNIQUE\s+)?INDEX\s+(?!CONCURRENTLY)[^;]*?\bON\s+\"?(\w+)", re.I)
_TRIGGER = re.compile(r"CREATE\s+(?:CONSTRAINT\s+)?TRIGGER\s+[^;]*?\bON\s+\"?(\w+)", re.I)
_ROWS = re.compile(r"(?:^|;)\s*(?:UPDATE\s|INSERT\s+INTO\s[^;]*?\bSELECT\b|DELETE\s+FROM\s)", re.I)


@dataclass(slots=True)
class _Migration:
    """One migration while its operations are gone through; ``made`` are the tables that it makes itself."""

    app: str
    before: ProjectState
    made: set[str] = field(default_factory=set)

    def table(self, model: str) -> str:
        table: str = (
            self.before.models[self.app, model.lower()].options.get("db_table") or f"{self.app}_{model.lower()}"
        )
        return table

    def model(self, model: str, state: ProjectState) -> type[models.Model]:
        return state.apps.get_model(self.app, model)


def findings(app: str, operations: Sequence[Operation], before: ProjectState) -> Iterator[str]:
    """The rules that a migration breaks, as ``rule: what``."""
    migration = _Migration(app, before.clone())
    for operation in operations:
        after = migration.before.clone()
        operation.state_forwards(app, after)
        yield from _of(operation, migration, after)
        if isinstance(operation, migrations.CreateModel):
            migration.made.add(operation.options.get("db_table") or f"{app}_{operation.name_lower}")
        migration.before = after


def _of(operation: Operation, migration: _Migration, after: ProjectState) -> Iterator[str]:
    for kind, rule in _RULES:
        if isinstance(operation, kind):
            yield from rule(operation, migration, after)
            return


def _gone(operation: Any, migration: _Migration, after: ProjectState) -> Iterator[str]:
    yield f"gone: {operation.describe()}"


def _added(operation: Any, migration: _Migration, after: ProjectState) -> Iterator[str]:
    table = migration.table(operation.model_name)
    if table in migration.made:
        return
    name, its = f"{table}.{operation.name}", operation.field
    if isinstance(its, models.GeneratedField):
        yield f"rewrite: {name} is generated, so every row is written anew"
    elif not its.null and not its.has_db_default() and not its.many_to_many:
        # Django fills it once and then drops the default: old code's next INSERT says nothing of it.
        yield f"required: {name} has no default in the database"
    if table in BIG and (its.unique or its.db_index):
        yield f"index: {name} on a big table, not concurrently"


def _altered(operation: Any, migration: _Migration, after: ProjectState) -> Iterator[str]:
    table = migration.table(operation.model_name)
    if table in migration.made:
        return
    old, new = (
        migration.model(operation.model_name, state)._meta.get_field(operation.name)
        for state in (migration.before, after)
    )
    assert isinstance(old, models.Field) and isinstance(new, models.Field)  # noqa: PT018
    name = f"{table}.{operation.name}"
    if old.null and not new.null:
        yield f"required: {name} may be null no more"
    if old.db_type(connection) != new.db_type(connection) and not _is_wider(old, new):
        yield f"type: {name} from {old.db_type(connection)} to {new.db_type(connection)}"


def _is_wider(old: models.Field[Any, Any], new: models.Field[Any, Any]) -> bool:
    both = isinstance(old, models.CharField) and isinstance(new, models.CharField)
    return both and (old.max_length or 0) <= (new.max_length or 0)


def _indexed(operation: Any, migration: _Migration, after: ProjectState) -> Iterator[str]:
    table = migration.table(operation.model_name)
    if table in BIG and table not in migration.made:
        yield f"index: {operation.index.name} on {table}, not concurrently"


def _constrained(operation: Any, migration: _Migration, after: ProjectState) -> Iterator[str]:
    table = migration.table(operation.model_name)
    if table not in migration.made:
        yield f"constraint: {operation.constraint.name} on {table}, which old code may break and every row is read for"


def _sql(operation: Any, migration: _Migration, after: ProjectState) -> Iterator[str]:
    for text in [operation.sql] if isinstance(operation.sql, str) else operation.sql:
        # Bodies of functions are not what the migration does.
        said = re.sub(r"--[^\n]*|(\$\w*\$).*?\1", " ", text if isinstance(text, str) else text[0], flags=re.S)
        if _GONE.search(said):
            yield "gone: SQL drops or renames"
        if _TIGHTER.search(said):
            yield "constraint: SQL makes a table stricter"
        for table in sorted({*_INDEX.findall(said)} & BIG - migration.made):
            yield f"index: SQL on {table}, not concurrently"
        for table in sorted({*_TRIGGER.findall(said)} - migration.made):
            yield f"trigger: SQL on {table}, which old code may run into"
        if _ROWS.search(said):
            yield "rows: SQL writes rows in the migration's transaction"


def _python(operation: Any, migration: _Migration, after: ProjectState) -> Iterator[str]:
    yield f"rows: {operation.code.__name__} writes rows in the migration's transaction"


def _nested(operation: Any, migration: _Migration, after: ProjectState) -> Iterator[str]:
    yield from findings(migration.app, operation.database_operations, migration.before)


_Rule = Callable[[Any, _Migration, ProjectState], Iterator[str]]
_RULES: tuple[tuple[type[Operation] | tuple[type[Operation], ...], _Rule], ...] = (
    ((AddIndexConcurrently, AddConstraintNotValid), lambda *_: iter(())),
    (
        (
            migrations.RemoveField,
            migrations.DeleteModel,
            migrations.RenameField,
            migrations.RenameModel,
            migrations.AlterModelTable,
        ),
        _gone,
    ),
    (migrations.AddField, _added),
    (migrations.AlterField, _altered),
    (migrations.AddIndex, _indexed),
    (migrations.AddConstraint, _constrained),
    (migrations.RunSQL, _sql),
    (migrations.RunPython, _python),
    (migrations.SeparateDatabaseAndState, _nested),
)
