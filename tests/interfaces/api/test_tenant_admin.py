"""What owners and admins of a tenant see of its plan and change, in the words of the admin API."""

from typing import Any

import pytest
from django.test import Client

from billing import BillingService
from billing.accounts import members, operations
from billing.lifecycle import onboard
from billing.models import Organization, Subscription, SubscriptionPeriod, User
from billing.reporting.doctor import verify
from tests.support.api import CLI, NOW, Answer, Api, World
from tests.support.factories import at

ROOT = "/v1/admin/billing"


def person(*memberships: tuple[Organization, str]) -> Api:
    user = User.objects.filter(email="p@example.com").first() or operations.create_user(
        email="p@example.com", password="correct horse battery"
    )
    for organization, role in memberships:
        members.set_role(organization=organization, user=user, role=role, actor=CLI)
    client = Client()
    client.force_login(user)
    return Api(client=client)


def update(api: Api, query: str = "", **body: Any) -> Answer:
    return api.post(f"{ROOT}/update-plan{query}", body)


@pytest.mark.parametrize("role", ["owner", "admin"])
def test_the_state_is_plan_status_renewal_date_and_limits(world: World, role: str) -> None:
    state = person((world.acme, role)).get(f"{ROOT}/state").json
    assert state == {
        "tenant_id": str(world.acme.id),
        "plan_code": "team",
        "plan_version": 1,
        "subscription_status": "active",
        "renewal_date": "2023-12-01",
        "limits": {
            "max_cases": "500",
            "max_evaluations_per_month": "100",
            "express_entry_enabled": True,
            "document_generation_enabled": True,
            "max_api_calls_per_day": None,
            "tokens_included": "1000",
            "tasks": "5",
        },
    }
    assert world.own.get(f"{ROOT}/state").json == state
    assert world.platform.get(f"{ROOT}/state?organization=acme").json == state


@pytest.mark.parametrize("role", ["member", "finance"])
@pytest.mark.parametrize("path", ["state", "usage", "portal-url"])
def test_other_roles_are_refused(world: World, role: str, path: str) -> None:
    assert person((world.acme, role)).get(f"{ROOT}/{path}").status == 403


def test_the_tenant_is_implied_where_there_is_only_one(world: World) -> None:
    assert person((world.acme, "owner")).get(f"{ROOT}/state").json["tenant_id"] == str(world.acme.id)
    both = person((world.other, "admin"))
    refused = both.get(f"{ROOT}/state")
    assert (refused.status, refused.fields) == (422, ["organization"])
    assert both.get(f"{ROOT}/state?organization=other").json["tenant_id"] == str(world.other.id)
    assert world.platform.get(f"{ROOT}/state").status == 422
    assert world.own.get(f"{ROOT}/state?organization=other").status == 404


def test_usage_is_a_total_and_months_for_each_event(world: World) -> None:
    assert world.own.get(f"{ROOT}/usage").json == {"tenant_id": str(world.acme.id), "usage_counters": {}}
    BillingService.record_usage_event(world.acme, "case_created", 2)
    world.platform.post("/billing/organizations/acme/clock/advance", {"to": "2023-12-05T00:00:00Z"})
    BillingService.record_usage_event("acme", "case_created")
    BillingService.record_usage_event("acme", "tokens", 7)
    assert world.own.get(f"{ROOT}/usage").json["usage_counters"] == {
        "case_created": {"total": "3", "months": {"2023-11": "2", "2023-12": "1"}},
        "tokens": {"total": "7", "months": {"2023-12": "7"}},
    }


def test_an_owner_chooses_a_plan_on_sale(world: World) -> None:
    api = person((world.acme, "owner"))
    assert update(api, plan_code="scale").json["plan_code"] == "scale"
    assert update(api, plan_code="hidden").status == 403
    waits = update(api, plan_code="team")
    assert (waits.status, waits.json["plan_code"]) == (200, "scale")
    pending = Subscription.objects.get(id=world.subscription.id).pending_plan
    assert pending is not None
    assert pending.code == "team"
    assert update(api).fields == ["plan_code"]


def test_an_owner_sets_neither_status_nor_date(world: World) -> None:
    api = person((world.acme, "owner"))
    for body in ({"status": "canceled"}, {"renewal_date": "2023-11-25"}):
        assert update(api, **body).status == 403
        # Not even half of it.
        assert update(api, plan_code="scale", **body).status == 403
    assert api.get(f"{ROOT}/state").json["plan_code"] == "team"


@pytest.mark.parametrize(
    ("statuses", "last"),
    [
        (["active"], 200),
        (["paused", "active"], 200),
        (["canceled"], 200),
        (["trialing"], 409),
        (["past_due"], 409),
        (["incomplete"], 409),
        (["nonsense"], 409),
        (["paused", "past_due"], 409),
    ],
)
def test_a_status_is_a_legal_transition_or_a_conflict(world: World, statuses: list[str], last: int) -> None:
    for status in statuses:
        answer = update(world.platform, "?organization=acme", status=status)
    assert answer.status == last
    if last == 200:
        assert answer.json["subscription_status"] == statuses[-1]


