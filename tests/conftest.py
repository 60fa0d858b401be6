"""Fixtures for everybody. ``db`` (or the mark ``django_db``) rolls back; ``real_db`` is a database of one's own."""

import contextlib
import os
import uuid
from collections.abc import Iterator

import pytest
from django.core.cache import cache, caches
from django.db import connections
from pytest_django.plugin import DjangoDbBlocker

from tests.support import databases
from tests.support.http import HttpServer
from tests.support.plugin import TEMPLATE_VARIABLE


@pytest.fixture(scope="session")
def database_server_url() -> str:
    """The PostgreSQL server of this session, as a URL whose role may create databases."""
    return os.environ["DATABASE_URL"]


@pytest.fixture(scope="session")
def redis_url(worker_id: str) -> str:
    """The Valkey of this session; each xdist worker has a numbered database of its own in it."""
    number = 0 if worker_id == "master" else int(worker_id.removeprefix("gw")) + 1
    return f"{os.environ['REDIS_URL'].rpartition('/')[0]}/{number}"


@pytest.fixture(scope="session")
def django_db_setup(database_server_url: str, django_db_blocker: DjangoDbBlocker) -> Iterator[None]:
    """The database that rolled-back tests share, copied from the migrated template."""
    name = f"test_shared_{uuid.uuid4().hex[:8]}"
    databases.clone(database_server_url, template=os.environ[TEMPLATE_VARIABLE], name=name)
    with django_db_blocker.unblock(), databases.pointed_at(name):
        yield
    databases.drop(database_server_url, name)


@pytest.fixture(autouse=True)
def one_connection_for_refusals(request: pytest.FixtureRequest) -> Iterator[None]:
    """In a rolled-back test the alias ``refusals`` is the test's own connection.

    On a second one it could not see the test's uncommitted rows. Tests with ``real_db`` have both.
    """
    if "db" not in request.fixturenames and not request.node.get_closest_marker("django_db"):
        yield
        return
    request.getfixturevalue("_django_db_helper")
    separate = connections["refusals"]
    connections["refusals"] = connections["default"]
    yield
    connections["refusals"] = separate


@pytest.fixture(autouse=True, scope="session")
def cache_of_this_worker(redis_url: str) -> None:
    from django.conf import settings

    settings.REDIS_URL = redis_url
    settings.CELERY_BROKER_URL = redis_url
    settings.CACHES["default"]["LOCATION"] = redis_url
    # A connection that was made while the tests were collected is to the first database, which all would share.
    with contextlib.suppress(AttributeError):
        del caches["default"]


@pytest.fixture(autouse=True)
def empty_cache(request: pytest.FixtureRequest) -> None:
    """No test meets what another left in Valkey; tests without a database do not use it."""
    if {"db", "real_db"} & set(request.fixturenames) or request.node.get_closest_marker("django_db"):
        cache.clear()


@pytest.fixture
def real_db(
    request: pytest.FixtureRequest, database_server_url: str, django_db_blocker: DjangoDbBlocker
) -> Iterator[str]:
    """A migrated database of the test's own, for real transactions, threads and processes; yields its URL.

    Every alias points at it in every thread. Threads close their connections themselves
    (``connections.close_all()``); whatever is left is cut off when the database is dropped.
    """
    if "db" in request.fixturenames or request.node.get_closest_marker("django_db"):
        pytest.fail("real_db stands alone: with db or the mark django_db the test would work in two databases.")
    name = f"test_real_{uuid.uuid4().hex[:8]}"
    databases.clone(database_server_url, template=os.environ[TEMPLATE_VARIABLE], name=name)
    with django_db_blocker.unblock(), databases.pointed_at(name):
        yield databases.url_of(database_server_url, name)
    databases.drop(database_server_url, name)


@pytest.fixture
def transactional_db(real_db: str) -> None:
    """pytest-django's own would empty the tables with TRUNCATE, which the append-only ones refuse."""


@pytest.fixture
def http_server(real_db: str, redis_url: str) -> Iterator[HttpServer]:
    """The production web server, two workers, on the database of ``real_db``."""
    with HttpServer.running(database_url=real_db, redis_url=redis_url) as server:
        yield server
