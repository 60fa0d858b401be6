"""Every POST that moves value, sent twice: with a key the first answer again, without one the books' own answer."""

from typing import Any

import pytest

from billing.models import AuditEntry, CreditEntry, IdempotentRequest
from tests.support.api import World, balance, rows

POSTS: dict[str, tuple[str, Any, int]] = {
    "change plan": ("/billing/organizations/acme/subscription", {"plan_code": "scale"}, 200),
    "cancel": ("/billing/subscriptions/{sub}/cancel", {"reason": "done"}, 200),
    "adjust": ("/billing/subscriptions/{sub}/credits/adjust", {"credits": "5", "reason": "r"}, 201),
    "order": ("/billing/organizations/acme/credit-purchases", {"credits": "5"}, 201),
    "withdraw": ("/billing/credit-purchases/{order}/withdraw", None, 200),
    "draft": ("/billing/subscriptions/{sub}/invoices/draft", None, 201),
    "issue": ("/billing/invoices/{inv}/issue", None, 200),
    "hold": ("/billing/invoices/{inv}/hold", {"reason": "r"}, 200),
    "let issue": ("/billing/invoices/{inv}/release", None, 200),
    "coupon": ("/billing/coupons", {"code": "NEW", "name": "New", "amount": "5.00", "currency": "USD"}, 201),
    "retire": ("/billing/coupons/SPRING/retire", None, 200),
    "redeem": ("/billing/subscriptions/{sub}/discount", {"code": "spring"}, 201),
    "advance": ("/billing/organizations/acme/clock/advance", {"to": "2024-01-05T00:00:00Z"}, 200),
    "organization": ("/billing/organizations", {"slug": "fresh", "name": "Fresh"}, 201),
    "provision": ("/billing/organizations/other/subscriptions", {"plan_code": "free"}, 201),
}


@pytest.fixture
def names(world: World) -> dict[str, str]:
    world.platform.post("/billing/organizations/acme/clock/advance", {"to": "2023-12-01T00:00:00Z"})
    invoice = world.platform.post(f"/billing/subscriptions/{world.subscription.id}/invoices/draft").json["id"]
    world.platform.post(f"/billing/subscriptions/{world.foreign.id}/cancel")
    world.platform.post("/billing/coupons", {"code": "SPRING", "name": "Spring", "percent": 10})
    order = world.platform.post("/billing/organizations/acme/credit-purchases", {"credits": "7"}).json["id"]
    return {"order": order, "sub": str(world.subscription.id), "inv": invoice}


@pytest.mark.parametrize("name", POSTS)
def test_the_same_key_gives_the_first_answer_again(world: World, names: dict[str, str], name: str) -> None:
    path, body, status = POSTS[name]
    path = path.format(**names)
    first = world.platform.post(path, body, idempotency_key="one")
    assert first.status == status, first
    before = rows()
    again = world.platform.post(path, body, idempotency_key="one")
    assert (again.status, again.content) == (first.status, first.content)
    for header in ("ETag", "Location", "Content-Type"):
        assert again.headers.get(header) == first.headers.get(header)
    assert rows() == before
    other = world.platform.post(path, {**(body or {}), "reason": "other"}, idempotency_key="one")
    assert other.status in (409, 422)
    assert rows() == before


def test_a_key_stands_for_one_request_of_one_caller(world: World) -> None:
    path = f"/billing/subscriptions/{world.subscription.id}/credits/adjust"
    body = {"credits": "5", "reason": "r"}
    assert world.platform.post(path, body, idempotency_key="k").status == 201
    for conflicting in (
        world.platform.post(path, {**body, "credits": "6"}, idempotency_key="k"),
        world.platform.post(path.replace(str(world.subscription.id), str(world.foreign.id)), body, idempotency_key="k"),
    ):
        assert (conflicting.status, conflicting.code) == (409, "idempotency_conflict")
    # The order of keys and the blanks between them are no difference; another caller's key is another key.
    assert world.platform.post(path, b'{ "reason" : "r", "credits" : "5" }', idempotency_key="k").status == 201
    assert balance(world.subscription) == 15
    assert world.with_scopes("credits", platform=True).post(path, body, idempotency_key="k").status == 201
    assert balance(world.subscription) == 20


def test_a_refusal_consumes_no_key(world: World) -> None:
    path = f"/billing/subscriptions/{world.subscription.id}/credits/adjust"
    take = {"credits": "-12", "reason": "r"}
    assert world.platform.post(path, take, idempotency_key="k").code == "insufficient_credits"
    assert not IdempotentRequest.objects.exists()
    world.platform.post(path, {"credits": "5", "reason": "r"})
    assert world.platform.post(path, take, idempotency_key="k").status == 201
    assert balance(world.subscription) == 3


def test_without_a_key_each_adjustment_counts_and_leaves_its_reason(world: World) -> None:
    path = f"/billing/subscriptions/{world.subscription.id}/credits/adjust"
    for _ in range(2):
        assert world.platform.post(path, {"credits": "2.5", "reason": "goodwill"}).status == 201
    assert balance(world.subscription) == 15
    assert CreditEntry.objects.filter(reason="goodwill").count() == 2
    assert AuditEntry.objects.filter(act="credits.adjust", reason="goodwill").count() == 2


def test_without_a_key_drafting_issuing_and_canceling_twice_is_once(world: World, names: dict[str, str]) -> None:
    drafts = [world.platform.post(f"/billing/subscriptions/{names['sub']}/invoices/draft").json for _ in range(2)]
    assert drafts[0]["id"] == drafts[1]["id"] == names["inv"]
    issued = [world.platform.post(f"/billing/invoices/{names['inv']}/issue").json for _ in range(2)]
    assert issued[0] == issued[1]
    assert world.platform.post(f"/billing/subscriptions/{names['sub']}/cancel").status == 200
    assert world.platform.post(f"/billing/subscriptions/{names['sub']}/cancel").status == 409


def test_a_stale_belief_changes_nothing(world: World) -> None:
    path = "/billing/organizations/acme/subscription"
    read = world.own.get(path)
    etag, version = read.headers["ETag"], read.json["version"]
    moved = world.platform.post(path, {"plan_code": "scale"}, if_match=etag)
    assert moved.status == 200
    assert moved.headers["ETag"] != etag
    before = rows()
    for options in (
        {"if_match": etag},
        {"if_match": f'"{world.foreign.id}.{version}"'},
    ):
        answer = world.platform.post(path, {"plan_code": "team"}, **options)
        assert answer.status == 409
    stale = {"plan_code": "team", "subscription_id": read.json["id"], "version": version}
    assert world.platform.post(path, stale).status == 409
    assert world.platform.post(path, {**stale, "version": version}, if_match=moved.headers["ETag"]).status == 422
    assert rows() == before
    assert world.own.get(path).json["plan"]["code"] == "scale"
    assert world.platform.post(path, {"plan_code": "team"}, if_match=moved.headers["ETag"]).status == 200
