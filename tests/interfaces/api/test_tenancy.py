"""Another organization's things look exactly like things that are not there."""

from typing import Any
from uuid import uuid4

import pytest

from tests.support.api import Api, World, rows

CALLS: dict[str, tuple[str, str, Any]] = {
    "organization": ("GET", "/billing/organizations/{org}", None),
    "subscription": ("GET", "/billing/organizations/{org}/subscription", None),
    "subscriptions": ("GET", "/billing/organizations/{org}/subscriptions", None),
    "counters": ("GET", "/billing/organizations/{org}/usage", None),
    "keys": ("GET", "/billing/organizations/{org}/keys", None),
    "new key": ("POST", "/billing/organizations/{org}/keys", {"name": "k", "scopes": ["read"]}),
    "revoke key": ("DELETE", "/billing/organizations/{org}/keys/{any}", None),
    "change plan": ("POST", "/billing/organizations/{org}/subscription", {"plan_code": "scale"}),
    "set status": ("POST", "/billing/organizations/{org}/subscription", {"plan_code": "team", "status": "active"}),
    "provision": ("POST", "/billing/organizations/{org}/subscriptions", {"plan_code": "free"}),
    "backdate": (
        "POST",
        "/billing/organizations/{org}/subscriptions",
        {"plan_code": "free", "starts_at": "2023-11-01T00:00:00Z"},
    ),
    "check": ("POST", "/billing/organizations/{org}/quotas/check", {"event": "tokens"}),
    "check and record": (
        "POST",
        "/billing/organizations/{org}/quotas/check",
        {"event": "tokens", "record_usage": True},
    ),
    "advance": ("POST", "/billing/organizations/{org}/clock/advance", {"to": "2023-12-05T00:00:00Z"}),
    "webhooks": ("GET", "/billing/organizations/{org}/webhook-endpoints", None),
    "new webhook": (
        "POST",
        "/billing/organizations/{org}/webhook-endpoints",
        {"url": "https://hooks.example.com/"},
    ),
    "webhook": ("GET", "/billing/organizations/{org}/webhook-endpoints/{any}", None),
    "delete webhook": ("DELETE", "/billing/organizations/{org}/webhook-endpoints/{any}", None),
    "rotate": ("POST", "/billing/organizations/{org}/webhook-endpoints/{any}/rotate", {}),
    "pause webhook": ("POST", "/billing/organizations/{org}/webhook-endpoints/{any}/pause", {}),
    "resume webhook": ("POST", "/billing/organizations/{org}/webhook-endpoints/{any}/resume", {}),
    "test webhook": ("POST", "/billing/organizations/{org}/webhook-endpoints/{any}/test", {}),
    "deliveries": ("GET", "/billing/organizations/{org}/webhook-endpoints/{any}/deliveries", None),
    "usage": ("POST", "/billing/usage", {"organization": "{org}", "meter": "tokens", "quantity": 1}),
    "batch": ("POST", "/billing/usage", {"organization": "{org}", "events": [{"meter": "tokens", "quantity": 1}]}),
    "batch item": (
        "POST",
        "/billing/usage",
        {"events": [{"meter": "tokens", "quantity": 1, "organization": "{org}"}], "organization": "acme"},
    ),
    "read subscription": ("GET", "/billing/subscriptions/{sub}", None),
    "cancel": ("POST", "/billing/subscriptions/{sub}/cancel", {}),
    "activate": ("POST", "/billing/subscriptions/{sub}/activate", {}),
    "credits": ("GET", "/billing/subscriptions/{sub}/credits", None),
    "ledger": ("GET", "/billing/subscriptions/{sub}/credits/ledger", None),
    "adjust": ("POST", "/billing/subscriptions/{sub}/credits/adjust", {"credits": "1", "reason": "r"}),
    "invoices": ("GET", "/billing/subscriptions/{sub}/invoices", None),
    "preview": ("GET", "/billing/subscriptions/{sub}/invoices/preview", None),
    "draft": ("POST", "/billing/subscriptions/{sub}/invoices/draft", {}),
    "invoice": ("GET", "/billing/invoices/{inv}", None),
    "invoice as csv": ("GET", "/billing/invoices/{inv}.csv", None),
    "issue": ("POST", "/billing/invoices/{inv}/issue", {}),
    "hold": ("POST", "/billing/invoices/{inv}/hold", {"reason": "r"}),
    "let issue": ("POST", "/billing/invoices/{inv}/release", {}),
    "discounts": ("GET", "/billing/subscriptions/{sub}/discount", None),
    "redeem": ("POST", "/billing/subscriptions/{sub}/discount", {"code": "SPRING"}),
    "do without": ("DELETE", "/billing/subscriptions/{sub}/discount", None),
    "void": ("POST", "/billing/invoices/{inv}/void", {"reason": "r"}),
    "uncollectible": ("POST", "/billing/invoices/{inv}/uncollectible", {"reason": "r"}),
    "pay": ("POST", "/billing/invoices/{inv}/pay", {"amount": "1", "reference": "x"}),
    "refund": ("POST", "/billing/invoices/{inv}/refund", {"amount": "1", "reference": "x", "reason": "r"}),
    "credit note": ("POST", "/billing/invoices/{inv}/credit-notes", {"reason": "r"}),
    "credit notes": ("GET", "/billing/invoices/{inv}/credit-notes", None),
    "profile": ("GET", "/billing/organizations/{org}/billing-profile", None),
    "set profile": ("PUT", "/billing/organizations/{org}/billing-profile", {"legal_name": "A"}),
    "balance": ("GET", "/billing/organizations/{org}/balance", None),
    "payout": (
        "POST",
        "/billing/organizations/{org}/balance/payouts",
        {"amount": "1", "currency": "USD", "reference": "x", "reason": "r"},
    ),
    "payments": ("GET", "/billing/invoices/{inv}/payments", None),
    "evaluate": (
        "POST",
        "/policy/placements/evaluate",
        {"organization": "{org}", "requirements": [{"event": "tokens"}], "record": True},
    ),
    "decision": ("GET", "/policy/decisions/{any}", None),
    "tenant state": ("GET", "/v1/admin/billing/state?organization={org}", None),
    "tenant usage": ("GET", "/v1/admin/billing/usage?organization={org}", None),
    "tenant plan": ("POST", "/v1/admin/billing/update-plan?organization={org}", {"plan_code": "scale"}),
    "tenant portal": ("GET", "/v1/admin/billing/portal-url?organization={org}", None),
}


