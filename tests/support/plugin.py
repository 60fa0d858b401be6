"""Starts the servers of a test session before Django reads its settings; loaded with ``-p`` in pyproject.toml.

One PostgreSQL and one Valkey serve the whole session: xdist's workers share them, each with databases of
its own. The schema is migrated once, into a template database that every other one is copied from.
"""

import os
from collections.abc import Generator

import pytest
from pytest_django.plugin import blocking_manager_key

from tests.support.servers import TestServers

# Set by the process that started the servers, for the workers that it starts.
TEMPLATE_VARIABLE = "COUNTINGHOUSE_TEST_TEMPLATE"

_servers = pytest.StashKey[TestServers]()


@pytest.hookimpl(wrapper=True)
def pytest_load_initial_conftests(early_config: pytest.Config) -> Generator[None]:
    if TEMPLATE_VARIABLE not in os.environ:
        servers = TestServers()
        early_config.stash[_servers] = servers
        servers.start()
        os.environ |= {"DATABASE_URL": servers.database_url, "REDIS_URL": servers.redis_url}
    yield
    if _servers in early_config.stash:
        with early_config.stash[blocking_manager_key].unblock():
            os.environ[TEMPLATE_VARIABLE] = early_config.stash[_servers].make_template()


def pytest_unconfigure(config: pytest.Config) -> None:
    if _servers in config.stash:
        config.stash[_servers].stop()
        del os.environ[TEMPLATE_VARIABLE]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        marker = item.get_closest_marker("django_db")
        if marker and (marker.kwargs.get("transaction") or (marker.args and marker.args[0])):
            raise pytest.UsageError(
                f"{item.nodeid}: django_db(transaction=True) empties tables with TRUNCATE, which the append-only "
                "tables refuse. Take the fixture real_db instead."
            )