def test_a_cancelled_tenant_has_nothing_left_to_set(world: World) -> None:
    state = update(world.platform, "?organization=acme", status="canceled").json
    assert (state["subscription_status"], state["renewal_date"], state["limits"]) == ("canceled", None, {})
    assert state["plan_code"] == "team"
    assert update(world.platform, "?organization=acme", status="active").status == 404


def test_a_renewal_date_cuts_the_period_short_and_prorates_its_fee(world: World) -> None:
    assert update(world.platform, "?organization=acme", renewal_date="2023-11-21").json["renewal_date"] == "2023-11-21"
    period = SubscriptionPeriod.objects.get(subscription=world.subscription)
    assert (period.ends_at.isoformat(), period.nominal_ends_at.isoformat()) == (
        "2023-11-21T00:00:00+00:00",
        "2023-12-01T00:00:00+00:00",
    )
    world.platform.post("/billing/organizations/acme/clock/advance", {"to": "2023-12-05T00:00:00Z"})
    following = SubscriptionPeriod.objects.get(subscription=world.subscription, ordinal=2)
    assert (following.starts_at, following.ends_at) == (period.ends_at, at("2023-12-21"))
    invoices = world.platform.get(f"/billing/subscriptions/{world.subscription.id}/invoices").json["results"]
    first = min(invoices, key=lambda invoice: str(invoice["period"]["starts_at"]))
    # 20 of the 30 days that the period was to have: 49.00 x 20 / 30.
    assert first["subtotal"] == "32.67"
    # The allowance of the short period ended with it: what is there is one month's.
    assert Subscription.objects.get(id=world.subscription.id).marketplace.credit_balance == 10
    assert verify() == []


@pytest.mark.parametrize("day", ["2023-11-17", "2023-11-16", "2023-12-02", "2024-11-01", "0001-01-01", "9999-12-31"])
def test_a_renewal_moves_only_into_what_is_left_of_the_period(world: World, day: str) -> None:
    answer = update(world.platform, "?organization=acme", renewal_date=day)
    assert (answer.status, answer.code) == (422, "renewal_date_invalid")


def test_the_day_that_it_renews_on_already_changes_nothing(world: World) -> None:
    before = Subscription.objects.get(id=world.subscription.id).version
    assert update(world.platform, "?organization=acme", renewal_date="2023-12-01").status == 200
    assert Subscription.objects.get(id=world.subscription.id).version == before


def test_all_that_is_named_happens_or_nothing_does(world: World) -> None:
    answer = update(world.platform, "?organization=acme", plan_code="scale", renewal_date="2024-11-25")
    assert answer.status == 422
    assert world.own.get(f"{ROOT}/state").json["plan_code"] == "team"
    done = update(world.platform, "?organization=acme", plan_code="scale", renewal_date="2023-11-25").json
    assert (done["plan_code"], done["renewal_date"]) == ("scale", "2023-11-25")


def test_an_update_told_twice_happens_once(world: World) -> None:
    body = {"renewal_date": "2023-11-25"}
    first, second = (
        world.platform.post(f"{ROOT}/update-plan?organization=acme", body, Idempotency_Key="k") for _ in range(2)
    )
    assert first.content == second.content


def test_a_tenant_without_a_subscription_has_a_state_too(world: World) -> None:
    operations.create_organization(slug="bare", name="B", is_sandbox=True, clock_at=NOW, actor=CLI)
    state = world.platform.get(f"{ROOT}/state?organization=bare").json
    assert (state["plan_code"], state["subscription_status"], state["limits"]) == (None, "none", {})
    assert update(world.platform, "?organization=bare", status="active").status == 404
    assert update(world.platform, "?organization=bare", plan_code="free").json["subscription_status"] == "active"


def test_the_portal_is_a_link(world: World) -> None:
    answer = person((world.acme, "owner")).get(f"{ROOT}/portal-url?return_url=/somewhere")
    assert answer.status == 200
    assert answer.json["url"].startswith("http")
    assert world.own.get(f"{ROOT}/portal-url?return_url=javascript:alert(1)").status in (200, 422)
    # What cannot be taken apart is no address either.
    assert world.own.get(f"{ROOT}/portal-url?return_url=http://[").code == "return_url_invalid"
    assert world.own.post("/billing/organizations/acme/portal", {"return_url": "http://["}).code == "return_url_invalid"


def test_trials_have_no_renewal_to_move(world: World) -> None:
    made = operations.create_organization(slug="new", name="N", is_sandbox=True, clock_at=NOW, actor=CLI)
    onboard.subscribe(organization=made, plan_code="trial", actor=CLI, now=NOW)
    assert update(world.platform, "?organization=new", renewal_date="2023-11-25").status == 409
