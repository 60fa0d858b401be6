"""An end to waiting for the database: whoever must answer in time stops listening to a server that does not.

Time-outs inside PostgreSQL need a PostgreSQL that runs. One that is paused keeps its sockets open, and its kernel goes
on acknowledging what it is sent, so that neither ``statement_timeout`` nor ``tcp_user_timeout`` ever fires. Here a
watch shuts the sockets of the waiting thread, and what waited gets an error as from a lost connection.
"""

from __future__ import annotations

import contextlib
import math
import os
import socket
import threading
import time
import weakref
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from weakref import WeakKeyDictionary

import psycopg
from django.db import DEFAULT_DB_ALIAS, Error, connections
from django.db.backends.base.base import BaseDatabaseWrapper

from billing.infra import refusals

# The least that libpq knows.
CONNECT_SECONDS = 2
SILENCE_SECONDS = 1.0

_of_thread = threading.local()


@contextmanager
def within(seconds: float) -> Iterator[None]:
    """Let nothing on this thread's connections wait beyond ``seconds`` from now, plus 2 for connecting anew meanwhile.

    Then they are lost, every use of them is an ``OperationalError``, and no new one is made until the end of the block.
    Inside another one the earlier deadline holds.
    """
    with _held(_Deadline(seconds, math.inf, CONNECT_SECONDS)):
        yield


@contextmanager
def while_it_answers(*, seconds: float, asks_after: float) -> Iterator[None]:
    """As ``within(seconds)``, and after every ``asks_after`` seconds the database is asked whether it answers at all:
    where it does not for 2 seconds, that is the end. Work that takes long on a database that runs goes on."""
    with _held(_Deadline(seconds, asks_after, None)):
        yield


@contextmanager
def _held(deadline: _Deadline) -> Iterator[None]:
    outer: tuple[_Deadline, ...] = getattr(_of_thread, "deadlines", ())
    wrappers = {id(each): each for each in (connections[DEFAULT_DB_ALIAS], connections[refusals.ALIAS])}.values()
    _of_thread.deadlines = (*outer, deadline)
    _watch.add(deadline)
    try:
        for wrapper in wrappers:
            _hold(wrapper, deadline)
            if not outer:
                _connect_in_time(wrapper)
        yield
    finally:
        _of_thread.deadlines = outer
        if not outer:
            for wrapper in wrappers:
                # What the instance had, and not its class.
                vars(wrapper).pop("get_new_connection", None)
        _watch.remove(deadline)
        deadline.end()


def _hold(wrapper: BaseDatabaseWrapper, deadline: _Deadline) -> None:
    if wrapper.connection is not None and wrapper.connection.closed and not wrapper.in_atomic_block:
        # Lost the last time; where no request ends, nobody else would drop it.
        wrapper.close()
    if wrapper.connection is not None and not wrapper.connection.closed:
        try:
            deadline.hold(wrapper.connection)
        except (OSError, psycopg.Error):
            # What cannot be watched is not waited for.
            wrapper.close()


def _connect_in_time(wrapper: BaseDatabaseWrapper) -> None:
    usual = wrapper.get_new_connection

    def connect(params: dict[str, Any]) -> Any:
        deadlines: tuple[_Deadline, ...] = _of_thread.deadlines
        # Django connects anew when the rollback on a lost connection fails: not once more than there is time for. And
        # not each of those who wait in line behind this one, or the last of them would wait for all.
        if any(each.has_passed for each in deadlines) or time.monotonic() < _silence.ends_at:
            raise psycopg.OperationalError("the database did not answer in time")
        limit = min((each.connect_seconds for each in deadlines if each.connect_seconds), default=None)
        try:
            made = usual(params if limit is None else {**params, "connect_timeout": limit})
        except psycopg.errors.ConnectionTimeout:
            _silence.note()
            raise
        for each in deadlines:
            each.hold(made)
        return made

    vars(wrapper)["get_new_connection"] = connect


class _Silence:
    """When a database that did not answer is next worth a connection; of the whole process."""

    def __init__(self) -> None:
        self.ends_at = 0.0

    def note(self) -> None:
        self.ends_at = time.monotonic() + SILENCE_SECONDS


_silence = _Silence()


