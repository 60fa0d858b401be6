"""One POST to an endpoint, over the standard library, to an address that was looked at before it was connected to.

Nothing here knows rows. Redirects are not followed, proxies of the environment are not asked, the whole takes at most
``TOTAL_SECONDS``, and of the answer no more is read than is kept.
"""

from __future__ import annotations

import contextlib
import functools
import http.client
import queue
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from billing.notifications import addresses, targets
from billing.notifications.targets import InvalidUrl, Target

CONNECT_SECONDS = 5.0
TOTAL_SECONDS = 15.0
EXCERPT_BYTES = 500

# Error classes of an attempt.
REFUSED_URL = "refused_url"
REFUSED_ADDRESS = "refused_address"
UNRESOLVED = "unresolved"
UNREACHABLE = "unreachable"
TIMEOUT = "timeout"
TLS = "tls"
PROTOCOL = "protocol"
REDIRECT = "redirect"
STATUS = "status"

Resolve = Callable[[str, int], Sequence[str]]


class Unsendable(Exception):
    """No answer, for the reason ``error``, one of the error classes."""

    def __init__(self, error: str) -> None:
        super().__init__(error)
        self.error = error


@dataclass(frozen=True, slots=True)
class Reply:
    """How an attempt went. ``error`` is "" if and only if the message was taken (a status from 200 to 299)."""

    error: str
    status_code: int | None
    duration_ms: int
    excerpt: str


def send(
    url: str,
    *,
    headers: Mapping[str, str],
    body: bytes,
    allow_local: bool,
    resolve: Resolve | None = None,
    tls: ssl.SSLContext | None = None,
) -> Reply:
    """POST ``body`` to ``url`` and tell how it went; never raises for what the other side does.

    ``resolve`` gives the addresses of a name (by default the system's), ``tls`` says whom to trust.
    """
    started = time.monotonic()
    error, status, excerpt = "", None, b""
    try:
        target = targets.parse(url, allow_local=allow_local)
        with _connected(target, started + TOTAL_SECONDS, allow_local, resolve or _resolve, tls) as connection:
            status, excerpt = _exchange(connection, target, headers, body)
        error = _judge(status)
    except InvalidUrl:
        error = REFUSED_URL
    except Unsendable as refusal:
        error = refusal.error
    except ssl.SSLError:
        error = TLS
    except TimeoutError:
        error = TIMEOUT
    except (OSError, ValueError, http.client.HTTPException):
        # http.client lets some malformed answers through as ValueError.
        error = PROTOCOL
    seconds = time.monotonic() - started
    if error in (TLS, PROTOCOL) and seconds >= TOTAL_SECONDS:
        # What a connection that was cut off at the deadline looks like from inside.
        error = TIMEOUT
    return Reply(error, status, round(seconds * 1000), _readable(excerpt))


def _judge(status: int) -> str:
    if 200 <= status < 300:
        return ""
    return REDIRECT if 300 <= status < 400 else STATUS


def _exchange(
    connection: http.client.HTTPConnection, target: Target, headers: Mapping[str, str], body: bytes
) -> tuple[int, bytes]:
    connection.request("POST", target.path, body, {"Host": target.authority, "Connection": "close", **headers})
    response = connection.getresponse()
    excerpt = b""
    # The status is the answer; what is wrong with the text after it changes nothing.
    with contextlib.suppress(OSError, ValueError, http.client.HTTPException):
        excerpt = response.read(EXCERPT_BYTES)
    return response.status, excerpt


@contextlib.contextmanager
def _connected(
    target: Target, deadline: float, allow_local: bool, resolve: Resolve, tls: ssl.SSLContext | None
) -> Iterator[http.client.HTTPConnection]:
    """A connection to one of the target's addresses, all of which were looked at; cut off at ``deadline``."""
    with _connect(_addresses(target, allow_local, resolve), target.port) as plain, _cut_off_at(plain, deadline):
        plain.settimeout(max(0.001, deadline - time.monotonic()))
        stream: socket.socket = plain
        if target.is_tls:
            # The name, not the address: for the certificate and for whoever serves several names.
            stream = (tls or _tls()).wrap_socket(plain, server_hostname=target.host)
        with stream:
            connection = http.client.HTTPConnection(target.host, target.port)
            connection.sock = stream
            yield connection


def _addresses(target: Target, allow_local: bool, resolve: Resolve) -> Sequence[str]:
    """The addresses of the target. One that is refused refuses them all: nobody honest mixes the two."""
    found = [str(target.address)] if target.address else resolve(target.host, target.port)
    if not found:
        raise Unsendable(UNRESOLVED)
    for each in found:
        address = addresses.parse(each)
        if address is None or not addresses.is_allowed(address, allow_local=allow_local):
            raise Unsendable(REFUSED_ADDRESS)
    return found


def _connect(found: Sequence[str], port: int) -> socket.socket:
    """Connect to the first address that answers, within ``CONNECT_SECONDS`` for all of them."""
    deadline = time.monotonic() + CONNECT_SECONDS
    error = UNREACHABLE
    for address in found:
        left = deadline - time.monotonic()
        if left <= 0:
            error = TIMEOUT
            break
        try:
            # An address, so that nothing is looked up a second time.
            stream = socket.create_connection((address, port), timeout=left)
            # Head and body go out as two: without it the second waits for the first to be acknowledged.
            stream.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            return stream
        except TimeoutError:
            error = TIMEOUT
        except OSError:
            error = UNREACHABLE
    raise Unsendable(error)


@contextlib.contextmanager
def _cut_off_at(stream: socket.socket, deadline: float) -> Iterator[None]:
    """End the connection at ``deadline``, whatever is waited for.

    Time-outs of a socket start anew with every byte, so a trickle could hold a worker for ever. A duplicate is shut
    down, as TLS takes the socket over.
    """
    with stream.dup() as duplicate:
        timer = threading.Timer(deadline - time.monotonic(), _shut_down, [duplicate])
        timer.daemon = True
        timer.start()
        try:
            yield
        finally:
            timer.cancel()
            # Not before it is done with the descriptor, whose number may be another connection's next.
            timer.join()


def _shut_down(stream: socket.socket) -> None:
    with contextlib.suppress(OSError):
        stream.shutdown(socket.SHUT_RDWR)


def _resolve(host: str, port: int) -> Sequence[str]:
    """The system's addresses of a name. It takes no time-out, so it runs in a thread that is left behind if slow."""
    answers: queue.SimpleQueue[Sequence[str]] = queue.SimpleQueue()

    def look_up() -> None:
        found: Sequence[str] = []
        with contextlib.suppress(OSError, UnicodeError):
            found = [str(info[4][0]) for info in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)]
        answers.put(found)

    threading.Thread(target=look_up, daemon=True).start()
    try:
        return answers.get(timeout=CONNECT_SECONDS)
    except queue.Empty:
        raise Unsendable(TIMEOUT) from None


@functools.cache
def _tls() -> ssl.SSLContext:
    """The system's certificates, once per process: reading them takes tens of milliseconds."""
    return ssl.create_default_context()


def _readable(excerpt: bytes) -> str:
    # PostgreSQL's text holds no NUL.
    return excerpt.decode("utf-8", "replace").replace("\x00", "\N{REPLACEMENT CHARACTER}")
