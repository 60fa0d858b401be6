"""Choosing a plan on a page: what it costs and when, its terms read and accepted, and exactly one subscription."""

from __future__ import annotations

import re
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from django.test import Client
from django.utils import timezone
from pytest_django import Settings

from billing.accounts import actors, members
from billing.accounts import operations as accounts_operations
from billing.catalog import operations as catalog_operations
from billing.catalog import parsing
from billing.kernel.ids import new_id
from billing.lifecycle import onboard
from billing.models import (
    AuditEntry,
    MarketplaceSubscription,
    Organization,
    Plan,
    PricingPlan,
    Role,
    Subscription,
    User,
)
from billing.reporting.doctor import verify
from tests.support import catalogs, factories, provider_inbox

NOBODY = "01a201f3-fd8a-7aea-8a8c-9b50e55d335b"
pytestmark = pytest.mark.django_db
OPERATOR = actors.operator("test")
NOW = factories.at("2026-03-10 12:00:00")
TERMS = "Answered within one day. <script>alert(1)</script>"


@pytest.fixture(autouse=True)
def _catalog() -> None:
    catalogs.sync()
    PricingPlan.objects.filter(plan__code__in=("team", "scale", "trial")).update(
        sla_tier="standard", sla_version="2026-1", sla_terms=TERMS
    )


@pytest.fixture
def acme() -> Organization:
    return factories.sandbox(clock_at=NOW, slug="acme", name="Acme & Sons")


def signed_in(client: Client, *organizations: Organization, role: str = Role.OWNER) -> User:
    user: User = accounts_operations.create_user(email=f"{new_id().hex}@example.com", password="a-long-password")
    for organization in organizations:
        members.set_role(organization=organization, user=user, role=role, actor=OPERATOR)
    client.force_login(user)
    return user


def page(client: Client, code: str = "team", *, status: int = 200, **query: str) -> str:
    response = client.get(f"/subscribe/{code}", query)
    assert response.status_code == status
    return str(response.content.decode())


def fields(text: str) -> dict[str, str]:
    """What the form of the page would send, the box beside the terms left empty."""
    form = text.rpartition("<form")[2]
    return dict(re.findall(r'<input type="hidden" name="(?!csrf)(\w+)" value="([^"]*)"', form))


def send(client: Client, code: str = "team", *, accept: bool = True, **changes: str) -> Any:
    sent = fields(page(client, code)) | ({"accept": "yes"} if accept else {}) | changes
    return client.post(f"/subscribe/{code}", sent)


def said(client: Client, response: Any) -> str:
    """The page one lands on, in one line."""
    return re.sub(r"\s+", " ", client.get(response.headers["Location"]).content.decode())


def the_subscription() -> Subscription:
    return Subscription.objects.select_related("plan", "marketplace").get()


def test_a_visitor_signs_in_and_comes_back(client: Client) -> None:
    response = client.get("/subscribe/team?currency=JPY")
    assert response.status_code == 302
    assert "next=/subscribe/team%3Fcurrency%3DJPY" in response.headers["Location"]


def test_what_is_paid_and_when(client: Client, acme: Organization) -> None:
    signed_in(client, acme)
    team = re.sub(r"\s+", " ", page(client))
    assert "Nothing is charged before the end of the period" in team
    assert re.search(r'<time datetime="2026-04-10T12:00:00Z">[^<]*Apr[^<]*</time>', team)
    assert "49.00" in team
    trial = re.sub(r"\s+", " ", page(client, "trial"))
    assert "The trial begins: 14 days with 2 credits" in trial
    # Fourteen days, then a month: only then there is something to pay.
    assert re.search(r'<time datetime="2026-04-24T12:00:00Z">', trial)
    assert "20.00" in trial
    assert "Free of charge" in page(client, "free")


def test_terms_are_shown_and_inert(client: Client, acme: Organization) -> None:
    signed_in(client, acme)
    text = page(client)
    assert "Answered within one day. &lt;script&gt;" in text
    assert "alert(1)</script>" not in text
    assert 'name="accept" value="yes"' in text
    assert 'name="accept"' not in page(client, "free")


