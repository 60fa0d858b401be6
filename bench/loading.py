"""Load over HTTP: by ``wrk`` where it is installed, else by a small client of ours, which then says so."""

from __future__ import annotations

import json
import os
import random
import re
import shutil
import socket
import statistics
import subprocess
import threading
import time
import urllib.parse
import uuid
from dataclasses import dataclass, field
from pathlib import Path

from bench.contests import Spoiled

SCRIPT = Path(__file__).with_name("load.lua")
WRK = shutil.which("wrk")
WARM_SECONDS = 1


@dataclass(frozen=True, slots=True)
class Request:
    """What every connection asks again and again; see ``load.lua`` for the placeholders. With ``organizations`` 0 all
    go to one organization. ``key`` is an API key; ``cookie`` stands for somebody who has signed in."""

    method: str
    target: str
    body: str = ""
    key: str = ""
    organizations: int = 0
    batch: int = 0
    cookie: str = ""


@dataclass(frozen=True, slots=True)
class Load:
    """``sent`` requests, some of which were on their way at the end; ``answers``, of which ``wrong`` were no success;
    latencies in seconds."""

    sent: int
    answers: int
    wrong: int
    seconds: float
    median: float
    p99: float

    @property
    def rate(self) -> float:
        """Answers a second."""
        return self.answers / self.seconds


class LoadFailed(Spoiled):
    """Requests were lost or refused, so that the figure would mean nothing."""


def run(address: str, request: Request, *, connections: int, seconds: float) -> tuple[Load, Load]:
    """Ask ``address`` over so many connections at once: the load that warmed it, and the one that counts.

    Raises ``LoadFailed`` if any request did not succeed."""
    ask = _by_wrk if WRK else _Client.run
    warmed, found = ask(address, request, connections, WARM_SECONDS), ask(address, request, connections, seconds)
    for load in (warmed, found):
        if load.wrong or not load.answers:
            raise LoadFailed(f"{request.method} {request.target}: {load.wrong} of {load.answers} were no success")
    return warmed, found


def _by_wrk(address: str, request: Request, connections: int, seconds: float) -> Load:
    environment = os.environ | {
        "METHOD": request.method,
        "TARGET": request.target,
        "BODY": request.body,
        "KEY": request.key,
        "COOKIE": request.cookie,
        "ORGANIZATIONS": str(request.organizations),
        "BATCH": str(request.batch),
        "RUN": uuid.uuid4().hex[:12],
        "SEED": str(random.randrange(1 << 30)),  # noqa: S311 - spreads load, protects nothing # nosec B311
    }
    threads = min(2, connections)
    told = subprocess.run(  # a fixed program # nosec B603
        [str(WRK), f"-t{threads}", f"-c{connections}", f"-d{max(1, round(seconds))}s", "-s", str(SCRIPT), address],
        env=environment,
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    found = json.loads(told.strip().splitlines()[-1])
    if found.pop("lost"):
        raise LoadFailed(f"{request.method} {request.target}: connections were lost")
    return Load(**found)


@dataclass
class _Client:
    """One process, a thread for each connection. Slower than ``wrk``, which brings all ratios nearer to 1."""

    address: str
    request: Request
    run_name: str = field(default_factory=lambda: uuid.uuid4().hex[:12])
    latencies: list[float] = field(default_factory=list)
    wrong: int = 0

    @classmethod
    def run(cls, address: str, request: Request, connections: int, seconds: float) -> Load:
        client = cls(address, request)
        began = time.monotonic()
        threads = [
            threading.Thread(target=client._ask_until, args=(began + seconds, number)) for number in range(connections)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        took = time.monotonic() - began
        ranks = statistics.quantiles(client.latencies, n=100)
        return Load(len(client.latencies), len(client.latencies), client.wrong, took, ranks[49], ranks[98])

    def _ask_until(self, end: float, number: int) -> None:
        place = urllib.parse.urlsplit(self.address)
        chance = random.Random(number)  # noqa: S311 - spreads load, protects nothing # nosec B311
        sent = 0
        with socket.create_connection((place.hostname or "", place.port or 80)) as connection:
            answers = connection.makefile("rb")
            while time.monotonic() < end:
                sent += 1
                asked = time.monotonic()
                connection.sendall(self._text(chance, f"{self.run_name}-{number}-{sent}"))
                status = int(answers.readline().split()[1])
                length = 0
                while line := answers.readline().strip():
                    if line.lower().startswith(b"content-length:"):
                        length = int(line.split(b":")[1])
                answers.read(length)
                self.latencies.append(time.monotonic() - asked)
                self.wrong += not 200 <= status <= 299

    def _credentials(self) -> str:
        request = self.request
        return f"Cookie: {request.cookie}" if request.cookie else f"Authorization: Bearer {request.key}"

    def _text(self, chance: random.Random, identity: str) -> bytes:
        request = self.request

        def organization(_: re.Match[str]) -> str:
            return f"load-{chance.randint(1, request.organizations)}" if request.organizations else "load"

        events = ", ".join(
            f'{{"meter": "calls", "quantity": "1", "idempotency_key": "{identity}-{each}"}}'
            for each in range(request.batch)
        )
        body = re.sub("@ORG", organization, request.body).replace("@KEY", identity).replace("@EVENTS", f"[{events}]")
        return (
            f"{request.method} {re.sub('@ORG', organization, request.target)} HTTP/1.1\r\nHost: localhost\r\n"
            f"{self._credentials()}\r\nContent-Type: application/json\r\n"
            f"Content-Length: {len(body)}\r\n\r\n{body}"
        ).encode()
