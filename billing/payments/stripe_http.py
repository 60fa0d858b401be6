"""The HTTP client below the stripe package: one attempt, and an end to it whatever the other side does.

The package's own clients limit each read, so an answer that drips in lasts as long as it likes; here the whole exchange
is cut off at ``TOTAL_SECONDS``. Nothing is retried: whoever asks has the key under which to ask again.
"""

from __future__ import annotations

import contextlib
import http.client
import socket
import threading
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

import stripe

CONNECT_SECONDS = 5.0
TOTAL_SECONDS = 20.0
ANSWER_BYTES_MAX = 8_000_000


# Untyped in the package.
_NoAnswer: Any = stripe.APIConnectionError


class DeadlineClient(stripe.HTTPClient):
    name = "countinghouse"

    def request(
        self,
        method: str,
        url: str,
        headers: Mapping[str, str] | None,
        post_data: Any = None,
        *,
        _usage: list[str] | None = None,
    ) -> tuple[str, int, Mapping[str, str]]:
        """The body, status and headers of the answer. Raises ``stripe.APIConnectionError`` where there is none."""
        parts = urlsplit(url)
        make = http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
        connection = make(parts.hostname or "", parts.port, timeout=CONNECT_SECONDS)
        cut = _Cut(connection)
        watchdog = threading.Timer(TOTAL_SECONDS, cut)
        watchdog.daemon = True
        watchdog.start()
        try:
            connection.connect()
            cut.socket = connection.sock
            connection.sock.settimeout(TOTAL_SECONDS)
            target = f"{parts.path or '/'}{'?' if parts.query else ''}{parts.query}"
            sent = post_data.encode() if isinstance(post_data, str) else post_data
            connection.request(method.upper(), target, sent, dict(headers or {}))
            response = connection.getresponse()
            body = response.read(ANSWER_BYTES_MAX + 1)
            if len(body) > ANSWER_BYTES_MAX:
                raise _NoAnswer("The answer is too large.")
            named = {name.lower(): value for name, value in response.getheaders()}
            return body.decode(), response.status, named
        except (OSError, ValueError, http.client.HTTPException) as error:
            raise _NoAnswer(f"No answer: {type(error).__name__}.") from error
        finally:
            watchdog.cancel()
            connection.close()

    def close(self) -> None:
        """Nothing is kept open."""


class _Cut:
    """Wakes whoever waits for the connection with an error.

    ``http.client`` forgets its socket once it knows that the answer ends with the connection, and goes on reading from
    it: so the socket is kept here too.
    """

    def __init__(self, connection: http.client.HTTPConnection) -> None:
        self.socket: socket.socket | None = None
        self._connection = connection

    def __call__(self) -> None:
        with contextlib.suppress(OSError, AttributeError):
            (self.socket or self._connection.sock).shutdown(socket.SHUT_RDWR)