@pytest.mark.parametrize(("proxies", "expected"), [(0, "127.0.0.1"), (1, "203.0.113.7")])
def test_an_acceptance_from_behind_a_proxy(
    client: Client, acme: Organization, settings: Settings, proxies: int, expected: str
) -> None:
    settings.BILLING_TRUSTED_PROXIES = proxies
    signed_in(client, acme)
    client.defaults["HTTP_X_FORWARDED_FOR"] = "198.51.100.1, 203.0.113.7"
    send(client)
    kept = the_subscription().marketplace.sla_acceptance
    assert kept is not None
    assert kept["from"] == expected


def test_a_paid_plan_by_way_of_the_provider(client: Client, acme: Organization) -> None:
    user = signed_in(client, acme)
    response = send(client)
    checkout = response.headers["Location"]
    assert checkout.startswith("/payments/checkout/")
    subscription = the_subscription()
    assert (subscription.status, subscription.plan.code, subscription.currency) == ("incomplete", "team", "USD")
    kept = subscription.marketplace.sla_acceptance
    assert kept is not None
    assert (kept["accepted_by"], kept["sla_version"], kept["plan"]) == (f"user:{user.id}", "2026-1", "team")
    assert (kept["from"], kept["accepted_at"]) == ("127.0.0.1", "2026-03-10T12:00:00Z")
    waiting = page(client)
    assert "It begins when the payment is confirmed" in waiting
    again = client.post("/subscribe/team", fields(waiting))
    assert again.headers["Location"].startswith("/payments/checkout/")
    assert "Thank you" in client.post(checkout, {"payment_method": "card_ok"}).content.decode()
    provider_inbox.run_due(timezone.now())
    subscription = the_subscription()
    assert (subscription.status, subscription.marketplace.credit_balance) == ("active", 10)
    back = re.search(r'href="([^"]+/dashboard/acme/)"', client.get(checkout).content.decode())
    assert back
    assert client.get("/dashboard/acme/").status_code == 200
    assert verify() == []


def test_a_trial_begins_at_once(client: Client, acme: Organization) -> None:
    signed_in(client, acme)
    response = send(client, "trial")
    assert response.headers["Location"] == "/dashboard/acme/"
    assert "The trial of Trial has begun, with 2 credits." in said(client, response)
    assert the_subscription().status == "trialing"
    assert "is on Trial already" in page(client, "trial")


def test_the_box_has_to_be_ticked(client: Client, acme: Organization) -> None:
    signed_in(client, acme)
    response = send(client, accept=False)
    assert response.status_code == 422
    text = response.content.decode()
    assert "Read the terms and accept them first." in text
    assert 'aria-invalid="true"' in text
    assert not Subscription.objects.exists()


def test_twice_is_once(client: Client, acme: Organization) -> None:
    signed_in(client, acme)
    sent = fields(page(client, "trial")) | {"accept": "yes"}
    answers = [client.post("/subscribe/trial", sent) for _ in range(2)]
    assert {each.headers["Location"] for each in answers} == {"/dashboard/acme/"}
    assert Subscription.objects.count() == 1
    assert AuditEntry.objects.filter(act="sla.accept").count() == 1


def test_another_plan_in_another_tab_is_told(client: Client, acme: Organization) -> None:
    signed_in(client, acme)
    team, trial = (fields(page(client, code)) | {"accept": "yes"} for code in ("team", "trial"))
    client.post("/subscribe/trial", trial)
    told = said(client, client.post("/subscribe/team", team))
    assert "Another plan was chosen for this organization meanwhile" in told
    assert the_subscription().plan.code == "trial"


def test_a_plan_retired_between_page_and_click(client: Client, acme: Organization) -> None:
    signed_in(client, acme)
    sent = fields(page(client)) | {"accept": "yes"}
    Plan.objects.filter(code="team").update(is_active=False)
    response = client.post("/subscribe/team", sent)
    gone = client.get(response.headers["Location"])
    assert gone.status_code == 410
    assert "not offered any more" in gone.content.decode()
    assert not Subscription.objects.exists()


