"""Attacks on a server while healthy clients go on calling it, and what became of both."""

from __future__ import annotations

import asyncio
import contextlib
import statistics
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from tests.frontdoor import attacks
from tests.frontdoor.attacks import Client
from tests.frontdoor.sockets import Tally, Target, read_answer

# A quick client waits so long before it does it again.
PAUSE_SECONDS = 0.05
HEALTHY_CLIENTS = 4
HEALTHY_PAUSE_SECONDS = 0.05
MEMORY_GROWTH_MAX_BYTES = 300_000_000


@dataclass
class Health:
    """Calls of healthy clients: how long each took, in seconds, and those that did not succeed."""

    seconds: list[float] = field(default_factory=list)
    failed: list[str] = field(default_factory=list)
    recorded: int = 0

    @property
    def p99(self) -> float:
        return statistics.quantiles(self.seconds, n=100)[98] if len(self.seconds) > 1 else float("inf")

    @property
    def median(self) -> float:
        return statistics.median(self.seconds) if self.seconds else float("inf")


@dataclass(frozen=True, slots=True)
class Outcome:
    """Of one attack. ``growth`` is how many bytes the server's processes had grown at most."""

    name: str
    clients: int
    tally: Tally
    health: Health
    growth: int

    @property
    def wrong(self) -> list[str]:
        found = [f"healthy call: {each}" for each in self.health.failed[:3]]
        if self.tally.wrong:
            found.append(f"the attack was answered {self.tally}")
        if self.growth > MEMORY_GROWTH_MAX_BYTES:
            found.append(f"the server grew by {self.growth // 1_000_000} MB")
        if not self.health.seconds:
            found.append("no healthy call was answered")
        return found

    def __str__(self) -> str:
        return (
            f"{self.name:22} {self.clients:4} clients  healthy: {len(self.health.seconds):5} calls, "
            f"{len(self.health.failed)} failed, median {self.health.median * 1000:6.1f} ms, "
            f"p99 {self.health.p99 * 1000:7.1f} ms  memory {self.growth / 1e6:+5.0f} MB  answers: {self.tally}"
        )


async def besiege(
    target: Target, name: str, clients: Iterable[Client], *, seconds: float, pids: Callable[[], list[int]]
) -> Outcome:
    """All ``clients`` at once for so long, with healthy clients beside them."""
    tally, health, chosen = Tally(), Health(), list(clients)
    before = grown = memory_of(pids())
    attackers = [asyncio.create_task(_again(client, target, tally)) for client in chosen]
    # Only what is called while they are all there counts.
    await asyncio.sleep(min(1.0, seconds / 4))
    end = time.monotonic() + seconds
    healthy = [asyncio.create_task(_live(target, health, end, f"{name}-{n}")) for n in range(HEALTHY_CLIENTS)]
    while time.monotonic() < end:
        await asyncio.sleep(0.25)
        grown = max(grown, memory_of(pids()))
    await asyncio.gather(*healthy)
    for each in attackers:
        each.cancel()
    for result in await asyncio.gather(*attackers, return_exceptions=True):
        if isinstance(result, Exception):
            raise result
    return Outcome(name, len(chosen), tally, health, grown - before)


async def _again(client: Client, target: Target, tally: Tally) -> None:
    while True:
        # No connection may be had for a moment where all are taken: the attackers' own trouble.
        with contextlib.suppress(OSError):
            await client(target, tally)
        await asyncio.sleep(PAUSE_SECONDS)


async def _live(target: Target, health: Health, end: float, name: str) -> None:
    """A page, a question and a use, each on a connection of its own, as strangers would."""
    sent = 0
    while time.monotonic() < end:
        sent += 1
        use = attacks.USE.replace(b"}", b', "idempotency_key": "%s-%d"}' % (name.encode(), sent))
        for request, wanted in (
            (target.head("GET", "/healthz") + b"\r\n", 200),
            (target.head("GET", "/api/billing/organizations/acme") + b"\r\n", 200),
            (target.usage(use), 201),
        ):
            began = time.monotonic()
            try:
                async with asyncio.timeout(60), target.connection() as (reader, writer):
                    writer.write(request)
                    status, _ = await read_answer(reader)
            except (OSError, TimeoutError, asyncio.IncompleteReadError) as error:
                health.failed.append(repr(error))
                continue
            if status == wanted:
                health.seconds.append(time.monotonic() - began)
                health.recorded += wanted == 201
            else:
                health.failed.append(str(status))
        await asyncio.sleep(HEALTHY_PAUSE_SECONDS)


def memory_of(pids: list[int]) -> int:
    """Resident bytes of these processes together."""
    return sum(_resident(pid) for pid in pids)


def family_of(root: int) -> list[int]:
    """A process and all that descend from it."""
    children: dict[int, list[int]] = {}
    for pid, parent in _parents():
        children.setdefault(parent, []).append(pid)
    found = [root]
    for pid in found:
        found += children.get(pid, [])
    return found


def _parents() -> Iterator[tuple[int, int]]:
    for folder in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            yield int(folder.name), int((folder / "stat").read_text().rpartition(")")[2].split()[1])


def _resident(pid: int) -> int:
    with contextlib.suppress(OSError):
        for line in Path(f"/proc/{pid}/status").read_text().splitlines():
            if line.startswith("VmRSS:"):
                return int(line.split()[1]) * 1024
    return 0
