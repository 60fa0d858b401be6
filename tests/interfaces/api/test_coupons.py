"""Coupons through the API: made and retired by whoever keeps the catalog, redeemed by customers, seen by both."""

from typing import Any

import pytest
from django.contrib.auth.models import Group
from django.test import Client

from billing.accounts import operations
from billing.accounts.actors import SCOPES, Act
from billing.models import Coupon, User
from tests.support.api import Api, World, rows

COUPON = {"code": "spring", "name": "Spring", "percent": "20", "periods": 2}


def discount_of(world: World) -> str:
    return f"/billing/subscriptions/{world.subscription.id}/discount"


def test_from_the_coupon_to_the_invoice(world: World) -> None:
    made = world.platform.post("/billing/coupons", COUPON)
    assert (made.status, made.json["code"], made.json["percent"], made.json["amount"]) == (201, "SPRING", "20", None)
    assert world.own.get(discount_of(world)).json == {"results": []}
    assert world.own.get(f"/billing/subscriptions/{world.subscription.id}").json["discount"] is None

    redeemed = world.own.post(discount_of(world), {"code": " Spring"})
    assert redeemed.status == 201, redeemed
    assert (redeemed.json["from_period"], redeemed.json["until_period"]) == (1, 2)
    assert world.own.post(discount_of(world), {"code": "SPRING"}).json == redeemed.json
    shown = world.own.get("/billing/organizations/acme/subscription")
    assert shown.json["discount"] == redeemed.json
    listed = world.own.get("/billing/organizations/acme/subscriptions").json["results"]
    assert [each["discount"] for each in listed] == [redeemed.json]
    assert world.platform.get("/billing/coupons").json["results"][0]["redemptions"] == 1

    world.own.post("/billing/organizations/acme/clock/advance", {"to": "2024-01-01T00:00:00Z"})
    invoices = world.own.get(f"/billing/subscriptions/{world.subscription.id}/invoices").json["results"]
    assert [(each["status"], each["total"]) for each in invoices] == [("draft", "39.20"), ("issued", "39.20")]
    # Its two periods are over.
    assert world.own.get("/billing/organizations/acme/subscription").json["discount"] is None
    assert world.own.get(discount_of(world)).json["results"] == [redeemed.json]


def test_an_amount_is_in_its_own_currency(world: World) -> None:
    coupon = {"code": "FIVE", "name": "Five off", "amount": "5.00", "currency": "USD"}
    assert world.platform.post("/billing/coupons", coupon).json["amount"] == "5.00"
    redeemed = world.platform.post(discount_of(world), {"code": "FIVE"}).json
    assert (redeemed["amount"], redeemed["currency"], redeemed["until_period"]) == ("5.00", "USD", None)
    preview = world.own.get(f"/billing/subscriptions/{world.subscription.id}/invoices/preview").json
    assert (preview["total"], preview["lines"][-1]["charge"]) == ("44.00", "discount")


def test_doing_without_from_the_next_period_on(world: World) -> None:
    world.platform.post("/billing/coupons", {**COUPON, "periods": None})
    world.own.post(discount_of(world), {"code": "SPRING"})
    removed = world.own.delete(discount_of(world))
    assert (removed.status, removed.json["until_period"]) == (200, 1)
    assert removed.json["removed_at"] == "2023-11-17T12:00:00Z"
    assert world.own.delete(discount_of(world)).status == 404
    again = world.own.post(discount_of(world), {"code": "SPRING"})
    assert (again.status, again.code, again.fields) == (409, "coupon_used", ["coupon"])


def test_a_retired_one_is_redeemed_by_nobody(world: World) -> None:
    world.platform.post("/billing/coupons", COUPON)
    for _ in range(2):
        assert world.platform.post("/billing/coupons/spring/retire").json["is_active"] is False
    refused = world.own.post(discount_of(world), {"code": "SPRING"})
    assert (refused.status, refused.code) == (409, "coupon_not_redeemable")
    for reference in ("none", "%00", "%20"):
        assert world.platform.post(f"/billing/coupons/{reference}/retire").status == 404


