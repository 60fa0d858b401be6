"""``queries.diff``: what a sync would change, how many it touches, and who would at once be over a lowered limit."""

from datetime import datetime
from decimal import Decimal

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from billing.catalog import operations, parsing, queries
from billing.catalog.diffing import FieldChange, OverLimit, PlanChange, Step
from billing.models import Organization, Plan, Subscription, UsageWindow
from tests.support import factories

NOW = factories.at("2026-03-15 12:00:00")
LIFE = (factories.at("1970-01-01"), factories.at("9999-01-01"))
MARCH = (factories.at("2026-03-01"), factories.at("2026-04-01"))
FEBRUARY = (factories.at("2026-02-01"), factories.at("2026-03-01"))

TEXT = """\
default_plan: free
events: {case_created: [max_cases], run: [runs], task: [tasks_per_period]}
plans:
  free: {limits: {max_cases: 100, runs: 0, tasks_per_period: null}}
  pro:
    limits: {max_cases: null, tasks_per_period: 50}
    entitlements: {runs: {limit: 100, cadence: monthly}}
"""

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def catalog() -> None:
    operations.sync(spec=parsing.load(TEXT), actor="cli:ada", now=NOW)


def customer(slug: str, plan: str = "pro", **fields: object) -> Subscription:
    organization = factories.organization(slug=slug, **fields)
    return factories.subscription(
        organization=organization,
        plan=Plan.objects.get(code=plan, is_current=True),
        starts_at=factories.at("2026-01-01"),
    )


def used(subscription: Subscription, meter: str, quantity: int, cadence: str, span: tuple[datetime, datetime]) -> None:
    UsageWindow.objects.create(
        organization=subscription.organization,
        subscription=subscription,
        meter_id=meter,
        cadence=cadence,
        starts_at=span[0],
        ends_at=span[1],
        used=quantity,
        overage=0,
        events=1,
    )


def diff(text: str, code: str) -> PlanChange:
    return next(change for change in queries.diff(parsing.load(text), now=NOW) if change.code == code)


def over(text: str, code: str = "pro") -> list[tuple[str, str, int]]:
    return [(found.organization, found.entitlement, int(found.used)) for found in diff(text, code).over_limit]


def test_nothing_changes_and_nothing_is_written() -> None:
    customer("acme")
    assert [
        (change.code, change.step, change.organizations) for change in queries.diff(parsing.load(TEXT), now=NOW)
    ] == [
        ("free", Step.UNCHANGED, 0),
        ("pro", Step.UNCHANGED, 1),
    ]
    assert queries.diff_settings(parsing.load(TEXT)) == []
    diff(TEXT.replace("limit: 100", "limit: 10"), "pro")
    assert (Plan.objects.count(), queries.catalog_version()) == (2, 1)


def test_it_names_new_changed_and_retired_plans() -> None:
    customer("acme")
    customer("beta", "free")
    text = TEXT.replace("  free:", "  start:").replace("default_plan: free", "default_plan: start")
    changes = queries.diff(parsing.load(text.replace("limit: 100", "limit: 10")), now=NOW)
    assert [(change.code, change.step, change.version, change.organizations) for change in changes] == [
        ("free", Step.RETIRED, 1, 1),
        ("pro", Step.VERSIONED, 2, 1),
        ("start", Step.CREATED, 1, 0),
    ]
    assert changes[1].fields == (FieldChange("entitlements.runs.limit", "100", "10"),)
    assert queries.diff_settings(parsing.load(text)) == [FieldChange("default_plan", "free", "start")]


def test_it_says_what_sync_then_does() -> None:
    customer("acme")
    spec = parsing.load(
        TEXT.replace("run: [runs]", "run: [runs], fresh: [freshes]").replace("runs: 0,", "runs: 0, freshes: 3,")
    )
    foretold = {change.code: (change.step, change.version) for change in queries.diff(spec, now=NOW)}
    report = operations.sync(spec=spec, actor="cli:ada", now=NOW)
    assert {step.code: (step.step, step.version) for step in report.plans} == foretold
    assert foretold == {"free": (Step.REWRITTEN, 1), "pro": (Step.UNCHANGED, 1)}


@pytest.mark.parametrize(("quantity", "is_over"), [(9, False), (10, False), (11, True)])
def test_over_means_more_than_the_new_limit(quantity: int, is_over: bool) -> None:
    used(customer("acme"), "run", quantity, "monthly", MARCH)
    assert over(TEXT.replace("limit: 100", "limit: 10")) == ([("acme", "runs", quantity)] if is_over else [])


def test_only_the_current_window_of_that_meter_and_cadence_counts() -> None:
    acme = customer("acme")
    used(acme, "run", 99, "monthly", FEBRUARY)
    used(acme, "run", 99, "never", LIFE)
    used(acme, "task", 99, "monthly", MARCH)
    assert over(TEXT.replace("limit: 100", "limit: 10")) == []
    assert over(TEXT.replace("limit: 100, cadence: monthly", "limit: 10, cadence: never")) == [("acme", "runs", 99)]


