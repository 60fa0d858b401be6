"""Recording: one way to count, exact at every limit, once per key."""

from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest

from billing.accounts import actors
from billing.lifecycle import change_plan, onboard, usage
from billing.metering import queries
from billing.metering.offers import Offer, Outcome
from billing.models import (
    CreditEntry,
    MarketplaceSubscription,
    Organization,
    OutboxEvent,
    RefusalCount,
    UsageCharge,
    UsageEvent,
    UsageEventPayload,
    UsageWindow,
)
from billing.reporting.doctor import verify
from tests.support import catalogs, factories

pytestmark = pytest.mark.django_db
NOW = factories.at("2026-03-10 12:00:00")
OPERATOR = actors.operator("test")


def tenant(plan: str, **fields: Any) -> Organization:
    catalogs.sync()
    organization = factories.sandbox(clock_at=NOW, **fields)
    onboard.subscribe(organization=organization, plan_code=plan, actor=OPERATOR, now=NOW)
    return organization


def offer(organization: Organization, meter: str, quantity: str = "1", key: str = "k", **fields: Any) -> Offer:
    return Offer(organization=organization, meter=meter, quantity=Decimal(quantity), key=key, **fields)


def record(*offers: Offer) -> list[Outcome]:
    return usage.record(offers, now=NOW)


def statuses(outcomes: list[Outcome]) -> list[str]:
    return [outcome.status for outcome in outcomes]


def test_it_counts_in_the_day_the_week_the_month_the_period_and_for_life() -> None:
    organization = tenant("free")
    (outcome,) = record(offer(organization, "case_created"))
    assert outcome.status == "accepted"
    windows = {w.cadence: w.used for w in UsageWindow.objects.filter(organization=organization)}
    assert windows == {"daily": 1, "weekly": 1, "monthly": 1, "never": 1, "billing_period": 1}
    assert verify() == []


CADENCES = """
default_plan: often
events: {run: [runs]}
plans:
  often: {name: Often, entitlements: {runs: {limit: 100, cadence: never}}}
  seldom: {name: Seldom, entitlements: {runs: {limit: 5, cadence: CADENCE}}}
"""


@pytest.mark.parametrize("cadence", ["daily", "weekly", "monthly", "never"])
def test_a_plan_chosen_in_the_middle_of_a_window_finds_what_was_used_in_it(cadence: str) -> None:
    catalogs.sync(CADENCES.replace("CADENCE", cadence))
    organization = factories.sandbox(clock_at=NOW)
    subscription = onboard.subscribe(organization=organization, plan_code="often", actor=OPERATOR, now=NOW)
    assert statuses(record(offer(organization, "run", "4", key="before"))) == ["accepted"]
    change_plan.change_now(subscription=subscription, plan_code="seldom", actor=OPERATOR, now=NOW)
    assert statuses(record(*(offer(organization, "run", key=str(n)) for n in range(2)))) == ["accepted", "refused"]
    assert verify() == []


def test_a_blocking_limit_holds_at_n_minus_one_n_and_n_plus_one() -> None:
    organization = tenant("free")
    outcomes = record(*(offer(organization, "case_created", key=str(n)) for n in range(5)))
    assert statuses(outcomes) == ["accepted"] * 3 + ["refused"] * 2
    assert outcomes[3].code == "quota_exceeded"
    assert outcomes[3].notes == ("billing:quota-exceeded:max_cases",)
    assert UsageEvent.objects.count() == 3


@pytest.mark.parametrize(("quantity", "status"), [("2", "accepted"), ("3", "accepted"), ("3.000001", "refused")])
def test_a_quantity_is_admitted_whole_or_not_at_all(quantity: str, status: str) -> None:
    organization = tenant("free")
    assert statuses(record(offer(organization, "case_created", quantity))) == [status]
    assert UsageEvent.objects.count() == (status == "accepted")


def test_the_same_key_again_gives_the_first_answer_and_counts_nothing() -> None:
    organization = tenant("free")
    (first,) = record(offer(organization, "case_created", "1"))
    (again,) = record(offer(organization, "case_created", "1.000"))
    assert (again.status, again.event) == ("duplicate", first.event)
    assert UsageWindow.objects.get(organization=organization, cadence="never").used == 1


def test_a_key_repeated_in_one_list_counts_once() -> None:
    organization = tenant("free")
    assert statuses(record(offer(organization, "case_created"), offer(organization, "case_created"))) == [
        "accepted",
        "duplicate",
    ]
    assert verify() == []


@pytest.mark.parametrize("change", [{"quantity": Decimal(2)}, {"meter": "free_form"}, {"occurred_at": NOW}])
def test_the_same_key_with_other_content_is_a_conflict(change: dict[str, Any]) -> None:
    organization = tenant("free")
    record(offer(organization, "case_created"))
    (outcome,) = record(replace(offer(organization, "case_created"), **change))
    assert (outcome.status, outcome.code) == ("conflict", "idempotency_conflict")
    assert UsageEvent.objects.count() == 1


def test_a_refusal_consumes_no_key() -> None:
    organization = tenant("free")
    assert statuses(record(offer(organization, "case_created", "4"))) == ["refused"]
    assert statuses(record(offer(organization, "case_created", "3"))) == ["accepted"]


