"""POST /api/billing/usage: one, many, CloudEvents; keys; what each outcome is answered with."""

from typing import Any

import pytest

from billing.models import UsageEvent, UsageEventPayload
from tests.support.api import World, rows

CLOUD, CLOUDS = "application/cloudevents+json", "application/cloudevents-batch+json"


def test_the_same_key_counts_once(world: World) -> None:
    body = {"meter": "tokens", "quantity": "1.50", "idempotency_key": "a"}
    first = world.own.post("/billing/usage", body)
    before = rows()
    again = world.own.post("/billing/usage", {**body, "quantity": 1.5})
    assert (first.status, again.status, again.json["status"]) == (201, 200, "duplicate")
    assert again.json["event"] == first.json["event"]
    conflict = world.own.post("/billing/usage", {**body, "quantity": "2"})
    assert (conflict.status, conflict.code) == (409, "idempotency_conflict")
    assert rows() == before


def test_the_header_is_the_key_of_an_event_without_one(world: World) -> None:
    body = {"meter": "tokens", "quantity": 1}
    assert world.own.post("/billing/usage", body, idempotency_key="h").json["key"] == "h"
    assert world.own.post("/billing/usage", body, idempotency_key="h").status == 200
    named = world.own.post("/billing/usage", {**body, "idempotency_key": "own"}, idempotency_key="h")
    assert (named.status, named.json["key"]) == (201, "own")
    # A quota check that records names the same event.
    checked = world.own.post(
        "/billing/organizations/acme/quotas/check", {"event": "tokens", "record_usage": True}, idempotency_key="h"
    )
    assert (checked.json["allowed"], checked.json["duplicate"]) == (True, True)
    assert UsageEvent.objects.count() == 2


def test_without_a_key_each_request_is_an_event(world: World) -> None:
    keys = {world.own.post("/billing/usage", {"meter": "tokens", "quantity": 1}).json["key"] for _ in range(2)}
    assert len(keys) == UsageEvent.objects.count() == 2


def test_a_batch_answers_item_by_item_and_a_retry_adds_nothing(world: World) -> None:
    events: list[dict[str, Any]] = [
        {"meter": "case_created", "quantity": 499},
        {"meter": "case_created", "quantity": 2},
        {"meter": "case_created", "quantity": 1, "idempotency_key": "k"},
        {"meter": "case_created", "quantity": 1, "idempotency_key": "k"},
        {"meter": "case_created", "quantity": 2, "idempotency_key": "k"},
        {"meter": "undeclared", "quantity": 1},
        {"meter": "tokens", "quantity": 1, "occurred_at": "2023-10-01T00:00:00Z"},
    ]
    expected = [
        ("accepted", "", "r:0"),
        ("refused", "quota_exceeded", "r:1"),
        ("accepted", "", "k"),
        ("duplicate", "", "k"),
        ("conflict", "idempotency_conflict", "k"),
        ("refused", "meter_undeclared", "r:5"),
        ("refused", "occurred_at_too_old", "r:6"),
    ]
    answer = world.own.post("/billing/usage", {"events": events}, idempotency_key="r")
    assert answer.status == 200
    assert [(each["status"], each["code"], each["key"]) for each in answer.json["results"]] == expected
    before = rows()
    again = world.own.post("/billing/usage", {"events": events}, idempotency_key="r")
    assert [each["status"] for each in again.json["results"]] == [
        "duplicate", "refused", "duplicate", "duplicate", "conflict", "refused", "refused",
    ]  # fmt: skip
    assert rows() == before


def test_a_batch_of_a_platform_key_goes_to_several_organizations(world: World) -> None:
    body = {
        "organization": "acme",
        "events": [
            {"meter": "tokens", "quantity": 1},
            {"meter": "tokens", "quantity": 2, "organization": "crm:other"},
            {"meter": "tokens", "quantity": 3, "organization": str(world.other.id)},
        ],
    }
    results = world.platform.post("/billing/usage", body).json["results"]
    assert [each["event"]["subscription"] for each in results] == [
        str(world.subscription.id),
        str(world.foreign.id),
        str(world.foreign.id),
    ]


