"""Statements of the hot paths, prepared once per connection.

Django binds parameters in the client, so PostgreSQL plans each statement anew; for the large ones of recording that
takes several times as long as running them. These run on the same connection and transaction, bound by the server.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from functools import cache
from typing import Any, TypeVar

import psycopg
from django.db import DEFAULT_DB_ALIAS, connections
from django.db.models import ForeignKey, Model

Row = TypeVar("Row", bound=Model)


def fetch_all(sql: str, params: Sequence[Any]) -> list[tuple[Any, ...]]:
    """Run a prepared statement on the default connection and return its rows. Errors are Django's, as from a cursor."""
    connection = connections[DEFAULT_DB_ALIAS]
    connection.ensure_connection()
    began = time.monotonic()
    try:
        with connection.wrap_database_errors, psycopg.Cursor(connection.connection) as cursor:
            cursor.execute(sql.encode(), params, prepare=True)
            return cursor.fetchall()
    finally:
        if connection.queries_logged:
            # Whoever counts statements counts these.
            connection.queries_log.append({"sql": sql, "time": f"{time.monotonic() - began:.3f}"})


def fetch_rows(model: type[Row], condition: str, params: Sequence[Any], *, beside: str = "") -> list[Row]:
    """The rows of ``model`` where ``condition`` holds, each with the row that its foreign key ``beside`` points at.

    For what every request reads, where asking the ORM costs several times the statement. In a condition the table is
    called ``own``.
    """
    selection, names, other, other_names = _selection(model, beside)
    # Of names of our own tables and conditions of our own code; values are bound.
    rows = fetch_all(f"{selection} WHERE {condition}", params)
    found = []
    for row in rows:
        own = model.from_db(DEFAULT_DB_ALIAS, names, row[: len(names)])
        if other is not None and getattr(own, f"{beside}_id") is not None:
            setattr(own, beside, other.from_db(DEFAULT_DB_ALIAS, other_names, row[len(names) :]))
        found.append(own)
    return found


@cache
def _selection(model: type[Model], beside: str) -> tuple[str, tuple[str, ...], type[Model] | None, tuple[str, ...]]:
    columns, names = _columns(model, "own")
    table = model._meta.db_table  # noqa: SLF001 - Django's documented way to ask
    if not beside:
        return f'SELECT {columns} FROM "{table}" own', names, None, ()  # noqa: S608 - names of our own tables
    field = model._meta.get_field(beside)  # noqa: SLF001
    assert isinstance(field, ForeignKey)  # noqa: S101 - by whoever wrote the call
    other = field.related_model
    other_columns, other_names = _columns(other, "other")
    joined = f'LEFT JOIN "{other._meta.db_table}" other ON other.id = own."{field.attname}"'  # noqa: SLF001
    selection = f'SELECT {columns}, {other_columns} FROM "{table}" own {joined}'  # noqa: S608
    return selection, names, other, other_names


def _columns(model: type[Model], alias: str) -> tuple[str, tuple[str, ...]]:
    fields = model._meta.concrete_fields  # noqa: SLF001
    return ", ".join(f'{alias}."{field.column}"' for field in fields), tuple(field.attname for field in fields)
