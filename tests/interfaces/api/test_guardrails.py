"""Held debits and use by flag, over HTTP."""

import csv
import io
from typing import Any

import pytest

from billing.accounts import operations as accounts_operations
from billing.accounts.actors import Act
from billing.models import UsageEvent, UsageEventPayload
from billing.reporting.doctor import verify
from tests.support import guardrails as guarded
from tests.support.api import CLI, Answer, World, balance

HOLDS = "/billing/organizations/acme/guardrails/holds"
REPORT = "/billing/organizations/acme/guardrails/report"
SPAN = "?from=2023-11-01T00:00:00Z&to=2023-12-01T00:00:00Z"
WHY = {"reason": "looked at"}


@pytest.fixture
def guarded_world(world: World) -> World:
    """The plan's next version, which has rules, from here on."""
    guarded.sync()
    moved = world.platform.post("/billing/organizations/acme/subscription", {"plan_code": "scale"})
    assert moved.status in (200, 201), moved
    moved = world.platform.post("/billing/organizations/acme/subscription", {"plan_code": "team"})
    assert moved.status in (200, 201), moved
    return world


def use(world: World, quantity: str, **fields: Any) -> Answer:
    return world.platform.post(
        "/billing/usage", {"organization": "acme", "meter": "tokens", "quantity": quantity, **fields}
    )


def held(world: World, quantity: str = "1200") -> str:
    used = use(world, quantity, guardrail_flags=["review"])
    assert used.status == 201, used
    return str(used.json["event"]["id"])


def test_annotations_become_flags_and_stay_in_the_payload(guarded_world: World) -> None:
    raised = [{"code": "Dose-Limit", "severity": "high", "subject": "case 4"}]
    used = use(guarded_world, "1", guardrails=raised, guardrail_flags=["PII"], payload={"run": 7})
    assert used.status == 201, used
    assert UsageEvent.objects.get().guardrail_flags == ["dose_limit", "pii"]
    assert UsageEventPayload.objects.get().payload == {
        "run": 7,
        "guardrails": [{"code": "dose_limit", "severity": "high", "subject": "case 4"}],
    }


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"guardrails": [{"code": "a", "colour": "red"}]}, "guardrails[0].colour"),
        ({"guardrails": [{"severity": "high"}]}, "guardrails[0].code"),
        ({"guardrails": [{"code": "a", "severity": "dire"}]}, "guardrails[0].severity"),
        ({"guardrails": [{"code": "7up"}]}, "guardrails[0].code"),
        ({"guardrails": ["a"]}, "guardrails[0]"),
        ({"guardrails": [{"code": "a"}] * 21}, "guardrails"),
        ({"guardrails": [{"code": "a"}], "guardrail_flags": [f"f{n}" for n in range(20)]}, "guardrails"),
        ({"guardrails": [{"code": "a"}], "payload": {"guardrails": []}}, "payload.guardrails"),
    ],
)
def test_annotations_of_another_shape_are_422(guarded_world: World, fields: dict[str, Any], field: str) -> None:
    refused = use(guarded_world, "1", **fields)
    assert (refused.status, refused.fields) == (422, [field])
    assert not UsageEvent.objects.exists()


def test_a_held_debit_is_listed_cleared_once_and_then_debited(guarded_world: World) -> None:
    world, before = guarded_world, balance(guarded_world.subscription)
    event = held(world)
    (listed,) = world.platform.get(f"{HOLDS}?state=open").json["results"]
    assert (listed["event_id"], listed["flags"], listed["overage"], listed["credits_due"], listed["state"]) == (
        event, ["review"], "200", "10", "open",
    )  # fmt: skip
    assert balance(world.subscription) == before
    first, again = (world.platform.post(f"{HOLDS}/{event}/clear", WHY) for _ in range(2))
    assert first.status == 200, first
    assert first.json == again.json
    assert (first.json["state"], first.json["reason"]) == ("cleared", "looked at")
    assert balance(world.subscription) == before - 10
    assert world.platform.get(f"{HOLDS}?state=open").json["results"] == []
    refused = world.platform.post(f"{HOLDS}/{event}/reject", WHY)
    assert (refused.status, refused.code) == (409, "debit_cleared")
    assert verify(organization=world.acme) == []


