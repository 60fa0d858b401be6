"""Receivers of webhooks: real servers on this machine that note what they get."""

import contextlib
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

# Signed by itself, for hooks.example.com; good for nothing but these tests.
CERTIFICATE = Path(__file__).parent / "certificates" / "hooks.example.com.pem"


@dataclass(frozen=True)
class Received:
    path: str
    headers: dict[str, str]
    body: bytes

    @property
    def id(self) -> str:
        return self.headers["webhook-id"]


@dataclass
class Receiver:
    """An HTTP server. ``answers`` are the statuses of the next requests, 204 when there is none left; ``before_answer``
    is called while the sender waits."""

    port: int = 0
    received: list[Received] = field(default_factory=list)
    answers: list[int] = field(default_factory=list)
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b""
    before_answer: Callable[[], Any] = lambda: None
    server_names: list[str] = field(default_factory=list)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/hook"

    @property
    def ids(self) -> list[str]:
        return [each.id for each in self.received]


@contextlib.contextmanager
def receiver(*, tls: bool = False) -> Iterator[Receiver]:
    """A running ``Receiver``, with ``tls`` under the name hooks.example.com."""
    made = Receiver()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            made.received.append(Received(self.path, {k.lower(): v for k, v in self.headers.items()}, body))
            status = made.answers.pop(0) if made.answers else 204
            made.before_answer()
            with contextlib.suppress(ConnectionError):
                self.send_response(status)
                for name, value in made.headers.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(made.body)

        def log_message(self, *_: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    if tls:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(CERTIFICATE)
        context.sni_callback = lambda _socket, name, _context: made.server_names.append(name)
        server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
    made.port = server.server_address[1]
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield made
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@contextlib.contextmanager
def speaker(*, chunks: list[bytes], pause_seconds: float = 0.0, end: bool = True) -> Iterator[int]:
    """A server that takes one connection and says ``chunks``, whatever it is asked; yields its port.

    It pauses before each chunk; unless ``end``, it then says nothing more until the other side hangs up.
    """
    done = threading.Event()
    listening = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        with contextlib.suppress(OSError):
            connection, _ = listening.accept()
            with connection:
                connection.settimeout(10)
                if chunks:
                    connection.recv(65536)
                for chunk in chunks:
                    time.sleep(pause_seconds)
                    connection.sendall(chunk)
                if end:
                    # Closing with something unread would reset the connection, and what was said be lost.
                    connection.shutdown(socket.SHUT_WR)
                    while connection.recv(65536):
                        pass
                else:
                    done.wait(30)

    thread = threading.Thread(target=serve)
    thread.start()
    try:
        yield listening.getsockname()[1]
    finally:
        done.set()
        # Wakes an accept that nobody came to.
        with contextlib.suppress(OSError):
            socket.create_connection(listening.getsockname(), timeout=1).close()
        thread.join()
        listening.close()
