"""What the web server calls: Django's WSGI application behind a door that lets only whole requests in.

A server that hands a request over with its headers makes a thread wait for the body, for as long as the client likes:
as many slow clients as there are threads, and nobody else is served. Here bodies are awaited on the event loop, where
one that comes slowly costs a little memory and nothing else, up to a size and a deadline; a thread of Django's gets a
request once all of it is there. Answers leave in whole, too, so that a slow reader holds no thread and no transaction.

RSGI is Granian's own interface: ``__rsgi__`` is called on the event loop of each worker process.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import io
import itertools
import json
import logging
import os
import queue
import sys
import tempfile
import threading
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from http import HTTPStatus
from pathlib import Path
from typing import Any, Protocol
from uuid import uuid4

from django.conf import settings
from django.core.signals import request_started
from django.core.wsgi import get_wsgi_application
from django.db import Error, InterfaceError, OperationalError, close_old_connections, reset_queries

from billing.infra import deadlines, logs

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "billing_project.settings.production")

# As many as make Django fastest under the interpreter's lock; each keeps its connections to the database.
THREADS = 2
# What no view takes is not waited for: its length says enough to refuse it. Room for what a form wraps around a file.
BODY_BYTES_MAX = 1_100_000
BODY_SECONDS = float(os.environ.get("BILLING_BODY_SECONDS", "20"))
# A database that says nothing for so long is asked whether it is there at all, and given up if it is not; nobody holds
# a thread for longer than the other whatever it says.
SILENCE_SECONDS = float(os.environ.get("BILLING_SILENCE_SECONDS", "5"))
REQUEST_SECONDS = 120.0
RETRY_SECONDS = 5
# A longer answer is written to a file before it is sent; the file's name goes once the server has opened it.
ANSWER_BYTES_MAX = 4_000_000
UNCOLLECTED_BYTES_MAX = 30_000_000
UNLINK_SECONDS = 30.0

Environ = dict[str, Any]
_log = logging.getLogger("billing.door")
_Headers = list[tuple[str, str]]


class _Scope(Protocol):
    http_version: str
    server: str
    client: str
    scheme: str
    method: str
    path: str
    query_string: str
    headers: Any


class BrokenBody(Exception):
    """The client went away, or never meant to send all of it."""


@dataclass(frozen=True, slots=True)
class _Work:
    environ: Environ
    proto: Any
    done: asyncio.Future[None]
    body_bytes: int


class Door:
    """``application`` is WSGI; it runs in ``THREADS`` threads of this process."""

    def __init__(self, application: Any) -> None:
        self._application = application
        self._queue: queue.SimpleQueue[_Work] = queue.SimpleQueue()
        # Threads at worst forget what another counted.
        self._uncollected_bytes = 0

    def __rsgi_init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        # What the program is made of is never garbage: a collection then costs what requests left behind, no more.
        gc.collect()
        gc.freeze()
        for number in range(THREADS):
            threading.Thread(target=self._serve, name=f"django-{number}", daemon=True).start()

    async def __rsgi__(self, scope: _Scope, proto: Any) -> None:
        environ, body_bytes = environ_of(scope), 0
        if "CONTENT_LENGTH" in environ or "HTTP_TRANSFER_ENCODING" in environ:
            deadline = self._loop.call_later(BODY_SECONDS, _too_slow, proto)
            try:
                body = await _body(environ, proto)
                environ["wsgi.input"] = io.BytesIO(body)
                body_bytes = min(max(len(body), int(environ.get("CONTENT_LENGTH", 0))), BODY_BYTES_MAX)
            except BrokenBody:
                return _refuse(proto, 400, "malformed", "The body ended early.")
            finally:
                deadline.cancel()
        done = self._loop.create_future()
        self._queue.put(_Work(environ, proto, done, body_bytes))
        await done
        return None

    def _serve(self) -> None:
        while True:
            work = self._queue.get()
            try:
                with deadlines.while_it_answers(seconds=REQUEST_SECONDS, asks_after=SILENCE_SECONDS):
                    self._answer_or_drop(work)
            except (OperationalError, InterfaceError):
                _log.exception("door.database_unavailable")
                _refuse(work.proto, 503, "unavailable", "The database cannot be reached; try again.", RETRY_SECONDS)
            except Exception:
                # Django answers its own errors: this is one of the server's, or of a stream that broke off.
                _log.exception("door.unanswered")
                _refuse(work.proto, 500, "internal_error", "Something is wrong on our side.")
            self._loop.call_soon_threadsafe(work.done.set_result, None)
            self._uncollected_bytes += work.body_bytes
            del work
            if self._uncollected_bytes > UNCOLLECTED_BYTES_MAX:
                # Django's request is a ring of references: large bodies would pile up until the collector's own turn.
                self._uncollected_bytes = 0
                gc.collect()

    def _answer_or_drop(self, work: _Work) -> None:
        try:
            self._answer(work)
        except Exception:
            # No answer was closed, which is where Django looks after its connections.
            with contextlib.suppress(Error):
                close_old_connections()
            raise

    def _answer(self, work: _Work) -> None:
        said: list[Any] = []

        def start_response(status: str, headers: _Headers, exc_info: Any = None) -> None:
            said[:] = int(status[:3]), headers

        response = self._application(work.environ, start_response)
        try:
            pieces = iter(response)
            first = list(_up_to(ANSWER_BYTES_MAX, pieces))
            if (further := next(pieces, None)) is None:
                work.proto.response_bytes(*said, b"".join(first))
            else:
                self._send_file(work.proto, said, itertools.chain(first, [further], pieces))
        finally:
            response.close()

    def _send_file(self, proto: Any, said: list[Any], pieces: Iterable[bytes]) -> None:
        with tempfile.NamedTemporaryFile(prefix="countinghouse-answer-", delete=False) as file:
            self._loop.call_soon_threadsafe(self._loop.call_later, UNLINK_SECONDS, _unlink, file.name)
            file.writelines(pieces)
        proto.response_file(*said, file.name)


def environ_of(scope: _Scope) -> Environ:
    """As PEP 3333 says, and nothing of the process's own environment, where secrets are."""
    server, _, port = scope.server.rpartition(":")
    environ: Environ = {
        "REQUEST_METHOD": scope.method,
        "SCRIPT_NAME": "",
        # Unquoted by the server already; once is enough.
        "PATH_INFO": scope.path.encode().decode("latin-1"),
        "QUERY_STRING": scope.query_string,
        "SERVER_NAME": server.strip("[]"),
        "SERVER_PORT": port,
        "SERVER_PROTOCOL": f"HTTP/{scope.http_version}",
        "REMOTE_ADDR": scope.client.rpartition(":")[0].strip("[]"),
        "wsgi.version": (1, 0),
        "wsgi.url_scheme": scope.scheme,
        "wsgi.input": io.BytesIO(),
        "wsgi.errors": sys.stderr,
        "wsgi.multithread": True,
        "wsgi.multiprocess": True,
        "wsgi.run_once": False,
        "wsgi.input_terminated": True,
    }
    for name, value in scope.headers.items():
        if "_" in name:
            # Written so it would pass itself off as the header with dashes, past a proxy that sets only that.
            continue
        key = _key(name)
        # A header that is there twice is one list, in order: whoever trusts the last entry trusts the last line.
        environ[key] = f"{environ[key]},{value}" if key in environ else value
    for name in scope.headers.keys():  # noqa: SIM118 - no mapping
        # One whose value is no text is there all the same: a key that cannot be read is not no key.
        if "_" not in name:
            environ.setdefault(_key(name), "")
    return environ


