"""What a client knows: every request before it is sent, every answer after it came, in a file that only grows.

From this file alone it is judged what had to be there: a request with an answer is acked or refused, one without is
unknown, and has to be sent again with the same key until it is not.
"""

from __future__ import annotations

import json
import os
import threading
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

# Answers that tell nothing of what was done: asked again with the same key they get one that does.
TRY_AGAIN = frozenset({0, 408, 429, 500, 502, 503})


@dataclass(frozen=True, slots=True)
class Request:
    """``key`` names it among all requests; ``kind`` says what it means. ``headers`` are those beside the usual;
    ``caller`` names whose key is shown, by default the organization's, and "" is nobody's."""

    key: str
    kind: str
    organization: str
    path: str
    body: Mapping[str, Any]
    headers: Mapping[str, str] = field(default_factory=dict)
    caller: str | None = None


@dataclass(frozen=True, slots=True)
class Answer:
    """``status`` 0 is none, for the reason in ``body``. ``seconds`` is how long it took."""

    status: int
    body: Any
    seconds: float = 0.0

    @property
    def is_known(self) -> bool:
        return self.status not in TRY_AGAIN

    @property
    def is_acked(self) -> bool:
        return 200 <= self.status < 300


@dataclass(slots=True)
class Told:
    """A request with all its answers, in the order in which they came."""

    request: Request
    answers: list[Answer] = field(default_factory=list)

    @property
    def acked(self) -> list[Answer]:
        return [answer for answer in self.answers if answer.is_acked]

    @property
    def last(self) -> Answer | None:
        """The last answer that tells something; None of a request that is unknown."""
        known = [answer for answer in self.answers if answer.is_known]
        return known[-1] if known else None


class Journal:
    def __init__(self, path: Path) -> None:
        self.path = path
        self._lock = threading.Lock()
        self._file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        self.attempts = 0

    def sent(self, request: Request) -> int:
        """Note that it is about to be sent; the number of this attempt."""
        with self._lock:
            self.attempts += 1
            number = self.attempts
        said = {
            "kind": request.kind,
            "organization": request.organization,
            "path": request.path,
            "body": request.body,
            "headers": request.headers,
            "caller": request.caller,
        }
        self._write({"attempt": number, "at": time.time(), "key": request.key, "sent": said})
        return number

    def answered(self, number: int, key: str, answer: Answer) -> None:
        said = {"status": answer.status, "seconds": round(answer.seconds, 3), "body": answer.body}
        self._write({"attempt": number, "at": time.time(), "key": key, "answered": said})

    def _write(self, line: Mapping[str, Any]) -> None:
        os.write(self._file, json.dumps(line).encode() + b"\n")

    def close(self) -> None:
        os.close(self._file)


def read(path: Path) -> dict[str, Told]:
    """All requests by key, in the order in which they were first sent."""
    told: dict[str, Told] = {}
    for line in _lines(path):
        if (sent := line.get("sent")) is not None:
            told.setdefault(line["key"], Told(Request(key=line["key"], **sent)))
        else:
            answered = line["answered"]
            told[line["key"]].answers.append(Answer(answered["status"], answered["body"], answered["seconds"]))
    return told


def _lines(path: Path) -> Iterator[dict[str, Any]]:
    with path.open() as file:
        for line in file:
            yield json.loads(line)