def test_the_same_key_of_another_source_is_another_event() -> None:
    organization = tenant("free")
    outcomes = record(offer(organization, "case_created"), offer(organization, "case_created", source="other"))
    assert statuses(outcomes) == ["accepted", "accepted"]


def test_booleans_are_asked_first() -> None:
    organization = tenant("free")
    (outcome,) = record(offer(organization, "evaluation_run", "11"))
    assert outcome.notes == ("billing:feature-disabled:express_entry_enabled",)


def test_an_entitlement_that_the_plan_does_not_list_is_disabled() -> None:
    organization = tenant("free")
    (outcome,) = record(offer(organization, "document_generated"))
    assert outcome.notes == ("billing:feature-disabled:document_generation_enabled",)


def test_a_declared_meter_without_guards_is_counted_and_unlimited() -> None:
    organization = tenant("free")
    (outcome,) = record(offer(organization, "free_form", "1000000000000"))
    assert outcome.status == "accepted"
    assert outcome.guards == ()


def test_an_undeclared_meter_is_refused() -> None:
    organization = tenant("free")
    assert record(offer(organization, "nonsense"))[0].code == "meter_undeclared"


def test_without_a_subscription_everything_is_missing() -> None:
    catalogs.sync()
    organization = factories.sandbox(clock_at=NOW)
    assert record(offer(organization, "case_created"))[0].notes == ("billing:subscription-missing",)


@pytest.mark.parametrize(
    ("late", "code"),
    [
        (timedelta(days=35), "subscription_missing"),
        (timedelta(days=35, microseconds=1), "occurred_at_too_old"),
        (timedelta(minutes=-5), ""),
        (timedelta(minutes=-5, microseconds=-1), "occurred_at_in_future"),
    ],
)
def test_use_can_be_told_35_days_late_and_5_minutes_ahead(late: timedelta, code: str) -> None:
    organization = tenant("free")
    assert record(offer(organization, "case_created", occurred_at=NOW - late))[0].code == code


def test_a_duplicate_is_known_for_ever() -> None:
    organization = tenant("free")
    at = NOW + timedelta(seconds=1)
    record(offer(organization, "case_created", occurred_at=at))
    organization.clock_at = NOW + timedelta(days=400)
    organization.save()
    assert statuses(record(offer(organization, "case_created", occurred_at=at))) == ["duplicate"]


def test_overage_is_split_once_and_charged_once() -> None:
    organization = tenant("team")
    outcomes = record(
        offer(organization, "tokens", "900", key="a"),
        offer(organization, "tokens", "300", key="b"),
        offer(organization, "tokens", "50", key="c"),
    )
    assert [o.event.overage for o in outcomes if o.event] == [0, 200, 50]
    assert [o.event.credits_due for o in outcomes if o.event] == [9, 1, 0]
    charge = UsageCharge.objects.get(organization=organization)
    assert (charge.overage, charge.credit_deficit) == (250, 0)
    assert MarketplaceSubscription.objects.get(organization=organization).credit_balance == 0
    assert verify() == []


def test_credits_that_run_short_become_a_deficit_where_overage_is_allowed() -> None:
    organization = tenant("trial")  # five credits, or two while it is tried
    assert MarketplaceSubscription.objects.get(organization=organization).credit_balance == 2


def test_a_trial_blocks_beyond_its_limit_and_its_credits() -> None:
    organization = tenant("trial")
    assert record(offer(organization, "tokens", "101"))[0].code == "quota_exceeded"
    assert statuses(record(offer(organization, "tokens", "100"))) == ["accepted"]


def test_a_blocking_entitlement_refuses_when_credits_run_short() -> None:
    organization = tenant("team")
    record(offer(organization, "tokens", "800"))
    (outcome,) = record(offer(organization, "task_run", "3", key="t"))
    assert (outcome.code, outcome.notes) == ("insufficient_credits", ("billing:quota-exceeded:tasks",))
    assert statuses(record(offer(organization, "task_run", "2", key="t"))) == ["accepted"]
    assert verify() == []


def test_every_debit_names_its_event_and_grant() -> None:
    organization = tenant("team")
    (outcome,) = record(offer(organization, "tokens", "150"))
    entry = CreditEntry.objects.get(organization=organization, kind="debit")
    assert outcome.event is not None
    assert (entry.event_id, entry.amount, entry.balance_after) == (outcome.event.id, Decimal("-1.5"), Decimal("8.5"))


def test_crossing_80_and_100_per_cent_is_told_once() -> None:
    organization = tenant("free")
    for n in range(5):
        record(offer(organization, "api_call", key=str(n)))
    topics = list(OutboxEvent.objects.filter(topic__startswith="quota.").values_list("topic", flat=True).order_by("id"))
    assert topics == ["quota.threshold", "quota.exhausted"]


