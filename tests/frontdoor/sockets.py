"""Clients that speak to a server byte by byte, well or badly."""

from __future__ import annotations

import asyncio
import contextlib
from collections import Counter
from collections.abc import AsyncIterator
from dataclasses import dataclass, field

# What a client counts where the server gave it no answer.
CLOSED, SILENT = "closed", "silent"


@dataclass(frozen=True, slots=True)
class Target:
    """The server, and a key that may record use."""

    host: str
    port: int
    key: str

    def head(self, method: str, path: str, *headers: str) -> bytes:
        """The first lines of a request with the key, without the empty line that ends them."""
        lines = [f"{method} {path} HTTP/1.1", f"Host: {self.host}", f"Authorization: Bearer {self.key}", *headers]
        return "".join(f"{line}\r\n" for line in lines).encode()

    def usage(self, body: bytes, *headers: str) -> bytes:
        """A whole POST that records use."""
        said = ("Content-Type: application/json", f"Content-Length: {len(body)}", *headers)
        return self.head("POST", "/api/billing/usage", *said) + b"\r\n" + body

    @contextlib.asynccontextmanager
    async def connection(self) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
        reader, writer = await asyncio.open_connection(self.host, self.port, limit=4_000_000)
        try:
            yield reader, writer
        finally:
            writer.transport.abort()


@dataclass
class Tally:
    """What clients were answered: statuses, ``closed`` without one, ``silent`` for as long as was waited."""

    answers: Counter[str] = field(default_factory=Counter)

    def add(self, answer: str) -> None:
        self.answers[answer] += 1

    @property
    def wrong(self) -> int:
        """Answers that say that something broke."""
        return sum(count for answer, count in self.answers.items() if answer.startswith("5"))

    def __str__(self) -> str:
        return ", ".join(f"{count} × {answer}" for answer, count in sorted(self.answers.items())) or "nothing"


async def read_answer(reader: asyncio.StreamReader) -> tuple[int, bytes]:
    """The next whole answer of a connection. Raises ``IncompleteReadError`` where there is none."""
    head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
    length = next(
        (int(line.partition(":")[2]) for line in head.lower().split("\r\n") if line.startswith("content-length:")), 0
    )
    return int(head.split()[1]), await reader.readexactly(length)


async def status_of(reader: asyncio.StreamReader, *, seconds: float) -> str:
    try:
        async with asyncio.timeout(seconds):
            return str((await read_answer(reader))[0])
    except TimeoutError:
        return SILENT
    except (asyncio.IncompleteReadError, OSError):
        return CLOSED
