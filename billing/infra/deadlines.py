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
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from django.db import DEFAULT_DB_ALIAS, connections
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.backends.signals import connection_created

from billing.infra import refusals

# The least that libpq knows.
CONNECT_SECONDS = 2

_of_thread = threading.local()


@contextmanager
def within(seconds: float) -> Iterator[None]:
    """Let no statement on our connections wait beyond ``seconds`` from now, and none of them connect for longer than 2.

    Beyond that the connection is gone and every use of it an ``OperationalError``. Inside another deadline, that one
    holds.
    """
    if getattr(_of_thread, "deadline", None) is not None:
        yield
        return
    wrappers = [connections[DEFAULT_DB_ALIAS], connections[refusals.ALIAS]]
    deadline = _of_thread.deadline = _Deadline(seconds)
    usual = [wrapper.settings_dict for wrapper in wrappers]
    try:
        for wrapper in wrappers:
            if wrapper.connection is not None and wrapper.connection.closed and not wrapper.in_atomic_block:
                # Lost the last time; where no request ends, nobody else would drop it.
                wrapper.close()
            if wrapper.connection is None:
                wrapper.settings_dict = _impatient(wrapper.settings_dict)
            elif not wrapper.connection.closed:
                deadline.watch(wrapper)
        yield
    finally:
        _of_thread.deadline = None
        deadline.end()
        for wrapper, settings in zip(wrappers, usual, strict=True):
            wrapper.settings_dict = settings


class _Deadline:
    def __init__(self, seconds: float) -> None:
        self._sockets: list[socket.socket] = []
        self._lock = threading.Lock()
        self._has_passed = False
        self._timer = threading.Timer(seconds, self._pass)
        self._timer.daemon = True
        self._timer.start()

    def watch(self, wrapper: BaseDatabaseWrapper) -> None:
        # A descriptor of our own: by the time the timer runs, the connection's may be closed and its number taken by
        # somebody else's socket.
        own = socket.socket(fileno=os.dup(wrapper.connection.pgconn.socket))
        with self._lock:
            self._sockets.append(own)
            if self._has_passed:
                _shut(own)

    def end(self) -> None:
        self._timer.cancel()
        with self._lock:
            for each in self._sockets:
                each.close()
            self._sockets.clear()

    def _pass(self) -> None:
        with self._lock:
            self._has_passed = True
            for each in self._sockets:
                _shut(each)


def _shut(each: socket.socket) -> None:
    # Already shut where the other side went first.
    with contextlib.suppress(OSError):
        each.shutdown(socket.SHUT_RDWR)


def _impatient(settings: dict[str, Any]) -> dict[str, Any]:
    return {**settings, "OPTIONS": {**settings["OPTIONS"], "connect_timeout": CONNECT_SECONDS}}


def _watch_new(connection: BaseDatabaseWrapper, **_: object) -> None:
    """A connection that is opened before the deadline of its thread passes is held to it too."""
    deadline: _Deadline | None = getattr(_of_thread, "deadline", None)
    if deadline is not None:
        deadline.watch(connection)


connection_created.connect(_watch_new)
