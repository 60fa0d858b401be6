"""What is done to a running system: each fault by its name, at a point that it waits for or wherever it happens to hit.

Faults come back only once what they broke may be started again; what is left is put right by ``System.recover``.
"""

from __future__ import annotations

import contextlib
import signal
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import psycopg

from tests.faults import faults_of_messages as of_messages
from tests.faults.points import OTHERS, POINT_SECONDS_MAX, Scene, books_held, commits_held, kill
from tests.faults.system import SILENCE_SECONDS, System
from tests.support import clusters


@dataclass(frozen=True, slots=True)
class Fault:
    name: str
    act: Callable[[Scene], None]
    # Takes a cluster of its own, or a disk.
    needs_cluster: bool = False
    needs_disk: bool = False


# --- the web server ---


def a_web_worker_killed(scene: Scene) -> None:
    kill(scene.system.web_workers()[:1])


def web_workers_killed_waiting_for_books(scene: Scene) -> None:
    with books_held(scene):
        kill(scene.system.web_workers())


def web_workers_killed_after_commit(scene: Scene) -> None:
    with commits_held(scene):
        kill(scene.system.web_workers())


def the_web_server_killed(scene: Scene) -> None:
    kill([scene.system.programs["web"].popen.pid])


# --- the worker, its pool, beat ---


def the_worker_killed(scene: Scene) -> None:
    kill([scene.system.programs["worker"].popen.pid])


def a_pool_child_killed(scene: Scene) -> None:
    kill(scene.system.pool()[:1])


def the_pool_killed_amid_a_delivery(scene: Scene) -> None:
    """After a receiver was told, and before it is written down that it was."""
    hit = threading.Event()

    def strike() -> None:
        if not hit.is_set():
            hit.set()
            kill(scene.system.pool())

    scene.receiver.before_answer = strike
    # Deliveries are woken every five seconds.
    deadline = time.monotonic() + 2 * POINT_SECONDS_MAX
    while not hit.is_set() and time.monotonic() < deadline:
        scene.system.wait(0.05)
    scene.receiver.before_answer = lambda: None


def beat_killed(scene: Scene) -> None:
    kill([scene.system.programs["beat"].popen.pid])


def two_beats(scene: Scene) -> None:
    scene.system.add_beat()


# --- the database ---


def _lose_database(scene: Scene, number: signal.Signals) -> None:
    if number == signal.SIGKILL:
        clusters.signal_all(scene.system.database.child, number)
    else:
        scene.system.database.child.popen.send_signal(number)
    scene.system.database.child.popen.wait()
    scene.system.wait(scene.chance.uniform(0.0, 1.5))
    scene.system.restart_database()


def the_cluster_killed(scene: Scene) -> None:
    _lose_database(scene, signal.SIGKILL)


def the_cluster_killed_after_commit(scene: Scene) -> None:
    with commits_held(scene):
        _lose_database(scene, signal.SIGKILL)


def the_cluster_killed_waiting_for_books(scene: Scene) -> None:
    with books_held(scene):
        _lose_database(scene, signal.SIGKILL)


def the_cluster_stopped_at_once(scene: Scene) -> None:
    """What ``pg_ctl stop -m immediate`` does."""
    _lose_database(scene, signal.SIGQUIT)


def the_cluster_paused(scene: Scene) -> None:
    clusters.signal_all(scene.system.database.child, signal.SIGSTOP)
    scene.system.wait(SILENCE_SECONDS + scene.chance.uniform(1.0, 5.0))
    clusters.signal_all(scene.system.database.child, signal.SIGCONT)


def _terminate(scene: Scene) -> None:
    with psycopg.connect(scene.system.served_url, autocommit=True, connect_timeout=10) as connection:
        connection.execute(
            f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE {OTHERS} AND usename = current_user"
        )


def connections_terminated(scene: Scene) -> None:
    for _ in range(3):
        _terminate(scene)
        scene.system.wait(scene.chance.uniform(0.05, 0.4))


def connections_terminated_after_commit(scene: Scene) -> None:
    with commits_held(scene):
        _terminate(scene)


