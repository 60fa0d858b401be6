"""Where a fault hits: the running system, whose traffic runs on it, and points that can be waited for from outside."""

from __future__ import annotations

import contextlib
import os
import random
import signal
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import psycopg

from billing.infra import locks
from billing.models import Organization
from tests.faults.system import System
from tests.support.receivers import Receiver

# How long a point is waited for. Where nobody comes by, the fault happens all the same.
POINT_SECONDS_MAX = 3.0
OTHERS = "datname = current_database() AND pid <> pg_backend_pid()"


@dataclass(frozen=True, slots=True)
class Scene:
    """What is there to be broken, and whose traffic runs."""

    system: System
    organizations: list[Organization]
    receiver: Receiver
    chance: random.Random


def kill(pids: list[int]) -> None:
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


def until(is_there: Callable[[], bool]) -> None:
    deadline = time.monotonic() + POINT_SECONDS_MAX
    while not is_there() and time.monotonic() < deadline:
        time.sleep(0.02)


@contextlib.contextmanager
def books_held(scene: Scene) -> Iterator[None]:
    """Somebody waits for the books of an organization, in the middle of a transaction."""
    keys = [locks.lock_key(each.id) for each in scene.organizations]
    holder = psycopg.connect(scene.system.served_url, connect_timeout=10)
    watcher = psycopg.connect(scene.system.served_url, connect_timeout=10, autocommit=True)
    try:
        holder.execute("SELECT pg_advisory_xact_lock(key) FROM unnest(%s::bigint[]) AS wanted(key)", [sorted(keys)])
        waiting = f"SELECT count(*) FROM pg_stat_activity WHERE {OTHERS} AND wait_event_type = 'Lock'"
        until(lambda: watcher.execute(waiting).fetchone() != (0,))
        yield
    finally:
        # Not a rollback, which would wait for a server that is not there.
        holder.close()
        watcher.close()


@contextlib.contextmanager
def commits_held(scene: Scene) -> Iterator[None]:
    """Somebody has committed and has no answer yet: as if a standby had to confirm first, which never does."""
    connection = psycopg.connect(scene.system.database.superuser_url, autocommit=True, connect_timeout=10)
    try:
        connection.execute("ALTER SYSTEM SET synchronous_standby_names = 'nobody'")
        connection.execute("SELECT pg_reload_conf()")
        waiting = "SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'SyncRep'"
        until(lambda: connection.execute(waiting).fetchone() not in ((0,), (1,)))
        yield
    finally:
        connection.close()
        # By another connection, and to another server where this one was killed.
        with scene.system.superuser() as another:
            another.execute("ALTER SYSTEM RESET synchronous_standby_names")
            another.execute("SELECT pg_reload_conf()")
