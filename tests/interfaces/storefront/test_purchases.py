"""Credits bought on the dashboard: seen, ordered once, paid on the provider's page, there."""

from __future__ import annotations

import re
from decimal import Decimal
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone

from billing.accounts import actors, members
from billing.accounts import operations as accounts_operations
from billing.invoicing import operations as invoicing
from billing.kernel.ids import new_id
from billing.lifecycle import onboard
from billing.lifecycle.purchasing import operations as purchasing
from billing.models import CreditGrant, CreditPurchase, MarketplaceSubscription, Organization, Role, Subscription, User
from billing.reporting import doctor
from tests.support import catalogs, factories, provider_inbox

pytestmark = pytest.mark.django_db
OPERATOR = actors.operator("test")
START = factories.at("2026-03-01")
PAGE = "/dashboard/acme/credits/purchases/"


@pytest.fixture
def acme() -> Organization:
    catalogs.sync()
    return factories.sandbox(clock_at=START, slug="acme", name="Acme & Sons")


@pytest.fixture
def subscription(acme: Organization) -> Subscription:
    return onboard.subscribe(organization=acme, plan_code="team", actor=OPERATOR, now=START)


def enter(client: Client, organization: Organization, role: str = Role.OWNER) -> User:
    user: User = accounts_operations.create_user(email=f"{new_id().hex}@example.com", password="a-long-password")
    members.set_role(organization=organization, user=user, role=role, actor=OPERATOR)
    client.force_login(user)
    return user


def text_of(response: Any) -> str:
    assert response.status_code == 200, response
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", response.content.decode()))


def key_on(client: Client, query: str = "") -> str:
    found = re.search(r'name="key" value="(\w+)"', client.get(PAGE + query).content.decode())
    assert found
    return found[1]


def order(client: Client, credits: str, key: str) -> Any:
    return client.post(f"{PAGE}order/", {"credits": credits, "key": key})


def leads_to(client: Client, path: str) -> str:
    answer: Any = client.post(path)
    assert answer.status_code == 302
    return str(answer.url)


def balance(subscription: Subscription) -> Decimal:
    return MarketplaceSubscription.objects.get(pk=subscription.pk).credit_balance


def test_an_owner_buys(client: Client, acme: Organization, subscription: Subscription) -> None:
    enter(client, acme)
    assert "Buy credits" in text_of(client.get("/dashboard/acme/credits/"))
    assert "$10.00 a credit on the plan Team, 1 to 100,000 at once." in text_of(client.get(PAGE))
    before, page = balance(subscription), order(client, "12.5", key_on(client)).url
    shown = text_of(client.get(page))
    assert "12.5 credits" in shown
    assert "Pay $125.00" in shown
    # What waits to be paid is an order, and no invoice yet.
    for other in ("/dashboard/acme/", "/dashboard/acme/invoices/"):
        assert "Prepaid credits" not in text_of(client.get(other))
    stub = leads_to(client, f"{page}pay/")
    assert "125.00 USD" in text_of(client.get(stub))
    assert "Thank you" in text_of(client.post(stub, {"payment_method": "card_ok"}))
    provider_inbox.run_due(timezone.now())
    shown = text_of(client.get(page))
    assert "The credits are on your account." in shown
    assert "Withdraw the order" not in shown
    assert balance(subscription) == before + Decimal("12.5")
    listed = client.get("/dashboard/acme/invoices/").content.decode()
    assert "Prepaid credits" in listed
    invoice = CreditPurchase.objects.get().invoice_id
    assert "Prepaid credits" in text_of(client.get(f"/dashboard/acme/invoices/{invoice}/"))
    assert "To be paid" not in text_of(client.get(PAGE))
    assert "Prepaid credits" in text_of(client.get("/dashboard/acme/"))
    assert doctor.verify() == []


def test_a_double_click_and_a_second_tab_of_one_form_are_one_order(
    client: Client, acme: Organization, subscription: Subscription
) -> None:
    enter(client, acme)
    key = key_on(client)
    first, again = order(client, "5", key), order(client, "5", key)
    assert first.url == again.url
    other = client.post(f"{PAGE}order/", {"credits": "6", "key": key}, follow=True)
    assert "stood for another order" in text_of(other)
    assert CreditPurchase.objects.count() == 1
    for url in {leads_to(client, f"{first.url}pay/") for _ in range(2)}:
        client.post(url, {"payment_method": "card_ok"})
    provider_inbox.run_due(timezone.now())
    assert CreditGrant.objects.filter(kind="purchase").count() == 1
    assert order(client, "5", key).url == first.url
    assert CreditPurchase.objects.count() == 1


