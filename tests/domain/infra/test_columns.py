"""Columns as text: whatever PostgreSQL reads back is what went in."""

from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal

import pytest
from django.db import connection
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from billing.infra import columns

TEXTS = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=8)
AWKWARD = ["", " ", "NULL", "null", ",", "{}", "{a}", '"', '""', "\\", '\\"', '","', "a,b", " a ", "'", "é", "\n", "$1"]


def read_back(array: str, kind: str) -> list[object]:
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT %s::text::{kind}[]", [array])
        (found,) = cursor.fetchone()
    return list(found)


@pytest.mark.django_db
def test_texts_that_look_like_syntax_are_texts() -> None:
    assert read_back(columns.of_texts(AWKWARD), "text") == AWKWARD
    for each in AWKWARD:
        assert read_back(columns.of_texts([each]), "text") == [each]
        assert read_back(columns.of_texts([each, each]), "text") == [each, each]
    assert read_back(columns.of_texts([]), "text") == []


@pytest.mark.django_db
def test_arrays_of_arrays_are_read_one_by_one() -> None:
    inner = [columns.of_texts(["a", '"']), columns.of_texts([])]
    assert [read_back(str(each), "text") for each in read_back(columns.of_texts(inner), "text")] == [["a", '"'], []]


@pytest.mark.django_db
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(st.lists(TEXTS, max_size=6))
def test_any_texts_come_back(texts: list[str]) -> None:
    assert read_back(columns.of_texts(texts), "text") == texts


@pytest.mark.django_db
def test_numbers_and_instants_come_back() -> None:
    numbers = [Decimal("1E+3"), Decimal("-0.000001"), Decimal(0), Decimal("99999999999999.999999")]
    assert read_back(columns.of_plain(numbers), "numeric") == numbers
    first = datetime(2026, 3, 1, 12, 30, 0, 123456, tzinfo=UTC)
    instants = [first, first, first.astimezone(timezone(timedelta(hours=-5, minutes=-30))), first + timedelta(days=1)]
    assert read_back(columns.of_instants(instants), "timestamptz") == instants
    assert columns.of_instants([]) == columns.of_plain([]) == "{}"
