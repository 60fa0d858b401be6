"""Placement decisions: what is asked, what is answered, what is kept, and who may read it."""

from typing import Any
from uuid import uuid4

import pytest
from django.db import DatabaseError, transaction

from billing import BillingService, policy
from billing.accounts import operations
from billing.infra import locks
from billing.lifecycle import onboard, pause, usage
from billing.models import (
    Organization,
    PolicyDecision,
    RefusalCount,
    Status,
    Subscription,
    UsageEvent,
)
from tests.support import factories
from tests.support.api import CLI, NOW, START, Answer, Api, World

EVALUATE = "/policy/placements/evaluate"
MONTH = {"starts_at": "2023-11-01T00:00:00Z", "ends_at": "2023-12-01T00:00:00Z"}


def ask(api: Api, *requirements: dict[str, Any], organization: str = "acme", **fields: Any) -> Answer:
    body = {"organization": organization, "requirements": list(requirements), **fields}
    return api.post(EVALUATE, body)


def tenant(plan: str | None, slug: str = "small", **fields: Any) -> Organization:
    made = operations.create_organization(slug=slug, name=slug, is_sandbox=True, clock_at=NOW, actor=CLI, **fields)
    if plan:
        onboard.subscribe(organization=made, plan_code=plan, actor=CLI, now=NOW, starts_at=START)
    return made


def test_what_fits_is_allowed_and_explained_under_its_id(world: World) -> None:
    answer = ask(world.own, {"event": "case_created", "quantity": 500}, {"entitlement": "express_entry_enabled"})
    assert answer.status == 200
    decision = answer.json
    assert (decision["allowed"], decision["notes"]) == (True, [])
    assert (decision["evaluation_required"], decision["governance_required"]) == (False, False)
    first, second = decision["requirements"]
    assert (first["subscription"], first["plan"]) == (str(world.subscription.id), {"code": "team", "version": 1})
    assert first["limits"] == [
        {
            "entitlement": "max_cases",
            "enabled": True,
            "limit": "500",
            "used": "0",
            "reserved": "0",
            "cadence": "never",
            "window": None,
        }
    ]
    assert (second["entitlement"], second["allowed"], second["event"]) == ("express_entry_enabled", True, "")
    assert world.own.get(f"/policy/decisions/{decision['id']}").json == decision
    assert not UsageEvent.objects.exists()


@pytest.mark.parametrize(("quantity", "allowed"), [(99, True), (100, True), (101, False)])
def test_a_limit_is_met_exactly_and_a_refusal_says_what_would_pass(world: World, quantity: int, allowed: bool) -> None:
    BillingService.enforce_quota(world.acme, "evaluation_run", record_usage=True, idempotency_key="one")
    answer = ask(world.own, {"event": "evaluation_run", "quantity": quantity - 1})
    decision = answer.json
    assert decision["allowed"] is allowed
    if allowed:
        return
    assert decision["notes"] == ["billing:quota-exceeded:max_evaluations_per_month"]
    assert (decision["evaluation_required"], decision["governance_required"]) == (True, False)
    (requirement,) = decision["requirements"]
    limit = requirement["limits"][1]
    assert (limit["limit"], limit["used"], limit["window"]) == ("100", "1", MONTH)
    assert requirement["remedies"] == [
        {"action": "wait", "until": "2023-12-01T00:00:00Z"},
        {
            "action": "change_plan",
            "plan": "scale",
            "price": "199.00",
            "currency": "USD",
            "billing_period": "month",
        },
    ]


def test_what_no_window_will_ever_hold_is_not_worth_waiting_for(world: World) -> None:
    (requirement,) = ask(world.own, {"event": "evaluation_run", "quantity": 5000}).json["requirements"]
    assert requirement["remedies"] == []
    (requirement,) = ask(world.own, {"event": "case_created", "quantity": 501}).json["requirements"]
    assert [remedy["action"] for remedy in requirement["remedies"]] == ["change_plan"]


