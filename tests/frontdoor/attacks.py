"""What hostile or hapless clients do: each takes a target and a tally, and goes on until it is answered or ended."""

from __future__ import annotations

import asyncio
import gzip
import itertools
import os
import random
from collections.abc import AsyncIterator, Awaitable, Callable

from tests.frontdoor.sockets import CLOSED, SILENT, Tally, Target, status_of

ANSWER_SECONDS = 30.0
USE = b'{"meter": "tokens", "quantity": "1"}'
_chance = random.Random(1)  # noqa: S311 - spreads load, protects nothing
PLANS = "/api/billing/plans"
JSON = "Content-Type: application/json"


Client = Callable[[Target, Tally], Awaitable[None]]


async def _drip(target: Target, tally: Tally, head: bytes, pieces: AsyncIterator[bytes]) -> None:
    """Send ``head``, then piece after piece while the server listens; what it answers at last counts."""
    async with target.connection() as (reader, writer):
        writer.write(head)
        answer = asyncio.ensure_future(status_of(reader, seconds=600))
        try:
            async for piece in pieces:
                if answer.done():
                    break
                writer.write(piece)
                await writer.drain()
            tally.add(await answer)
        except OSError:
            tally.add(CLOSED)
        except asyncio.CancelledError:
            # The attack is over and this one still hung on.
            tally.add(SILENT)
            raise
        finally:
            answer.cancel()


async def _every(seconds: float, piece: bytes) -> AsyncIterator[bytes]:
    while True:
        await asyncio.sleep(seconds * _chance.uniform(0.5, 1.5))
        yield piece


async def slow_headers(target: Target, tally: Tally) -> None:
    await _drip(target, tally, target.head("GET", PLANS), _every(0.5, b"X-A: b\r\n"))


async def slow_bodies(target: Target, tally: Tally) -> None:
    head = target.head("POST", "/api/billing/usage", JSON, "Content-Length: 100000") + b"\r\n"
    await _drip(target, tally, head, _every(0.5, b" "))


async def slow_chunks(target: Target, tally: Tally) -> None:
    head = target.head("POST", "/api/billing/usage", JSON, "Transfer-Encoding: chunked") + b"\r\n"
    await _drip(target, tally, head, _every(0.5, b"1\r\n \r\n"))


async def mute(target: Target, tally: Tally) -> None:
    await _drip(target, tally, b"", _every(3600, b""))


async def slow_readers(target: Target, tally: Tally) -> None:
    """Asks for page after page and takes none."""
    request = target.head("GET", PLANS) + b"\r\n"
    async with target.connection() as (reader, writer):
        reader._transport.pause_reading()  # type: ignore[attr-defined]
        try:
            while True:
                writer.write(request * 4)
                await writer.drain()
                await asyncio.sleep(4 * _chance.uniform(0.5, 1.5))
        except OSError:
            tally.add(CLOSED)
        except asyncio.CancelledError:
            tally.add(SILENT)
            raise


async def _send(target: Target, tally: Tally, *parts: bytes) -> None:
    """Send all of it, whether or not the server still listens, and count the answer."""
    async with target.connection() as (reader, writer):
        try:
            for part in parts:
                writer.write(part)
                await writer.drain()
        except OSError:
            pass
        tally.add(await status_of(reader, seconds=ANSWER_SECONDS))


async def header_bombs(target: Target, tally: Tally) -> None:
    many = target.head("GET", PLANS, *(f"X-{n}: {'a' * 40}" for n in range(5_000))) + b"\r\n"
    long = target.head("GET", PLANS, "X-A: " + "a" * 1_000_000) + b"\r\n"
    await _send(target, tally, _chance.choice([many, long]))


async def long_addresses(target: Target, tally: Tally) -> None:
    await _send(target, tally, target.head("GET", f"{PLANS}?a={'a' * 500_000}") + b"\r\n")


_BOMB = gzip.compress(bytes(200_000_000), compresslevel=1)


async def gzip_bombs(target: Target, tally: Tally) -> None:
    """Nine hundred kilobytes that would be two hundred million."""
    await _send(target, tally, target.usage(_BOMB, "Content-Encoding: gzip"))


async def nested(target: Target, tally: Tally) -> None:
    body = _chance.choice(
        [b"[" * 900_000, b'{"a":' * 150_000, b"9" * 900_000, b'{"quantity": ' + b"1" * 900_000 + b"}"]
    )
    await _send(target, tally, target.usage(body))


async def too_long_by_its_word(target: Target, tally: Tally) -> None:
    head = target.head("POST", "/api/billing/usage", JSON, "Content-Length: 10000000000") + b"\r\n"
    await _send(target, tally, head, b" " * 100_000)


async def too_long_unsaid(target: Target, tally: Tally) -> None:
    """Chunks without end."""
    piece = b"10000\r\n" + b" " * 65_536 + b"\r\n"
    head = target.head("POST", "/api/billing/usage", JSON, "Transfer-Encoding: chunked") + b"\r\n"

    async def endless() -> AsyncIterator[bytes]:
        while True:
            yield piece
            await asyncio.sleep(0)

    await _drip(target, tally, head, endless())


async def broken_off(target: Target, tally: Tally) -> None:
    """A use, all but the last byte of it or with the length of more, and gone. Nothing of it may be recorded."""
    broken = (
        target.usage(USE)[:-1],
        target.usage(USE).replace(f"Content-Length: {len(USE)}".encode(), b"Content-Length: 4000"),
        target.head("POST", "/api/billing/usage", JSON, "Transfer-Encoding: chunked")
        + b"\r\n%x\r\n%s\r\n" % (len(USE), USE),
        target.head("POST", "/api/billing/usage", JSON, "Transfer-Encoding: chunked")
        + b"\r\n%x\r\n%s\r\nzz" % (len(USE), USE),
    )
    async with target.connection() as (_, writer):
        writer.write(_chance.choice(broken))
        await writer.drain()
        await asyncio.sleep(0.05)
    tally.add(CLOSED)


async def pipelined_garbage(target: Target, tally: Tally) -> None:
    """Many requests in one go, and then what is none."""
    good = target.head("GET", PLANS) + b"\r\n"
    chosen = _chance.choice(
        [
            os.urandom(4_000),
            b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + os.urandom(500),
            b"GET\r\n\r\n",
            b"GET / HTTP/9.9\r\n\r\n",
            b"GET / HTTP/1.1\r\nHost: a\r\nContent-Length: -1\r\n\r\n",
            b"GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab",
            b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\nG",
            b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nffffffffffffffffff\r\n",
            b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + os.urandom(500),
        ]
    )
    async with target.connection() as (reader, writer):
        try:
            writer.write(good * 20 + chosen)
            await writer.drain()
        except OSError:
            pass
        for _ in itertools.count():
            answer = await status_of(reader, seconds=ANSWER_SECONDS)
            tally.add(answer)
            if not answer.startswith("2"):
                break


SLOW = (slow_headers, slow_bodies, slow_chunks, mute, slow_readers)
QUICK = (
    header_bombs,
    long_addresses,
    gzip_bombs,
    nested,
    too_long_by_its_word,
    too_long_unsaid,
    broken_off,
    pipelined_garbage,
)
