"""A database that is killed, or that just stops answering, in the middle of a decision: blocked, soon, and never
allowed. Whatever else is asked then ends, too. The database is a server of the test's own."""

import contextlib
import json
import signal
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import psycopg
import pytest
from django.core.management import call_command
from django.db import OperationalError, connection, connections
from django.utils import timezone
from pytest_django.plugin import DjangoDbBlocker

from billing import policy
from billing.accounts import operations as accounts_operations
from billing.accounts.actors import Act
from billing.infra import deadlines, locks
from billing.models import Organization, PolicyDecision, UsageEvent
from billing_project.embedded import postgres
from billing_project.embedded.postgres import Postgres
from tests.concurrency.test_exact_quota import OPERATOR, tenant
from tests.support import clusters
from tests.support.http import HttpServer

SECONDS_MAX = 5.0
# After how long a request asks whether the database is there, and how long it and those behind it then last at most:
# two for that answer, five for one connection, and a little.
SILENCE_SECONDS = 1.0
ANSWER_SECONDS_MAX = SILENCE_SECONDS + 2 + 5 + 2
Reply = tuple[float, int, dict[str, Any]]


@dataclass(frozen=True)
class Doomed:
    """A server that may be lost, with one organization on a plan of 500 jobs."""

    server: Postgres
    organization: Organization
    secret: str

    def signal_all(self, number: signal.Signals) -> None:
        clusters.signal_all(self.server.child, number)

    @contextlib.contextmanager
    def locked_books(self) -> Iterator[None]:
        """Hold the organization's lock, so that a decision that records has to wait in the middle."""
        holder = psycopg.connect(self.server.url)
        holder.execute("SELECT pg_advisory_xact_lock(%s)", [locks.lock_key(self.organization.id)])
        yield
        # Not a rollback, which would wait for a server that is not there.
        holder.close()


@pytest.fixture(scope="module")
def doomed(tmp_path_factory: pytest.TempPathFactory, django_db_blocker: DjangoDbBlocker) -> Iterator[Doomed]:
    server = postgres.start(
        tmp_path_factory.mktemp("doomed") / "postgres", major=postgres.major_from_environment(), durable=False
    )
    place = urlsplit(server.url)
    there = {
        "NAME": place.path.removeprefix("/"),
        "HOST": place.hostname,
        "PORT": place.port,
        "USER": place.username,
        "PASSWORD": place.password,
    }
    before = {alias: dict(connections.settings[alias]) for alias in connections}
    connections.close_all()
    _point(dict.fromkeys(before, there))
    try:
        with django_db_blocker.unblock():
            call_command("migrate", verbosity=0, interactive=False)
            organization = tenant()
            _, secret = accounts_operations.create_key(
                organization=organization, name="launcher", scopes=[Act.READ, Act.USAGE], actor=OPERATOR
            )
            made = Doomed(server, organization, secret)
            yield made
            made.signal_all(signal.SIGCONT)
    finally:
        connections.close_all()
        _point(before)
        server.child.stop(timeout_seconds=5)


def _point(settings: dict[str, dict[str, Any]]) -> None:
    for alias, values in settings.items():
        connections.settings[alias] |= values
        connections[alias].settings_dict |= values


def ask(web: HttpServer, doomed: Doomed, *, records: bool = False, secret: str | None = None) -> Reply:
    """Seconds it took, status and body."""
    body = {"organization": str(doomed.organization.id), "requirements": [{"event": "job"}], "record": records}
    key = doomed.secret if secret is None else secret
    request = urllib.request.Request(
        f"{web.url}/api/policy/placements/evaluate",
        json.dumps(body).encode(),
        {"Content-Type": "application/json", **({"Authorization": f"Bearer {key}"} if key else {})},
    )
    began = time.monotonic()
    try:
        with urllib.request.urlopen(request, timeout=30) as response:
            status, raw = response.status, response.read()
    except urllib.error.HTTPError as error:
        status, raw = error.code, error.read()
    return time.monotonic() - began, status, json.loads(raw)