@pytest.mark.parametrize(
    ("change", "status", "code", "field"),
    [
        ({"percent": "100.1"}, 422, "coupon_invalid", "percent"),
        ({"percent": None}, 422, "coupon_invalid", "percent"),
        ({"amount": "5", "currency": "USD"}, 422, "coupon_invalid", "percent"),
        ({"percent": None, "amount": "5"}, 422, "coupon_invalid", "currency"),
        ({"percent": None, "amount": "5", "currency": "XXX"}, 422, "coupon_invalid", "currency"),
        ({"percent": None, "amount": "0.001", "currency": "USD"}, 422, "coupon_invalid", "amount"),
        ({"percent": None, "amount": "999999999999", "currency": "USD"}, 422, "coupon_invalid", "amount"),
        ({"code": "two words"}, 422, "coupon_invalid", "code"),
        ({"code": ""}, 422, "invalid_field", "code"),
        ({"periods": 0}, 422, "invalid_field", "periods"),
        ({"redeem_until": "2020-01-01T00:00:00Z"}, 422, "coupon_invalid", "redeem_until"),
        ({"code": "TAKEN"}, 409, "coupon_taken", "code"),
    ],
)
def test_what_cannot_be_is_refused_and_nothing_written(
    world: World, change: dict[str, Any], status: int, code: str, field: str
) -> None:
    world.platform.post("/billing/coupons", {**COUPON, "code": "TAKEN"})
    before = rows()
    refused = world.platform.post("/billing/coupons", COUPON | change)
    assert (refused.status, refused.fields) == (status, [field]), refused
    assert code in (refused.code, "invalid_field")
    assert rows() == before


def test_pages_run_by_code(world: World) -> None:
    for code in ("C3", "C1", "C2"):
        world.platform.post("/billing/coupons", {**COUPON, "code": code})
    first = world.platform.get("/billing/coupons?limit=2").json
    second = world.platform.get(first["next"].partition("/api")[2]).json
    assert [each["code"] for each in first["results"] + second["results"]] == ["C1", "C2", "C3"]
    assert second["next"] is None
    assert world.platform.get("/billing/coupons?cursor=eA==").status == 422


CALLS = (
    ("GET", "/billing/coupons", None),
    ("POST", "/billing/coupons", COUPON),
    ("POST", "/billing/coupons/AB/retire", None),
)


def statuses(api: Api) -> set[int]:
    return {(api.get(path) if method == "GET" else api.post(path, body)).status for method, path, body in CALLS}


@pytest.mark.parametrize("act", sorted(SCOPES))
def test_only_keys_with_catalog_see_and_make_them(world: World, act: Act) -> None:
    world.platform.post("/billing/coupons", {**COUPON, "code": "AB"})
    expected = {200, 201} if act is Act.CATALOG else {403}
    assert statuses(world.with_scopes(act.value, platform=True)) == expected


@pytest.mark.parametrize(("group", "expected"), [("catalog", {200, 201}), ("finance", {403}), ("support", {403})])
def test_staff_that_keep_the_catalog_do_too(world: World, group: str, expected: set[int]) -> None:
    world.platform.post("/billing/coupons", {**COUPON, "code": "AB"})
    user = operations.create_user(email="p@example.com", password="correct horse battery")
    User.objects.filter(id=user.id).update(is_staff=True, cleared_regions=["eu"])
    user.groups.add(Group.objects.get_or_create(name=group)[0])
    client = Client()
    client.force_login(user)
    assert statuses(Api(client=client)) == expected


def test_a_customer_makes_none(world: World) -> None:
    assert statuses(world.own) == {403}
    assert statuses(world.nobody) == {401}
    assert not Coupon.objects.exists()