def test_a_rejected_use_is_gone(guarded_world: World) -> None:
    world, before = guarded_world, balance(guarded_world.subscription)
    event = held(world)
    first, again = (world.platform.post(f"{HOLDS}/{event}/reject", WHY) for _ in range(2))
    assert (first.status, first.json) == (200, again.json)
    assert first.json["state"] == "rejected"
    assert (balance(world.subscription), UsageEvent.objects.count()) == (before, 2)
    refused = world.platform.post(f"{HOLDS}/{event}/clear", WHY)
    assert (refused.status, refused.code) == (409, "debit_rejected")


def test_holds_come_page_by_page(guarded_world: World) -> None:
    events = [held(guarded_world, "1") for _ in range(3)]
    first = guarded_world.platform.get(f"{HOLDS}?limit=2")
    rest = guarded_world.platform.get(first.json["next"].partition("/api")[2])
    assert [each["event_id"] for each in (*first.json["results"], *rest.json["results"])] == events[::-1]


def test_who_may_decide_and_who_may_look(guarded_world: World) -> None:
    world, event = guarded_world, held(guarded_world)
    reader = keyed(world, Act.READ, Act.USAGE)
    assert reader.get(HOLDS).status == 200
    assert reader.get(f"{REPORT}{SPAN}").status == 200
    for act in ("clear", "reject"):
        assert reader.post(f"{HOLDS}/{event}/{act}", WHY).status == 403
        elsewhere = HOLDS.replace("acme", world.other.slug)
        assert world.platform.post(f"{elsewhere}/{event}/{act}", WHY).status == 404
        assert world.platform.post(f"{HOLDS}/none/{act}", WHY).status == 404
        assert world.platform.post(f"{HOLDS}/{event}/{act}", {}).fields == ["reason"]
        assert world.platform.post(f"{HOLDS}/{event}/{act}", {"reason": " "}).fields == ["reason"]
    assert reader.get(f"{REPORT.replace('acme', world.other.slug)}{SPAN}").status == 404


def keyed(world: World, *scopes: Act) -> Any:
    from tests.support.api import Api

    _, secret = accounts_operations.create_key(organization=world.acme, name="k", scopes=list(scopes), actor=CLI)
    return Api(secret)


def test_the_report_adds_up_in_json_and_csv(guarded_world: World) -> None:
    world = guarded_world
    use(world, "10")
    use(world, "20", guardrail_flags=["drift"])
    use(world, "30", guardrail_flags=["drift", "pii"])
    held(world)
    told = world.platform.get(f"{REPORT}{SPAN}").json
    rows = [(row["flags"], row["quantity"], row["held_overage"]) for row in told["rows"]]
    assert rows == [([], "10", "0"), (["drift"], "20", "0"), (["drift", "pii"], "30", "0"), (["review"], "1200", "260")]
    assert [(row["flags"], row["events"], row["quantity"]) for row in told["by_flag"]] == [
        (["drift"], 2, "50"),
        (["pii"], 1, "30"),
        (["review"], 1, "1200"),
    ]
    (total,) = told["totals"]
    assert (total["events"], total["quantity"], total["held_overage"]) == (4, "1260", "260")
    answer = world.platform.get(f"{REPORT}{SPAN}&format=csv")
    assert answer.headers["Content-Type"] == "text/csv; charset=utf-8"
    table = list(csv.DictReader(io.StringIO(answer.content.decode())))
    assert [(row["flags"], row["quantity"]) for row in table] == [
        ("", "10"), ("drift", "20"), ("drift pii", "30"), ("review", "1200"),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ("", "from"),
        ("?from=2023-11-01T00:00:00Z", "to"),
        ("?from=2023-11-01&to=2023-12-01T00:00:00Z", "from"),
        ("?from=2023-11-01T00:00:00Z&to=2023-11-01T00:00:00Z", "to"),
        (f"{SPAN}&format=pdf", "format"),
    ],
)
def test_a_report_of_no_span_is_422(guarded_world: World, query: str, field: str) -> None:
    refused = guarded_world.platform.get(f"{REPORT}{query}")
    assert (refused.status, refused.fields) == (422, [field])
