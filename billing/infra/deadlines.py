"""An end to waiting for the database: whoever must answer in time stops listening to a server that does not.

Time-outs inside PostgreSQL need a PostgreSQL that runs. One that is paused keeps its sockets open, and its kernel goes
on acknowledging what it is sent, so that neither ``statement_timeout`` nor ``tcp_user_timeout`` ever fires. Here a
timer shuts the sockets of the waiting thread, and what waited gets an error as from a lost connection.
"""

from __future__ import annotations

import contextlib
import os
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import psycopg
from django.db import DEFAULT_DB_ALIAS, connections
from django.db.backends.base.base import BaseDatabaseWrapper

from billing.infra import refusals

# The least that libpq knows.
CONNECT_SECONDS = 2
SILENCE_SECONDS = 1.0

_of_thread = threading.local()


@contextmanager
def within(seconds: float) -> Iterator[None]:
    """Let nothing on this thread's connections wait beyond ``seconds`` from now, plus 2 for connecting anew meanwhile.

    Then they are lost, every use of them is an ``OperationalError``, and no new one is made. Inside another deadline,
    that one holds.
    """
    if getattr(_of_thread, "has_deadline", False):
        yield
        return
    wrappers = {id(each): each for each in (connections[DEFAULT_DB_ALIAS], connections[refusals.ALIAS])}.values()
    deadline = _Deadline(seconds)
    _of_thread.has_deadline = True
    try:
        for wrapper in wrappers:
            _hold(wrapper, deadline)
        yield
    finally:
        for wrapper in wrappers:
            # What the instance had, and not its class.
            vars(wrapper).pop("get_new_connection", None)
        _of_thread.has_deadline = False
        deadline.end()


def _hold(wrapper: BaseDatabaseWrapper, deadline: _Deadline) -> None:
    if wrapper.connection is not None and wrapper.connection.closed and not wrapper.in_atomic_block:
        # Lost the last time; where no request ends, nobody else would drop it.
        wrapper.close()
    if wrapper.connection is not None and not wrapper.connection.closed:
        try:
            deadline.watch(wrapper.connection)
        except (OSError, psycopg.Error):
            # What cannot be watched is not waited for.
            wrapper.close()
    usual = wrapper.get_new_connection

    def connect(params: dict[str, Any]) -> Any:
        # Django connects anew when the rollback on a lost connection fails: not once more than there is time for. And
        # not each of those who wait in line behind this one, or the last of them would wait for all.
        if deadline.has_passed or time.monotonic() < _silence.ends_at:
            raise psycopg.OperationalError("the database did not answer in time")
        try:
            made = usual({**params, "connect_timeout": CONNECT_SECONDS})
        except psycopg.errors.ConnectionTimeout:
            _silence.note()
            raise
        deadline.watch(made)
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
    def __init__(self, seconds: float) -> None:
        self.has_passed = False
        self._sockets: list[socket.socket] = []
        self._lock = threading.Lock()
        self._timer = threading.Timer(seconds, self._pass)
        self._timer.daemon = True
        self._timer.start()

    def watch(self, connection: Any) -> None:
        # A descriptor of our own: by the time the timer runs, the connection's may be closed and its number taken by
        # somebody else's socket.
        own = socket.socket(fileno=os.dup(connection.pgconn.socket))
        with self._lock:
            self._sockets.append(own)
            if self.has_passed:
                _shut(own)

    def end(self) -> None:
        self._timer.cancel()
        with self._lock:
            for each in self._sockets:
                each.close()
            self._sockets.clear()

    def _pass(self) -> None:
        with self._lock:
            self.has_passed = True
            _silence.note()
            for each in self._sockets:
                _shut(each)


def _shut(each: socket.socket) -> None:
    # Already shut where the other side went first.
    with contextlib.suppress(OSError):
        each.shutdown(socket.SHUT_RDWR)
