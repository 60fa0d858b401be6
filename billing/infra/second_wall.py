"""The second wall: while somebody is served, the database itself shows no rows but their organizations'.

The first wall is that every query names its organization. Should one forget to, PostgreSQL's row-level security answers
with nothing, and refuses to write: its policies (``billing_row_security``) compare each row with the session's
``app.organizations``. Doors say whose rows those are once they know who calls; whoever acts for the whole installation
(workers, the shell, staff, platform keys) says nothing and sees all. The wall stands where the product runs under a
role that owns no tables, as docs/operations.md says; their owner and superusers go through it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any
from uuid import UUID
from weakref import WeakKeyDictionary

import psycopg
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.backends.signals import connection_created
from psycopg.pq import TransactionStatus

EVERYTHING = ""
_UNKNOWN = "?"
_wanted: ContextVar[str] = ContextVar("billing_organizations", default=EVERYTHING)


@dataclass
class _Shown:
    """What a session shows, and what its transaction does instead. A new session shows everything."""

    session: str = EVERYTHING
    transaction: str | None = None


_shown: WeakKeyDictionary[psycopg.Connection[Any], _Shown] = WeakKeyDictionary()
_SESSION = b"SELECT set_config('app.organizations', $1, false)"
_TRANSACTION = b"SELECT set_config('app.organizations', $1, true)"


def narrow(organization_ids: Iterable[UUID]) -> None:
    """Show the rows of these organizations alone, until ``widen`` or the end of the request."""
    _wanted.set("{" + ",".join(sorted(map(str, organization_ids))) + "}")


def widen() -> None:
    """Show everything."""
    _wanted.set(EVERYTHING)


@contextmanager
def everything() -> Iterator[None]:
    """As ``widen`` for a while: for what a served person does beyond their organizations, such as founding one."""
    token = _wanted.set(EVERYTHING)
    try:
        yield
    finally:
        _wanted.reset(token)


def raise_on(connection: psycopg.Connection[Any]) -> None:
    """Make the session show what is wanted now, before its next statement."""
    wanted = _wanted.get()
    shown = _shown.get(connection)
    if shown is None:
        shown = _shown[connection] = _Shown()
    pgconn = connection.pgconn
    is_idle = pgconn.transaction_status == TransactionStatus.IDLE
    if is_idle:
        shown.transaction = None
    if (shown.transaction or shown.session) == wanted:
        return
    # A change in the midst of a transaction is for its length alone: a rollback would take it back from the session.
    if is_idle:
        pgconn.exec_params(_SESSION, [wanted.encode()])
        shown.session = wanted
    else:
        pgconn.exec_params(_TRANSACTION, [wanted.encode()])
        shown.transaction = wanted


def _before_each(
    execute: Callable[..., Any],
    sql: Any,
    params: Any,
    many: bool,
    context: dict[str, Any],
) -> Any:
    connection = context["connection"].connection
    if connection is not None:
        raise_on(connection)
    answer = execute(sql, params, many, context)
    if connection is not None and isinstance(sql, str) and sql.startswith("ROLLBACK TO"):
        # What the transaction shows is now what it showed at the savepoint, whatever that was.
        _shown[connection].transaction = _UNKNOWN
    return answer


def _guard(connection: BaseDatabaseWrapper, **_: object) -> None:
    if connection.vendor == "postgresql" and _before_each not in connection.execute_wrappers:
        connection.execute_wrappers.append(_before_each)


def stand_by() -> None:
    """Guard every connection from its beginning."""
    connection_created.connect(_guard, dispatch_uid="billing.second_wall")
