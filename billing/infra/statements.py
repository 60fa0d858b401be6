"""Statements of the hot paths, prepared once per connection.

Django binds parameters in the client, so PostgreSQL plans each statement anew; for the large ones of recording that
takes several times as long as running them. These run on the same connection and transaction, bound by the server.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import psycopg
from django.db import DEFAULT_DB_ALIAS, connections


def fetch_all(sql: str, params: Sequence[Any]) -> list[tuple[Any, ...]]:
    """Run a prepared statement on the default connection and return its rows. Errors are Django's, as from a cursor."""
    connection = connections[DEFAULT_DB_ALIAS]
    connection.ensure_connection()
    with connection.wrap_database_errors, psycopg.Cursor(connection.connection) as cursor:
        cursor.execute(sql.encode(), params, prepare=True)
        return cursor.fetchall()