@pytest.mark.parametrize("credits", ["", "0", "-5", "x", "1e3", "0.5", "100001", "１２", "=1+1", "\x00"])
def test_a_bad_number_is_said(client: Client, acme: Organization, subscription: Subscription, credits: str) -> None:
    enter(client, acme)
    answer = client.post(f"{PAGE}order/", {"credits": credits, "key": key_on(client)}, follow=True)
    assert (answer.status_code, answer.redirect_chain[0][0]) == (200, PAGE)
    assert re.search("a number such as|must be more than 0|are sold at once", text_of(answer))
    assert not CreditPurchase.objects.exists()


def test_a_forged_form_orders_nothing(client: Client, acme: Organization, subscription: Subscription) -> None:
    user = enter(client, acme)
    strict = Client(enforce_csrf_checks=True)
    strict.force_login(user)
    assert order(strict, "5", "k").status_code == 403
    assert client.post(f"{PAGE}order/", {"credits": "5"}, follow=True).status_code == 200
    assert client.post("/dashboard/other/credits/purchases/order/", {"credits": "5", "key": "k"}).status_code == 404
    assert not CreditPurchase.objects.exists()


def test_what_is_anothers_is_not_there(client: Client, acme: Organization, subscription: Subscription) -> None:
    other = factories.sandbox(clock_at=START, slug="other")
    foreign = onboard.subscribe(organization=other, plan_code="team", actor=OPERATOR, now=START)
    made = purchasing.order(subscription=foreign, credits=Decimal(5), key="k", actor=OPERATOR, now=START)
    enter(client, acme)
    assert client.get(f"{PAGE}{made.id}/").status_code == 404
    for act in ("pay", "withdraw"):
        assert client.post(f"{PAGE}{made.id}/{act}/").status_code == 404
    # Staff of both: an order is at its own organization's address alone.
    User.objects.update(is_superuser=True)
    assert client.get(f"{PAGE}{made.id}/").status_code == 404


def test_finance_sees_and_does_not_buy(client: Client, acme: Organization, subscription: Subscription) -> None:
    made = purchasing.order(subscription=subscription, credits=Decimal(5), key="k", actor=OPERATOR, now=START)
    enter(client, acme, Role.FINANCE)
    shown = text_of(client.get(PAGE))
    assert "An owner or an admin of the organization can buy credits." in shown
    assert "$50.00" in shown
    page = client.get(f"{PAGE}{made.id}/").content.decode()
    assert "/pay/" not in page
    assert order(client, "5", "k2").status_code == 403
    for act in ("pay", "withdraw"):
        assert client.post(f"{PAGE}{made.id}/{act}/").status_code == 403


def test_members_see_no_orders(client: Client, acme: Organization, subscription: Subscription) -> None:
    enter(client, acme, Role.MEMBER)
    assert client.get(PAGE).status_code == 403
    assert PAGE not in client.get("/dashboard/acme/credits/").content.decode()


def test_an_order_is_withdrawn(client: Client, acme: Organization, subscription: Subscription) -> None:
    enter(client, acme)
    page = order(client, "5", key_on(client)).url
    assert "Nothing is to be paid." in text_of(client.post(f"{page}withdraw/", follow=True))
    shown = text_of(client.get(page))
    assert "Withdrawn" in shown
    assert "Pay $" not in shown
    assert "paid or withdrawn" in text_of(client.post(f"{page}pay/", follow=True))
    link = invoicing.read_invoices(organization=acme, actor=OPERATOR)[0]
    assert link.status == "void"


def test_a_plan_without_a_price_sells_none(client: Client, acme: Organization) -> None:
    onboard.subscribe(organization=acme, plan_code="free", actor=OPERATOR, now=START)
    enter(client, acme)
    assert "No credits are sold" in text_of(client.get(PAGE))
    answer = client.post(f"{PAGE}order/", {"credits": "5", "key": "k"}, follow=True)
    assert "sells no credits" in text_of(answer)


@pytest.mark.parametrize(("query", "value"), [("?credits=12.5", "12.5"), ("?credits=0.5", "1"), ("?credits=x", "")])
def test_a_remedy_begins_the_form(
    client: Client, acme: Organization, subscription: Subscription, query: str, value: str
) -> None:
    enter(client, acme)
    assert f'autocomplete="off" value="{value}"' in client.get(PAGE + query).content.decode()


def test_statements_do_not_grow_with_orders(
    client: Client, acme: Organization, subscription: Subscription, django_assert_max_num_queries: Any
) -> None:
    enter(client, acme)
    for number in range(5):
        made = purchasing.order(
            subscription=subscription, credits=Decimal(5), key=f"k{number}", actor=OPERATOR, now=START
        )
    with django_assert_max_num_queries(15):
        client.get(PAGE)
    with django_assert_max_num_queries(15):
        client.get(f"{PAGE}{made.id}/")
