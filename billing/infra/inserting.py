"""Many new rows at once: what ``bulk_create`` does, without binding each value of each row through the ORM.

Not by COPY, which PostgreSQL refuses where row-level security stands (billing/infra/second_wall.py).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import cache
from typing import Any

import msgspec
from django.db import connection
from django.db.models import AutoField, Model
from django.db.models.expressions import DatabaseDefault

from billing.infra import statements


def insert(rows: Sequence[Model]) -> None:
    """Write rows of one model, in order. They do not learn what the database fills in: numbers, and defaults of its
    own. Raises Django's database errors."""
    if not rows:
        return
    names = tuple(
        field.attname
        for field in rows[0]._meta.concrete_fields  # noqa: SLF001 - Django's documented way to ask
        if not (isinstance(field, AutoField) or field.generated)
        and not isinstance(getattr(rows[0], field.attname), DatabaseDefault)
    )
    insert_values(type(rows[0]), names, ([getattr(row, name) for name in names] for row in rows))


def insert_values(model: type[Model], names: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
    """As ``insert``, of the values of the attributes ``names``."""
    sql, columns = _statement(model, tuple(names))
    document = [dict(zip(columns, row, strict=True)) for row in rows]
    if document:
        statements.fetch_all(sql, [msgspec.json.encode(document).decode()])


@cache
def _statement(model: type[Model], names: tuple[str, ...]) -> tuple[str, list[str]]:
    meta = model._meta  # noqa: SLF001
    quoted = connection.ops.quote_name
    column_of = {field.attname: field.column for field in meta.concrete_fields}
    columns = [str(column_of[name]) for name in names]
    table, listed = quoted(meta.db_table), ", ".join(map(quoted, columns))
    # Names of our own tables; values are bound.
    return (
        f"INSERT INTO {table} ({listed}) SELECT {listed} "  # noqa: S608
        f"FROM jsonb_populate_recordset(NULL::{table}, %s::jsonb)"
    ), columns
