"""The example host: what each act costs, what is refused and how, and jobs that tell their use themselves."""

from collections import Counter
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path

import pytest
from django.conf import settings

from billing.accounts import actors, operations
from billing.accounts.actors import Act
from billing.catalog import operations as catalog_operations
from billing.catalog import parsing
from billing.lifecycle import onboard
from billing.models import Organization, UsageDebitHold, UsageEvent
from billing.reporting.doctor import verify
from billing_project.celery import app
from examples.casework import tasks
from examples.casework.models import Case, Result
from tests.support import factories
from tests.support.api import Answer, Api

pytestmark = pytest.mark.django_db
START = factories.at("2026-03-02")
OPERATOR = actors.operator("test")


@pytest.fixture(autouse=True)
def catalog() -> None:
    catalog = parsing.load(Path(settings.BILLING_PLANS_FILE))
    catalog_operations.sync(spec=catalog, actor="test", now=START)


@pytest.fixture
def at_once() -> Iterator[None]:
    """Tasks run where they are sent."""
    app.conf.task_always_eager = True
    yield
    app.conf.task_always_eager = False


def subscribed(plan_code: str) -> tuple[Organization, Api]:
    organization = factories.sandbox(clock_at=START)
    onboard.subscribe(organization=organization, plan_code=plan_code, actor=OPERATOR, now=START)
    _, secret = operations.create_key(
        organization=organization, name="host", scopes=[Act.READ, Act.USAGE], actor=OPERATOR
    )
    return organization, Api(secret)


def create(api: Api, reference: str = "C-1", **headers: str) -> Answer:
    return api.post("/v1/cases", {"reference": reference, "title": "A case"}, **headers)


METERS = ("case_created", "evaluation_run", "lifecycle_transition", "document_generated")


def counted() -> dict[str, int]:
    return dict(Counter(UsageEvent.objects.values_list("meter_id", flat=True)))


def assert_refused(answer: Answer, note: str) -> None:
    assert answer.status == 402
    assert (answer.json["error"], answer.json["notes"]) == ("plan_limit_exceeded", [note])
    assert answer.json["detail"]


def test_every_act_is_counted_once_for_its_key() -> None:
    _, api = subscribed("team")
    for _ in range(2):
        made = create(api, Idempotency_Key="make")
        assert made.status == 201
        case = made.json["id"]
        answers = [
            api.post("/v1/cases/evaluate", {"case": case}, Idempotency_Key="evaluate"),
            api.post(f"/v1/cases/{case}/documents", {"kind": "letter"}, Idempotency_Key="letter"),
            api.post(f"/v1/case-lifecycle/{case}/submit", Idempotency_Key="submit"),
        ]
        assert [answer.status for answer in answers] == [201, 201, 200]
        assert answers[2].json["state"] == "submitted"
    assert counted() == dict.fromkeys(METERS, 1)
    assert (Case.objects.count(), Result.objects.count()) == (1, 2)
    assert verify() == []


def test_what_fails_after_the_quota_was_taken_gives_it_back() -> None:
    _, api = subscribed("team")
    case = create(api).json["id"]
    taken = create(api)
    assert (taken.status, taken.code) == (409, "reference_taken")
    wrong = api.post(f"/v1/case-lifecycle/{case}/reopen")
    assert (wrong.status, wrong.code) == (409, "wrong_state")
    assert counted() == {"case_created": 1}
    assert verify() == []


def test_features_that_the_plan_does_not_have_are_402() -> None:
    _, api = subscribed("free")
    case = create(api).json["id"]
    assert_refused(
        api.post(f"/v1/case-lifecycle/{case}/submit"), "billing:feature-disabled:lifecycle_transitions_enabled"
    )
    assert_refused(
        api.post(f"/v1/cases/{case}/documents", {"kind": "letter"}),
        "billing:feature-disabled:document_generation_enabled",
    )
    assert Case.objects.get().state == "open"
    assert not Result.objects.exists()