@pytest.mark.parametrize(
    ("changes", "status", "code"),
    [
        ({"meter": "case_created", "quantity": 501}, 402, "quota_exceeded"),
        ({"meter": "undeclared"}, 422, "meter_undeclared"),
        ({"occurred_at": "2023-10-13T11:59:59.999999Z"}, 422, "occurred_at_too_old"),
        ({"occurred_at": "2023-11-17T12:05:00.000001Z"}, 422, "occurred_at_in_future"),
        ({"occurred_at": "2023-10-31T23:59:59Z"}, 402, "subscription_missing"),
        ({"meter": "task_run", "quantity": 6}, 402, "quota_exceeded"),
    ],
)
def test_a_refusal_of_one(world: World, changes: dict[str, Any], status: int, code: str) -> None:
    before = rows()
    answer = world.own.post("/billing/usage", {"meter": "tokens", "quantity": 1, "idempotency_key": "k", **changes})
    assert (answer.status, answer.code) == (status, code)
    assert rows() == before
    # Only acceptance consumes a key.
    assert world.own.post("/billing/usage", {"meter": "tokens", "quantity": 1, "idempotency_key": "k"}).status == 201


@pytest.mark.parametrize("text", ["2023-11-01T00:00:00Z", "2023-11-17T13:05:00+01:00", "2023-11-17t12:00:00.1234567z"])
def test_times_at_the_edges_are_taken(world: World, text: str) -> None:
    answer = world.own.post("/billing/usage", {"meter": "tokens", "quantity": 1, "occurred_at": text})
    assert answer.status == 201
    if "." in text:
        assert answer.json["event"]["occurred_at"] == "2023-11-17T12:00:00.123456Z"


def test_one_cloud_event(world: World) -> None:
    event = {
        "specversion": "1.0",
        "id": "evt-1",
        "source": "/planner",
        "type": "tokens",
        "time": "2023-11-17T10:00:00Z",
        "datacontenttype": "application/json",
        "traceparent": "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
        "data": {"quantity": "12", "service": "planner", "payload": {"case": 7}},
    }
    first = world.own.post("/billing/usage", event, content_type=CLOUD)
    assert (first.status, first.json["source"], first.json["key"]) == (201, "/planner", "evt-1")
    assert first.json["event"]["occurred_at"] == "2023-11-17T10:00:00Z"
    assert world.own.post("/billing/usage", event, content_type=CLOUD).status == 200
    other_source = world.own.post("/billing/usage", {**event, "source": "/other"}, content_type=CLOUD)
    assert other_source.status == 201
    assert UsageEvent.objects.get(source="/planner").service == "planner"
    for wrong, field in (
        ({"specversion": "0.3"}, "specversion"),
        ({"id": ""}, "id"),
        ({"data": None}, "data"),
        ({"data": {}}, "data.quantity"),
        ({"data": {"quantity": 1, "extra": 1}}, "data.extra"),
        ({"time": "2023-11-17T10:00:00"}, "time"),
    ):
        answer = world.own.post("/billing/usage", {**event, **wrong}, content_type=CLOUD)
        assert (answer.status, answer.fields) == (422, [field])


def test_a_batch_of_cloud_events(world: World) -> None:
    events = [
        {
            "specversion": "1.0",
            "id": str(n),
            "source": "s",
            "type": "tokens",
            "subject": "acme",
            "data": {"quantity": 1},
        }
        for n in range(3)
    ]
    answer = world.platform.post("/billing/usage", events, content_type=CLOUDS)
    assert [each["status"] for each in answer.json["results"]] == ["accepted"] * 3
    again = world.platform.post("/billing/usage", events, content_type=CLOUDS)
    assert [each["status"] for each in again.json["results"]] == ["duplicate"] * 3
    assert world.platform.post("/billing/usage", [], content_type=CLOUDS).json == {"results": []}
    missing = world.platform.post("/billing/usage", [{**events[0], "subject": None}], content_type=CLOUDS)
    assert (missing.status, missing.fields) == (422, ["[0].subject"])
    many = world.platform.post("/billing/usage", events * 334, content_type=CLOUDS)
    assert many.status == 422


