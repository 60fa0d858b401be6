"""Many new rows at once, by COPY: what ``bulk_create`` does, without binding each value of each row through the ORM."""

from __future__ import annotations

import json
import time
from collections.abc import Iterable, Sequence
from enum import Enum
from typing import Any

from django.db import DEFAULT_DB_ALIAS, connections
from django.db.models import AutoField, JSONField, Model
from django.db.models.expressions import DatabaseDefault


def insert(rows: Sequence[Model]) -> None:
    """Write rows of one model, in order. They do not learn what the database fills in: numbers, and defaults of its
    own. Raises Django's database errors."""
    if not rows:
        return
    names = [
        field.attname
        for field in rows[0]._meta.concrete_fields  # noqa: SLF001 - Django's documented way to ask
        if not (isinstance(field, AutoField) or field.generated)
        and not isinstance(getattr(rows[0], field.attname), DatabaseDefault)
    ]
    insert_values(type(rows[0]), names, ([getattr(row, name) for name in names] for row in rows))


def insert_values(model: type[Model], names: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
    """As ``insert``, of the values of the attributes ``names``."""
    meta = model._meta  # noqa: SLF001
    of_name = {field.attname: field for field in meta.concrete_fields}
    documents = [index for index, name in enumerate(names) if isinstance(of_name[name], JSONField)]
    connection = connections[DEFAULT_DB_ALIAS]
    quoted = connection.ops.quote_name
    columns = ", ".join(quoted(of_name[name].column) for name in names)
    sql = f"COPY {quoted(meta.db_table)} ({columns}) FROM STDIN"
    began = time.monotonic()
    with connection.wrap_database_errors, connection.cursor() as cursor, cursor.cursor.copy(sql) as copy:
        for row in rows:
            values = [value.value if isinstance(value, Enum) else value for value in row]
            for index in documents:
                values[index] = None if values[index] is None else json.dumps(values[index])
            copy.write_row(values)
    if connection.queries_logged:
        connection.queries_log.append({"sql": sql, "time": f"{time.monotonic() - began:.3f}"})