def test_the_plan_that_is_named_would_let_everything_pass_and_costs_least(world: World) -> None:
    tenant("free")
    # The trial has more cases than these and asks nothing, but it lists no express entry.
    (cases,) = ask(world.platform, {"event": "case_created", "quantity": 4}, organization="small").json["requirements"]
    assert cases["remedies"][-1]["plan"] == "trial"
    # Team and yearly both have 500 cases. By the month yearly costs less; what it asks at once is ten times as much.
    (cases,) = ask(world.platform, {"event": "case_created", "quantity": 100}, organization="small").json[
        "requirements"
    ]
    assert (cases["remedies"][-1]["plan"], cases["remedies"][-1]["price"]) == ("team", "49.00")
    assert cases["remedies"][-1]["billing_period"] == "month"
    both = ask(
        world.platform,
        {"event": "case_created", "quantity": 4},
        {"entitlement": "express_entry_enabled"},
        organization="small",
    ).json
    assert both["notes"] == ["billing:quota-exceeded:max_cases", "billing:feature-disabled:express_entry_enabled"]
    assert [each["remedies"][-1]["plan"] for each in both["requirements"]] == ["team", "team"]


def test_without_a_subscription_governance_is_required_too(world: World) -> None:
    tenant(None)
    decision = ask(world.platform, {"event": "case_created"}, {"entitlement": "tasks"}, organization="small").json
    assert decision["notes"] == ["billing:subscription-missing"]
    assert (decision["evaluation_required"], decision["governance_required"]) == (True, True)
    first, second = decision["requirements"]
    assert first["remedies"] == second["remedies"]
    assert first["remedies"][0] == {
        "action": "subscribe",
        "plan": "team",
        "price": "49.00",
        "currency": "USD",
        "billing_period": "month",
    }
    assert (first["plan"], first["limits"]) == (None, [])


@pytest.mark.parametrize(("status", "action"), [("paused", "resume"), ("past_due", "pay"), ("incomplete", "confirm")])
def test_a_subscription_that_serves_nobody_needs_no_other_plan(world: World, status: str, action: str) -> None:
    organization, api = "acme", world.own
    if status == "paused":
        pause.pause(subscription=world.subscription, actor=CLI, now=NOW)
    elif status == "past_due":
        Subscription.objects.filter(id=world.subscription.id).update(status=Status.PAST_DUE, past_due_at=NOW)
    else:
        # None becomes it; it is what some begin as.
        organization, api = "waiting", world.platform
        factories.subscription(
            organization=tenant(None, slug=organization),
            plan=world.subscription.plan,
            starts_at=START,
            status=Status.INCOMPLETE,
        )
    decision = ask(api, {"event": "case_created"}, organization=organization).json
    assert decision["notes"] == ["billing:subscription-missing"]
    assert decision["requirements"][0]["remedies"] == [{"action": action}]


def test_credits_that_are_gone_have_a_price(world: World) -> None:
    BillingService.enforce_quota(world.acme, "tokens", 800, record_usage=True, idempotency_key="t")
    (requirement,) = ask(world.own, {"event": "task_run", "quantity": 5}).json["requirements"]
    assert requirement["code"] == "insufficient_credits"
    assert requirement["remedies"][0] == {
        "action": "buy_credits",
        "credits": "3",
        "price": "30.00",
        "currency": "USD",
    }


def test_requirements_of_one_meter_are_judged_together(world: World) -> None:
    two = [{"event": "case_created", "quantity": 300}] * 2
    decision = ask(world.own, *two).json
    assert [each["allowed"] for each in decision["requirements"]] == [True, False]
    # Each shows what stood before the decision.
    assert [each["limits"][0]["used"] for each in decision["requirements"]] == ["0", "0"]


def test_recording_counts_all_of_it_or_nothing(world: World) -> None:
    cases, express = {"event": "case_created", "quantity": 2}, {"entitlement": "max_evaluations_per_month"}
    refused = ask(world.own, cases, {"event": "case_created", "quantity": 499}, record=True).json
    assert (refused["allowed"], refused["records"]) == (False, True)
    assert not UsageEvent.objects.exists()
    allowed = ask(world.own, cases, express, {"entitlement": "express_entry_enabled"}, record=True).json
    assert allowed["allowed"]
    counted = {event.meter_id: event for event in UsageEvent.objects.all()}
    assert {meter: event.quantity for meter, event in counted.items()} == {"case_created": 2, "evaluation_run": 1}
    events = [each["usage_event"] for each in allowed["requirements"]]
    assert events == [str(counted["case_created"].id), str(counted["evaluation_run"].id), None]


