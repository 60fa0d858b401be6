"""The plan of an organization on its dashboard: previewed, changed, left, kept, paid; each once, and as it was seen."""

from __future__ import annotations

import re
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.contrib.auth.models import Group
from django.test import Client
from django.utils import timezone

from billing.accounts import actors, members
from billing.accounts import operations as accounts_operations
from billing.accounts.actors import Actor
from billing.kernel.ids import new_id
from billing.lifecycle import coupons, onboard, sla
from billing.models import Organization, Plan, PlanSpan, PricingPlan, Role, Subscription, SubscriptionDiscount, User
from billing.reporting.doctor import verify
from tests.support import catalogs, factories, provider_inbox

NOBODY = "01a201f3-fd8a-7aea-8a8c-9b50e55d335b"
pytestmark = pytest.mark.django_db
OPERATOR = actors.operator("test")
START = factories.at("2026-03-01")
NOW = factories.at("2026-03-11")
PAGE = "/dashboard/acme/plan/"


@pytest.fixture
def acme() -> Organization:
    catalogs.sync()
    PricingPlan.objects.filter(plan__code="scale").update(
        sla_tier="premium", sla_version="2026-1", sla_terms="Answered <b>within</b> an hour."
    )
    return factories.sandbox(clock_at=START, slug="acme", name="Acme & Sons")


def subscribed(acme: Organization, plan: str = "team", *, actor: Actor = OPERATOR) -> Subscription:
    made = onboard.subscribe(organization=acme, plan_code=plan, actor=actor, now=START)
    Organization.objects.filter(id=acme.id).update(clock_at=NOW)
    return made


CUSTOMER = Actor("user:1", scopes=frozenset({"subscribe"}))


def signed_in(client: Client, organization: Organization | None, role: str = Role.OWNER, **more: Any) -> User:
    user: User = accounts_operations.create_user(email=f"{new_id().hex}@example.com", password="a-long-password")
    if more:
        User.objects.filter(id=user.id).update(**more)
    if organization is not None:
        members.set_role(organization=organization, user=user, role=role, actor=OPERATOR)
    client.force_login(user)
    return user


def plain_text(response: Any) -> str:
    assert response.status_code == 200, response
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", response.content.decode()))


def fields(text: str, action: str) -> dict[str, str]:
    form = text.partition(f'action="{PAGE}{action}/"')[2].partition("</form>")[0]
    return dict(re.findall(r'<input type="hidden" name="(?!csrf)(\w+)" value="([^"]*)"', form))


def on_page(client: Client, action: str) -> dict[str, str]:
    return fields(client.get(PAGE).content.decode(), action)


def preview(client: Client, plan: str) -> Any:
    return client.post(f"{PAGE}preview/", {"plan": plan})


def said(client: Client, response: Any) -> str:
    assert response.status_code == 302, response.content
    return plain_text(client.get(response.headers["Location"]))


def the_subscription() -> Subscription:
    return Subscription.objects.select_related("plan", "pending_plan", "marketplace").get()


def test_what_there_is(client: Client, acme: Organization) -> None:
    user = signed_in(client, acme)
    onboard.subscribe(
        organization=acme,
        plan_code="scale",
        actor=Actor(f"user:{user.id}", roles={acme.id: Role.OWNER}),
        now=START,
        accepted=sla.Acceptance("2026-1", "192.0.2.7"),
    )
    text = plain_text(client.get(PAGE))
    assert "Scale version 1" in text
    assert "Premium version 2026-1" in text
    assert "by you, for scale v1, from 192.0.2.7" in text
    assert "Nothing can be used until the payment is confirmed." in text
    assert "Cancel now" in text


def test_without_a_plan(client: Client, acme: Organization) -> None:
    signed_in(client, acme)
    response = client.get(PAGE)
    assert 'href="/subscribe/team?organization=acme"' in response.content.decode()
    assert "No plan yet." in plain_text(response)
    assert "There is no subscription any more." in said(client, preview(client, "team"))


def test_an_upgrade_is_previewed_and_made(client: Client, acme: Organization) -> None:
    signed_in(client, acme)
    subscribed(acme)
    shown = preview(client, "scale")
    text = plain_text(shown)
    assert "From Team to Scale" in text
    # 49.00 × 10/31 + 199.00 × 21/31; 30 credits × 21/31.
    assert "150.62" in text
    assert "+20.322581 credits at once" in text
    assert "199.00" in text
    assert "40 credits at its start" in text
    assert "<b>within" not in shown.content.decode()
    assert PlanSpan.objects.count() == 1
    sent = fields(shown.content.decode(), "change")
    refused = client.post(f"{PAGE}change/", sent)
    assert refused.status_code == 422
    assert "Read the terms and accept them first." in refused.content.decode()
    assert PlanSpan.objects.count() == 1
    for _ in range(2):
        answer = client.post(f"{PAGE}change/", sent | {"accept": "yes"})
        assert "You are on Scale, with 30.322581 credits." in said(client, answer)
    changed = the_subscription()
    assert (changed.plan.code, changed.marketplace.credit_balance) == ("scale", Decimal("30.322581"))
    kept = changed.marketplace.sla_acceptance
    assert kept is not None
    assert (kept["plan"], kept["from"]) == ("scale", "127.0.0.1")
    assert verify() == []


