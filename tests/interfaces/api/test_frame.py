"""What holds for every call: request ids, problem details for whatever goes wrong, pages, the OpenAPI document."""

import json
from typing import Any

import pytest
from django.db import OperationalError
from django.test import Client, override_settings
from pytest_django import DjangoAssertNumQueries

from billing.accounts import queries as accounts_queries
from billing.api import urls
from billing.api.endpoint import ApiView
from billing.catalog import queries as catalog_queries
from billing.models import Plan
from examples.casework import urls as casework_urls
from marketplace.api import urls as marketplace_urls
from tests.support.api import Api, World


def test_a_sane_request_id_is_kept_and_another_replaced(world: World) -> None:
    assert world.nobody.get("/billing/plans", x_request_id="abc-1.2").headers["X-Request-ID"] == "abc-1.2"
    for odd in ("", "a b", "x" * 65, "\u00e9", "a\tb"):
        assert world.nobody.get("/billing/plans", x_request_id=odd).headers["X-Request-ID"] not in (odd, "")


@pytest.mark.parametrize(
    "path", ["", "/", "/nothing", "/billing/plans/", "/billing/%00", "/billing/..%2f..%2fetc", "/x" * 900]
)
def test_an_unknown_url_is_a_problem(world: World, path: str) -> None:
    answer = world.platform.get(path)
    assert (answer.status, answer.code) == (404, "not_found")


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [
        ("POST", "/billing/plans", "GET, HEAD"),
        ("GET", "/billing/usage", "POST"),
        ("PUT", "/billing/organizations/acme/subscription", "GET, POST, HEAD"),
        ("TRACE", "/billing/plans", "GET, HEAD"),
        ("BREW", "/billing/usage", "POST"),
        ("OPTIONS", "/billing/plans", "GET, HEAD"),
        ("DELETE", "/schema", None),
    ],
)
def test_another_method_is_a_problem(world: World, method: str, path: str, allowed: str | None) -> None:
    answer = world.platform.call(method, path)
    assert (answer.status, answer.code) == (405, "method_not_allowed")
    assert allowed is None or answer.headers["Allow"] == allowed


def test_a_head_is_a_get_without_its_body(world: World) -> None:
    response = world.nobody.client.head("/api/billing/plans")
    assert (response.status_code, response.content) == (200, b"")


def test_a_bad_host_is_a_problem(world: World) -> None:
    answer = world.platform.get("/billing/plans", Host="evil.example")
    assert (answer.status, answer.code) == (400, "bad_request")


def test_outside_of_the_api_nothing_is_changed(world: World) -> None:
    response = Client().get("/no-such-page")
    assert response.status_code == 404
    assert "problem" not in response["Content-Type"]


@pytest.mark.parametrize("debug", [True, False])
def test_a_defect_is_a_problem_without_a_word_of_it(world: World, monkeypatch: pytest.MonkeyPatch, debug: bool) -> None:
    def broken(*_: Any, **__: Any) -> None:
        raise RuntimeError("secret inside")

    monkeypatch.setattr(catalog_queries, "catalog_stamp", broken)
    api = Api(client=Client(raise_request_exception=False))
    with override_settings(DEBUG=debug):
        response = api.client.get("/api/billing/plans")
    assert response.status_code == 500
    assert response["Content-Type"] == "application/problem+json"
    assert json.loads(response.content)["code"] == "internal_error"
    assert b"secret" not in response.content


