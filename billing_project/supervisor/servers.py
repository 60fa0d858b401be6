"""PostgreSQL and Valkey for a run: those that the environment names, or embedded ones in the data folder."""

import contextlib
import os
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import psycopg
import redis

from billing_project.embedded import postgres, valkey
from billing_project.embedded.processes import Child, StartError


@dataclass(frozen=True, slots=True)
class Servers:
    """Where the two servers are, and which of them are ours to watch. ``owner_url`` is the database's as its owner,
    ``database_url`` as the role that serves; of a given database both are the one that was given."""

    owner_url: str
    database_url: str
    redis_url: str
    children: tuple[Child, ...]


def start(folder: Path, *, stop: contextlib.ExitStack, keep_open: tuple[int, ...]) -> Servers:
    """Check the given servers and start the others; ``stop`` will end what was started. Raises ``StartError``."""
    owner_url = database_url = os.environ.get("DATABASE_URL", "")
    redis_url = os.environ.get("REDIS_URL", "")
    children = []
    # Before anything is started: a wrong address should not cost a wait.
    if database_url:
        _check_database(database_url)
    if redis_url:
        _check_redis(redis_url)
    if not database_url:
        server = postgres.start(folder / "postgres", major=postgres.major_from_environment(), keep_open=keep_open)
        stop.callback(server.child.stop)
        children.append(server.child)
        owner_url, database_url = server.url, server.runtime_url
    if not redis_url:
        broker = valkey.start(folder / "valkey", keep_open=keep_open)
        stop.callback(broker.child.stop)
        children.append(broker.child)
        redis_url = broker.url
    return Servers(owner_url, database_url, redis_url, tuple(children))


def _check_database(url: str) -> None:
    if not urlsplit(url).scheme.startswith("postgres"):
        raise StartError("DATABASE_URL cannot be used: it must look like postgres://user:password@host:5432/name")
    try:
        psycopg.connect(url, connect_timeout=5).close()
    except psycopg.Error as error:
        # The first line says what happened; the others guess at why.
        raise StartError(f"DATABASE_URL cannot be used: {str(error).strip().splitlines()[0]}") from None


def _check_redis(url: str) -> None:
    try:
        with contextlib.closing(redis.Redis.from_url(url, socket_connect_timeout=5)) as client:
            client.ping()
    except (redis.RedisError, ValueError) as error:
        raise StartError(f"REDIS_URL cannot be used: {error}") from None
