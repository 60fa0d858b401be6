"""The terms of a plan, accepted with the subscription: kept once, and refused when they have changed."""

from typing import Any

import pytest

from billing.models import AuditEntry, MarketplaceSubscription, PricingPlan, Subscription
from tests.support.api import World, rows

VERSION = "2026-01"


@pytest.fixture
def newcomer(world: World) -> str:
    body = {"slug": "fresh", "name": "Fresh"}
    assert world.platform.post("/billing/organizations", body).status == 201
    return "/billing/organizations/fresh"


@pytest.fixture(autouse=True)
def _terms(world: World) -> None:
    PricingPlan.objects.filter(plan__code__in=("team", "scale")).update(
        sla_tier="standard", sla_version=VERSION, sla_terms="99.9 per cent."
    )


def kept(document: dict[str, Any]) -> Any:
    return MarketplaceSubscription.objects.get(subscription_id=document["id"]).sla_acceptance


@pytest.mark.parametrize("path", ["subscription", "subscriptions"])
def test_who_accepted_what_when_and_from_where(world: World, newcomer: str, path: str) -> None:
    body = {"plan_code": "team", "sla_acceptance": {"version": VERSION}}
    answer = world.platform.post(f"{newcomer}/{path}", body)
    assert answer.status in (200, 201), answer.json
    found = answer.json["sla_acceptance"]
    assert found == kept(answer.json)
    entry = AuditEntry.objects.get(act="sla.accept")
    assert found.pop("accepted_by") == entry.actor
    assert entry.actor.startswith("key:")
    assert found.pop("accepted_at").endswith("Z")
    assert found == {
        "plan": "team",
        "plan_version": 1,
        "sla_tier": "standard",
        "sla_version": VERSION,
        "from": "127.0.0.1",
    }


@pytest.mark.parametrize("path", ["subscription", "subscriptions"])
@pytest.mark.parametrize("version", ["2025-12", "<script>", "=1+1"])
def test_a_stale_version_changes_nothing(world: World, newcomer: str, path: str, version: str) -> None:
    before = rows()
    answer = world.platform.post(f"{newcomer}/{path}", {"plan_code": "team", "sla_acceptance": {"version": version}})
    assert (answer.status, answer.json["code"]) == (409, "sla_version_stale")
    assert rows() == before
    assert not Subscription.objects.filter(organization__slug="fresh").exists()


def test_a_stale_version_moves_nobody(world: World) -> None:
    path = "/billing/organizations/acme/subscription"
    answer = world.platform.post(path, {"plan_code": "scale", "sla_acceptance": {"version": "2025-12"}})
    assert (answer.status, answer.json["code"]) == (409, "sla_version_stale")
    assert world.own.get(path).json["plan"]["code"] == "team"


def test_it_is_written_once_and_anew_with_another_plan(world: World) -> None:
    path = "/billing/organizations/acme/subscription"
    wanted = {"plan_code": "scale", "sla_acceptance": {"version": VERSION}}
    first = world.platform.post(path, wanted)
    assert first.json["sla_acceptance"]["plan"] == "scale"
    again = world.own.post(path, wanted)
    assert again.json["sla_acceptance"] == first.json["sla_acceptance"]
    assert AuditEntry.objects.filter(act="sla.accept").count() == 1


def test_over_the_api_it_is_optional(world: World, newcomer: str) -> None:
    answer = world.platform.post(f"{newcomer}/subscriptions", {"plan_code": "team"})
    assert (answer.status, answer.json["sla_acceptance"]) == (201, None)


@pytest.mark.parametrize("accepted", [{}, {"version": ""}, {"version": "x" * 41}, {"version": 1}, True, "2026-01"])
def test_what_is_no_acceptance(world: World, newcomer: str, accepted: Any) -> None:
    answer = world.platform.post(f"{newcomer}/subscriptions", {"plan_code": "team", "sla_acceptance": accepted})
    assert answer.status == 422
    assert not Subscription.objects.filter(organization__slug="fresh").exists()