def test_a_lost_database_is_a_problem(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    def gone(*_: Any, **__: Any) -> None:
        raise OperationalError('connection to server at "10.0.0.1" failed')

    monkeypatch.setattr(accounts_queries, "find_key", gone)
    answer = world.own.get("/billing/organizations/acme")
    assert (answer.status, answer.code) == (503, "unavailable")
    assert int(answer.headers["Retry-After"]) > 0
    assert b"10.0.0.1" not in answer.content


def test_pages_follow_each_other_without_gap_or_overlap(world: World) -> None:
    ledger = f"/billing/subscriptions/{world.subscription.id}/credits/ledger"
    for number in range(1, 8):
        world.platform.post(ledger.replace("ledger", "adjust"), {"credits": number, "reason": "r"})
    seen: list[int] = []
    following: str | None = f"http://testserver/api{ledger}?limit=3"
    sizes = []
    while following:
        answer = world.own.get(following.removeprefix("http://testserver/api"))
        sizes.append(len(answer.json["results"]))
        seen += [row["sequence"] for row in answer.json["results"]]
        following = answer.json["next"]
    assert sizes == [3, 3, 2]
    assert seen == list(range(8, 0, -1))
    assert world.own.get(f"{ledger}?limit=8").json["next"] is None


def test_history_pages_by_time(world: World) -> None:
    for _ in range(3):
        live = world.own.get("/billing/organizations/acme/subscription").json["id"]
        world.platform.post(f"/billing/subscriptions/{live}/cancel")
        world.platform.post("/billing/organizations/acme/subscriptions", {"plan_code": "free"})
    first = world.own.get("/billing/organizations/acme/subscriptions?limit=3").json
    second = world.own.get(first["next"].removeprefix("http://testserver/api")).json
    shown = [row["status"] for row in first["results"] + second["results"]]
    assert shown == ["active", "canceled", "canceled", "canceled"]
    assert second["next"] is None


@pytest.mark.parametrize(
    ("path", "queries"),
    [
        ("/billing/organizations/acme", 1),
        ("/billing/organizations/acme/subscription", 4),
        ("/billing/organizations/acme/usage", 4),
        ("/billing/organizations/nobody", 1),
    ],
)
def test_a_call_with_a_key_asks_for_nothing_twice(
    world: World, django_assert_num_queries: DjangoAssertNumQueries, path: str, queries: int
) -> None:
    with django_assert_num_queries(queries):
        world.own.get(path)


def test_lists_cost_the_same_however_long(world: World, django_assert_num_queries: DjangoAssertNumQueries) -> None:
    ledger = f"/billing/subscriptions/{world.subscription.id}/credits/ledger"
    for number in range(1, 6):
        world.platform.post(ledger.replace("ledger", "adjust"), {"credits": number, "reason": "r"})
    with django_assert_num_queries(3):
        world.own.get(ledger)
    world.nobody.get("/billing/plans")
    with django_assert_num_queries(1):
        world.nobody.get("/billing/plans")


def test_plans_tell_a_shop_all_it_needs(world: World) -> None:
    plans = {plan["code"]: plan for plan in world.nobody.get("/billing/plans").json["results"]}
    assert list(plans) != []
    entitlements = {each["key"]: each for each in plans["team"]["entitlements"]}
    assert entitlements["tokens_included"]["overage_prices"][1] == {
        "currency": "USD",
        "model": "per_unit",
        "rate": "0.5",
        "per": "100",
        "tiers": [],
    }
    assert entitlements["max_api_calls_per_day"]["limit"] is None
    assert (plans["trial"]["trial_days"], plans["trial"]["trial_credits"]) == (14, "2")
    # A bad key is no reason to hide what is open to everyone.
    assert Api("chk_live_wrong").get("/billing/plans").status == 200


def test_every_endpoint_is_in_the_document(world: World) -> None:
    response = world.nobody.client.get("/api/schema")
    assert response["Content-Type"].startswith("application/vnd.oai.openapi+json")
    served = json.loads(response.content)
    assert served["openapi"] == "3.1.0"
    ids = [each["operationId"] for methods in served["paths"].values() for each in methods.values()]
    patterns = (*urls.urlpatterns, *casework_urls.urlpatterns, *marketplace_urls.urlpatterns)
    views = [view for each in patterns if (view := getattr(each.callback, "cls", None)) is not None]
    assert len(ids) == len(set(ids)) == sum(len(view.handlers) for view in views if issubclass(view, ApiView))


def test_the_page_of_the_document_needs_no_other_host(world: World) -> None:
    page = world.nobody.client.get("/api/docs")
    assert page.status_code == 200
    assert "//cdn" not in page.content.decode()
    assert "https://" not in page.content.decode()
    assert "/static/drf_spectacular_sidecar/" in page.content.decode()
    assert "script-src 'self'" in page["Content-Security-Policy"]


@pytest.mark.parametrize(("environment", "plans"), [("sandbox", ["lab-standard"]), ("production", [])])
def test_an_empty_catalog_is_filled_in_a_sandbox_only(db: None, environment: str, plans: list[str]) -> None:
    with override_settings(BILLING_ENVIRONMENT=environment):
        for _ in range(2):
            results = Api().get("/billing/plans").json["results"]
            assert [plan["name"] for plan in results] == ["Lab Standard"] * len(plans)
    assert Plan.objects.count() == len(plans)