def test_a_payload_reads_back_exactly(world: World) -> None:
    payload = {"a": [1, -2.5, 1e-7, 18446744073709551615, True, None, "\u00fc\U0001f4a9"], "b": {"c": "\n"}}
    answer = world.own.post("/billing/usage", {"meter": "tokens", "quantity": 1, "payload": payload})
    assert UsageEventPayload.objects.get(event_id=answer.json["event"]["id"]).payload == payload
    refused = world.own.post(
        "/billing/usage", b'{"meter":"tokens","quantity":1,"payload":{"pi":3.14159265358979323846264338327950288}}'
    )
    assert (refused.status, refused.fields) == (422, ["payload.pi"])


def test_a_check_changes_nothing_and_tells_the_window(world: World) -> None:
    before = rows()
    answer = world.own.post("/billing/organizations/acme/quotas/check", {"entitlement": "tasks", "quantity": 6}).json
    assert (answer["allowed"], answer["notes"], answer["limit"]) == (False, ["billing:quota-exceeded:tasks"], "5")
    assert answer["window"] == {"starts_at": "2023-11-13T00:00:00Z", "ends_at": "2023-11-20T00:00:00Z"}
    assert answer["remedies"][0] == {"action": "wait", "until": "2023-11-20T00:00:00Z"}
    off = world.own.post("/billing/organizations/acme/quotas/check", {"entitlement": "no_such_feature"}).json
    assert (off["allowed"], off["notes"]) == (False, ["billing:feature-disabled:no_such_feature"])
    assert rows() == before
    world.platform.post(f"/billing/subscriptions/{world.subscription.id}/cancel")
    gone = world.own.post("/billing/organizations/acme/quotas/check", {"event": "tokens"}).json
    assert (gone["allowed"], gone["notes"]) == (False, ["billing:subscription-missing"])


def test_use_by_day(world: World) -> None:
    for at, quantity in (("2023-11-15T23:59:59Z", 3), ("2023-11-16T00:00:00Z", 4), (None, 5)):
        body = {"meter": "tokens", "quantity": quantity} | ({"occurred_at": at} if at else {})
        assert world.own.post("/billing/usage", body).status == 201
    answer = world.own.get("/billing/organizations/acme/usage/days")
    assert (answer.json["zone"], answer.json["from"], answer.json["to"]) == ("UTC", "2023-11-01", "2023-11-18")
    assert [(each["day"], each["quantity"], each["events"]) for each in answer.json["results"]] == [
        ("2023-11-15", "3", 1),
        ("2023-11-16", "4", 1),
        ("2023-11-17", "5", 1),
    ]
    one = world.own.get("/billing/organizations/acme/usage/days?from=2023-11-16&to=2023-11-17&meter=tokens").json
    assert [each["quantity"] for each in one["results"]] == ["4"]


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ("from=2023-11-02&to=2023-11-02", "to"),
        ("from=2022-11-01&to=2023-11-03", "to"),
        ("from=yesterday", "from"),
        ("from=2023-02-29", "from"),
        ("from=2023-11-01T00:00:00Z", "from"),
        ("to=20231101", "to"),
        ("to=%D9%A2%D9%A0%D9%A2%D9%A3-11-01", "to"),
        ("to=0000-01-01", "to"),
        ("to=9999-12-31", "to"),
        ("meter=nothing", "meter"),
        ("day=2023-11-01", "day"),
    ],
)
def test_days_that_are_none(world: World, query: str, field: str) -> None:
    answer = world.own.get(f"/billing/organizations/acme/usage/days?{query}")
    assert (answer.status, answer.fields) == (422, [field])
