"""Prepared statements: what they answer, in whose transaction, and what becomes of them when tables change."""

from __future__ import annotations

import pytest
from django.db import IntegrityError, NotSupportedError, connection, transaction

from billing.infra import statements


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