def test_a_limit_that_rises_or_stays_touches_nobody() -> None:
    used(customer("acme"), "run", 5000, "monthly", MARCH)
    assert over(TEXT.replace("limit: 100", "limit: 101")) == []
    assert over(TEXT.replace("limit: 100", "limit: null")) == []


def test_unlimited_that_becomes_limited_is_lowered() -> None:
    used(customer("acme"), "case_created", 8, "never", LIFE)
    change = diff(TEXT.replace("max_cases: null", "max_cases: 7"), "pro")
    assert change.over_limit == (OverLimit("acme", "max_cases", Decimal(8), None, Decimal(7)),)
    assert change.as_dict()["over_limit"] == [
        {"organization": "acme", "entitlement": "max_cases", "used": "8", "limit_old": None, "limit_new": "7"}
    ]


def test_an_entitlement_that_goes_leaves_all_its_users_over() -> None:
    used(customer("acme"), "run", 1, "monthly", MARCH)
    used(customer("idle"), "run", 0, "monthly", MARCH)
    assert over(TEXT.replace("    entitlements: {runs: {limit: 100, cadence: monthly}}\n", "")) == [("acme", "runs", 1)]


def test_calendar_windows_count_over_the_organizations_subscriptions_and_periods_do_not() -> None:
    acme = customer("acme")
    used(acme, "run", 6, "monthly", MARCH)
    used(acme, "task", 6, "billing_period", MARCH)
    Subscription.objects.filter(pk=acme.pk).update(status="canceled", ended_at=NOW)
    again = factories.subscription(organization=acme.organization, plan=acme.plan, starts_at=NOW)
    used(again, "run", 5, "monthly", MARCH)
    used(again, "task", 5, "billing_period", (NOW, factories.at("2026-04-15")))
    lower = TEXT.replace("limit: 100", "limit: 10").replace("tasks_per_period: 50", "tasks_per_period: 4")
    assert over(lower) == [("acme", "runs", 11), ("acme", "tasks_per_period", 5)]


def test_those_without_a_live_subscription_are_not_touched() -> None:
    acme = customer("acme")
    used(acme, "run", 99, "monthly", MARCH)
    Subscription.objects.update(status="expired", ended_at=NOW)
    change = diff(TEXT.replace("limit: 100", "limit: 10"), "pro")
    assert (change.step, change.organizations, change.over_limit) == (Step.VERSIONED, 0, ())


def test_subscribers_of_older_versions_count_with_the_limit_that_they_have() -> None:
    used(customer("old"), "run", 60, "monthly", MARCH)
    text = TEXT.replace("limit: 100", "limit: 50")
    operations.sync(spec=parsing.load(text), actor="cli:ada", now=NOW)
    used(customer("new"), "run", 45, "monthly", MARCH)
    change = diff(TEXT.replace("limit: 100", "limit: 40"), "pro")
    assert (change.version, change.organizations) == (3, 2)
    assert change.over_limit == (
        OverLimit("new", "runs", Decimal(45), Decimal(50), Decimal(40)),
        OverLimit("old", "runs", Decimal(60), Decimal(100), Decimal(40)),
    )


def test_a_version_that_allows_no_more_than_the_new_one_is_not_lowered() -> None:
    operations.sync(spec=parsing.load(TEXT.replace("limit: 100", "limit: 30")), actor="cli:ada", now=NOW)
    used(customer("old"), "run", 60, "monthly", MARCH)
    operations.sync(spec=parsing.load(TEXT), actor="cli:ada", now=NOW)
    assert over(TEXT.replace("limit: 100", "limit: 40")) == []
    used(customer("new"), "run", 60, "monthly", MARCH)
    assert over(TEXT.replace("limit: 100", "limit: 40")) == [("new", "runs", 60)]


def test_a_sandbox_is_judged_by_its_own_clock() -> None:
    acme = customer("acme", is_sandbox=True, clock_at=factories.at("2026-02-10"))
    used(acme, "run", 99, "monthly", FEBRUARY)
    assert over(TEXT.replace("limit: 100", "limit: 10")) == [("acme", "runs", 99)]
    Organization.objects.filter(slug="acme").update(clock_at=factories.at("2026-03-01"))
    assert over(TEXT.replace("limit: 100", "limit: 10")) == []


def test_the_number_of_statements_does_not_grow_with_subscribers() -> None:
    spec = parsing.load(TEXT.replace("limit: 100", "limit: 10"))
    used(customer("acme"), "run", 99, "monthly", MARCH)
    with CaptureQueriesContext(connection) as few:
        queries.diff(spec, now=NOW)
    for number in range(8):
        used(customer(f"more-{number}"), "run", 99, "monthly", MARCH)
    with CaptureQueriesContext(connection) as many:
        assert len(next(change for change in queries.diff(spec, now=NOW) if change.code == "pro").over_limit) == 9
    assert len(many) == len(few)
