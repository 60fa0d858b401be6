"""Reserve, settle, release over HTTP."""

from typing import Any

import pytest

from billing.models import UsageEvent, UsageReservation
from tests.support.api import World, rows

PATH = "/billing/organizations/acme/quotas/reservations"


def reserved(world: World, **body: Any) -> Any:
    return world.own.post(PATH, {"event": "tokens", "quantity": "100", "idempotency_key": "a"} | body)


def test_reserve_settle_and_read(world: World) -> None:
    first = reserved(world, quantity_max="150", expires_in=60)
    assert (first.status, first.json["status"], first.json["quantity"]) == (201, "open", "100")
    assert first.json["credits"][0]["credits"] == "1"
    again = reserved(world, quantity_max="150", expires_in=60)
    assert (again.status, again.json) == (200, first.json)
    where = f"{PATH}/{first.json['id']}"
    checked = world.own.post("/billing/organizations/acme/quotas/check", {"event": "tokens"})
    assert checked.json["reserved"] == "100"
    settled = world.own.post(f"{where}/settle", {"quantity": "120.5"})
    assert (settled.status, settled.json["status"], settled.json["settled_quantity"]) == (200, "settled", "120.5")
    before = rows()
    assert world.own.post(f"{where}/settle", {"quantity": "120.50"}).json == settled.json
    assert world.own.post(f"{where}/settle", {"quantity": "1"}).code == "reservation_settled"
    assert world.own.post(f"{where}/release", {}).code == "reservation_settled"
    assert rows() == before
    assert world.own.get(where).json == settled.json
    assert str(UsageEvent.objects.get().id) == settled.json["usage_event"]


def test_a_refusal_is_a_402_that_says_why(world: World) -> None:
    refused = world.own.post(PATH, {"event": "case_created", "quantity": "501", "idempotency_key": "b"})
    assert (refused.status, refused.code) == (402, "plan_limit_exceeded")
    assert refused.json["notes"] == ["billing:quota-exceeded:max_cases"]
    assert not UsageReservation.objects.exists()
    held = world.own.post(PATH, {"entitlement": "max_cases", "quantity": "400", "quantity_max": "500"}, **KEY)
    assert (held.status, held.json["event"]) == (201, "case_created")
    world.own.post("/billing/usage", {"meter": "case_created", "quantity": 100})
    more = world.own.post(f"{PATH}/{held.json['id']}/settle", {"quantity": "401"})
    assert (more.status, more.json["notes"]) == (402, ["billing:quota-exceeded:max_cases"])
    assert world.own.post(f"{PATH}/{held.json['id']}/release").json["status"] == "released"
    assert world.own.post(f"{PATH}/{held.json['id']}/release").status == 200
    assert world.own.post(f"{PATH}/{held.json['id']}/settle", {"quantity": "1"}).code == "reservation_released"


KEY = {"idempotency_key": "header"}


@pytest.mark.parametrize(
    ("body", "status", "field"),
    [
        ({"quantity": "0"}, 422, "quantity"),
        ({"quantity": "-1"}, 422, "quantity"),
        ({"quantity": "1.0000001"}, 422, "quantity"),
        ({"quantity": None}, 422, "quantity"),
        ({"expires_in": 0}, 422, "expires_in"),
        ({"expires_in": 86401}, 422, "expires_in"),
        ({"expires_in": "60"}, 422, "expires_in"),
        ({"quantity_max": "99"}, 422, "quantity_max"),
        ({"event": "unknown"}, 422, "event"),
        ({"entitlement": "max_cases"}, 422, "event"),
        ({"event": None}, 422, "event"),
        ({"idempotency_key": None}, 422, "idempotency_key"),
        ({"idempotency_key": ""}, 422, "idempotency_key"),
        ({"more": 1}, 422, "more"),
    ],
)
def test_what_cannot_be_is_refused_and_nothing_kept(
    world: World, body: dict[str, Any], status: int, field: str
) -> None:
    before = rows()
    answer = reserved(world, **body)
    assert (answer.status, answer.fields) == (status, [field]), answer
    assert rows() == before


def test_another_content_under_the_same_key_is_a_conflict(world: World) -> None:
    assert reserved(world).status == 201
    for changed in ({"quantity": "99"}, {"expires_in": 5}, {"quantity_max": "200"}, {"service": "planner"}):
        assert reserved(world, **changed).code == "idempotency_conflict"


def test_others_do_not_see_it(world: World) -> None:
    where = f"{PATH}/{reserved(world).json['id']}"
    assert world.with_scopes("read").get(where).status == 200
    assert world.with_scopes("read").post(f"{where}/settle", {"quantity": "1"}).status == 403
    assert world.with_scopes("read").post(f"{where}/release").status == 403
    assert world.theirs.get(where).status == 404
    moved = where.replace("acme", "other")
    assert world.theirs.get(moved).status == 404
    for wrong in ("nonsense", "00000000-0000-0000-0000-000000000000"):
        assert world.own.get(f"{PATH}/{wrong}").status == 404