def test_a_downgrade_waits_and_is_withdrawn(client: Client, acme: Organization) -> None:
    signed_in(client, acme)
    subscribed(acme, "scale")
    shown = preview(client, "team")
    assert "It takes effect when the running period ends" in plain_text(shown)
    sent = fields(shown.content.decode(), "change")
    assert "Team begins on" in said(client, client.post(f"{PAGE}change/", sent))
    pending = the_subscription().pending_plan
    assert pending is not None
    assert pending.code == "team"
    assert "Changes to Team on" in plain_text(client.get(PAGE))
    keep = on_page(client, "keep")
    for _ in range(2):
        assert "Everything goes on as before." in said(client, client.post(f"{PAGE}keep/", keep))
    assert the_subscription().pending_plan is None


def test_leaving_and_staying(client: Client, acme: Organization) -> None:
    signed_in(client, acme)
    subscribed(acme)
    sent = on_page(client, "cancel") | {"reason": "too dear <b>"}
    for _ in range(2):
        answer = client.post(f"{PAGE}cancel/", sent)
        assert "it serves until its period ends" in said(client, answer)
    assert the_subscription().cancel_at_period_end
    text = plain_text(client.get(PAGE))
    assert "Ends on" in text
    assert "Cancel at the period's end" not in text
    client.post(f"{PAGE}keep/", on_page(client, "keep"))
    assert not the_subscription().cancel_at_period_end


def test_a_trial_is_left_at_once(client: Client, acme: Organization) -> None:
    signed_in(client, acme)
    subscribed(acme, "trial", actor=CUSTOMER)
    sent = on_page(client, "cancel")
    for _ in range(2):
        assert "What you bought is kept" in said(client, client.post(f"{PAGE}cancel/", sent))
    assert the_subscription().status == "canceled"
    assert "No plan yet." in plain_text(client.get(PAGE))


def test_a_trial_is_paid_for(client: Client, acme: Organization) -> None:
    signed_in(client, acme)
    subscribed(acme, "trial", actor=CUSTOMER)
    assert "goes on only with a means of payment on file" in plain_text(client.get(PAGE))
    checkout = client.post(f"{PAGE}pay/").headers["Location"]
    client.post(checkout, {"payment_method": "card_ok"})
    provider_inbox.run_due(timezone.now())
    assert the_subscription().confirmed_at is not None
    assert client.post(f"{PAGE}pay/").headers["Location"].startswith("/payments/portal/")


@pytest.mark.parametrize("action", ["cancel", "keep", "change"])
def test_a_stale_tab_changes_nothing(client: Client, acme: Organization, action: str) -> None:
    signed_in(client, acme)
    subscription = subscribed(acme)
    sent = {"expected": f"{subscription.id}.{subscription.version}", "plan": "scale", "version": "1", "accept": "yes"}
    sent |= {"terms": "2026-1", "when": "now"}
    Subscription.objects.filter(id=subscription.id).update(version=9, pending_plan=Plan.objects.get(code="yearly"))
    before = Subscription.objects.values().get()
    told = said(client, client.post(f"{PAGE}{action}/", sent))
    assert "has changed since you opened the page" in told
    assert Subscription.objects.values().get() == before


@pytest.mark.parametrize("expected", ["", "x", "1.1", f"{NOBODY}.1", f"{NOBODY}.0x1"])
def test_a_form_that_believes_nonsense(client: Client, acme: Organization, expected: str) -> None:
    signed_in(client, acme)
    subscribed(acme)
    before = Subscription.objects.values().get()
    for action in ("cancel", "keep", "change"):
        sent = {"expected": expected, "plan": "scale", "version": "1", "terms": "2026-1", "accept": "yes"}
        assert "has changed since" in said(client, client.post(f"{PAGE}{action}/", sent))
    assert Subscription.objects.values().get() == before