def assert_blocked(answer: Reply) -> None:
    seconds, status, decision = answer
    assert (status, decision["allowed"]) == (200, False), decision
    assert decision["notes"] == ["billing:error:database"]
    assert (decision["evaluation_required"], decision["governance_required"]) == (True, True)
    assert seconds < SECONDS_MAX
    # Nothing is told to someone whose key could not be looked up.
    if decision["organization"] is None:
        assert decision["requirements"] == []


def in_the_middle(doomed: Doomed, act: Callable[[], Any], lose: Callable[[], None]) -> Any:
    """Run ``act``, which waits for the books, and lose the database while it does."""

    def run() -> Any:
        try:
            return act()
        finally:
            connections.close_all()

    with ThreadPoolExecutor(1) as pool, doomed.locked_books():
        answer = pool.submit(run)
        time.sleep(0.7)
        assert not answer.done()
        lose()
        return answer.result(timeout=30)


def recovers(allowed: Callable[[], bool]) -> None:
    """The next decisions are made again, as soon as a connection is tried again."""
    deadline = time.monotonic() + 20
    while not allowed():
        assert time.monotonic() < deadline
        time.sleep(0.2)


@pytest.fixture
def web(doomed: Doomed, redis_url: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[HttpServer]:
    monkeypatch.setenv("BILLING_SILENCE_SECONDS", str(SILENCE_SECONDS))
    with HttpServer.running(database_url=doomed.server.url, redis_url=redis_url) as server:
        yield server


def test_a_caller_in_the_process_is_answered_too(doomed: Doomed) -> None:
    requirement = [policy.Requirement(event="job")]

    def evaluate() -> tuple[float, PolicyDecision]:
        began = time.monotonic()
        decision = policy.evaluate(doomed.organization, requirement, actor="test", records=True, now=timezone.now())
        return time.monotonic() - began, decision

    assert evaluate()[1].allowed
    seconds, decision = in_the_middle(doomed, evaluate, lambda: doomed.signal_all(signal.SIGSTOP))
    assert (decision.allowed, decision.notes) == (False, ["billing:error:database"])
    assert seconds < SECONDS_MAX
    for _ in range(2):
        # On a connection that was there before, and then on none.
        seconds, decision = evaluate()
        assert (decision.allowed, decision.notes) == (False, ["billing:error:database"])
        assert seconds < SECONDS_MAX
    doomed.signal_all(signal.SIGCONT)
    recovers(lambda: evaluate()[1].allowed)


def test_a_database_that_stops_answering_in_the_middle_of_a_decision_blocks_it(doomed: Doomed, web: HttpServer) -> None:
    assert ask(web, doomed)[2]["allowed"] is True
    counted = UsageEvent.objects.count()
    answer = in_the_middle(
        doomed,
        lambda: ask(web, doomed, records=True),
        lambda: doomed.signal_all(signal.SIGSTOP),
    )
    assert_blocked(answer)
    assert answer[2]["id"] in web.log
    # Those that come now find connections that hang and can make no new ones; more of them than there are threads.
    with ThreadPoolExecutor(16) as pool:
        for late in pool.map(lambda number: ask(web, doomed, records=bool(number % 2)), range(16)):
            assert_blocked(late)
    assert_blocked(ask(web, doomed))
    doomed.signal_all(signal.SIGCONT)
    # Nothing of what was blocked was counted after all, and the next ones are decided again.
    assert UsageEvent.objects.count() == counted
    recovers(lambda: bool(ask(web, doomed)[2]["allowed"]))


def call(web: HttpServer, path: str, key: str = "", body: object = None) -> tuple[float, int, Mapping[str, str], bytes]:
    """Seconds it took, status, headers and body."""
    headers = {"Content-Type": "application/json", **({"Authorization": f"Bearer {key}"} if key else {})}
    request = urllib.request.Request(f"{web.url}{path}", json.dumps(body).encode() if body else None, headers)
    began = time.monotonic()
    try:
        with urllib.request.urlopen(request, timeout=60) as response:
            status, said, raw = response.status, response.headers, response.read()
    except urllib.error.HTTPError as error:
        status, said, raw = error.code, error.headers, error.read()
    return time.monotonic() - began, status, said, raw


def test_other_calls_to_a_database_that_stops_answering_end_too(doomed: Doomed, web: HttpServer) -> None:
    def use(number: int) -> tuple[float, int, Mapping[str, str], bytes]:
        used = {"meter": "job", "quantity": "1", "idempotency_key": f"used-{number}"}
        return call(web, "/api/billing/usage", doomed.secret, used)

    assert use(0)[1] == 201
    answer = in_the_middle(doomed, lambda: use(1), lambda: doomed.signal_all(signal.SIGSTOP))
    # As many again as there are threads find connections that hang, the others none; pages like the rest.
    paths = ["/", "/account/login/", "/api/billing/plans", "/dashboard/"]
    with ThreadPoolExecutor(16) as pool:
        late = [pool.submit(use, number) for number in range(2, 10)] + [pool.submit(call, web, path) for path in paths]
        answers = [answer, *(each.result() for each in late[:8])]
        pages = [each.result() for each in late[8:]]
    for seconds, status, headers, raw in answers:
        assert (status, headers["Retry-After"], json.loads(raw)["code"]) == (503, "5", "unavailable")
        assert seconds < ANSWER_SECONDS_MAX
    for seconds, status, headers, _ in pages:
        # What needs no database is answered as ever.
        assert status in (200, 302, 503)
        assert status != 503 or headers["Retry-After"] == "5"
        assert seconds < ANSWER_SECONDS_MAX
    assert pages[0][1] == 503
    assert b"Away for a moment" in pages[0][3]
    assert call(web, "/healthz")[1] == 200
    doomed.signal_all(signal.SIGCONT)
    recovers(lambda: use(1)[1] in (200, 201))
    assert UsageEvent.objects.filter(key="used-1").count() == 1


def test_work_that_takes_long_on_a_database_that_runs_goes_on(doomed: Doomed) -> None:
    with deadlines.while_it_answers(seconds=30, asks_after=0.2), connection.cursor() as cursor:
        cursor.execute("SELECT pg_sleep(0.9)")
        assert cursor.fetchone() is not None
    with (
        deadlines.while_it_answers(seconds=0.5, asks_after=0.2),
        pytest.raises(OperationalError),
        connection.cursor() as cursor,
    ):
        cursor.execute("SELECT pg_sleep(5)")
    # An outer deadline does not outlive what was lost inside, and connects anew.
    with deadlines.while_it_answers(seconds=30, asks_after=5):
        with deadlines.within(0.2), pytest.raises(OperationalError), connection.cursor() as cursor:
            cursor.execute("SELECT pg_sleep(5)")
        time.sleep(deadlines.SILENCE_SECONDS)
        connection.close()
        with connection.cursor() as cursor:
            cursor.execute("SELECT 1")


# The last one: nothing comes after it.
def test_a_database_killed_in_the_middle_of_a_decision_blocks_it(doomed: Doomed, web: HttpServer) -> None:
    for records in (False, True):
        assert ask(web, doomed, records=records)[2]["allowed"] is True
    answer = in_the_middle(
        doomed,
        lambda: ask(web, doomed, records=True),
        lambda: doomed.signal_all(signal.SIGKILL),
    )
    assert_blocked(answer)
    assert answer[2]["id"] in web.log
    for records in (False, True, False, True, False, True):
        assert_blocked(ask(web, doomed, records=records))
    # Whoever shows no key at all is not kept waiting for what is not there.
    assert ask(web, doomed, secret="")[1] == 401