def test_a_list_is_decided_in_order_and_a_refusal_stops_nobody() -> None:
    organization = tenant("free")
    outcomes = record(
        offer(organization, "case_created", "2", key="a"),
        offer(organization, "case_created", "2", key="b"),
        offer(organization, "case_created", "1", key="c"),
        offer(organization, "case_created", "1", key="d"),
    )
    assert statuses(outcomes) == ["accepted", "refused", "accepted", "refused"]


def test_a_list_over_several_organizations_keeps_them_apart() -> None:
    one, two = tenant("free"), factories.sandbox(clock_at=NOW)
    onboard.subscribe(organization=two, plan_code="free", actor=OPERATOR, now=NOW)
    outcomes = record(*(offer(o, "case_created", "2", key=str(n)) for n in range(2) for o in (one, two)))
    assert statuses(outcomes) == ["accepted", "accepted", "refused", "refused"]
    assert verify() == []


def test_refusals_are_counted() -> None:
    organization = tenant("free")
    record(offer(organization, "case_created", "4"), offer(organization, "case_created", "5", key="b"))
    assert RefusalCount.objects.get(organization_id=organization.id).count == 2


def test_a_payload_is_kept_beside_the_event() -> None:
    organization = tenant("free")
    (outcome,) = record(offer(organization, "case_created", payload={"codes": ["E1"]}, guardrail_flags=("pii",)))
    assert outcome.event is not None
    assert UsageEventPayload.objects.get(event_id=outcome.event.id).payload == {"codes": ["E1"]}
    assert UsageEvent.objects.get().guardrail_flags == ["pii"]


def test_a_preview_answers_like_recording_and_writes_nothing() -> None:
    organization = tenant("free")
    preview = usage.preview(offer(organization, "case_created", "4", key=""), now=NOW)
    assert preview.code == "quota_exceeded"
    assert usage.preview(offer(organization, "case_created", "3", key=""), now=NOW).status == "accepted"
    assert not UsageWindow.objects.exists()
    assert not UsageEvent.objects.exists()


def test_counters_show_life_and_month() -> None:
    organization = tenant("free", zone="Asia/Tokyo")
    record(offer(organization, "case_created", "2"))
    (counter,) = queries.list_counters(organization, now=NOW)
    assert (counter.meter, counter.total, counter.month) == ("case_created", 2, 2)
    assert counter.month_starts_at == factories.at("2026-02-28 15:00:00")


def test_each_event_of_a_mixed_list_is_stored_as_it_was_offered() -> None:
    catalogs.sync()
    began = NOW - timedelta(days=8)
    tenants = [factories.sandbox(clock_at=began) for _ in range(2)]
    for organization in tenants:
        onboard.subscribe(organization=organization, plan_code="scale", actor=OPERATOR, now=began)
        Organization.objects.filter(id=organization.id).update(clock_at=NOW)
    made = [
        offer(
            organization,
            meter,
            str(Decimal(place) / 8 + 1),
            key=f'{meter} {place} "{{a,b}}\\ NULL é',
            source=("api", 'a "quoted" \\ source', "null")[place % 3],
            service=("", "chat, {1}")[place % 2],
            guardrail_flags=((), ("slow", 'od"d'), ("slow",))[place % 3],
            occurred_at=(None, NOW - timedelta(days=place))[place % 2],
        )
        for organization in tenants
        for meter in ("case_created", "tokens")
        for place in range(7)
    ]
    outcomes = record(*made)
    assert statuses(outcomes) == ["accepted"] * 28
    stored = {event.id: event for event in UsageEvent.objects.all()}
    assert len(stored) == 28
    for outcome in outcomes:
        assert outcome.event is not None
        event, told, given = stored[outcome.event.id], outcome.event, outcome.offer
        assert (event.organization_id, event.meter_id, event.quantity, event.key, event.source, event.service) == (
            given.organization.id,
            given.meter,
            given.quantity,
            given.key,
            given.source,
            given.service,
        )
        assert tuple(event.guardrail_flags) == given.guardrail_flags
        assert event.occurred_at == (given.occurred_at or NOW)
        assert bytes(event.fingerprint) == given.fingerprint()
        for name in ("subscription_id", "plan_id", "period_id", "billed_period_id"):
            assert getattr(event, name) == getattr(told, name), name
        assert (event.overage, event.credits_due, event.credits_paid, event.recorded_at) == (
            told.overage,
            told.credits_due,
            told.credits_paid,
            NOW,
        )
    assert verify() == []


def test_what_a_plan_without_a_limit_admits_is_not_held_against_late_use_in_the_same_list() -> None:
    catalogs.sync()
    organization = factories.sandbox(clock_at=NOW)
    earlier = NOW - timedelta(days=2)
    subscription = onboard.subscribe(organization=organization, plan_code="free", actor=OPERATOR, now=earlier)
    change_plan.change_now(
        subscription=subscription, plan_code="scale", actor=OPERATOR, now=earlier + timedelta(days=1)
    )
    late = offer(organization, "case_created", key="late", occurred_at=earlier + timedelta(hours=18))
    between = [offer(organization, "free_form", key=f"f{n}") for n in range(300)]
    after = [offer(organization, "case_created", key=f"n{n}") for n in range(10)]
    assert statuses(record(late, *between, *after)) == ["accepted"] * 311
    assert verify() == []
