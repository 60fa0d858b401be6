"""Many new rows at once, without an instance of a model for each: making those takes longer than writing the rows.

Not by COPY, which PostgreSQL refuses where row-level security stands (billing/infra/second_wall.py).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import cache
from typing import Any

import msgspec
from django.db import connection
from django.db.models import AutoField, Field, Model
from django.db.models.fields import NOT_PROVIDED

from billing.infra import statements


def insert(model: type[Model], names: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
    """Write a row of ``model`` for each of ``rows``, which has the values of the attributes ``names``, in order.

    An attribute that is not named has its field's default, the same in all rows: identifiers are named. What the
    database fills in, it fills in. Raises Django's database errors.
    """
    sql, columns, others = _statement(model, tuple(names))
    defaults = {str(field.column): field.get_default() for field in others}
    document = [dict(zip(columns, row, strict=True)) | defaults for row in rows]
    if document:
        statements.fetch_all(sql, [msgspec.json.encode(document).decode()])


@cache
def _statement(model: type[Model], names: tuple[str, ...]) -> tuple[str, list[str], list[Field[Any, Any]]]:
    meta = model._meta  # noqa: SLF001 - Django's documented way to ask
    quoted = connection.ops.quote_name
    fields = {
        field.attname: field
        for field in meta.concrete_fields
        if not (isinstance(field, AutoField) or field.generated or field.db_default is not NOT_PROVIDED)
    }
    columns = [str(fields[name].column) for name in names]
    others = [field for name, field in fields.items() if name not in names]
    table = quoted(meta.db_table)
    listed = ", ".join(map(quoted, [*columns, *(str(field.column) for field in others)]))
    # Names of our own tables; values are bound.
    sql = (
        f"INSERT INTO {table} ({listed}) SELECT {listed} "  # noqa: S608
        f"FROM jsonb_populate_recordset(NULL::{table}, %s::jsonb)"
    )
    return sql, columns, others
