"""Statements of the hot paths, prepared once per connection and run with nothing in between.

Django binds parameters in the client, so PostgreSQL plans each statement anew; for the large ones of recording that
takes several times as long as running them. And a cursor takes longer to run a statement than PostgreSQL takes for a
short one. These run on the same connection and in the same transaction, by libpq's own call.
"""

from __future__ import annotations

import select
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from itertools import count
from typing import Any, NamedTuple, TypeVar

import psycopg
from django.db import DEFAULT_DB_ALIAS, connections
from django.db.models import Model
from psycopg import errors as pg_errors
from psycopg.adapt import PyFormat, Transformer
from psycopg.pq import ConnStatus, ExecStatus, TransactionStatus
from psycopg.pq.abc import PGresult

from billing.infra import second_wall

Row = TypeVar("Row", bound=Model)

_BEGIN, _COMMIT = b"BEGIN", b"COMMIT"
# A prepared statement's name, its parameters' values and their formats.
_Bound = tuple[bytes, Any, Sequence[int] | None]


class Statement(NamedTuple):
    """As ``fetch_all`` takes it."""

    sql: str
    params: Sequence[Any]


# A statement that is gone, or whose tables have changed since: made again at its next use.
_STALE = (pg_errors.InvalidSqlStatementName, pg_errors.FeatureNotSupported)


def fetch_all(sql: str, params: Sequence[Any]) -> list[tuple[Any, ...]]:
    """Run a prepared statement on the default connection and return its rows. Errors are Django's, as from a cursor.

    ``sql`` marks parameters by ``%s`` and has no other use of the percent sign.
    """
    with _noted(sql) as session:
        return session.fetch_all(sql, params)


def fetch_after(first: Statement, then: Statement) -> list[tuple[Any, ...]]:
    """Run two statements in one round trip and return the rows of the second, whose snapshot is of after the first."""
    with _noted(first.sql, then.sql) as session:
        return session.fetch_after(first, then)


def fetch_texts(sql: str, texts: Sequence[str], *, committing: bool = False) -> list[tuple[Any, ...]]:
    """As ``fetch_all``, of parameters that are texts already and that ``sql`` casts to what they mean.

    ``committing`` ends the transaction in the same round trip: for the last statement of one that ``may_commit``. A
    failed statement commits nothing.
    """
    with _noted(sql) as session:
        return session.fetch_texts(sql, texts, committing=committing)


def may_commit() -> bool:
    """Whether a transaction that begins here is the outermost one, so that its last statement may end it."""
    connection = connections[DEFAULT_DB_ALIAS]
    return not connection.in_atomic_block and connection.get_autocommit()


@contextmanager
def _noted(*texts: str) -> Iterator[_Session]:
    connection = connections[DEFAULT_DB_ALIAS]
    connection.ensure_connection()
    began = time.monotonic()
    try:
        with connection.wrap_database_errors:
            second_wall.raise_on(connection.connection)
            yield _session(connection.connection)
    finally:
        if connection.queries_logged:
            # Whoever counts statements counts these.
            took = f"{time.monotonic() - began:.3f}"
            connection.queries_log.extend({"sql": text, "time": took} for text in texts)


class _Session:
    """What is prepared on one connection. Used by one thread at a time, as the connection is."""

    def __init__(self, connection: psycopg.Connection[Any]) -> None:
        self._connection = connection
        self._transformer = Transformer.from_context(connection)
        # By text and types of the parameters: an integer's type depends on how large it is.
        self._names: dict[tuple[str, tuple[int, ...] | None], bytes] = {}
        self._numbers = count()

    def fetch_all(self, sql: str, params: Sequence[Any]) -> list[tuple[Any, ...]]:
        pgconn = self._connection.pgconn
        if self._is_to_begin():
            self._checked(pgconn.exec_(_BEGIN))
        bound = self._bind(sql, params)
        try:
            result = self._checked(pgconn.exec_prepared(*bound))
        except _STALE:
            self._names.clear()
            if pgconn.transaction_status != TransactionStatus.IDLE:
                # Nothing more can be done in this transaction; the next one finds the statement new.
                raise
            result = self._checked(pgconn.exec_prepared(*self._bind(sql, params)))
        return self._rows(result)

    def fetch_after(self, first: Statement, then: Statement) -> list[tuple[Any, ...]]:
        begin = [_BEGIN] if self._is_to_begin() else []
        return self._rows(self._in_one_trip([*begin, self._bind(*first), self._bind(*then)])[-1])

    def fetch_texts(self, sql: str, texts: Sequence[str], *, committing: bool) -> list[tuple[Any, ...]]:
        name = self._names.get((sql, None)) or self._prepare(sql, None)
        begin = [_BEGIN] if self._is_to_begin() else []
        end = [_COMMIT] if committing else []
        bound = (name, [text.encode() for text in texts], None)
        return self._rows(self._in_one_trip([*begin, bound, *end])[len(begin)])

    def _in_one_trip(self, commands: Sequence[bytes | _Bound]) -> list[PGresult]:
        """What each answers; what follows a failure is not run, and the first failure raised."""
        pgconn = self._connection.pgconn
        pgconn.enter_pipeline_mode()
        try:
            for each in commands:
                if isinstance(each, bytes):
                    pgconn.send_query_params(each, None)
                else:
                    pgconn.send_query_prepared(*each)
            pgconn.pipeline_sync()
            while pgconn.flush():
                self._wait_for(select.POLLOUT)
            *results, _ = [self._next_result() for _ in range(len(commands) + 1)]
        finally:
            if pgconn.status == ConnStatus.OK:
                pgconn.exit_pipeline_mode()
        try:
            return [self._checked(each) for each in results]
        except _STALE:
            self._names.clear()
            raise

    def _next_result(self) -> PGresult:
        pgconn = self._connection.pgconn
        # Asked for a result that is not there yet, libpq would wait with every other thread standing still.
        while pgconn.is_busy():
            self._wait_for(select.POLLIN)
            pgconn.consume_input()
        result = pgconn.get_result()
        if result is None:
            raise psycopg.OperationalError("the connection to the database is lost")
        if result.status != ExecStatus.PIPELINE_SYNC:
            # Each statement's results end with None.
            pgconn.get_result()
        return result

    def _wait_for(self, event: int) -> None:
        poll = select.poll()
        poll.register(self._connection.pgconn.socket, event)
        poll.poll()

    def _is_to_begin(self) -> bool:
        # As a cursor does at the first statement outside of autocommit.
        connection = self._connection
        return not connection.autocommit and connection.pgconn.transaction_status == TransactionStatus.IDLE

    def _bind(self, sql: str, params: Sequence[Any]) -> _Bound:
        transformer = self._transformer
        values = transformer.dump_sequence(params, [PyFormat.AUTO] * len(params))
        known = (sql, transformer.types)
        return self._names.get(known) or self._prepare(*known), values, transformer.formats

    def _rows(self, result: PGresult) -> list[tuple[Any, ...]]:
        self._transformer.set_pgresult(result)
        return self._transformer.load_rows(0, result.ntuples, tuple)

    def _prepare(self, sql: str, types: tuple[int, ...] | None) -> bytes:
        name = b"countinghouse_%d" % next(self._numbers)
        self._checked(self._connection.pgconn.prepare(name, _numbered(sql), types))
        self._names[sql, types] = name
        return name

    def _checked(self, result: PGresult) -> PGresult:
        if result.status in (ExecStatus.TUPLES_OK, ExecStatus.COMMAND_OK):
            return result
        connection = self._connection
        if connection.pgconn.status != ConnStatus.OK:
            # libpq's own words, which have no code to tell the kind of error by.
            raise psycopg.OperationalError(result.get_error_message(connection.info.encoding))
        raise pg_errors.error_from_result(result, encoding=connection.info.encoding)


