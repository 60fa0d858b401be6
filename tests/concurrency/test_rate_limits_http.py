"""Through the real web server, two processes: of 320 calls at once at 20 a minute exactly 20 pass."""

import http.client
from collections import Counter
from urllib.parse import urlsplit

import pytest

from billing.models import Organization
from tests.concurrency.test_exact_quota import in_threads, tenant
from tests.concurrency.test_exact_quota_http import secret_of
from tests.support.http import HttpServer

CALLERS, CALLS_EACH = 32, 10


def ask_at_once(server: HttpServer, organization: Organization, secrets: list[str], *, is_forged: bool) -> Counter[int]:
    """Statuses of 320 calls by 32 connections, each with one of ``secrets``."""

    def act(number: int) -> Counter[int]:
        connection, statuses = http.client.HTTPConnection(urlsplit(server.url).netloc, timeout=30), Counter[int]()
        for n in range(CALLS_EACH):
            address = f"198.51.{number}.{n}"
            headers = {"X-Forwarded-For": address, "X-Real-IP": address} if is_forged else {}
            if secret := secrets[number % len(secrets)]:
                headers["Authorization"] = f"Bearer {secret}"
            connection.request("GET", f"/api/billing/organizations/{organization.id}", headers=headers)
            answer = connection.getresponse()
            answer.read()
            assert (answer.getheader("Retry-After") is not None) == (answer.status == 429)
            statuses[answer.status] += 1
        connection.close()
        return statuses

    return sum(in_threads(CALLERS, act), Counter[int]())


def test_of_320_at_once_exactly_20_pass(real_db: str, redis_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    organization = tenant()
    # One at a time, so that each limit shows itself; each with and without a forged address.
    monkeypatch.setenv("BILLING_RATE_LIMIT_KEY", "20/m")
    monkeypatch.setenv("BILLING_RATE_LIMIT_ORGANIZATION", "60/m")
    monkeypatch.setenv("BILLING_RATE_LIMIT_KEYLESS", "20/m")
    with HttpServer.running(database_url=real_db, redis_url=redis_url) as server:
        for is_forged in (False, True):
            by_key = ask_at_once(server, organization, [secret_of(organization)], is_forged=is_forged)
            assert by_key == {200: 20, 429: 300}
        # Of the organization's sixty, forty are used: both of its new keys have twenty of their own.
        keys = [secret_of(organization) for _ in range(2)]
        assert ask_at_once(server, organization, keys, is_forged=True) == {200: 20, 429: 300}
        # Nobody's calls count by the address of the connection, whatever address they claim.
        assert ask_at_once(server, organization, [""], is_forged=True) == {401: 20, 429: 300}