def test_a_plan_taken_from_sale_between_page_and_click(client: Client, acme: Organization) -> None:
    signed_in(client, acme)
    sent = fields(page(client)) | {"accept": "yes"}
    Plan.objects.filter(code="team").update(is_on_sale=False)
    response = client.post("/subscribe/team", sent)
    assert client.get(response.headers["Location"]).status_code == 410
    assert not Subscription.objects.exists()


def test_terms_that_changed_have_to_be_read_again(client: Client, acme: Organization) -> None:
    signed_in(client, acme)
    sent = fields(page(client)) | {"accept": "yes"}
    PricingPlan.objects.filter(plan__code="team").update(sla_version="2026-2")
    told = said(client, client.post("/subscribe/team", sent))
    assert "Read them again" in told
    assert "version 2026-2" in told
    assert not Subscription.objects.exists()


def test_terms_that_came_have_to_be_read(client: Client, acme: Organization) -> None:
    signed_in(client, acme)
    sent = fields(page(client, "free"))
    PricingPlan.objects.filter(plan__code="free").update(sla_version="2026-1", sla_terms="New.")
    assert "Read them again" in said(client, client.post("/subscribe/free", sent))
    assert not Subscription.objects.exists()


def test_a_price_that_changed_is_looked_at_again(client: Client, acme: Organization) -> None:
    signed_in(client, acme)
    onboard.subscribe(organization=factories.organization(), plan_code="team", actor=OPERATOR, now=NOW)
    sent = fields(page(client)) | {"accept": "yes"}
    spec = parsing.load(catalogs.TEXT.replace('USD: "49.00"', 'USD: "59.00"'), name="test")
    catalog_operations.sync(spec=spec, actor="test", now=NOW)
    told = said(client, client.post("/subscribe/team", sent))
    assert "The plan has changed since you opened the page" in told
    assert "59.00" in told
    assert not Subscription.objects.filter(organization=acme).exists()


@pytest.mark.parametrize("currency", ["EUR", "XXX", "<b>", "usd "])
def test_a_currency_that_it_is_not_sold_in(client: Client, acme: Organization, currency: str) -> None:
    signed_in(client, acme)
    assert send(client, currency=currency).status_code == 302
    assert not Subscription.objects.exists()


def test_a_currency_that_it_is_sold_in(client: Client, acme: Organization) -> None:
    signed_in(client, acme)
    text = page(client, currency="JPY")
    assert "4,900" in text
    assert '<option value="JPY" selected>' in text
    client.post("/subscribe/team", fields(text) | {"accept": "yes"})
    assert the_subscription().currency == "JPY"


def test_for_which_organization(client: Client, acme: Organization) -> None:
    zebra, other = factories.sandbox(clock_at=NOW, slug="zebra", name="Zebra"), factories.organization(slug="other")
    user = signed_in(client, acme, zebra)
    mere = factories.organization(slug="mere", name="Merely a member")
    members.set_role(organization=mere, user=user, role=Role.MEMBER, actor=OPERATOR)
    text = page(client, organization="zebra")
    assert '<option value="zebra" selected>' in text
    assert "Merely a member" not in text
    client.post("/subscribe/team", fields(text) | {"accept": "yes"})
    assert the_subscription().organization_id == zebra.id
    assert page(client, organization=other.slug, status=404)
    assert page(client, organization="no-such", status=404)
    assert page(client, organization="mere", status=403)


@pytest.mark.parametrize(("slug", "status"), [("other", 404), ("no-such", 404), ("mere", 403), ("", 302)])
def test_a_forged_organization(client: Client, acme: Organization, slug: str, status: int) -> None:
    factories.organization(slug="other")
    mere = factories.organization(slug="mere")
    user = signed_in(client, acme)
    members.set_role(organization=mere, user=user, role=Role.MEMBER, actor=OPERATOR)
    assert send(client, organization=slug).status_code == status
    assert not Subscription.objects.exists()


