"""The main road through the API, call by call, as a developer walks it."""

from decimal import Decimal

from tests.support.api import World, balance


def test_from_plans_to_an_issued_invoice(world: World) -> None:
    own, platform = world.own, world.platform
    plans = {plan["code"]: plan for plan in world.nobody.get("/billing/plans").json["results"]}
    price = plans["team"]["prices"][1]
    assert (price["currency"], price["base_fee"], price["credit_price"]) == ("USD", "49.00", "10")
    assert "hidden" not in plans

    current = own.get("/billing/organizations/acme/subscription")
    assert current.json["plan"]["code"] == "team"
    assert current.json["current_period"]["starts_at"] == "2023-11-01T00:00:00Z"
    assert current.headers["ETag"] == f'"{world.subscription.id}.{current.json["version"]}"'

    checked = own.post("/billing/organizations/acme/quotas/check", {"event": "case_created", "quantity": 500})
    assert checked.status == 200, checked
    assert (checked.json["allowed"], checked.json["used"]) == (True, "0")
    used = own.post("/billing/usage", {"meter": "case_created", "quantity": "500", "idempotency_key": "a"})
    assert (used.status, used.json["status"]) == (201, "accepted")
    refused = own.post("/billing/usage", {"meter": "case_created", "quantity": 1})
    assert (refused.status, refused.code) == (402, "quota_exceeded")
    assert refused.json["notes"] == ["billing:quota-exceeded:max_cases"]

    over = own.post("/billing/usage", {"meter": "tokens", "quantity": "1200"})
    assert (over.json["event"]["overage"], over.json["event"]["credits_paid"]) == ("200", "10")
    counters = {row["meter"]: row["total"] for row in own.get("/billing/organizations/acme/usage").json["results"]}
    assert counters == {"case_created": "500", "tokens": "1200"}

    credits = f"/billing/subscriptions/{world.subscription.id}/credits"
    given = platform.post(f"{credits}/adjust", {"credits": "2.5", "reason": "goodwill"})
    assert (given.status, given.json["results"][0]["balance_after"]) == (201, "2.5")
    assert own.get(credits).json["balance"] == "2.5"
    assert [entry["amount"] for entry in own.get(f"{credits}/ledger").json["results"]] == ["2.5", "-10", "10"]
    assert balance(world.subscription) == Decimal("2.5")

    invoices = f"/billing/subscriptions/{world.subscription.id}/invoices"
    assert platform.post(f"{invoices}/draft").code == "no_ended_period"
    assert own.get(f"{invoices}/preview").json["total"] == "50.00"
    moved = own.post("/billing/organizations/acme/clock/advance", {"to": "2023-12-01T00:00:00Z"})
    assert moved.json["organization"]["clock_at"] == "2023-12-01T00:00:00Z"
    drafted = platform.post(f"{invoices}/draft")
    assert (drafted.status, drafted.json["total"], drafted.json["status"]) == (201, "50.00", "draft")
    issued = platform.post(f"/billing/invoices/{drafted.json['id']}/issue")
    assert (issued.status, issued.json["status"]) == (200, "issued")
    assert own.get(f"/billing/invoices/{drafted.json['id']}").json == issued.json
    assert [row["id"] for row in own.get(invoices).json["results"]] == [issued.json["id"]]

    for path, headers in ((".csv", {}), ("?format=csv", {}), ("", {"Accept": "text/csv"})):
        answer = own.get(f"/billing/invoices/{drafted.json['id']}{path}", **headers)
        assert answer.headers["Content-Type"] == "text/csv; charset=utf-8"
        assert answer.content.decode().splitlines()[-1].split(",")[-2:] == ["50.00", "USD"]


def test_onboarding_and_change_of_plan(world: World) -> None:
    new = world.platform.post(
        "/billing/organizations", {"slug": "new", "name": "New", "is_sandbox": True, "clock_at": "2023-11-17T00:00:00Z"}
    )
    assert (new.status, new.json["zone"]) == (201, "UTC")
    assert world.platform.get("/billing/organizations/new/subscription").status == 404
    key = world.platform.post("/billing/organizations/new/keys", {"name": "ci", "scopes": ["read", "subscribe"]})
    own = type(world.own)(key.json["key"])
    assert own.get("/billing/organizations/new").json == new.json

    free = own.post("/billing/organizations/new/subscriptions", {"plan_code": "free"})
    assert (free.status, free.json["status"]) == (201, "active")
    again = own.post("/billing/organizations/new/subscriptions", {"plan_code": "free"})
    assert (again.status, again.code) == (409, "subscription_exists")
    paid = own.post("/billing/organizations/new/subscription", {"plan_code": "team"})
    assert (paid.status, paid.code) == (402, "payment_required")
    given = world.platform.post("/billing/organizations/new/subscription", {"plan_code": "team"})
    assert (given.status, given.json["plan"]["code"]) == (200, "team")
    assert given.json["id"] == free.json["id"]
    canceled = world.platform.post(f"/billing/subscriptions/{free.json['id']}/cancel", {"reason": "done"})
    assert (canceled.json["status"], canceled.json["current_period"]) == ("canceled", None)
    assert [row["status"] for row in own.get("/billing/organizations/new/subscriptions").json["results"]] == [
        "canceled"
    ]


def test_a_paid_sign_up_waits_for_an_operator(world: World) -> None:
    world.platform.post(f"/billing/subscriptions/{world.subscription.id}/cancel")
    signed = world.own.post("/billing/organizations/acme/subscriptions", {"plan_code": "scale"})
    assert (signed.status, signed.json["status"]) == (201, "incomplete")
    path = f"/billing/subscriptions/{signed.json['id']}/activate"
    assert world.own.post(path).status == 403
    assert world.platform.post(path).json["status"] == "active"
    assert world.platform.post(path).status == 409
    assert world.own.get(f"/billing/subscriptions/{signed.json['id']}").json["credit_balance"] != "0"
