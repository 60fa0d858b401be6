"""One world per module, in a transaction that is never committed; each test in a savepoint of its own."""

from collections.abc import Iterator

import pytest
from django.db import connections, transaction
from pytest_django.plugin import DjangoDbBlocker

from tests.support.api import World, build


@pytest.fixture(scope="module")
def module_world(django_db_setup: None, django_db_blocker: DjangoDbBlocker) -> Iterator[World]:
    with django_db_blocker.unblock():
        separate = connections["refusals"]
        # On a connection of its own it could not see what is not committed.
        connections["refusals"] = connections["default"]
        with transaction.atomic():
            yield build()
            transaction.set_rollback(True)
        connections["refusals"] = separate


@pytest.fixture
def world(request: pytest.FixtureRequest, django_db_blocker: DjangoDbBlocker) -> Iterator[World]:
    if request.node.get_closest_marker("django_db"):
        pytest.fail("world brings its own transaction: with the mark django_db tests that follow lose theirs.")
    module_world: World = request.getfixturevalue("module_world")
    with django_db_blocker.unblock(), transaction.atomic():
        yield module_world
        transaction.set_rollback(True)
