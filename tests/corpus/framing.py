"""Requests that are no sound HTTP, byte by byte, to the server that ``make run`` starts."""

from __future__ import annotations

import random
import socket
import time
from collections.abc import Iterator, Sequence
from urllib.parse import urlsplit

from django.db import connection

from tests.corpus import bases, judging, signing, watching
from tests.corpus.bends import AT_RANDOM, BENDS, ENDS_EARLY, Raw
from tests.corpus.cases import Case, Subject
from tests.corpus.judging import Finding
from tests.corpus.operations import Operation
from tests.corpus.reports import Outcome
from tests.corpus.sending import Answer
from tests.corpus.stage import Stage
from tests.corpus.watching import Watch
from tests.support.http import HttpServer

# A body that does not come is waited for so long by the server, and an answer by the client.
ENVIRONMENT = {"BILLING_BODY_SECONDS": "0.5"}
SECONDS = 4.0
# After a request without an answer: what it may have set going has to be told from what the next one does.
SETTLING_SECONDS = 0.5
# By default so many of each endpoint.
OF_EACH = 40
# What the web server says of what it cannot read as HTTP: a bare status, and the connection is closed.
BARE = frozenset({400, 408, 413, 414, 431, 505})


def run(server: HttpServer, stage: Stage, operations: Sequence[Operation], *, seed: int, count: int) -> Outcome:
    """``count`` bent requests of each endpoint, and what was wrong with the answers."""
    outcome, place, watch = Outcome(), urlsplit(server.url), CommittedWatch()
    for operation in operations:
        for number in range(count):
            name, sent = draw(operation, stage, seed, number)
            answer = exchange((place.hostname or "", place.port or 80), sent, ends=name in ENDS_EARLY)
            if answer is None:
                time.sleep(SETTLING_SECONDS)
            outcome.answers["closed" if answer is None else str(answer.status)] += 1
            outcome.endpoints[operation.id] += 1
            for finding in judged(operation, sent, answer, watch.changed()):
                outcome.kinds[finding.kind] += 1
                if len(outcome.told) < 20:
                    again = f"--seed {seed} --sockets --only {operation.id}:{number}"
                    outcome.told.append(f"{finding.kind}: {finding.text}\n  {name}: {sent[:900]!r}\n  again: {again}")
    return outcome


def draw(operation: Operation, stage: Stage, seed: int, number: int) -> tuple[str, bytes]:
    """The name of what is bent, and the bytes."""
    chance = random.Random(f"{seed}/sockets/{operation.id}/{number}")  # noqa: S311 - to be drawn again
    found = bases.bases_of(operation.id)
    names = list(BENDS)
    name = chance.choice(AT_RANDOM) if number % 8 == 7 else chance.choice(names)
    case = Subject(operation, found[number % len(found)], chance, number).case("framing")
    return name, BENDS[name](_raw(case, stage), chance)


def _raw(case: Case, stage: Stage) -> Raw:
    body = stage.fill_bytes(case.body)
    said = [("Host", "127.0.0.1"), *case.headers, *stage.callers[case.caller].items()]
    said = [(name, stage.fill(value)) for name, value in said]
    said = signing.signed(said, body)
    lines = [f"{name}: {value}" for name, value in said]
    if body:
        lines.append(f"Content-Length: {len(body)}")
    target = stage.fill(case.path) + (f"?{stage.fill(case.query)}" if case.query else "")
    return Raw(case.method, target, tuple(lines), body)


def exchange(place: tuple[str, int], sent: bytes, *, ends: bool) -> Answer | None:
    """The first answer, None where there was none. ``ends``: the client says that no more is coming."""
    with socket.create_connection(place, timeout=SECONDS) as client:
        try:
            client.sendall(sent)
            if ends:
                client.shutdown(socket.SHUT_WR)
        except OSError:
            pass
        received = bytearray()
        try:
            while piece := client.recv(65_536):
                received += piece
                if _is_whole(received):
                    break
        except OSError:
            pass
    return read(bytes(received), sent)


def _is_whole(received: bytearray) -> bool:
    head, found, rest = bytes(received).partition(b"\r\n\r\n")
    if not found or head.startswith(b"HTTP/1.1 100"):
        return False
    lengths = [line for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:")]
    return bool(lengths) and len(rest) >= int(lengths[0].partition(b":")[2])


def read(received: bytes, sent: bytes = b"") -> Answer | None:
    received = received.removeprefix(b"HTTP/1.1 100 Continue\r\n\r\n")
    head, _, content = received.partition(b"\r\n\r\n")
    first, *lines = head.decode("latin-1").split("\r\n")
    if not first.startswith("HTTP/"):
        return None
    headers = {name.strip().lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
    told = int(headers.get("content-length", len(content)))
    return Answer(int(first.split()[1]), headers, content[:told], sent.decode("latin-1"))


def judged(operation: Operation, sent: bytes, answer: Answer | None, is_changed: list[str]) -> Iterator[Finding]:
    """What no answer may be, and what no refusal may do."""
    said = "nothing" if answer is None else str(answer.status)
    is_refused = answer is None or answer.status >= 400
    if is_changed and (is_refused or (not operation.is_write and operation.id not in judging.READS_THAT_WRITE)):
        yield Finding("changed", f"{', '.join(is_changed)} changed, and the answer is {said}")
    if answer is None:
        return
    is_bare = answer.status in BARE and not answer.content
    if answer.status >= 500 and not is_bare:
        yield Finding("5xx", f"{answer.status} {answer.content[:300]!r}")
    elif answer.status >= 400 and not is_bare:
        target = sent.split(b"\r\n")[0].decode("latin-1").partition("/api")
        yield from judging.refusal(Case("", "framing", 0, "", "GET", "".join(target[1:]), "", (), b""), answer)


class CommittedWatch:
    """Whether anything that is committed changed since it was last asked. Transactions are counted by the server: where
    it gave out no number nothing was written; where it did, the tables are read."""

    def __init__(self) -> None:
        self._watch = Watch()
        self._next = self._number()
        self._digest = self._watch.digest()

    @staticmethod
    def _number() -> int:
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_snapshot_xmax(pg_current_snapshot())::text::bigint")
            return int(cursor.fetchone()[0])

    def changed(self) -> list[str]:
        number = self._number()
        if number == self._next:
            return []
        before, self._digest = self._digest, self._watch.digest()
        self._next = self._number()
        return watching.changed(before, self._digest)
