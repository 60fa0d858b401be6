"""The short version of ``make frontdoor``: all attacks at once, a few seconds of each kind."""

import pytest

from tests.frontdoor import stage
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