def call(api: Api, name: str, names: dict[str, str]) -> Any:
    method, path, body = CALLS[name]

    def fill(value: Any) -> Any:
        if isinstance(value, str):
            return value.format_map(names) if value.startswith("{") or "/" in value else value
        if isinstance(value, dict):
            return {key: fill(item) for key, item in value.items()}
        return [fill(item) for item in value] if isinstance(value, list) else value

    if method == "POST":
        return api.post(fill(path), fill(body))
    if method == "PUT":
        return api.put(fill(path), fill(body))
    return api.call(method, fill(path))


@pytest.fixture(scope="module")
def foreign_invoice(module_world: World) -> str:
    platform = module_world.platform
    platform.post("/billing/organizations/other/clock/advance", {"to": "2023-12-05T00:00:00Z"})
    return str(platform.post(f"/billing/subscriptions/{module_world.foreign.id}/invoices/draft").json["id"])


@pytest.mark.parametrize("name", CALLS)
def test_a_foreign_thing_is_answered_like_a_made_up_one(world: World, foreign_invoice: str, name: str) -> None:
    made_up = {"org": str(uuid4()), "sub": str(uuid4()), "inv": str(uuid4()), "any": str(uuid4())}
    foreign = {"sub": str(world.foreign.id), "inv": foreign_invoice, "any": made_up["any"]}
    before = rows()
    expected = call(world.own, name, made_up)
    assert expected.status == 404
    for organization in (str(world.other.id), "other", "crm:other"):
        answer = call(world.own, name, {**foreign, "org": organization})
        assert answer.status == 404
        assert answer.but_request_id == expected.but_request_id
        assert answer.headers.keys() == expected.headers.keys()
    assert rows() == before


@pytest.mark.parametrize("name", CALLS)
def test_nobody_is_asked_for_a_key(world: World, foreign_invoice: str, name: str) -> None:
    answer = call(world.nobody, name, {"org": "acme", "sub": "x", "inv": "x", "any": "x"})
    assert (answer.status, answer.code) == (401, "not_authenticated")
    assert answer.headers["WWW-Authenticate"].startswith("Bearer")


def test_a_cloud_event_is_counted_for_the_keys_own_organization_whatever_its_subject(world: World) -> None:
    event = {"specversion": "1.0", "id": "1", "source": "/s", "type": "tokens", "subject": "other",
             "data": {"quantity": 1}}  # fmt: skip
    answer = world.own.post("/billing/usage", event, content_type="application/cloudevents+json")
    assert (answer.status, answer.json["event"]["subscription"]) == (201, str(world.subscription.id))


def test_a_cursor_of_another_list_leads_nowhere_else(world: World) -> None:
    ledger = "/billing/subscriptions/{}/credits/ledger"
    for _ in range(3):
        world.platform.post(ledger.format(world.foreign.id).replace("ledger", "adjust"), {"credits": 1, "reason": "r"})
    following = world.theirs.get(ledger.format(world.foreign.id) + "?limit=1").json["next"]
    query = following.partition("?")[2]
    shown = world.own.get(ledger.format(world.subscription.id) + f"?{query}").json["results"]
    own = world.own.get(ledger.format(world.subscription.id)).json["results"]
    assert [row["id"] for row in shown] == [row["id"] for row in own]