def test_a_request_told_twice_is_counted_once_and_decided_twice(world: World) -> None:
    body = {"organization": "acme", "record": True, "requirements": [{"event": "case_created", "quantity": 2}]}
    first, second = (world.own.post(EVALUATE, body, Idempotency_Key="launch-1").json for _ in range(2))
    assert first["id"] != second["id"]
    assert (first["allowed"], second["allowed"]) == (True, True)
    assert [each["requirements"][0]["duplicate"] for each in (first, second)] == [False, True]
    assert UsageEvent.objects.get().quantity == 2
    body["requirements"] = [{"event": "case_created", "quantity": 3}]
    other = world.own.post(EVALUATE, body, Idempotency_Key="launch-1").json
    assert (other["allowed"], other["notes"]) == (False, ["billing:error:idempotency-conflict"])


def test_a_key_refused_is_not_consumed(world: World) -> None:
    requirement = {"event": "case_created", "quantity": 501, "idempotency_key": "k"}
    assert not ask(world.own, requirement, record=True).json["allowed"]
    assert ask(world.own, {**requirement, "quantity": 500}, record=True).json["allowed"]


def test_what_is_not_declared_is_an_error_that_blocks(world: World) -> None:
    decision = ask(world.own, {"event": "no_such_event"}).json
    assert decision["notes"] == ["billing:error:meter-undeclared"]
    assert (decision["evaluation_required"], decision["governance_required"]) == (True, True)
    assert ask(world.own, {"entitlement": "nothing"}).json["notes"] == ["billing:feature-disabled:nothing"]


def test_refusals_are_counted(world: World) -> None:
    ask(world.own, {"event": "case_created", "quantity": 501})
    assert RefusalCount.objects.get(note="billing:quota-exceeded:max_cases").count == 1


@pytest.mark.parametrize("records", [False, True])
def test_any_failure_is_a_decision_that_blocks_and_is_kept(
    world: World, monkeypatch: pytest.MonkeyPatch, records: bool
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise ZeroDivisionError("a defect")

    monkeypatch.setattr(usage, "judge", fail)
    answer = ask(world.own, {"event": "case_created"}, record=records)
    assert (answer.status, answer.json["allowed"]) == (200, False)
    assert answer.json["notes"] == ["billing:error:internal"]
    assert answer.json["governance_required"]
    assert world.own.get(f"/policy/decisions/{answer.json['id']}").json == answer.json


def test_books_that_are_busy_are_a_decision_that_blocks(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    def busy(_: object) -> None:
        raise locks.BooksBusy("The books are in use.", note="billing:error:busy")

    monkeypatch.setattr(locks, "lock_organization", busy)
    answer = ask(world.own, {"event": "case_created"}, record=True)
    assert (answer.status, answer.json["notes"]) == (200, ["billing:error:busy"])


def test_a_decision_never_changes(world: World) -> None:
    ask(world.own, {"event": "case_created"})
    for change in (lambda: PolicyDecision.objects.update(allowed=False), lambda: PolicyDecision.objects.all().delete()):
        with pytest.raises(DatabaseError, match="append-only"), transaction.atomic():
            change()


def test_a_decision_is_its_organizations(world: World) -> None:
    path = f"/policy/decisions/{ask(world.own, {'event': 'case_created'}).json['id']}"
    made_up = world.theirs.get(f"/policy/decisions/{uuid4()}")
    foreign = world.theirs.get(path)
    assert (foreign.status, foreign.but_request_id) == (404, made_up.but_request_id)
    assert world.theirs.get("/policy/decisions/x").status == 404
    assert world.platform.get(path).status == 200
    assert world.with_scopes("usage").get(path).status == 403
    assert ask(world.theirs, {"event": "case_created"}).status == 404
    assert ask(world.with_scopes("read"), {"event": "case_created"}, record=True).status == 403


@pytest.mark.parametrize(
    ("requirements", "field"),
    [
        ([], "requirements"),
        ([{}], "requirements[0].entitlement"),
        ([{"event": "case_created", "entitlement": "max_cases"}], "requirements[0].event"),
        ([{"event": "case_created", "quantity": 0}], "requirements[0].quantity"),
        ([{"event": "case_created", "quantity": None}], "requirements[0].quantity"),
        ([{"event": "case_created"}] * 51, "requirements"),
    ],
)
def test_an_unsound_request_is_no_decision(world: World, requirements: list[Any], field: str) -> None:
    answer = ask(world.own, *requirements)
    assert (answer.status, answer.fields) == (422, [field])
    assert not PolicyDecision.objects.exists()


def test_a_caller_inside_the_process_needs_no_door(world: World) -> None:
    decision = policy.evaluate("acme", [policy.Requirement(event="case_created")], actor="test", now=NOW)
    assert (decision.allowed, PolicyDecision.objects.get().actor) == (True, "test")
