"""The stub provider's pages: a sign-up confirmed, a means of payment changed, a charge answered."""

import re
from datetime import timedelta
from urllib.parse import urlsplit

import pytest
from django.test import Client
from django.utils import timezone
from pytest_django import Settings

from billing.accounts import actors
from billing.lifecycle import onboard
from billing.models import Organization, ProviderInboxEvent, StubCharge, Subscription
from billing.payments import calls, customers, links, stub
from billing.payments.protocol import ChargeRequest, ChargeResult, ProviderRefused
from tests.support import catalogs, factories, provider_inbox

MANAGER = actors.Actor(name="user:1", scopes=frozenset({"read", "subscribe"}))
BACK = "https://shop.example.com/done"

pytestmark = pytest.mark.django_db


@pytest.fixture
def acme() -> Organization:
    catalogs.sync()
    return factories.sandbox(clock_at=timezone.now())


@pytest.fixture
def sign_up(acme: Organization) -> Subscription:
    return onboard.subscribe(organization=acme, plan_code="team", actor=MANAGER, now=timezone.now())


def checkout(subscription: Subscription) -> str:
    return links.checkout(subscription=subscription, return_url=BACK, actor=MANAGER, now=timezone.now())


def portal(organization: Organization) -> str:
    return links.portal(organization=organization, return_url=BACK, actor=MANAGER, now=timezone.now())


def charge(organization: Organization, key: str = "k") -> ChargeResult:
    return calls.charge(
        ChargeRequest(
            organization_id=organization.id,
            invoice_id=organization.id,
            invoice_number="INV-1",
            amount_minor=4900,
            currency="USD",
            idempotency_key=key,
            customer_reference=customers.reference_of(organization),
            sandbox=True,
        )
    )


def test_a_sign_up_is_confirmed_once_however_often_it_is_sent(client: Client, sign_up: Subscription) -> None:
    assert sign_up.status == "incomplete"
    url = checkout(sign_up)
    assert "49.00 USD" in client.get(url).content.decode()
    for _ in range(2):
        assert "Thank you" in client.post(url, {"payment_method": "card_ok"}).content.decode()
    provider_inbox.run_due(timezone.now())
    sign_up.refresh_from_db()
    assert (sign_up.status, sign_up.confirmed_at is not None) == ("active", True)
    assert "is confirmed" in client.get(url).content.decode()
    assert ProviderInboxEvent.objects.get().status == "applied"


def test_a_declined_card_confirms_nothing(client: Client, sign_up: Subscription) -> None:
    answer = client.post(checkout(sign_up), {"payment_method": "card_declined"})
    assert answer.status_code == 422
    assert "declined" in answer.content.decode()
    assert not ProviderInboxEvent.objects.exists()


def test_charges_go_to_the_chosen_means_of_payment(client: Client, acme: Organization) -> None:
    assert charge(acme, "before").code == "no_payment_method"
    url = portal(acme)
    outcomes = {}
    for method in ("card_ok", "card_declined", "card_insufficient"):
        assert client.post(url, {"payment_method": method}).status_code == 302
        outcomes[method] = charge(acme, method)
    assert [(each.status, each.code) for each in outcomes.values()] == [
        ("succeeded", ""),
        ("failed", "card_declined"),
        ("failed", "insufficient_funds"),
    ]
    # The same key is the same charge, whatever card is chosen by now.
    assert charge(acme, "card_ok") == outcomes["card_ok"]
    assert StubCharge.objects.count() == 4
    page = client.get(url).content.decode()
    assert page.count("49.00 USD") == 4
    assert re.search(r'value="card_insufficient" checked', page)
    assert client.post(url, {"payment_method": "card_of_gold"}).status_code == 422


def test_a_pending_charge_is_answered_once(client: Client, acme: Organization) -> None:
    url = portal(acme)
    client.post(url, {"payment_method": "debit_pending"})
    pending = charge(acme)
    assert pending.status == "pending"
    answered = f"{url}/charges/{pending.reference}"
    client.post(answered, {"outcome": "paid"})
    client.post(answered, {"outcome": "returned"})
    assert StubCharge.objects.get().status == "succeeded"
    assert ProviderInboxEvent.objects.get().type == "payment.succeeded"
    # It names no invoice that there is: the money is kept for the next one.
    provider_inbox.run_due(timezone.now())
    assert provider_inbox.standing(acme)["balances"] == {"USD": 4900}


def test_links_expire_and_cannot_be_changed(
    client: Client, acme: Organization, sign_up: Subscription, monkeypatch: pytest.MonkeyPatch
) -> None:
    for url in (portal(acme), checkout(sign_up)):
        assert client.get(url).status_code == 200
        assert client.get(url[:-1] + ("a" if url[-1] != "a" else "b")).status_code == 410
        later = (timezone.now() + timedelta(seconds=stub.LINK_SECONDS + 1)).timestamp()
        with monkeypatch.context() as patched:
            patched.setattr("django.core.signing.time.time", lambda at=later: at)
            assert client.get(url).status_code == 410
    # A link to one page opens no other.
    token = portal(acme).rsplit("/", 1)[1]
    assert client.get(f"/payments/checkout/{token}").status_code == 410


def test_forms_are_guarded_and_the_policy_holds(acme: Organization) -> None:
    url = portal(acme)
    strict = Client(enforce_csrf_checks=True)
    assert strict.post(url, {"payment_method": "card_ok"}).status_code == 403
    answer = strict.get(url)
    assert "'unsafe-inline'" not in answer.headers["Content-Security-Policy"]
    assert answer.headers["Cache-Control"].startswith("max-age=0")
    assert not re.search(r"<script(?! src)|style=|\son\w+=", answer.content.decode())
    assert f'href="{BACK}"' in answer.content.decode()


@pytest.mark.parametrize("url", ["javascript:alert(1)", "//evil.example.com", "https:///x", "ftp://x.example.com", "x"])
def test_pages_lead_back_to_addresses_of_the_web_only(acme: Organization, url: str) -> None:
    with pytest.raises(links.ReturnUrlInvalid):
        links.portal(organization=acme, return_url=url, actor=MANAGER, now=timezone.now())


def test_where_customers_are_real_the_stub_takes_no_money(settings: Settings) -> None:
    settings.BILLING_ENVIRONMENT = "production"
    real = factories.organization()
    with pytest.raises(ProviderRefused, match="No payment provider"):
        stub.StubProvider().portal_url(organization=real, customer_reference="", return_url=BACK)
    assert urlsplit(portal(factories.sandbox(clock_at=timezone.now()))).path.startswith("/payments/portal/")
