"""Sending a case through the whole product in this process: the door's reading of a request, every middleware, the
view, PostgreSQL. What the web server itself does with bytes is asked over a socket (``framing``)."""

from __future__ import annotations

import io
import json
import traceback
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any, Self
from urllib.parse import unquote

from django.core.signals import got_request_exception, request_finished, request_started
from django.db import close_old_connections

from billing_project import door
from tests.corpus import signing
from tests.corpus.cases import Case
from tests.corpus.stage import Stage

HOST = "127.0.0.1"


@dataclass(frozen=True)
class Answer:
    """What came back. ``sent`` is all that the request said, ``body`` its bytes; ``defect`` is the traceback of what
    nobody expected."""

    status: int
    headers: Mapping[str, str]
    content: bytes
    sent: str
    body: bytes = b""
    defect: str = ""

    @property
    def media(self) -> str:
        return self.headers.get("content-type", "").partition(";")[0]

    @property
    def json(self) -> Any:
        return json.loads(self.content)


class _Headers:
    """As the server hands them over: several of one name are several."""

    def __init__(self, pairs: Iterable[tuple[str, str]]) -> None:
        self._pairs = [(name.lower(), value) for name, value in pairs]

    def items(self) -> list[tuple[str, str]]:
        return self._pairs

    def keys(self) -> list[str]:
        return [name for name, _ in self._pairs]


@dataclass
class _Scope:
    http_version: str
    server: str
    client: str
    scheme: str
    method: str
    path: str
    query_string: str
    headers: Any


class Sender:
    """Calls the application that stands behind the door."""

    def __init__(self, stage: Stage) -> None:
        self.stage = stage
        self._application = door.application._application
        self._defect = ""

    def __enter__(self) -> Self:
        got_request_exception.connect(self._note)
        # A request here is amid a transaction, which would be dropped with its connection.
        for signal in (request_started, request_finished):
            signal.disconnect(close_old_connections)
        return self

    def __exit__(self, *_: object) -> None:
        got_request_exception.disconnect(self._note)
        for signal in (request_started, request_finished):
            signal.connect(close_old_connections)

    def _note(self, **_: Any) -> None:
        self._defect = traceback.format_exc()

    def send(self, case: Case) -> Answer:
        fill = self.stage.fill
        body = self.stage.fill_bytes(case.body)
        said = [("Host", HOST), *((name, fill(value)) for name, value in case.headers)]
        named = {name.lower() for name, _ in said}
        said += [pair for pair in self.stage.callers[case.caller].items() if pair[0].lower() not in named]
        said = signing.signed(said, body)
        if body and not named & {"content-length", "transfer-encoding"}:
            said.append(("Content-Length", str(len(body))))
        path, query = fill(case.path), fill(case.query)
        scope = _Scope(
            "1.1", f"{HOST}:8000", f"{case.address}:4711", "http", case.method, unquote(path), query, _Headers(said)
        )
        environ = door.environ_of(scope)
        environ["wsgi.input"] = io.BytesIO(body)
        self._defect = ""
        answer: dict[str, Any] = {}

        def start_response(status: str, headers: list[tuple[str, str]], exc_info: Any = None) -> None:
            answer["status"] = int(status[:3])
            answer["headers"] = {name.lower(): value for name, value in headers}

        response = self._application(environ, start_response)
        try:
            content = b"".join(response)
        finally:
            response.close()
        told = " ".join([unquote(path), unquote(query.replace("+", " ")), *(value for _, value in said)])
        return Answer(
            answer["status"],
            answer["headers"],
            content,
            told + " " + body.decode("utf-8", "replace"),
            body,
            self._defect if answer["status"] >= HTTPStatus.INTERNAL_SERVER_ERROR else "",
        )
