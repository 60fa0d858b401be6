"""Stripe's API through its package, against a server on this machine: what is asked, and what the answers mean."""

import time
from collections.abc import Iterator
from decimal import Decimal
from typing import Any
from uuid import UUID

import pytest
from django.utils import timezone
from pytest_django import Settings

from billing.accounts import actors
from billing.lifecycle.purchasing import operations as purchasing
from billing.models import Organization, ProviderCustomer
from billing.payments import calls, customers, links, stripe_http
from billing.payments.protocol import ChargeRequest, ChargeResult, ProviderRefused, ProviderUnavailable
from tests.support import factories, purchases, stripe_server
from tests.support.factories import at
from tests.support.stripe_server import StripeServer

OPERATOR = actors.operator("ada")
INVOICE = UUID("01a200d2-9edf-7bf6-ab2f-032c6dc460b6")
CUSTOMER = {"id": "cus_1", "object": "customer", "invoice_settings": {"default_payment_method": "pm_default"}}


@pytest.fixture
def stripe(settings: Settings) -> Iterator[StripeServer]:
    with stripe_server.running() as server:
        settings.BILLING_PROVIDER = "stripe"
        settings.BILLING_STRIPE_API_KEY = "rk_of_the_test_suite"
        settings.BILLING_STRIPE_API_BASE = server.url
        server.answers["GET /v1/customers/cus_1"] = (200, CUSTOMER)
        yield server


@pytest.fixture
def acme(real_db: str) -> Organization:
    return factories.organization(slug="acme", name="Acme", billing_email="pay@acme.example")


def charge(
    organization: Organization, *, currency: str = "USD", amount: int = 4900, customer: str = "cus_1"
) -> ChargeResult:
    return calls.charge(
        ChargeRequest(
            organization_id=organization.id,
            invoice_id=INVOICE,
            invoice_number="INV-2026-000001",
            amount_minor=amount,
            currency=currency,
            idempotency_key="charge-1",
            customer_reference=customer,
            sandbox=False,
        )
    )


def intent(status: str) -> tuple[int, dict[str, Any]]:
    return 200, {"id": "pi_1", "object": "payment_intent", "status": status}


def declined(code: str, decline_code: str | None = None) -> tuple[int, dict[str, Any]]:
    error = {
        "type": "card_error",
        "code": code,
        "decline_code": decline_code,
        "message": "Your card was declined.",
        "payment_intent": {"id": "pi_1", "object": "payment_intent", "status": "requires_payment_method"},
    }
    return 402, {"error": error}


def test_a_charge_says_what_it_is_for_and_under_which_key(stripe: StripeServer, acme: Organization) -> None:
    stripe.answers["POST /v1/payment_intents"] = intent("succeeded")
    assert charge(acme) == ChargeResult("succeeded", "pi_1")
    asked = stripe.last("/v1/payment_intents")
    assert asked.headers["Authorization"] == "Bearer rk_of_the_test_suite"
    assert asked.headers["Idempotency-Key"] == "charge-1"
    assert asked.fields == {
        "amount": "4900",
        "currency": "usd",
        "customer": "cus_1",
        "payment_method": "pm_default",
        "off_session": "true",
        "confirm": "true",
        "description": "INV-2026-000001",
        "metadata[invoice]": str(INVOICE),
        "metadata[organization]": str(acme.id),
    }


def test_without_a_default_the_last_means_of_payment_is_charged(stripe: StripeServer, acme: Organization) -> None:
    stripe.answers["GET /v1/customers/cus_1"] = (200, CUSTOMER | {"invoice_settings": {}})
    methods: dict[str, Any] = {"object": "list", "data": [], "has_more": False, "url": "/v1/payment_methods"}
    stripe.answers["GET /v1/payment_methods"] = (200, methods)
    assert charge(acme).code == "no_payment_method"
    methods["data"] = [{"id": "pm_last", "object": "payment_method"}]
    stripe.answers["POST /v1/payment_intents"] = intent("processing")
    assert charge(acme) == ChargeResult("pending", "pi_1")
    assert stripe.last("/v1/payment_intents").fields["payment_method"] == "pm_last"
    assert charge(acme, customer="").code == "no_payment_method"