def test_a_plan_that_goes_between_preview_and_click(client: Client, acme: Organization) -> None:
    signed_in(client, acme)
    subscribed(acme)
    sent = fields(preview(client, "scale").content.decode(), "change") | {"accept": "yes"}
    Plan.objects.filter(code="scale").update(is_on_sale=False)
    assert "not offered any more" in said(client, client.post(f"{PAGE}change/", sent))
    assert "not offered any more" in said(client, preview(client, "scale"))
    Plan.objects.filter(code="scale").update(is_on_sale=True, version=2)
    assert "Look at it again" in said(client, client.post(f"{PAGE}change/", sent))
    Plan.objects.filter(code="scale").update(version=1)
    PricingPlan.objects.filter(plan__code="scale").update(sla_version="2026-2")
    assert "Read them again" in said(client, client.post(f"{PAGE}change/", sent))
    assert the_subscription().plan.code == "team"


@pytest.mark.parametrize("plan", ["no-such", "", "<b>", "a\x00b"])
def test_no_such_plan(client: Client, acme: Organization, plan: str) -> None:
    signed_in(client, acme)
    subscribed(acme)
    assert said(client, preview(client, plan))


def test_from_a_free_plan_payment_comes_first(client: Client, acme: Organization) -> None:
    signed_in(client, acme)
    subscribed(acme, "free", actor=CUSTOMER)
    assert preview(client, "team").headers["Location"] == "/subscribe/team?organization=acme"


def test_a_plan_in_no_currency_of_ours(client: Client, acme: Organization) -> None:
    signed_in(client, acme)
    onboard.subscribe(organization=acme, plan_code="team", actor=OPERATOR, now=START, currency="JPY")
    assert "not sold in JPY" in plain_text(client.get(PAGE))
    assert "is sold in USD, not in JPY" in said(client, preview(client, "scale"))


def test_a_coupon(client: Client, acme: Organization) -> None:
    signed_in(client, acme)
    subscribed(acme)
    coupons.create(code="SPRING", name="Spring", actor=OPERATOR, now=NOW, percent=Decimal(10))
    for code in ("no-such", "", "\x00", "=1+1"):
        assert "No such coupon." in said(client, client.post(f"{PAGE}coupon/", {"code": code}))
    for _ in range(2):
        assert "Redeemed: Spring." in said(client, client.post(f"{PAGE}coupon/", {"code": "spring"}))
    assert SubscriptionDiscount.objects.count() == 1
    assert "Spring: 10 % off" in plain_text(client.get(PAGE))


@pytest.mark.parametrize("role", [Role.MEMBER, Role.FINANCE])
def test_who_only_reads_sees_no_button(client: Client, acme: Organization, role: str) -> None:
    signed_in(client, acme, role)
    subscribed(acme)
    body = client.get(PAGE).content.decode().partition('id="current"')[2]
    assert "<form" not in body
    assert "Team" in body
    assert preview(client, "scale").status_code == 403


@pytest.mark.parametrize("action", ["preview", "change", "cancel", "keep", "coupon", "pay"])
def test_whoever_was_signed_out_comes_back_to_the_page(client: Client, acme: Organization, action: str) -> None:
    subscribed(acme)
    before = Subscription.objects.values().get()
    assert client.post(f"{PAGE}{action}/").headers["Location"] == f"/account/login/?next={PAGE}"
    assert Subscription.objects.values().get() == before


def test_staff_change_at_once_and_accept_nothing(client: Client, acme: Organization) -> None:
    user = signed_in(client, None, is_staff=True, cleared_regions=["eu"])
    user.groups.add(Group.objects.get_or_create(name="finance")[0])
    subscribed(acme, "scale")
    shown = preview(client, "team").content.decode()
    sent = fields(shown, "change")
    assert "accept" not in shown.partition('id="next"')[2]
    client.post(f"{PAGE}change/", sent)
    changed = the_subscription()
    assert (changed.plan.code, changed.marketplace.sla_acceptance) == ("team", None)


def test_a_preview_says_who_else_is_at_the_books(client: Client, acme: Organization) -> None:
    """A refusal of the engine is a message, whatever it is."""
    signed_in(client, acme)
    subscription = subscribed(acme)
    Subscription.objects.filter(id=subscription.id).update(held_at=START, due_at=START + timedelta(days=1))
    assert "an operator has to let them run first" in said(client, preview(client, "scale"))


@pytest.mark.parametrize("count", [1, 12])
def test_queries_do_not_grow(
    client: Client, acme: Organization, count: int, django_assert_max_num_queries: Any
) -> None:
    subscribed(acme)
    for _ in range(count):
        factories.plan(base_fees={"USD": 100, "EUR": 90})
    user = signed_in(client, acme, is_staff=True, cleared_regions=["*"])
    user.groups.add(Group.objects.get_or_create(name="finance")[0])
    with django_assert_max_num_queries(15):
        assert client.get(PAGE).status_code == 200
