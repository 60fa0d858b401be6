"""The example host under load: its rows and the quota used are one number, whatever fails on the way."""

from collections import Counter

from django.utils import timezone

from billing.accounts import operations as accounts_operations
from billing.accounts.actors import Act
from billing.catalog import operations as catalog_operations
from billing.catalog import parsing
from billing.lifecycle import onboard
from billing.models import UsageEvent, UsageWindow
from billing.reporting.doctor import verify
from examples.casework.models import Case
from tests.concurrency.test_exact_quota import OPERATOR, in_threads
from tests.concurrency.test_exact_quota_http import Caller
from tests.support import factories
from tests.support.http import HttpServer

CATALOG = """
default_plan: limited
events: {case_created: [max_cases]}
plans: {limited: {name: Limited, limits: {max_cases: 100}}}
"""


def test_32_threads_create_exactly_100_cases_while_a_tenth_fails_after_the_quota_was_taken(
    http_server: HttpServer,
) -> None:
    now = timezone.now()
    catalog_operations.sync(spec=parsing.load(CATALOG, name="test"), actor="test", now=now)
    organization = factories.organization()
    onboard.subscribe(organization=organization, plan_code="limited", actor=OPERATOR, now=now)
    _, secret = accounts_operations.create_key(
        organization=organization, name="host", scopes=[Act.READ, Act.USAGE], actor=OPERATOR
    )
    body = {"reference": "taken", "title": "There from the start"}
    assert Caller(http_server, secret).post("/api/v1/cases", body)[0] == 201

    def act(number: int) -> Counter[int]:
        caller, answers = Caller(http_server, secret), Counter[int]()
        for n in range(10):
            # Every tenth is refused by the host's own table, after its use was counted in the same transaction.
            reference = "taken" if (number + n) % 10 == 0 else f"{number}-{n}"
            answers[caller.post("/api/v1/cases", {"reference": reference, "title": "A case"})[0]] += 1
        return answers

    answers = sum(in_threads(32, act), Counter[int]())
    assert answers.keys() == {201, 402, 409}
    assert (answers[201], sum(answers.values())) == (99, 320)
    assert Case.objects.count() == UsageEvent.objects.count() == 100
    assert UsageWindow.objects.get(cadence="never").used == 100
    assert verify() == []
