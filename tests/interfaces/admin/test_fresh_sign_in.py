"""Every act of staff wants a sign-in of the last minutes, and staff their second factor: at each of the doors."""

from __future__ import annotations

from typing import Any

import pytest
from django.contrib import admin
from django.test import Client
from django.urls import URLPattern, URLResolver, get_resolver
from pytest_django import Settings

from billing.accounts import actors
from billing.accounts.actors import Act
from billing.admin.acting import ActingDesk, DeskAct
from billing.lifecycle import onboard
from billing.models import AuditEntry, CreditEntry, Invoice, MarketplaceSubscription, Subscription
from tests.support import catalogs, factories
from tests.support.factories import at
from tests.support.staff import staff

pytestmark = pytest.mark.django_db
MARCH = at("2026-03-01")
ACTS = sorted(
    (
        (f"{model._meta.app_label}.{model._meta.model_name}", act)
        for model, desk in admin.site._registry.items()
        if isinstance(desk, ActingDesk)
        for act in desk.acts
    ),
    key=lambda each: (each[0], each[1].name),
)
# Addresses of the admin that answer a POST with nothing but a page, or with the way to it.
NO_ACTS = {
    "login",
    "logout",
    "password_change",
    "jsi18n",
    "autocomplete",
    "view_on_site",
    "app_list",
    "index",
    "search",
}
LISTS = {"changelist", "add", "change", "delete", "history", "export"}
AGAIN = "/account/reauthenticate/"


@pytest.fixture
def subscription(db: None) -> Subscription:
    catalogs.sync()
    return onboard.subscribe(
        organization=factories.sandbox(clock_at=MARCH), plan_code="team", actor=actors.operator("op"), now=MARCH
    )


@pytest.mark.parametrize(("listed", "act"), ACTS, ids=[f"{listed}-{act.name}" for listed, act in ACTS])
def test_no_act_is_done_in_a_session_of_an_hour_ago(rf: Any, listed: str, act: DeskAct) -> None:
    """The way that single rows and chosen rows both take, asked with a form that is filled in and sent."""
    model = next(each for each in admin.site._registry if each._meta.label_lower == listed)
    desk = admin.site._registry[model]
    assert isinstance(desk, ActingDesk)
    for ago, is_asked in ((3600, True), (0, False)):
        browser = staff(superuser=True, ago=ago)
        address = f"/admin/{listed.replace('.', '/')}/"
        before = AuditEntry.objects.count()
        answer = desk.act_on_many(_request(rf, browser, address), act, model._default_manager.none())
        assert (answer.status_code == 302 and answer["Location"].startswith(AGAIN)) == is_asked
        assert AuditEntry.objects.count() == before


def _request(rf: Any, browser: Client, address: str) -> Any:
    request = rf.post(address, {"confirmed": "1", "token": "0"})
    request.session = browser.session
    request.user = _user(browser)
    return request


def _user(browser: Client) -> Any:
    from tests.support.staff import user_of

    return user_of(browser)


def test_there_is_no_other_way_to_act_in_the_admin() -> None:
    """Whatever is not a list, an object or an act is named here, and changes nothing."""
    names = {name for name in _names(get_resolver().url_patterns) if name}
    acts = {f"{listed.replace('.', '_')}_act_{act.name}" for listed, act in ACTS}
    assert acts <= names
    others = {name for name in names - acts - NO_ACTS if name.rpartition("_")[2] not in LISTS}
    assert others <= {"password_change_done"}


def _names(patterns: list[URLPattern | URLResolver], *, inside: bool = False) -> list[str | None]:
    found: list[str | None] = []
    for each in patterns:
        if isinstance(each, URLResolver):
            found += _names(each.url_patterns, inside=inside or each.namespace == "admin")
        elif inside:
            found.append(each.name)
    return found


def test_the_desk_of_an_organization_asks_too(subscription: Subscription) -> None:
    slug = subscription.organization.slug
    stale = staff("finance", regions=("*",), ago=3600)
    for act, given in (("credits", {"credits": "5", "reason": "r", "key": "k"}), ("draft", {})):
        answer = stale.post(f"/dashboard/{slug}/desk/{act}/", given)
        assert answer.status_code == 302
        assert answer["Location"].startswith(AGAIN)
    assert not CreditEntry.objects.filter(reason="r").exists()
    assert not Invoice.objects.exists()
    # Who has just given it goes on, and a key of the platform is no session.
    fresh = staff("finance", regions=("*",))
    assert (
        fresh.post(f"/dashboard/{slug}/desk/credits/", {"credits": "5", "reason": "r", "key": "k"}).status_code == 302
    )
    assert CreditEntry.objects.filter(reason="r").count() == 1


def test_calls_by_a_session_ask_too(subscription: Subscription) -> None:
    path, given = f"/api/billing/subscriptions/{subscription.id}/credits/adjust", {"credits": "5", "reason": "r"}
    before = MarketplaceSubscription.objects.get(subscription=subscription).credit_balance

    def post(browser: Client, at: str = path, body: Any = given) -> Any:
        return browser.post(at, body, content_type="application/json")

    stale = staff("finance", regions=("*",), ago=3600)
    for answer in (post(stale), post(stale, f"/api/billing/subscriptions/{subscription.id}/invoices/draft", {})):
        assert (answer.status_code, answer.json()["code"]) == (403, "sign_in_again")
    assert MarketplaceSubscription.objects.get(subscription=subscription).credit_balance == before
    assert stale.get(f"/api/billing/subscriptions/{subscription.id}/credits").status_code == 200
    assert post(staff("finance", regions=("*",))).status_code in (200, 201)


def test_none_of_it_without_the_second_factor(subscription: Subscription, settings: Settings) -> None:
    settings.BILLING_STAFF_SECOND_FACTOR = True
    browser = staff("finance", regions=("*",))
    slug = subscription.organization.slug
    for path in (f"/admin/billing/subscription/{subscription.pk}/", f"/dashboard/{slug}/desk/credits/"):
        answer = browser.post(path, {"credits": "5", "reason": "r", "key": "k"})
        assert answer.status_code == 302
        assert "/account/2fa/" in answer["Location"]
    call = browser.post(
        f"/api/billing/subscriptions/{subscription.id}/credits/adjust", {}, content_type="application/json"
    )
    assert (call.status_code, call.json()["code"]) == (403, "second_factor_required")


def test_the_acts_that_move_money_are_among_them() -> None:
    rights = {act.right for _, act in ACTS}
    assert {Act.CREDITS, Act.INVOICES} <= rights
    assert len(ACTS) >= 20