def test_limits_are_exact_at_their_edge() -> None:
    _, api = subscribed("free")
    case = create(api).json["id"]
    statuses = [api.post("/v1/cases/evaluate", {"case": case}).status for _ in range(21)]
    assert statuses == [201] * 20 + [402]
    assert Result.objects.count() == 20
    assert_refused(api.post("/v1/cases/evaluate", {"case": case}), "billing:quota-exceeded:max_evaluations_per_month")


def test_without_a_subscription_nothing_is_made() -> None:
    organization = factories.sandbox(clock_at=START)
    _, secret = operations.create_key(organization=organization, name="host", scopes=[Act.USAGE], actor=OPERATOR)
    assert_refused(create(Api(secret)), "billing:subscription-missing")
    assert not Case.objects.exists()


def test_cases_are_listed_page_by_page_and_only_ones_own() -> None:
    _, api = subscribed("team")
    other, stranger = subscribed("team")
    for number in range(3):
        create(api, f"C-{number}")
    first = api.get("/v1/cases?limit=2")
    assert [case["reference"] for case in first.json["results"]] == ["C-2", "C-1"]
    rest = api.get(first.json["next"].partition("/api")[2])
    assert ([case["reference"] for case in rest.json["results"]], rest.json["next"]) == (["C-0"], None)
    assert stranger.get("/v1/cases").json["results"] == []
    assert api.get(f"/v1/cases?organization={other.slug}").status == 404
    case = first.json["results"][0]["id"]
    assert stranger.post("/v1/cases/evaluate", {"case": case}).status == 404
    assert stranger.post(f"/v1/case-lifecycle/{case}/submit").status == 404
    assert Api().get("/v1/cases").status == 401


def test_a_platform_key_names_the_organization() -> None:
    organization, _ = subscribed("team")
    _, secret = operations.create_key(organization=None, name="platform", scopes=[Act.READ, Act.USAGE], actor=OPERATOR)
    platform = Api(secret)
    body = {"reference": "C-1", "title": "A case"}
    assert platform.post("/v1/cases", body).fields == ["organization"]
    assert platform.post(f"/v1/cases?organization={organization.slug}", body).status == 201
    assert Case.objects.get().organization_id == organization.id


def test_jobs_tell_their_use_by_themselves(at_once: None) -> None:
    _, api = subscribed("team")
    case = create(api).json["id"]
    for _ in range(2):
        tasks.plan(case, "1", ["ESC-7"])
        tasks.instrumentation(case, "1", ["safety-interlock"])
        tasks.analysis(case, "1", "ACGT" * 300)
    plan, run, analysis = UsageEvent.objects.exclude(service="").order_by("id")
    assert (plan.meter_id, plan.guardrail_flags) == ("planner_finalization", ["esc_7", "open_escalation"])
    assert (run.meter_id, run.guardrail_flags) == ("instrumentation_run", ["safety_interlock"])
    assert (analysis.meter_id, analysis.service, analysis.quantity) == (
        "sequence_analysis",
        "analytics",
        Decimal("1.2"),
    )
    # Within the plan's runs: it costs nothing, so nothing is held.
    assert not UsageDebitHold.objects.exists()
    assert Result.objects.count() == 2
    assert verify() == []


def test_jobs_are_started_over_the_api(at_once: None) -> None:
    _, api = subscribed("team")
    case = create(api).json["id"]
    for job in ("plan", "instrumentation", "analysis"):
        for _ in range(2):
            started = api.post(f"/v1/cases/{case}/jobs", {"job": job, "flags": ["drift"]}, Idempotency_Key="run-1")
            assert (started.status, started.json) == (202, {"job": job, "run": "run-1"})
    assert sorted(UsageEvent.objects.exclude(service="").values_list("service", flat=True)) == [
        "analytics", "instrumentation", "planner",
    ]  # fmt: skip


def test_a_job_that_the_plan_refuses_leaves_nothing() -> None:
    _, api = subscribed("free")
    case = create(api).json["id"]
    with pytest.raises(Exception, match="planner_enabled"):
        tasks.plan(case, "1", [])
    assert not Result.objects.exists()
