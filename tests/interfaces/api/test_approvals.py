"""The second person's approval over the API: no way around it, and each decision once."""

from decimal import Decimal
from typing import Any

import pytest
from pytest_django import Settings

from billing.accounts import actors, operations
from billing.accounts.actors import SCOPES
from billing.models import CreditRequest
from tests.support.api import CLI, Answer, Api, World, balance


@pytest.fixture(autouse=True)
def limit(settings: Settings) -> None:
    settings.BILLING_APPROVAL_ABOVE_CREDITS = Decimal(1000)


@pytest.fixture
def second(world: World) -> Api:
    """The key of somebody else."""
    by = actors.operator("grace")
    return Api(operations.create_key(organization=None, name="second", scopes=SCOPES, actor=by)[1])


def adjust(world: World, credits: str, **headers: str) -> Answer:
    path = f"/billing/subscriptions/{world.subscription.id}/credits/adjust"
    return world.platform.post(path, {"credits": credits, "reason": "goodwill"}, **headers)


def ask(world: World) -> dict[str, Any]:
    answer = adjust(world, "1000.5")
    assert answer.status == 202
    return dict(answer.json)


def test_more_than_the_limit_waits_and_is_approved_by_another(world: World, second: Api) -> None:
    assert adjust(world, "1000").status == 201
    before = balance(world.subscription)
    asked = ask(world)
    assert (asked["credits"], asked["state"], balance(world.subscription)) == ("1000.5", "waiting", before)
    path = f"/billing/credit-requests/{asked['id']}"
    own = world.platform.post(f"{path}/approve")
    assert (own.status, own.code) == (403, "second_person_needed")
    # So does the key that the same hand made for it.
    made = Api(operations.create_key(organization=None, name="x", scopes=["credits"], actor=CLI)[1])
    assert made.post(f"{path}/approve").status == 403
    approved = second.post(f"{path}/approve")
    assert approved.status == 201
    assert (approved.json["request"]["state"], approved.json["results"][0]["amount"]) == ("approved", "1000.5")
    assert balance(world.subscription) == before + Decimal("1000.5")
    for act, body in (("approve", None), ("reject", {"reason": "no"})):
        again = second.post(f"{path}/{act}", body)
        assert (again.status, again.code) == (409, "request_decided")
    assert balance(world.subscription) == before + Decimal("1000.5")


def test_the_same_answer_under_one_key(world: World, second: Api) -> None:
    first, again = (adjust(world, "1001", Idempotency_Key="k") for _ in range(2))
    assert (first.status, first.content) == (again.status, again.content)
    assert CreditRequest.objects.count() == 1
    path = f"/billing/credit-requests/{first.json['id']}/approve"
    booked, repeated = (second.post(path, Idempotency_Key="a") for _ in range(2))
    assert (booked.status, booked.content) == (repeated.status, repeated.content)


def test_a_rejection_says_why(world: World, second: Api) -> None:
    path = f"/billing/credit-requests/{ask(world)['id']}"
    assert second.post(f"{path}/reject", {"reason": ""}).status == 422
    assert second.post(f"{path}/reject", {}).status == 422
    rejected = second.post(f"{path}/reject", {"reason": "not agreed"})
    assert (rejected.status, rejected.json["state"], rejected.json["decision"]) == (200, "rejected", "not agreed")
    assert second.get(path).json == rejected.json


def test_requests_are_listed_by_state_and_page(world: World, second: Api) -> None:
    ids = [ask(world)["id"] for _ in range(3)]
    second.post(f"/billing/credit-requests/{ids[0]}/reject", {"reason": "no"})
    for path in ("/billing/credit-requests", "/billing/organizations/acme/credit-requests"):
        assert [each["id"] for each in world.platform.get(path).json["results"]] == ids[::-1]
        waiting = world.platform.get(f"{path}?state=waiting&limit=1").json
        assert [each["id"] for each in waiting["results"]] == [ids[2]]
        rest = world.platform.get(waiting["next"].partition("/api")[2]).json
        assert ([each["id"] for each in rest["results"]], rest["next"]) == ([ids[1]], None)
        assert world.platform.get(f"{path}?state=foo").status == 422
    assert world.platform.get("/billing/organizations/other/credit-requests").json["results"] == []


def test_what_is_not_there(world: World) -> None:
    for reference in ("nothing", "01a20068-0000-7000-8000-000000000000"):
        assert world.platform.get(f"/billing/credit-requests/{reference}").status == 404
        assert world.platform.post(f"/billing/credit-requests/{reference}/approve").status == 404