@pytest.mark.parametrize(
    ("answer", "code"),
    [
        (declined("card_declined", "insufficient_funds"), "insufficient_funds"),
        (declined("card_declined", "generic_decline"), "card_declined"),
        (declined("expired_card"), "expired_card"),
        (declined("authentication_required"), "authentication_required"),
        (intent("requires_action"), "authentication_required"),
        (intent("requires_payment_method"), "card_declined"),
    ],
)
def test_a_charge_that_fails_says_why(
    stripe: StripeServer, acme: Organization, answer: tuple[int, dict[str, Any]], code: str
) -> None:
    stripe.answers["POST /v1/payment_intents"] = answer
    failed = charge(acme)
    assert (failed.status, failed.reference, failed.code) == ("failed", "pi_1", code)
    assert failed.message


def error(kind: str, code: str | None = None) -> dict[str, Any]:
    return {"error": {"type": kind, "code": code, "message": "secret words"}}


@pytest.mark.parametrize(
    "answer",
    [
        (500, error("api_error")),
        (503, b"<html>upstream"),
        (200, b"not json"),
        (429, error("rate_limit_error")),
        (409, error("idempotency_error", "idempotency_key_in_use")),
        # A wrong key of ours says nothing about the customer: no dunning opens because of it.
        (401, error("authentication_error")),
        (403, error("permission_error")),
    ],
)
def test_an_answer_that_decides_nothing_is_asked_for_again(
    stripe: StripeServer, acme: Organization, answer: tuple[int, Any]
) -> None:
    stripe.answers["POST /v1/payment_intents"] = answer
    with pytest.raises(ProviderUnavailable) as raised:
        charge(acme)
    assert "secret" not in raised.value.message
    assert sum(asked.path == "/v1/payment_intents" for asked in stripe.asked) == 1


def test_a_request_that_stripe_does_not_take_is_refused(stripe: StripeServer, acme: Organization) -> None:
    stripe.answers["POST /v1/payment_intents"] = (400, error("invalid_request_error", "amount_too_small"))
    with pytest.raises(ProviderRefused, match="amount_too_small"):
        charge(acme)
    with pytest.raises(ProviderRefused, match="resource_missing"):
        charge(acme, customer="cus_unknown")


@pytest.mark.parametrize(
    ("currency", "minor", "sent"), [("JPY", 500, "500"), ("ISK", 500, "50000"), ("KWD", 5120, "5120")]
)
def test_amounts_in_stripes_units(
    stripe: StripeServer, acme: Organization, currency: str, minor: int, sent: str
) -> None:
    stripe.answers["POST /v1/payment_intents"] = intent("succeeded")
    charge(acme, currency=currency, amount=minor)
    assert stripe.last("/v1/payment_intents").fields["amount"] == sent
    with pytest.raises(ProviderRefused, match="steps"):
        charge(acme, currency="KWD", amount=5123)


def test_nobody_is_waited_for_without_end(
    stripe: StripeServer, acme: Organization, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stripe_http, "TOTAL_SECONDS", 0.6)
    stripe.drips = True
    started = time.monotonic()
    with pytest.raises(ProviderUnavailable):
        charge(acme)
    assert time.monotonic() - started < 3


def test_nobody_there(settings: Settings, acme: Organization) -> None:
    settings.BILLING_PROVIDER = "stripe"
    with pytest.raises(ProviderUnavailable, match="BILLING_STRIPE_API_KEY"):
        charge(acme)
    settings.BILLING_STRIPE_API_KEY, settings.BILLING_STRIPE_API_BASE = "rk", "http://127.0.0.1:9"
    with pytest.raises(ProviderUnavailable):
        charge(acme)
    with pytest.raises(ProviderUnavailable):
        links.portal(organization=acme, return_url="https://x.example", actor=OPERATOR, now=timezone.now())
    assert not ProviderCustomer.objects.exists()


def test_the_portal_makes_the_customer_once(stripe: StripeServer, acme: Organization) -> None:
    stripe.answers["POST /v1/customers"] = (200, CUSTOMER)
    stripe.answers["POST /v1/billing_portal/sessions"] = (200, {"id": "bps_1", "url": "https://billing.example/p"})
    for _ in range(2):
        url = links.portal(organization=acme, return_url="https://x.example/", actor=OPERATOR, now=timezone.now())
        assert url == "https://billing.example/p"
    made = [asked for asked in stripe.asked if asked.path == "/v1/customers"]
    assert [asked.fields["metadata[organization]"] for asked in made] == [str(acme.id)]
    assert made[0].headers["Idempotency-Key"] == f"customer-{acme.id}"
    assert customers.reference_of(acme) == "cus_1"
    assert stripe.last("/v1/billing_portal/sessions").fields == {
        "customer": "cus_1",
        "return_url": "https://x.example/",
    }


