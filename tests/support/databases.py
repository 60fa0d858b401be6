"""Making, pointing at and dropping the databases of tests."""

import contextlib
import os
import time
import uuid
from collections.abc import Iterator
from urllib.parse import urlsplit, urlunsplit

import psycopg
from django.core.management import call_command
from django.db import connections
from psycopg import sql

from billing_project.embedded import postgres

DROP_ATTEMPTS = 50
# Where the session's own server is, as the role that serves and owns nothing.
RUNTIME_VARIABLE = "COUNTINGHOUSE_TEST_RUNTIME_URL"


def url_of(server_url: str, name: str) -> str:
    """The URL of the database ``name`` on the server of ``server_url``."""
    return urlunsplit(urlsplit(server_url)._replace(path=f"/{name}"))


def as_runtime(url: str) -> str:
    """``url`` as the role that serves; as it is on any other server than the session's own, whose role is not known."""
    role, place = urlsplit(os.environ.get(RUNTIME_VARIABLE, "")), urlsplit(url)
    is_there = (role.hostname, role.port) == (place.hostname, place.port)
    return urlunsplit(place._replace(netloc=role.netloc)) if is_there else url


def create_empty(server_url: str, name: str) -> None:
    _execute(server_url, sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
    if RUNTIME_VARIABLE in os.environ:
        for each in postgres.LATER:
            statement = sql.SQL(f"ALTER DEFAULT PRIVILEGES {each}").format(role=sql.Identifier(postgres.RUNTIME))
            _execute(url_of(server_url, name), statement)


def clone(server_url: str, *, template: str, name: str) -> None:
    """Copy a database on the file level: about 13 ms in memory, far less than migrating."""
    _execute(
        server_url,
        sql.SQL("CREATE DATABASE {} TEMPLATE {} STRATEGY file_copy").format(
            sql.Identifier(name), sql.Identifier(template)
        ),
    )


def drop(server_url: str, name: str) -> None:
    """Drop the database and whoever is connected to it, but wait for autovacuum: that is no session of ours to end."""
    statement = sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(name))
    for patience in range(DROP_ATTEMPTS - 1, -1, -1):
        try:
            _execute(server_url, statement)
        except (psycopg.errors.InsufficientPrivilege, psycopg.errors.ObjectInUse):
            if not patience:
                raise
            time.sleep(0.2)
        else:
            return


def migrate(name: str) -> None:
    """Migrate the database ``name`` with this process's Django."""
    with pointed_at(name):
        call_command("migrate", verbosity=0, interactive=False)


@contextlib.contextmanager
def cloned(server_url: str) -> Iterator[str]:
    """A copy of the session's template that Django is pointed at, dropped afterwards; yields its URL."""
    name = f"test_cloned_{uuid.uuid4().hex[:8]}"
    clone(server_url, template=os.environ["COUNTINGHOUSE_TEST_TEMPLATE"], name=name)
    try:
        with pointed_at(name):
            yield url_of(server_url, name)
    finally:
        drop(server_url, name)


@contextlib.contextmanager
def pointed_at(name: str) -> Iterator[None]:
    """Point every Django alias, in every thread, at the database ``name``; connections are closed at both ends."""
    before = {alias: connections.settings[alias]["NAME"] for alias in connections}
    connections.close_all()
    _point(dict.fromkeys(before, name))
    try:
        yield
    finally:
        connections.close_all()
        _point(before)


@contextlib.contextmanager
def served() -> Iterator[None]:
    """Connect every Django alias, in every thread, as the role that serves. On a server that the environment gave there
    is none, and nothing changes."""
    role = urlsplit(as_runtime(os.environ["DATABASE_URL"]))
    before = {alias: dict(connections.settings[alias]) for alias in connections}
    connections.close_all()
    try:
        for alias in before:
            for known in (connections.settings[alias], connections[alias].settings_dict):
                known |= {"USER": role.username, "PASSWORD": role.password}
        yield
    finally:
        connections.close_all()
        for alias, known in before.items():
            for each in (connections.settings[alias], connections[alias].settings_dict):
                each |= {"USER": known["USER"], "PASSWORD": known["PASSWORD"]}


def _point(names: dict[str, str]) -> None:
    for alias, name in names.items():
        connections.settings[alias]["NAME"] = name
        connections[alias].settings_dict["NAME"] = name


def _execute(server_url: str, statement: sql.Composed) -> None:
    with psycopg.connect(server_url, autocommit=True) as connection:
        connection.execute(statement)
