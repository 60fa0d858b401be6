"""Buying credits over the API: ordered, paid on the provider's page, granted."""

from decimal import Decimal

import pytest
from django.test import Client
from django.utils import timezone

from billing.models import CreditGrant, CreditPurchase, IdempotentRequest, StubCharge
from tests.support import provider_inbox
from tests.support.api import Answer, Api, World, balance

ORDERS = "/billing/organizations/acme/credit-purchases"


@pytest.fixture
def buyer(world: World) -> Api:
    """A key of the organization."""
    return world.with_scopes("read", "subscribe")


def order(api: Api, credits: str = "12.5", **headers: str) -> Answer:
    return api.post(ORDERS, {"credits": credits}, **headers)


def page_of(api: Api, purchase: str) -> str:
    linked = api.post(f"/billing/credit-purchases/{purchase}/checkout", {"return_url": "https://x.example/done"})
    assert linked.status == 200, linked
    return str(linked.json["url"])


def test_a_key_of_the_organization_buys(world: World, buyer: Api) -> None:
    before = balance(world.subscription)
    ordered = order(buyer)
    assert (ordered.status, ordered.json["state"], ordered.json["invoice"]["number"]) == (201, "open", None)
    assert (ordered.json["total"], ordered.json["currency"], ordered.json["credits"]) == ("125.00", "USD", "12.5")
    path = f"/billing/credit-purchases/{ordered.json['id']}"
    assert buyer.get(path).json == ordered.json
    page, client = page_of(buyer, ordered.json["id"]), Client()
    assert "125.00 USD" in client.get(page).content.decode()
    refused = client.post(page, {"payment_method": "card_declined"})
    assert (refused.status_code, balance(world.subscription)) == (422, before)
    for _ in range(2):
        assert "Thank you" in client.post(page, {"payment_method": "card_ok"}).content.decode()
    provider_inbox.run_due(timezone.now())
    paid = buyer.get(path).json
    assert (paid["state"], paid["lapses_at"]) == ("paid", None)
    assert paid["invoice"]["number"]
    assert balance(world.subscription) == before + Decimal("12.5")
    assert StubCharge.objects.count() == CreditGrant.objects.filter(kind="purchase").count() == 1
    invoice = buyer.get(f"/billing/invoices/{paid['invoice']['number']}").json
    assert (invoice["kind"], invoice["period"], invoice["status"], invoice["due"]) == ("purchase", None, "paid", "0.00")
    checked = world.platform.get(f"/billing/invoices/{paid['invoice']['number']}/verification").json
    assert (checked["agrees"], checked["rated_total"]) == (True, "125.00")
    late = buyer.post(f"{path}/withdraw")
    assert (late.status, late.code) == (409, "purchase_paid")
    assert (again := buyer.post(f"{path}/checkout", {})).status == 409, again
    assert again.code == "nothing_to_pay"


def test_a_bank_that_answers_later_pays_later(world: World, buyer: Api) -> None:
    before, ordered, client = balance(world.subscription), order(buyer).json, Client()
    page = page_of(buyer, ordered["id"])
    assert "The bank answers later" in client.post(page, {"payment_method": "debit_pending"}).content.decode()
    provider_inbox.run_due(timezone.now())
    assert balance(world.subscription) == before
    portal = buyer.post("/billing/organizations/acme/portal", {}).json["url"]
    client.post(f"{portal}/charges/{StubCharge.objects.get().id}", {"outcome": "paid"})
    provider_inbox.run_due(timezone.now())
    assert balance(world.subscription) == before + Decimal("12.5")


def test_one_request_key_is_one_order_also_when_its_answer_is_forgotten(world: World, buyer: Api) -> None:
    first = order(buyer, Idempotency_Key="k")
    assert order(buyer, Idempotency_Key="k").content == first.content
    IdempotentRequest.objects.all().delete()
    assert order(buyer, Idempotency_Key="k").json["id"] == first.json["id"]
    IdempotentRequest.objects.all().delete()
    other = order(buyer, "13", Idempotency_Key="k")
    assert (other.status, other.code) == (409, "idempotency_conflict")
    assert CreditPurchase.objects.count() == 1
    assert order(buyer).json["id"] != order(buyer).json["id"]


def test_orders_are_listed_by_page(world: World, buyer: Api) -> None:
    ids = [order(buyer).json["id"] for _ in range(3)]
    first = buyer.get(f"{ORDERS}?limit=2").json
    assert [each["id"] for each in first["results"]] == ids[:0:-1]
    second = buyer.get(first["next"].partition("/api")[2]).json
    assert ([each["id"] for each in second["results"]], second["next"]) == (ids[:1], None)


@pytest.mark.parametrize("credits", ["0", "-1", "0.5", "100001", "1.0000001", "x", None, [1], "NaN", "1e3"])
def test_bad_quantities_name_the_field(world: World, buyer: Api, credits: object) -> None:
    answer = buyer.post(ORDERS, {"credits": credits})
    assert (answer.status, answer.fields) == (422, ["credits"]) or answer.code == "credits_invalid"
    assert not CreditPurchase.objects.exists()


def test_another_organizations_subscription_is_not_there(world: World, buyer: Api) -> None:
    answer = buyer.post(ORDERS, {"credits": 5, "subscription": str(world.foreign.id)})
    assert answer.status == 404
    assert world.platform.post(ORDERS, {"credits": 5, "subscription": str(world.foreign.id)}).status == 404
    assert world.platform.post(ORDERS, {"credits": 5, "subscription": str(world.subscription.id)}).status == 201