def the_disk_full(scene: Scene) -> None:
    assert scene.system.disk is not None
    with scene.system.superuser() as connection:
        connection.execute("CHECKPOINT")
    scene.system.disk.fill()
    with contextlib.suppress(psycopg.Error), scene.system.superuser() as connection:
        # What is written from here on has to go into files that are not there yet.
        connection.execute("SELECT pg_switch_wal()")
    scene.system.wait(scene.chance.uniform(1.5, 3.5))
    scene.system.disk.make_room()
    scene.system.wait(0.5)
    if scene.system.database.child.popen.poll() is not None:
        scene.system.restart_database()


def a_migration_under_load(scene: Scene) -> None:
    """What expand and contract do to the busiest table, each step with the short lock that migrations take."""
    table, column = "marketplace_usage_events", "note_of_faults"
    no_index = f"DROP INDEX CONCURRENTLY IF EXISTS {column}_index"
    steps = (
        (f"ALTER TABLE {table} ADD COLUMN IF NOT EXISTS {column} text NULL",),
        # An index that was given up half-way is there, and good for nothing.
        (no_index, f"CREATE INDEX CONCURRENTLY {column}_index ON {table} ({column}) WHERE {column} IS NOT NULL"),
        (no_index,),
        (f"ALTER TABLE {table} DROP COLUMN IF EXISTS {column}",),
    )
    with psycopg.connect(scene.system.database_url, autocommit=True, connect_timeout=10) as connection:
        connection.execute("SET lock_timeout = '2s'")
        for step in steps:
            _in_the_end(scene, connection, step)
            scene.system.wait(scene.chance.uniform(0.1, 0.4))


def _in_the_end(scene: Scene, connection: psycopg.Connection, step: Sequence[str]) -> None:
    for _ in range(20):
        with contextlib.suppress(psycopg.errors.LockNotAvailable):
            for statement in step:
                connection.execute(statement)
            return
        scene.system.wait(0.1)
    raise AssertionError(f"the lock was never had: {step}")


FAULTS = (
    Fault("a web worker killed", a_web_worker_killed),
    Fault("web workers killed waiting for books", web_workers_killed_waiting_for_books),
    Fault("web workers killed after commit", web_workers_killed_after_commit, needs_cluster=True),
    Fault("the web server killed", the_web_server_killed),
    Fault("the worker killed", the_worker_killed),
    Fault("a pool child killed", a_pool_child_killed),
    Fault("the pool killed amid a delivery", the_pool_killed_amid_a_delivery),
    Fault("beat killed", beat_killed),
    Fault("two beats", two_beats),
    Fault("the cluster killed", the_cluster_killed, needs_cluster=True),
    Fault("the cluster killed after commit", the_cluster_killed_after_commit, needs_cluster=True),
    Fault("the cluster killed waiting for books", the_cluster_killed_waiting_for_books, needs_cluster=True),
    Fault("the cluster stopped at once", the_cluster_stopped_at_once, needs_cluster=True),
    Fault("the cluster paused", the_cluster_paused, needs_cluster=True),
    Fault("connections terminated", connections_terminated),
    Fault("connections terminated after commit", connections_terminated_after_commit, needs_cluster=True),
    Fault("the disk full", the_disk_full, needs_cluster=True, needs_disk=True),
    Fault("a migration under load", a_migration_under_load),
    Fault("Valkey killed", of_messages.valkey_killed),
    Fault("Valkey paused", of_messages.valkey_paused),
    Fault("Valkey flushed", of_messages.valkey_flushed),
    Fault("messages doubled", of_messages.messages_doubled),
    Fault("messages reordered", of_messages.messages_reordered),
    Fault("messages delayed", of_messages.messages_delayed),
    Fault("the clock stepped", of_messages.the_clock_stepped),
)


def possible(system: System) -> list[Fault]:
    return [
        fault
        for fault in FAULTS
        if (system.cluster is not None or not fault.needs_cluster) and (system.disk is not None or not fault.needs_disk)
    ]