def test_checkout_names_the_subscription(stripe: StripeServer, acme: Organization) -> None:
    stripe.answers["POST /v1/customers"] = (200, CUSTOMER)
    stripe.answers["POST /v1/checkout/sessions"] = (200, {"id": "cs_1", "url": "https://checkout.example/c"})
    subscription = factories.subscription(
        organization=acme, plan=factories.plan(code="team"), starts_at=at("2026-05-01"), status="incomplete"
    )
    url = links.checkout(subscription=subscription, return_url="https://x.example/", actor=OPERATOR, now=timezone.now())
    assert url == "https://checkout.example/c"
    fields = stripe.last("/v1/checkout/sessions").fields
    assert (fields["mode"], fields["customer"], fields["metadata[subscription]"]) == (
        "setup",
        "cus_1",
        str(subscription.id),
    )


def test_an_order_is_paid_in_full_once(stripe: StripeServer, real_db: str) -> None:
    """In one session, whoever asks again within a day; its payment names the invoice as our own charges do."""
    stripe.answers["POST /v1/customers"] = (200, CUSTOMER)
    stripe.answers["POST /v1/checkout/sessions"] = (200, {"id": "cs_1", "url": "https://checkout.example/c"})
    purchase = purchases.order(purchases.buyer("JPY"), "33")
    for _ in range(2):
        url = links.payment(
            invoice=purchase.invoice, return_url="https://x.example/", actor=OPERATOR, now=timezone.now()
        )
        assert url == "https://checkout.example/c"
    asked = [each for each in stripe.asked if each.path == "/v1/checkout/sessions"]
    assert len({each.headers["Idempotency-Key"] for each in asked}) == 1
    fields, invoice = asked[0].fields, str(purchase.invoice_id)
    assert (fields["mode"], fields["line_items[0][price_data][unit_amount]"]) == ("payment", "412")
    assert (fields["line_items[0][price_data][currency]"], fields["line_items[0][quantity]"]) == ("jpy", "1")
    assert (fields["metadata[invoice]"], fields["payment_intent_data[metadata][invoice]"]) == (invoice, invoice)
    assert "metadata[subscription]" not in fields


def test_an_order_that_stripe_cannot_charge_is_refused(stripe: StripeServer, real_db: str) -> None:
    stripe.answers["POST /v1/customers"] = (200, CUSTOMER)
    purchase = purchases.order(purchases.buyer("KWD"), "1.1")
    assert purchase.invoice.total_minor == 41
    with pytest.raises(ProviderRefused):
        links.payment(invoice=purchase.invoice, return_url="https://x.example/", actor=OPERATOR, now=timezone.now())


def test_what_was_withdrawn_is_not_paid(stripe: StripeServer, real_db: str) -> None:
    purchase = purchases.order(purchases.buyer())
    withdrawn = purchasing.withdraw(purchase=purchase, actor=OPERATOR, now=purchases.NOW)
    with pytest.raises(links.NothingToPay):
        links.payment(invoice=withdrawn.invoice, return_url="https://x.example/", actor=OPERATOR, now=timezone.now())
    assert stripe.asked == []


def test_meters_are_read_to_the_last_digit(stripe: StripeServer, acme: Organization) -> None:
    customers.link(acme, provider="stripe", reference="cus_1", now=timezone.now())
    meter = {"id": "mtr_1", "object": "billing.meter", "event_name": "tokens"}
    listed = {"object": "list", "has_more": False, "url": "/v1/billing/meters"}
    stripe.answers["GET /v1/billing/meters"] = (200, listed | {"data": [meter]})
    summary = {"id": "mtrusg_1", "object": "billing.meter_event_summary", "aggregated_value": 1234.1}
    stripe.answers["GET /v1/billing/meters/mtr_1/event_summaries"] = (200, listed | {"data": [summary]})
    (told,) = calls.reported_usage(
        organization=acme, customer_reference="cus_1", starts_at=at("2026-05-09"), ends_at=at("2026-05-10")
    )
    assert (told.meter, told.quantity) == ("tokens", Decimal("1234.1"))
    asked = stripe.last("/v1/billing/meters/mtr_1/event_summaries").fields
    assert (asked["customer"], asked["start_time"], asked["end_time"]) == ("cus_1", "1778284800", "1778371200")
