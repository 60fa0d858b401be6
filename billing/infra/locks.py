"""Locks: one per organization's books, one for the catalog, one for the names of organizations.

Every write to an organization's subscriptions, periods, windows, credits or invoices takes the organization's lock
first. So the books of one organization are written serially, whatever the door, and no writer can meet a window, a
period's closing or a plan change half-way. Different organizations never wait for each other.

Advisory and transaction-scoped: nothing to create before the first use, no tuple written for locking, released when
the transaction ends or its backend dies. ``lock_timeout`` applies and surfaces as ``Busy``.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any
from uuid import UUID

from django.db import DEFAULT_DB_ALIAS, OperationalError, connections
from psycopg import errors as pg_errors

from billing.infra import statements
from billing.infra.statements import Statement
from billing.kernel.errors import Busy, InvariantViolation

# The two-integer form of advisory locks is a key space of its own, apart from the organizations'.
_CATALOG = (0x43484F55, 1)
_NAMES = (0x43484F55, 2)


class BooksBusy(Busy):
    """Another transaction held the same lock for longer than ``lock_timeout``."""

    code = "busy"


def lock_key(organization_id: UUID) -> int:
    """The signed 64-bit lock key: the random half of the id. A collision would only make two organizations wait."""
    return int.from_bytes(organization_id.bytes[8:], "big", signed=True)


def lock_organization(organization_id: UUID) -> None:
    """Take the lock on one organization's books until the transaction ends. Raises ``Busy`` after ``lock_timeout``."""
    lock_organizations([organization_id])


def lock_organizations(organization_ids: Iterable[UUID]) -> None:
    """Take several organizations' locks, in key order, so that two overlapping callers cannot deadlock."""
    _take(*_of_organizations(organization_ids))


def lock_and_fetch(organization_ids: Iterable[UUID], sql: str, params: Sequence[Any]) -> list[tuple[Any, ...]]:
    """As ``lock_organizations``, then the rows of ``sql``, which sees all that was written under the locks before; in
    one round trip."""
    _require_transaction()
    with busy_on_timeout():
        return statements.fetch_after(_of_organizations(organization_ids), Statement(sql, params))


def _of_organizations(organization_ids: Iterable[UUID]) -> Statement:
    keys = sorted({lock_key(organization_id) for organization_id in organization_ids})
    return Statement(
        "SELECT pg_advisory_xact_lock(key) FROM unnest(%s::bigint[]) WITH ORDINALITY AS wanted(key, n)", [keys]
    )


def lock_catalog() -> None:
    """Take the lock on the plan catalog until the transaction ends."""
    _take("SELECT pg_advisory_xact_lock(%s, %s)", list(_CATALOG))


def lock_names() -> None:
    """Take the lock on what organizations are called until the transaction ends: before any other, by who adds one."""
    _take("SELECT pg_advisory_xact_lock(%s, %s)", list(_NAMES))


def is_lock_timeout(error: BaseException) -> bool:
    return isinstance(error.__cause__, pg_errors.LockNotAvailable)


def _take(sql: str, params: Sequence[Any]) -> None:
    _require_transaction()
    with busy_on_timeout():
        statements.fetch_all(sql, params)


def _require_transaction() -> None:
    if not connections[DEFAULT_DB_ALIAS].in_atomic_block:
        raise InvariantViolation("a lock outside a transaction would be released at once")


@contextmanager
def busy_on_timeout() -> Iterator[None]:
    """Turn a lock that was not had within ``lock_timeout`` into ``Busy``; for row locks too."""
    try:
        yield
    except OperationalError as error:
        if is_lock_timeout(error):
            raise BooksBusy("The books are in use by another request; try again.", note="billing:error:busy") from error
        raise