# Clients choose the names.
@lru_cache(maxsize=512)
def _key(name: str) -> str:
    key = name.upper().replace("-", "_")
    return key if key in ("CONTENT_TYPE", "CONTENT_LENGTH") else f"HTTP_{key}"


async def _body(environ: Environ, proto: Any) -> bytes:
    """All of the body, or none of one that is too large, which is refused by its length. Raises ``BrokenBody``."""
    told = environ.get("CONTENT_LENGTH")
    try:
        if told is None:
            return await _of_unknown_length(environ, proto)
        # The server has refused a length that is not a number.
        return b"" if int(told) > BODY_BYTES_MAX else bytes(await proto())
    except (RuntimeError, ValueError) as error:
        raise BrokenBody from error


async def _of_unknown_length(environ: Environ, proto: Any) -> bytes:
    """A body in chunks. The server tells its end, and that it broke off, by an empty piece; only then by another."""
    received = bytearray()
    ends = 0
    async for piece in proto:
        received += piece
        ends += not piece
        if len(received) > BODY_BYTES_MAX:
            environ["CONTENT_LENGTH"] = str(len(received))
            return b""
    if ends != 1:
        raise BrokenBody
    return bytes(received)


def _up_to(size: int, pieces: Iterable[bytes]) -> Iterable[bytes]:
    for piece in pieces:
        yield piece
        size -= len(piece)
        if size < 0:
            return


def _too_slow(proto: Any) -> None:
    _refuse(proto, 408, "too_slow", f"The body was not here within {BODY_SECONDS:g} s.")


def _refuse(proto: Any, status: int, code: str, detail: str, retry_seconds: int | None = None) -> None:
    """Problem details (RFC 9457) for whom Django never hears of, under a name that the log knows. Where an answer began
    already, nothing happens."""
    name = uuid4().hex
    problem = {
        "type": f"urn:countinghouse:problem:{code}",
        "title": HTTPStatus(status).phrase,
        "status": status,
        "detail": detail,
        "code": code,
        "request_id": name,
    }
    with logs.context(request=name):
        logs.event("http.refused", status=status, code=code)
    headers = [
        ("content-type", "application/problem+json"),
        ("cache-control", "no-store"),
        ("connection", "close"),
        ("x-request-id", name),
    ]
    if retry_seconds is not None:
        headers.append(("retry-after", str(retry_seconds)))
    proto.response_bytes(status, headers, json.dumps(problem).encode())


def _unlink(name: str) -> None:
    Path(name).unlink(missing_ok=True)


application = Door(get_wsgi_application())
# The connections are looked after at the end of each request; at its beginning ``deadlines`` drops what is lost.
request_started.disconnect(close_old_connections)
if not settings.DEBUG:
    # Nothing is in the log of queries that would have to be thrown away.
    request_started.disconnect(reset_queries)