@pytest.mark.parametrize("role", [Role.MEMBER, Role.FINANCE])
def test_who_may_not_choose_is_told(client: Client, acme: Organization, role: str) -> None:
    signed_in(client, acme, role=role)
    assert "An owner or admin can do it" in page(client)


@pytest.mark.parametrize("code", ["no-such", "hidden"])
def test_a_plan_that_is_not_offered(client: Client, acme: Organization, code: str) -> None:
    signed_in(client, acme)
    page(client, code, status=404 if code == "no-such" else 410)


@pytest.mark.parametrize("name", ["organization", "currency"])
@pytest.mark.parametrize("value", ["\x00", "<b>", "=1+1", "x" * 5000])
def test_nonsense_in_the_address(client: Client, acme: Organization, name: str, value: str) -> None:
    signed_in(client, acme)
    page(client, status=404 if name == "organization" else 200, **{name: value})


@pytest.mark.parametrize("believed", ["x", "1.2", f"{NOBODY}.", f"{NOBODY}.1", f"{NOBODY}.٣"])
def test_a_form_that_believes_nonsense(client: Client, acme: Organization, believed: str) -> None:
    signed_in(client, acme)
    assert "Look at it again" in said(client, send(client, expected=believed))
    assert not Subscription.objects.exists()


def test_a_form_without_its_token_changes_nothing(acme: Organization) -> None:
    client = Client(enforce_csrf_checks=True)
    signed_in(client, acme)
    assert send(client).status_code == 403
    assert not Subscription.objects.exists()


def test_from_a_free_plan_to_a_trial(client: Client, acme: Organization) -> None:
    signed_in(client, acme)
    onboard.subscribe(
        organization=acme, plan_code="free", actor=actors.Actor("user:1", scopes=frozenset({"subscribe"})), now=NOW
    )
    response = send(client, "trial")
    assert "The trial of Trial has begun" in said(client, response)
    assert sorted(Subscription.objects.values_list("plan__code", "status")) == [
        ("free", "canceled"),
        ("trial", "trialing"),
    ]


def test_from_a_free_plan_to_one_that_costs(client: Client, acme: Organization) -> None:
    """A means of payment comes first; the free plan goes on meanwhile, and the change is previewed."""
    signed_in(client, acme)
    onboard.subscribe(
        organization=acme, plan_code="free", actor=actors.Actor("user:1", scopes=frozenset({"subscribe"})), now=NOW
    )
    text = page(client)
    assert "put a means of payment on file" in text
    checkout = client.post("/subscribe/team", fields(text)).headers["Location"]
    assert "Nothing is charged by that." in client.get(checkout).content.decode()
    client.post(checkout, {"payment_method": "card_ok"})
    assert the_subscription().status == "active"
    provider_inbox.run_due(timezone.now())
    after = page(client)
    assert "Preview the change to Team" in after
    assert the_subscription().plan.code == "free"


@pytest.mark.parametrize("count", [1, 12])
def test_queries_do_not_grow(
    client: Client, acme: Organization, count: int, django_assert_max_num_queries: Any
) -> None:
    signed_in(client, acme, *(factories.organization() for _ in range(count - 1)))
    onboard.subscribe(organization=acme, plan_code="free", actor=OPERATOR, now=NOW)
    with django_assert_max_num_queries(12):
        page(client, organization="acme")


def test_accepted_terms_of_an_address_that_is_unknown() -> None:
    from marketplace.subscribing import terms

    kept = {
        "plan": "team",
        "plan_version": 1,
        "sla_tier": "standard",
        "sla_version": "1",
        "accepted_by": "cli:ada",
        "accepted_at": "2026-03-10T12:00:00Z",
        "from": "",
    }
    shown = terms.accepted(kept, ZoneInfo("UTC"), actor="user:1")
    assert shown is not None
    assert (shown.by, shown.address, shown.plan) == ("an operator", "", "team v1")
    assert terms.accepted(None, ZoneInfo("UTC"), actor="user:1") is None
    assert datetime.fromisoformat(shown.at.iso) == NOW
    assert not MarketplaceSubscription.objects.exists()
