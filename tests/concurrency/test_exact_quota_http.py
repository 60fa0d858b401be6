"""The same races through the real web server, two processes and 32 connections."""

import http.client
import json
from collections import Counter
from urllib.parse import urlsplit

from django.utils import timezone

from billing.accounts import operations as accounts_operations
from billing.accounts.actors import Act
from billing.models import Organization, UsageEvent, UsageWindow
from billing.reporting.doctor import verify
from tests.concurrency.test_exact_quota import OPERATOR, in_threads, tenant
from tests.support.http import HttpServer


class Caller:
    """One keep-alive connection to the server."""

    def __init__(self, server: HttpServer, secret: str) -> None:
        self.connection = http.client.HTTPConnection(urlsplit(server.url).netloc, timeout=60)
        self.headers = {"Authorization": f"Bearer {secret}", "Content-Type": "application/json"}

    def post(self, path: str, body: object) -> tuple[int, dict[str, object]]:
        # 503 is a lock that took too long on a machine under load: a caller tries the same key again.
        while True:
            self.connection.request("POST", path, json.dumps(body), self.headers)
            answer = self.connection.getresponse()
            document = json.loads(answer.read())
            if answer.status != 503:
                return answer.status, document


def secret_of(organization: Organization) -> str:
    _, secret = accounts_operations.create_key(
        organization=organization,
        name="race",
        scopes=[Act.READ, Act.USAGE],
        actor=OPERATOR,
    )
    return secret


def test_32_connections_and_1600_offers_against_500_admit_exactly_500(http_server: HttpServer) -> None:
    organization = tenant()
    secret = secret_of(organization)

    def act(number: int) -> Counter[int]:
        caller = Caller(http_server, secret)
        return Counter(
            caller.post("/api/billing/usage", {"meter": "job", "quantity": "1", "idempotency_key": f"{number}-{n}"})[0]
            for n in range(50)
        )

    answers = sum(in_threads(32, act), Counter[int]())
    assert answers == {201: 500, 402: 1100}
    assert UsageEvent.objects.count() == 500
    assert UsageWindow.objects.get(cadence="never").used == 500
    assert verify() == []


def test_32_twins_over_http_are_counted_once(http_server: HttpServer) -> None:
    organization = tenant()
    secret = secret_of(organization)
    at = timezone.now().isoformat()
    body = {"meter": "job", "quantity": "1", "idempotency_key": "same", "occurred_at": at}
    answers = in_threads(32, lambda _: Caller(http_server, secret).post("/api/billing/usage", body))
    assert Counter(status for status, _ in answers) == {201: 1, 200: 31}
    assert len({json.dumps(document["event"]) for _, document in answers}) == 1