class _Deadline:
    """``connect_seconds``: how long a connection may take that is made meanwhile; None is as long as usual."""

    def __init__(self, seconds: float, asks_after: float, connect_seconds: int | None) -> None:
        began = time.monotonic()
        self.has_passed = False
        self.connect_seconds = connect_seconds
        self._asks_after = asks_after
        self._ends_at = began + seconds
        self._asks_at = began + asks_after
        self._held: list[socket.socket] = []
        self._lock = threading.Lock()

    @property
    def due_at(self) -> float:
        return min(self._ends_at, self._asks_at)

    def hold(self, connection: psycopg.Connection[Any]) -> None:
        own = _sockets.of(connection)
        with self._lock:
            self._held.append(own)
            if self.has_passed:
                _sockets.shut(own)

    def end(self) -> None:
        with self._lock:
            self._held.clear()

    def is_over(self, now: float) -> bool:
        return now >= self._ends_at

    def ask_later(self, now: float) -> None:
        self._asks_at = now + self._asks_after

    def give_up(self) -> None:
        with self._lock:
            self.has_passed = True
            _silence.note()
            for each in self._held:
                _sockets.shut(each)


class _Watch:
    """One thread of the process that looks after all deadlines; it is there once there is one.

    It wakes for the first that falls due, and mostly finds that it was kept. Then it waits for the first of those that
    are there by now, so that a busy process wakes it every few seconds and not with every request.
    """

    def __init__(self) -> None:
        self._deadlines: set[_Deadline] = set()
        self._changed = threading.Condition()
        self._wakes_at = math.inf
        self._thread: threading.Thread | None = None

    def add(self, deadline: _Deadline) -> None:
        with self._changed:
            self._deadlines.add(deadline)
            if self._thread is None or not self._thread.is_alive():
                # Also after a fork, which takes no thread along.
                self._thread = threading.Thread(target=self._run, name="deadlines", daemon=True)
                self._thread.start()
            elif deadline.due_at < self._wakes_at:
                self._changed.notify()

    def remove(self, deadline: _Deadline) -> None:
        with self._changed:
            self._deadlines.discard(deadline)

    def _run(self) -> None:
        while True:
            for each in self._wait():
                each.give_up()

    def _wait(self) -> list[_Deadline]:
        """Those that are over, as soon as something falls due."""
        with self._changed:
            self._wakes_at = min((each.due_at for each in self._deadlines), default=math.inf)
            rest = self._wakes_at - time.monotonic()
            if rest > 0:
                self._changed.wait(None if rest == math.inf else rest)
            now = time.monotonic()
            due = [each for each in self._deadlines if each.due_at <= now]
            over = [each for each in due if each.is_over(now)]
            suspected = [each for each in due if not each.is_over(now)]
            for each in suspected:
                each.ask_later(now)
        if suspected:
            # Not here: those whose deadline is strict cannot wait for the answer.
            threading.Thread(target=_give_up_unless_it_answers, args=(suspected,), daemon=True).start()
        return over


def _give_up_unless_it_answers(suspected: list[_Deadline]) -> None:
    if not _answers():
        for each in suspected:
            each.give_up()


def _answers() -> bool:
    """Whether the database says anything to one more connection; that it takes none now is an answer, too."""
    wrapper = connections[DEFAULT_DB_ALIAS]
    try:
        wrapper.get_new_connection({**wrapper.get_connection_params(), "connect_timeout": CONNECT_SECONDS}).close()
    except psycopg.errors.ConnectionTimeout:
        return False
    except (psycopg.Error, Error):
        return True
    return True


_watch = _Watch()


class _Sockets:
    """A descriptor of our own for each connection, as long as that is there. By the time the watch looks, the
    connection's may be closed and its number taken by somebody else's socket; and making one for each request takes a
    dozen calls of the kernel."""

    def __init__(self) -> None:
        self._by_connection: WeakKeyDictionary[psycopg.Connection[Any], socket.socket] = WeakKeyDictionary()
        # Taken again by the same thread where a collection ends a connection in the middle of this.
        self._lock = threading.RLock()

    def of(self, connection: psycopg.Connection[Any]) -> socket.socket:
        own = self._by_connection.get(connection)
        if own is None:
            own = socket.socket(fileno=os.dup(connection.pgconn.socket))
            with self._lock:
                # A connection that was closed may wait for the collector.
                for gone in [each for each in self._by_connection if each.closed]:
                    self._by_connection.pop(gone).close()
                self._by_connection[connection] = own
            weakref.finalize(connection, self._close, own)
        return own

    def shut(self, own: socket.socket) -> None:
        # Already shut where the other side went first, closed where the connection is gone.
        with self._lock, contextlib.suppress(OSError):
            own.shutdown(socket.SHUT_RDWR)

    def _close(self, own: socket.socket) -> None:
        with self._lock:
            own.close()


_sockets = _Sockets()
