"""A small server that answers as Stripe's API does, on a real socket."""

import contextlib
import json
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qsl, urlsplit


@dataclass
class Asked:
    method: str
    path: str
    fields: dict[str, str]
    headers: dict[str, str]


@dataclass
class StripeServer:
    """``answers`` by "METHOD path": a status and a document. ``drips`` sends a byte a second and never ends."""

    url: str = ""
    answers: dict[str, tuple[int, Any]] = field(default_factory=dict)
    asked: list[Asked] = field(default_factory=list)
    drips: bool = False

    def last(self, path: str) -> Asked:
        return [each for each in self.asked if each.path == path][-1]


@contextlib.contextmanager
def running() -> Iterator[StripeServer]:
    server = StripeServer()

    class Handler(BaseHTTPRequestHandler):
        def answer(self) -> None:
            parts = urlsplit(self.path)
            raw = self.rfile.read(int(self.headers.get("Content-Length") or 0)).decode()
            fields = dict(parse_qsl(raw or parts.query))
            server.asked.append(Asked(self.command, parts.path, fields, dict(self.headers)))
            if server.drips:
                self._drip()
                return
            missing = (
                404,
                {"error": {"type": "invalid_request_error", "message": "No such thing", "code": "resource_missing"}},
            )
            status, document = server.answers.get(f"{self.command} {parts.path}", missing)
            body = document if isinstance(document, bytes) else json.dumps(document).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def _drip(self) -> None:
            self.send_response(200)
            self.send_header("Content-Length", "1000")
            self.end_headers()
            with contextlib.suppress(OSError):
                for _ in range(1000):
                    self.wfile.write(b" ")
                    self.wfile.flush()
                    time.sleep(0.1)

        do_GET = do_POST = answer  # noqa: N815 - http.server's names

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - http.server's name
            """Quiet."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as listening:
        listening.daemon_threads = True
        server.url = f"http://127.0.0.1:{listening.server_port}"
        thread = threading.Thread(target=listening.serve_forever, daemon=True)
        thread.start()
        yield server
        listening.shutdown()
        thread.join()
