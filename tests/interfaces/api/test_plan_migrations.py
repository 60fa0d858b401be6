"""Moving subscribers to newer plan versions over HTTP."""

from typing import Any

import pytest

from billing.models import Subscription
from tests.support import catalogs
from tests.support.api import Answer, World, rows

PATH = "/billing/plans/team/migrate"


@pytest.fixture(autouse=True)
def second_version(world: World) -> None:
    catalogs.sync(catalogs.TEXT.replace('price: {USD: "49.00", JPY: "4900"}', 'price: {USD: "59.00", JPY: "5900"}'))


def post(world: World, **body: Any) -> Answer:
    return world.platform.post(PATH, {"include_sandboxes": True, **body})


def test_a_preview_is_the_default_and_writes_nothing(world: World) -> None:
    before = rows()
    answer = post(world)
    assert answer.status == 200, answer
    assert rows() == before
    assert (answer.json["to_version"], answer.json["applied"], answer.json["moved"]) == (2, False, [])
    assert {row["organization"]: row["difference"] for row in answer.json["prospects"]} == {
        "acme": "10.00", "other": "10.00",
    }  # fmt: skip
    assert answer.json["totals"][0]["difference"] == "20.00"
    assert not Subscription.objects.filter(pending_plan__isnull=False).exists()


def test_applied_page_by_page_and_then_nothing_is_left(world: World) -> None:
    first = post(world, apply=True, limit=1).json
    assert [row["pending_plan"]["version"] for row in first["moved"]] == [2]
    second = post(world, apply=True, limit=1, after=first["next"]).json
    assert (len(second["moved"]), second["next"]) == (1, None)
    before = rows()
    assert post(world, apply=True).json["moved"] == []
    assert rows() == before


def test_one_organization_now(world: World) -> None:
    moved = post(world, apply=True, when="now", organization="acme", from_version=1).json["moved"]
    assert [(row["organization"], row["plan"]["version"], row["refusal"]) for row in moved] == [("acme", 2, None)]
    assert world.theirs.get("/billing/organizations/other/subscription").json["plan"]["version"] == 1


def test_who_is_refused_is_told_and_does_not_stop_the_others(world: World) -> None:
    world.platform.post(f"/billing/subscriptions/{world.subscription.id}/cancel", {"at_period_end": True})
    moved = post(world, apply=True).json["moved"]
    assert {row["organization"]: (row["refusal"] or {}).get("code") for row in moved} == {
        "acme": "cancel_pending", "other": None,
    }  # fmt: skip


def test_it_is_for_operators(world: World) -> None:
    catalog = world.with_scopes("catalog", platform=True)
    before = rows()
    for api in (world.own, catalog):
        assert api.post(PATH, {"apply": True}).status == 403
    assert world.own.post(PATH, {"apply": True, "organization": "acme"}).status == 403
    assert world.own.post(PATH, {"apply": True, "organization": "other"}).status == 404
    assert world.nobody.post(PATH, {"apply": True}).status == 401
    assert rows() == before
    assert world.with_scopes("subscriptions", platform=True).post(PATH, {"include_sandboxes": True}).status == 200


@pytest.mark.parametrize(("body", "status", "code"), [
    ({"from_version": 9}, 422, "plan_unknown"),
    ({"from_version": 0}, 422, "invalid"),
    ({"to": "nothing"}, 422, "plan_unknown"),
    ({"to_version": 1}, 409, "plan_moved"),
    ({"when": "tomorrow"}, 422, "invalid"),
    ({"limit": 201}, 422, "invalid"),
    ({"after": "x"}, 422, "invalid"),
    ({"organization": "nobody"}, 404, "not_found"),
    ({"dry_run": True}, 422, "invalid"),
])  # fmt: skip
def test_bad_input_writes_nothing(world: World, body: dict[str, Any], status: int, code: str) -> None:
    before = rows()
    answer = post(world, apply=True, **body)
    assert (answer.status, answer.code) == (status, code), answer
    assert rows() == before


@pytest.mark.parametrize("plan", ["nothing", "%00", "a" * 300, "%ff"])
def test_a_plan_that_is_not_there(world: World, plan: str) -> None:
    answer = world.platform.post(f"/billing/plans/{plan}/migrate", {})
    assert (answer.status, answer.code) == (404, "not_found")
    assert world.own.post(f"/billing/plans/{plan}/migrate", {}).status == 403
