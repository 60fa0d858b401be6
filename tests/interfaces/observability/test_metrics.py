"""The figures equal committed rows, and only machines that may see them do."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone
from prometheus_client.parser import text_string_to_metric_families
from pytest_django import Settings

from billing.infra import outbox, refusals
from billing.kernel.ids import new_id
from billing.kernel.periods import LIFETIME
from billing.models import (
    InvariantResult,
    Invoice,
    MarketplaceSubscription,
    Meter,
    Organization,
    Plan,
    ProviderInboxEvent,
    Subscription,
    SubscriptionPeriod,
    UsageWindow,
    WebhookEndpoint,
)
from billing.notifications import dispatch
from billing.reporting.metrics import ISSUE_LATE_AFTER
from tests.support import webhooks

TOKEN = "token-of-the-scraper"
FAR = "203.0.113.7"
NOW = datetime.now(UTC)


@pytest.fixture(autouse=True)
def token(settings: Settings) -> None:
    settings.METRICS_TOKEN = TOKEN


def scrape(client: Client) -> dict[str, dict[tuple[str, ...], float]]:
    response = client.get("/internal/metrics", headers={"authorization": f"Bearer {TOKEN}"}, REMOTE_ADDR=FAR)
    assert response.status_code == 200
    figures: dict[str, dict[tuple[str, ...], float]] = {}
    for family in text_string_to_metric_families(response.content.decode()):
        for sample in family.samples:
            figures.setdefault(sample.name, {})[tuple(sample.labels.values())] = sample.value
    return figures


def subscribe(plan: Plan, *, status: str = "active", ends_at: datetime, **organization: Any) -> Subscription:
    of = Organization.objects.create(slug=f"o-{new_id().hex[-12:]}", name="O", residency_region="eu", **organization)
    subscription = Subscription.objects.create(
        organization=of,
        product="platform",
        plan=plan,
        status=status,
        currency="USD",
        starts_at=ends_at - timedelta(days=30),
        anchor_at=ends_at - timedelta(days=30),
        ended_at=None if status != "canceled" else ends_at,
    )
    SubscriptionPeriod.objects.create(
        organization=of,
        subscription=subscription,
        ordinal=1,
        kind="regular",
        starts_at=ends_at - timedelta(days=30),
        ends_at=ends_at,
        nominal_ends_at=ends_at,
    )
    MarketplaceSubscription.objects.create(organization=of, subscription=subscription, credit_balance=Decimal("2.5"))
    return subscription


@pytest.fixture
def plan(db: None) -> Plan:
    return Plan.objects.create(code="team", version=1, name="Team", billing_period="month", content_digest="x")


@pytest.mark.django_db
def test_events_and_violations_equal_the_rows(client: Client, plan: Plan) -> None:
    meter = Meter.objects.create(code="case_created")
    for number, cadence in ((7, "never"), (5, "monthly"), (4, "never")):
        subscription = subscribe(plan, ends_at=NOW + timedelta(days=3))
        UsageWindow.objects.create(
            organization=subscription.organization,
            subscription=subscription,
            meter=meter,
            cadence=cadence,
            starts_at=LIFETIME.starts_at,
            ends_at=LIFETIME.ends_at,
            used=100,
            overage=0,
            events=number,
        )
        refusals.count(subscription.organization_id, ["billing:quota-exceeded:case_created"], NOW)
    figures = scrape(client)
    assert figures["billing_events_total"] == {("case_created",): 11}
    assert figures["plan_limit_violations_total"] == {("billing:quota-exceeded:case_created",): 3}
    refusals.prune(before=NOW + timedelta(days=1))
    assert scrape(client)["plan_limit_violations_total"] == {("billing:quota-exceeded:case_created",): 3}


@pytest.mark.django_db
def test_states_of_the_books(client: Client, plan: Plan) -> None:
    subscribe(plan, ends_at=NOW + timedelta(days=3))
    subscribe(plan, ends_at=NOW - timedelta(seconds=1))
    subscribe(plan, ends_at=NOW - timedelta(days=3), status="canceled")
    subscribe(plan, ends_at=NOW - timedelta(days=3), is_sandbox=True, clock_at=NOW - timedelta(days=9))
    outbox.emit(organization_id=new_id(), topic="x", payload={}, now=NOW - timedelta(days=400))
    figures = scrape(client)
    assert figures["billing_subscriptions"] == {("team", "active"): 3, ("team", "canceled"): 1}
    assert figures["billing_periods_overdue"] == {(): 1}
    assert figures["billing_credit_liability"] == {(): 7.5}
    assert figures["billing_outbox_pending"] == {(): 1}
    assert 0 <= figures["billing_outbox_oldest_seconds"][()] < 60
    assert figures["billing_books_readable"] == {(): 1}


@pytest.mark.django_db
def test_last_verification_of_all_books(client: Client) -> None:
    assert scrape(client)["billing_verified_timestamp_seconds"] == {(): 0}
    for name, days, violations in (("balance", 2, 0), ("windows", 1, 3)):
        InvariantResult.objects.create(
            name=name,
            verified_at=NOW - timedelta(days=days),
            is_whole=True,
            violations=violations,
            rows=[],
            duration_ms=1,
        )
    figures = scrape(client)
    assert figures["billing_invariant_violations"] == {("balance",): 0, ("windows",): 3}
    asked = figures["billing_invariant_verified_timestamp_seconds"]
    assert asked[("balance",)] == pytest.approx((NOW - timedelta(days=2)).timestamp())
    assert figures["billing_verified_timestamp_seconds"][()] == pytest.approx((NOW - timedelta(days=1)).timestamp())


@pytest.mark.django_db
def test_number_of_queries_does_not_grow_with_rows(client: Client, plan: Plan) -> None:
    numbers = []
    for _ in range(2):
        with CaptureQueriesContext(
            connection,
        ) as queries:
            scrape(client)
        numbers.append(len(queries))
        for _ in range(5):
            subscribe(plan, ends_at=NOW)
    assert numbers[0] == numbers[1] <= 20


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("address", "headers", "status"),
    [
        ("127.0.0.1", {}, 200),
        ("::1", {}, 200),
        ("::ffff:127.0.0.1", {}, 200),
        (FAR, {}, 403),
        ("", {}, 403),
        (FAR, {"x-forwarded-for": "127.0.0.1"}, 403),
        (FAR, {"x-real-ip": "127.0.0.1", "forwarded": "for=127.0.0.1"}, 403),
        ("127.0.0.1", {"x-forwarded-for": FAR}, 403),
        ("127.0.0.1", {"x-forwarded-for": "127.0.0.1"}, 403),
        (FAR, {"authorization": f"Bearer {TOKEN}"}, 200),
        (FAR, {"authorization": f"bearer {TOKEN}", "x-forwarded-for": FAR}, 200),
        (FAR, {"authorization": f"Bearer {TOKEN}x"}, 403),
        (FAR, {"authorization": "Bearer "}, 403),
        (FAR, {"authorization": f"Basic {TOKEN}"}, 403),
        (FAR, {"authorization": "Bearer \u00e4"}, 403),
    ],
)
def test_metrics_are_for_this_machine_or_a_bearer(
    client: Client, address: str, headers: dict[str, str], status: int
) -> None:
    response = client.get("/internal/metrics", headers=headers, REMOTE_ADDR=address)
    assert response.status_code == status
    assert (b"billing_events_total" in response.content) == (status == 200)


@pytest.mark.django_db
def test_without_a_configured_token_no_bearer_is_let_in(client: Client, settings: Settings) -> None:
    settings.METRICS_TOKEN = ""
    for offered in ("Bearer ", "Bearer", "Bearer x"):
        response = client.get("/internal/metrics", headers={"authorization": offered}, REMOTE_ADDR=FAR)
        assert response.status_code == 403


@pytest.mark.django_db
def test_latency_by_view_is_there(client: Client) -> None:
    client.get("/healthz")
    seen = scrape(client)["django_http_requests_latency_seconds_by_view_method_count"]
    assert seen[("GET", "healthz")] >= 1


@pytest.mark.django_db
def test_answers_are_counted_by_status_view_and_method(client: Client) -> None:
    def seen(name: str, *labels: str) -> float:
        return scrape(client).get(f"django_http_{name}_total", {}).get(labels, 0)

    for method, view, status in (
        ("GET", "<unnamed view>", 404),
        ("POST", "healthz", 405),
        # Whatever clients call a method, it is one name here.
        ("BREW", "healthz", 405),
    ):
        named = method if method != "BREW" else "<invalid method>"
        labels = (named, str(status), view)
        before = seen("responses_total_by_status_view_method", *labels), seen("responses_total_by_status", str(status))
        answer = client.generic(method, "/healthz" if view == "healthz" else "/nothing/is/here")
        assert answer.status_code == status
        after = seen("responses_total_by_status_view_method", *labels), seen("responses_total_by_status", str(status))
        assert after == (before[0] + 1, before[1] + 1), labels


@pytest.mark.django_db
def test_a_defect_is_counted_by_its_type_and_view(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail() -> None:
        raise RuntimeError("a defect")

    monkeypatch.setattr("billing.observability.MigrationRecorder", lambda _: fail())
    client.raise_request_exception = False
    before = scrape(client).get("django_http_exceptions_total_by_type_total", {}).get(("RuntimeError",), 0)
    assert client.get("/readyz").status_code == 500
    after = scrape(client)
    assert after["django_http_exceptions_total_by_type_total"]["RuntimeError",] == before + 1
    assert after["django_http_exceptions_total_by_view_total"]["readyz",] >= 1
    assert after["django_http_responses_total_by_status_view_method_total"]["GET", "500", "readyz"] >= 1


@pytest.mark.django_db
def test_webhooks_that_fail_are_seen(client: Client) -> None:
    made, paused, gone = (webhooks.endpoint()[0] for _ in range(3))
    WebhookEndpoint.objects.filter(id=paused.id).update(paused_at=NOW, pause_reason="failing")
    for endpoint in (made, made, paused, gone):
        webhooks.emit(endpoint.organization, "a")
    dispatch.distribute(now=NOW)
    WebhookEndpoint.objects.filter(id=gone.id).update(disabled_at=NOW)
    figures = scrape(client)
    assert figures["billing_webhook_endpoints"] == {("active",): 1, ("paused_manual",): 0, ("paused_failing",): 1}
    assert figures["billing_webhook_deliveries_pending"] == {(): 3}
    assert figures["billing_outbox_pending"] == {(): 0}


@pytest.mark.django_db
def test_events_of_providers_that_wait_or_are_parked_are_seen(client: Client) -> None:
    assert scrape(client)["billing_provider_events"] == {("waiting",): 0, ("parked",): 0}
    now = timezone.now()
    for number, status in enumerate(("waiting", "waiting", "parked", "applied")):
        is_waiting = status == "waiting"
        ProviderInboxEvent.objects.create(
            provider="stub",
            event_id=f"evt_{number}",
            type="x",
            occurred_at=now,
            received_at=now - timedelta(seconds=90),
            status=status,
            next_attempt_at=now if is_waiting else None,
            finished_at=None if is_waiting else now,
        )
    figures = scrape(client)
    assert figures["billing_provider_events"] == {("waiting",): 2, ("parked",): 1}
    assert 90 <= figures["billing_provider_events_oldest_seconds"][()] < 120


@pytest.mark.django_db
def test_drafts_that_wait_or_are_late_are_seen(client: Client, plan: Plan) -> None:
    names = ("billing_invoices_held", "billing_invoices_parked", "billing_invoices_overdue_for_issue")
    assert [scrape(client)[name] for name in names] == [{(): 0}] * 3
    late = NOW - ISSUE_LATE_AFTER
    states: list[dict[str, Any]] = [
        {"held_at": NOW},
        *[{"parked_at": NOW, "parked_reason": "odd"}] * 2,
        {"issue_due_at": late - timedelta(seconds=1)},
        # The suite runs for minutes after this module was read.
        {"issue_due_at": late + timedelta(hours=2)},
    ]
    for in_sandbox in (False, True):
        fields: dict[str, Any] = {"is_sandbox": True, "clock_at": NOW} if in_sandbox else {}
        subscription = subscribe(plan, ends_at=NOW, **fields)
        for number, state in enumerate(states):
            Invoice.objects.create(
                organization=subscription.organization,
                subscription=subscription,
                period=subscription.periods.get(),
                kind="change",
                occurrence=number,
                currency="USD",
                starts_at=NOW,
                ends_at=NOW,
                drafted_at=NOW,
                **state,
            )
    Invoice.objects.filter(parked_at__isnull=False, occurrence=2).update(status="void")
    assert [scrape(client)[name] for name in names] == [{(): 1}, {(): 1}, {(): 1}]