def _session(connection: psycopg.Connection[Any]) -> _Session:
    # With the connection itself, and so gone with it: a dictionary that holds the session holds the connection by it.
    kept = vars(connection)
    session: _Session | None = kept.get(_KEPT_AS)
    if session is None:
        session = kept[_KEPT_AS] = _Session(connection)
    return session


_KEPT_AS = "countinghouse_session"


@cache
def _numbered(sql: str) -> bytes:
    first, *others = sql.split("%s")
    return "".join([first, *(f"${number}{part}" for number, part in enumerate(others, 1))]).encode()


def fetch_rows(model: type[Row], condition: str, params: Sequence[Any], *, beside: tuple[str, ...] = ()) -> list[Row]:
    """The rows of ``model`` where ``condition`` holds, each with the rows ``beside`` it: what its foreign keys of these
    names point at, or the one row whose key points at it.

    For what every request reads, where asking the ORM costs several times the statement. In a condition the table is
    called ``own``.
    """
    selection, own, others = _selection(model, beside)
    # Of names of our own tables and conditions of our own code; values are bound.
    rows = fetch_all(f"{selection} WHERE {condition}", params)
    found = []
    for row in rows:
        instance = own.instance(row)
        for field, other in others:
            known = other.instance(row)
            field.set_cached_value(instance, known)
            if known is not None and field.one_to_one:
                field.remote_field.set_cached_value(known, instance)
        found.append(instance)
    return found


class _Part(NamedTuple):
    """Where a model's columns lie in a row, and how those are read that the driver leaves as text."""

    model: type[Any]
    names: tuple[str, ...]
    starts_at: int
    key_at: int
    readers: tuple[tuple[int, Callable[..., Any]], ...]

    def instance(self, row: Sequence[Any]) -> Any:
        """The row's instance; None where there was none to join."""
        if row[self.starts_at + self.key_at] is None:
            return None
        values = list(row[self.starts_at : self.starts_at + len(self.names)])
        for place, read in self.readers:
            values[place] = read(values[place], None, connections[DEFAULT_DB_ALIAS])
        return self.model.from_db(DEFAULT_DB_ALIAS, self.names, values)


@cache
def _selection(model: type[Model], beside: tuple[str, ...]) -> tuple[str, _Part, list[tuple[Any, _Part]]]:
    columns, own = _part(model, "own", 0)
    joins, others = "", []
    for number, name in enumerate(beside):
        alias = f"other_{number}"
        field: Any = model._meta.get_field(name)  # noqa: SLF001 - Django's documented way to ask
        more, part = _part(field.related_model, alias, columns.count(",") + 1)
        pairs = field.get_joining_fields()
        on = " AND ".join(f'own."{left.column}" = {alias}."{right.column}"' for left, right in pairs)
        joins += f' LEFT JOIN "{field.related_model._meta.db_table}" {alias} ON {on}'  # noqa: SLF001
        columns += f", {more}"
        others.append((field, part))
    # Names of our own tables.
    return f'SELECT {columns} FROM "{model._meta.db_table}" own{joins}', own, others  # noqa: S608, SLF001


def _part(model: type[Model], alias: str, starts_at: int) -> tuple[str, _Part]:
    fields = model._meta.concrete_fields  # noqa: SLF001
    names = tuple(field.attname for field in fields)
    readers = tuple(
        (place, field.from_db_value) for place, field in enumerate(fields) if hasattr(field, "from_db_value")
    )
    key_at = names.index(str(model._meta.pk.attname))  # noqa: SLF001
    columns = ", ".join(f'{alias}."{field.column}"' for field in fields)
    return columns, _Part(model, names, starts_at, key_at, readers)
