"""What the measures run on: servers, a filled database, web servers of both sides."""

from __future__ import annotations

import contextlib
import json
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import psycopg
from psycopg import sql

from bench.servers import Servers
from bench.sums import Books
from billing_project.embedded import postgres

PRODUCT = "billing_project.settings.local"
BARE = "bench.references.bare"
REFERENCES = "bench.references.settings"


@dataclass(frozen=True)
class Scale:
    """How large a run is. The goals are meant for the defaults; smaller ones show that it works."""

    rounds: int = 5
    seconds: float = 5
    organizations: int = 10_000
    entries: int = 5_000_000
    events: int = 10_000_000


class Stage:
    def __init__(self, servers: Servers, scale: Scale) -> None:
        self.servers = servers
        self.scale = scale

    @cached_property
    def key(self) -> str:
        """The platform key; asking for it fills the database, once."""
        environment = self.servers.environment(settings=REFERENCES, is_owner=True)
        told = self.servers.python("bench.populate", str(self.scale.organizations), environment=environment)
        key: str = json.loads(told)["key"]
        return key

    @cached_property
    def visitor(self) -> str:
        """The cookie of an owner of the organization "load" who has signed in."""
        environment = self.servers.environment(settings=REFERENCES, is_owner=True)
        cookie: str = json.loads(self.servers.python("bench.populate", "visitor", environment=environment))["cookie"]
        return cookie

    @property
    def database_url(self) -> str:
        return self.servers.database.url

    def copy_database(self, name: str) -> str:
        """Copy the filled database, in place of an earlier one of this ``name``; returns the copy's URL."""
        with psycopg.connect(self.servers.database.superuser_url, autocommit=True) as connection:
            connection.execute(sql.SQL("DROP DATABASE IF EXISTS {}").format(sql.Identifier(name)))
            connection.execute(
                sql.SQL("CREATE DATABASE {} TEMPLATE {} STRATEGY file_copy OWNER {}").format(
                    sql.Identifier(name), sql.Identifier(postgres.NAME), sql.Identifier(postgres.NAME)
                )
            )
        return self.database_url.rsplit("/", 1)[0] + f"/{name}"

    def subscription(self, slug: str) -> str:
        """The id of an organization's subscription."""
        with psycopg.connect(self.database_url) as connection:
            found = connection.execute(
                "SELECT subscription.id FROM organization_subscriptions subscription JOIN organizations organization "
                "ON organization.id = subscription.organization_id WHERE organization.slug = %s",
                [slug],
            ).fetchone()
        assert found is not None  # noqa: S101 - the database was filled before
        return str(found[0])

    def books(self) -> Books:
        return Books(self.database_url)

    @staticmethod
    def mcpctl(*arguments: str) -> list[str]:
        """The command of operators."""
        return [str(Path(sys.executable).with_name("mcpctl")), "billing", *arguments]

    @contextlib.contextmanager
    def web(self, settings: str, *, database: str = postgres.NAME) -> Iterator[str]:
        """The web server of one side, ready; yields its address."""
        with self.servers.web(self.servers.environment(settings=settings, database=database)) as address:
            yield address
