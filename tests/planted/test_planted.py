"""Each invariant is there for something: it finds the bugs that are planted for it, and says nothing without them."""

from collections.abc import Iterator

import pytest
from django.db import connection
from pytest_django.plugin import DjangoDbBlocker

from billing.reporting import doctor
from tests.planted import books
from tests.planted.planting import DataBug, planted
from tests.planted.registry import DATA_BUGS
from tests.support import databases, factories


@pytest.fixture(scope="module")
def rich_books(database_server_url: str, django_db_blocker: DjangoDbBlocker) -> Iterator[books.Books]:
    """One database for all: each bug is planted in a transaction that is rolled back."""
    with django_db_blocker.unblock(), databases.cloned(database_server_url):
        books.make_plans()
        factories.organization(slug="elsewhere")
        yield books.make_rich_books()


@pytest.mark.usefixtures("rich_books")
def test_without_a_bug_nothing_is_found() -> None:
    assert doctor.verify() == []


@pytest.mark.parametrize("bug", DATA_BUGS, ids=[bug.name for bug in DATA_BUGS])
def test_it_is_found(rich_books: books.Books, bug: DataBug) -> None:
    with planted(bug) as caught:
        assert caught.violations.keys() >= bug.found_by, caught.violations.keys()
        if bug.column:
            rows = [row for name in bug.found_by for row in caught.violations[name].rows]
            assert caught.broken in {row[bug.column] for row in rows if bug.column in row}
        globally = {invariant.name for invariant in doctor.INVARIANTS if invariant.is_global}
        alone = {violation.name for violation in doctor.verify(organization=rich_books.organization)}
        assert bug.is_of_two or alone == caught.violations.keys() - globally
    assert not connection.in_atomic_block


def test_every_invariant_has_a_bug() -> None:
    assert {invariant.name for invariant in doctor.INVARIANTS} == {name for bug in DATA_BUGS for name in bug.found_by}


def test_every_bug_has_a_name_of_its_own() -> None:
    assert len({bug.name for bug in DATA_BUGS}) == len(DATA_BUGS)
