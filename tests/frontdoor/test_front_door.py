"""The short version of ``make frontdoor``: all attacks at once, a few seconds each; and what stays of bodies."""

from http.client import HTTPConnection
from itertools import cycle
from urllib.parse import urlsplit

import pytest

from tests.frontdoor import siege, stage
from tests.support.http import HttpServer


def test_healthy_calls_are_answered_whatever_others_do(
    real_db: str, redis_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BILLING_BODY_SECONDS", "2")
    with HttpServer.running(database_url=real_db, redis_url=redis_url) as server:
        outcomes = stage.run(server, seconds=4, together=True)
        log = server.log
    assert stage.faults_of(outcomes) == []
    quiet, slow, others = outcomes
    assert slow.clients == 200
    assert slow.tally.answers["408"] >= 40, slow
    assert others.tally.answers["413"], others
    assert others.tally.answers["200"], others
    # Each call takes its turn; nobody waits for an attacker's.
    assert max(slow.health.p99, others.health.p99) < max(2.0, 20 * quiet.health.p99), [str(each) for each in outcomes]
    assert "Traceback" not in log, log[-3000:]


def test_nothing_stays_of_bodies(real_db: str, redis_url: str) -> None:
    with HttpServer.running(database_url=real_db, redis_url=redis_url) as server:
        place = urlsplit(server.url)
        connections = [HTTPConnection(place.hostname or "", place.port, timeout=20) for _ in range(6)]
        ways = cycle((each, is_chunked) for is_chunked in (False, True) for each in connections)

        def send(times: int) -> int:
            """Bodies of 900 kB, their length said before or not; the memory of the server after them."""
            for _, (connection, is_chunked) in zip(range(times), ways, strict=False):
                # Pieces of no known number are sent as chunks.
                body = iter([b"[" * 450_000] * 2) if is_chunked else b"[" * 900_000
                headers = {"Content-Type": "application/json", "Authorization": "Bearer of nothing"}
                connection.request("POST", "/api/billing/usage", body, headers, encode_chunked=is_chunked)
                assert connection.getresponse().read()
            return siege.memory_of(siege.family_of(server.child.popen.pid))

        before = send(60)
        # Of 216 MB at most what is not collected yet.
        assert send(240) - before < 90_000_000
