"""Prepared statements: what they answer, in whose transaction, and what becomes of them when tables change."""

from __future__ import annotations

import contextlib
import os
import socket
import threading
import time
from collections.abc import Callable
from typing import Any
from uuid import UUID, uuid4

import pytest
from django.db import IntegrityError, NotSupportedError, OperationalError, connection, transaction

from billing.infra import locks, statements
from billing.infra.statements import Statement
from billing.kernel.errors import Busy
from billing.models import Organization


@pytest.mark.parametrize("number", [1, 40_000, 2**40, -1])
def test_an_integer_of_any_size_goes_there_and_back(real_db: None, number: int) -> None:
    for _ in range(3):
        assert statements.fetch_all("SELECT %s::bigint, %s::text", [number, "of 100 %"]) == [(number, "of 100 %")]


@pytest.mark.django_db
def test_no_row_and_no_result() -> None:
    assert statements.fetch_all("SELECT 1 WHERE %s", [False]) == []


def make_table() -> None:
    with connection.cursor() as cursor:
        cursor.execute("CREATE TABLE odds (number integer PRIMARY KEY CHECK (number % 2 = 1))")


def insert(number: int) -> None:
    statements.fetch_all("INSERT INTO odds (number) VALUES (%s)", [number])


def numbers() -> list[int]:
    return [number for (number, *_) in statements.fetch_all("SELECT * FROM odds ORDER BY number", [])]


def test_it_is_in_the_transaction_that_it_opens(real_db: None) -> None:
    make_table()
    insert(1)
    with transaction.atomic():
        insert(3)
        transaction.set_rollback(True)
    with transaction.atomic():
        insert(5)
    assert numbers() == [1, 5]


def test_an_error_is_of_the_kind_that_a_cursor_raises(real_db: None) -> None:
    make_table()
    insert(1)
    with pytest.raises(IntegrityError), transaction.atomic():
        insert(2)
    with pytest.raises(IntegrityError):
        insert(1)
    assert numbers() == [1]


def test_a_table_that_changed_is_read_as_it_is_now(real_db: None) -> None:
    make_table()
    insert(1)
    assert numbers() == [1]
    change = "ALTER TABLE odds ADD COLUMN note text"
    with connection.cursor() as cursor:
        cursor.execute(change)
    assert numbers() == [1]
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(change.replace("note", "other"))
        # The plan cannot be made anew in a transaction that has failed; the next one finds it new.
        with pytest.raises(NotSupportedError):
            numbers()
        transaction.set_rollback(True)
    assert numbers() == [1]


def test_statements_of_a_connection_that_was_closed_are_prepared_anew(real_db: None) -> None:
    assert statements.fetch_all("SELECT %s::text", ["a"]) == [("a",)]
    connection.close()
    assert statements.fetch_all("SELECT %s::text", ["b"]) == [("b",)]
    with connection.cursor() as cursor:
        cursor.execute("DEALLOCATE ALL")
    assert statements.fetch_all("SELECT %s::text", ["c"]) == [("c",)]


COUNT = Statement("SELECT count(*) FROM odds", [])


def insertion(number: int) -> Statement:
    return Statement("INSERT INTO odds (number) VALUES (%s)", [number])


def test_two_in_one_trip_and_in_one_transaction(real_db: None) -> None:
    make_table()
    for number in (1, 3):
        with transaction.atomic():
            assert statements.fetch_after(insertion(number), COUNT) == [(1,)]
            transaction.set_rollback(True)
    assert statements.fetch_after(insertion(5), COUNT) == [(1,)]
    assert numbers() == [5]


@pytest.mark.parametrize("steps", [(insertion(2), COUNT), (COUNT, insertion(2))], ids=["first", "second"])
def test_where_one_of_two_fails_both_are_undone_and_the_connection_is_as_before(
    real_db: None, steps: tuple[Statement, Statement]
) -> None:
    make_table()
    for _ in range(2):
        with pytest.raises(IntegrityError), transaction.atomic():
            statements.fetch_after(*steps)
        with transaction.atomic():
            assert statements.fetch_after(COUNT, COUNT) == [(0,)]
            assert list(Organization.objects.all()) == []


def lock_then_fetch(organization_id: UUID) -> list[tuple[int]]:
    locks.lock_organization(organization_id)
    return statements.fetch_all(*COUNT)


def lock_and_fetch(organization_id: UUID) -> list[tuple[int]]:
    return locks.lock_and_fetch([organization_id], *COUNT)


@pytest.mark.parametrize("fetch", [lock_then_fetch, lock_and_fetch])
def test_what_comes_after_a_lock_sees_what_its_last_holder_wrote(
    real_db: None, fetch: Callable[[UUID], list[tuple[int]]]
) -> None:
    make_table()
    waiting, holder = uuid4(), threading.Event()

    def hold() -> None:
        with contextlib.closing(connection), transaction.atomic():
            locks.lock_organization(waiting)
            holder.set()
            time.sleep(0.3)
            insert(1)

    thread = threading.Thread(target=hold)
    thread.start()
    holder.wait(10)
    with transaction.atomic():
        assert fetch(waiting) == [(1,)]
    thread.join()


def test_a_lock_that_is_not_had_in_time_is_said_so(real_db: None) -> None:
    wanted, holder, done = uuid4(), threading.Event(), threading.Event()

    def hold() -> None:
        with contextlib.closing(connection), transaction.atomic():
            locks.lock_organization(wanted)
            holder.set()
            done.wait(10)

    thread = threading.Thread(target=hold)
    thread.start()
    holder.wait(10)
    with pytest.raises(Busy), transaction.atomic():
        locks.lock_and_fetch([wanted], "SELECT 1", [])
    done.set()
    thread.join()
    assert statements.fetch_all("SELECT 1", []) == [(1,)]


@pytest.mark.parametrize("seconds", [0, 0.2], ids=["before", "while it runs"])
@pytest.mark.parametrize("run", [statements.fetch_all, lambda *step: statements.fetch_after(COUNT, Statement(*step))])
def test_a_connection_that_is_lost_is_said_so_and_made_anew(
    real_db: None, run: Callable[..., list[tuple[Any, ...]]], seconds: float
) -> None:
    make_table()
    for is_atomic in (False, True):
        # Prepared before, too.
        assert len(run("SELECT pg_sleep(%s)", [0.0])) == 1
        held = socket.socket(fileno=os.dup(connection.connection.pgconn.socket))
        timer = threading.Timer(seconds, held.shutdown, [socket.SHUT_RDWR])
        timer.start()
        if not seconds:
            timer.join()
        with pytest.raises(OperationalError), transaction.atomic() if is_atomic else contextlib.nullcontext():
            run("SELECT pg_sleep(%s)", [5.0])
        timer.join()
        held.close()
        connection.close()
