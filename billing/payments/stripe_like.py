"""Stripe, or what speaks as Stripe does: its webhooks, verified and read, and its API.

The ``stripe`` package verifies signatures and makes the calls. It is wrapped, because it accepts timestamps of the
future and raises what it likes for malformed headers and bodies.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime
from decimal import Decimal
from functools import lru_cache
from hashlib import sha256
from typing import TYPE_CHECKING, Any

import stripe
from django.conf import settings

from billing.models import Invoice, Organization, Subscription
from billing.payments import reading, registry, signatures, stripe_events
from billing.payments.events import ProviderEvent
from billing.payments.protocol import (
    CARD_DECLINED,
    INSUFFICIENT_FUNDS,
    NO_PAYMENT_METHOD,
    ChargeRequest,
    ChargeResult,
    ProviderRefused,
    ProviderUnavailable,
    ReportedUsage,
    SignatureInvalid,
    VerifiedEvent,
)
from billing.payments.stripe_http import DeadlineClient

if TYPE_CHECKING:
    from collections.abc import Iterator

SIGNATURE_HEADER = "stripe-signature"
AUTHENTICATION_REQUIRED = "authentication_required"


class StripeLikeAdapter:
    """Maps Stripe's webhooks into neutral events, of which those of subscriptions end in ``upsert_subscription``."""

    code = registry.STRIPE

    def create_customer(self, *, organization: Organization) -> str:
        with _answers():
            made = _client().v1.customers.create(
                params={
                    "name": organization.name,
                    "email": organization.billing_email,
                    "metadata": {"organization": str(organization.id)},
                },
                options={"idempotency_key": f"customer-{organization.id}"},
            )
        return str(made.id)

    def charge(self, request: ChargeRequest) -> ChargeResult:
        """Off session, with the customer's default means of payment, else the one that was added last."""
        if not request.customer_reference:
            return _failed("", NO_PAYMENT_METHOD)
        amount = _amount(request.amount_minor, request.currency)
        with _answers():
            method = _payment_method(request.customer_reference)
        if not method:
            return _failed("", NO_PAYMENT_METHOD)
        try:
            with _answers():
                intent = _client().v1.payment_intents.create(
                    params={
                        "amount": amount,
                        "currency": request.currency.lower(),
                        "customer": request.customer_reference,
                        "payment_method": method,
                        "off_session": True,
                        "confirm": True,
                        "description": request.invoice_number,
                        "metadata": {
                            "invoice": str(request.invoice_id),
                            "organization": str(request.organization_id),
                        },
                    },
                    options={"idempotency_key": request.idempotency_key},
                )
        except stripe.CardError as error:
            return _declined(error)
        return _result(intent)

    def portal_url(self, *, organization: Organization, customer_reference: str, return_url: str) -> str:
        with _answers():
            session = _client().v1.billing_portal.sessions.create(
                params={"customer": customer_reference, "return_url": return_url}
            )
        return str(session.url)

    def checkout_url(self, *, subscription: Subscription, customer_reference: str, return_url: str) -> str:
        """A session that puts a means of payment on file: what is owed is invoiced by us, and charged to it."""
        metadata = {"organization": str(subscription.organization_id), "subscription": str(subscription.id)}
        with _answers():
            session = _client().v1.checkout.sessions.create(
                params={
                    "mode": "setup",
                    "customer": customer_reference,
                    "currency": subscription.currency.lower(),
                    "client_reference_id": str(subscription.id),
                    "metadata": metadata,
                    "setup_intent_data": {"metadata": metadata},
                    "success_url": return_url,
                    "cancel_url": return_url,
                }
            )
        return str(session.url)

    def payment_url(self, *, invoice: Invoice, customer_reference: str, return_url: str) -> str:
        """A session that takes the whole total once: asked again within a day, it is the same one, so that two tabs
        pay once. Its payment intent names the invoice, as those of our charges do."""
        metadata = {"organization": str(invoice.organization_id), "invoice": str(invoice.id)}
        amount, what = _amount(invoice.total_minor, invoice.currency), invoice.lines.all()[0].description
        back = sha256(return_url.encode()).hexdigest()[:16]
        with _answers():
            session = _client().v1.checkout.sessions.create(
                params={
                    "mode": "payment",
                    "customer": customer_reference,
                    "client_reference_id": str(invoice.id),
                    "line_items": [
                        {
                            "quantity": 1,
                            "price_data": {
                                "currency": invoice.currency.lower(),
                                "unit_amount": amount,
                                "product_data": {"name": what},
                            },
                        }
                    ],
                    "metadata": metadata,
                    "payment_intent_data": {"metadata": metadata},
                    "success_url": return_url,
                    "cancel_url": return_url,
                },
                options={"idempotency_key": f"order-{invoice.id}-{back}"},
            )
        return str(session.url)

    def verify(self, *, body: bytes, headers: Mapping[str, str], now: datetime) -> VerifiedEvent:
        header = headers.get(SIGNATURE_HEADER)
        signatures.read(header, now=now)
        if not any(_is_signed(body, header, secret) for secret in settings.BILLING_STRIPE_WEBHOOK_SECRETS):
            raise SignatureInvalid("The signature is not Stripe's.")
        return self.read(body)

    def read(self, body: bytes) -> VerifiedEvent:
        document = reading.envelope(body)
        return VerifiedEvent(
            provider=self.code,
            id=reading.named(document, "id", length_max=255),
            type=reading.named(document, "type", length_max=100),
            created_at=reading.created(document),
            payload=document,
        )

    def interpret(self, event: VerifiedEvent) -> Sequence[ProviderEvent]:
        return stripe_events.interpret(event)

    def reported_usage(
        self, *, organization: Organization, customer_reference: str, starts_at: datetime, ends_at: datetime
    ) -> Sequence[ReportedUsage]:
        """From Stripe's billing meters, whose ``event_name`` is our meter; the window has whole minutes."""
        with _answers():
            meters = list(_client().v1.billing.meters.list(params={"limit": 100}).auto_paging_iter())
            return [
                ReportedUsage(
                    str(meter.event_name), _metered(meter, customer_reference, starts_at, ends_at), starts_at, ends_at
                )
                for meter in meters
            ]


def _amount(amount_minor: int, currency: str) -> int:
    try:
        return stripe_events.to_stripe(amount_minor, currency)
    except ValueError as error:
        raise ProviderRefused(str(error)) from error


def _metered(meter: Any, customer: str, starts_at: datetime, ends_at: datetime) -> Decimal:
    summaries = _client().v1.billing.meters.event_summaries.list(
        meter.id,
        params={
            "customer": customer,
            "start_time": int(starts_at.timestamp()),
            "end_time": int(ends_at.timestamp()),
            "limit": 100,
        },
    )
    # JSON numbers arrive as floats; their shortest text is what Stripe wrote.
    values = [Decimal(repr(each.aggregated_value)) for each in summaries.auto_paging_iter()]
    return sum(values, Decimal(0))


def _payment_method(customer: str) -> str:
    found = _client().v1.customers.retrieve(customer)
    chosen = getattr(getattr(found, "invoice_settings", None), "default_payment_method", None)
    if chosen:
        return str(getattr(chosen, "id", chosen))
    methods = _client().v1.payment_methods.list(params={"customer": customer, "limit": 1}).data
    return str(methods[0].id) if methods else ""


def _result(intent: Any) -> ChargeResult:
    if intent.status == "succeeded":
        return ChargeResult("succeeded", str(intent.id))
    if intent.status == "processing":
        return ChargeResult("pending", str(intent.id))
    code = AUTHENTICATION_REQUIRED if intent.status == "requires_action" else CARD_DECLINED
    return _failed(str(intent.id), code)


def _declined(error: stripe.CardError) -> ChargeResult:
    told = error.error
    intent = getattr(told, "payment_intent", None)
    declined = getattr(told, "decline_code", None)
    code = INSUFFICIENT_FUNDS if declined == INSUFFICIENT_FUNDS else str(error.code or CARD_DECLINED)
    return _failed(str(getattr(intent, "id", "") or ""), code, str(error.user_message or ""))


def _failed(reference: str, code: str, message: str = "") -> ChargeResult:
    return ChargeResult("failed", reference, code, message or code.replace("_", " ").capitalize() + ".")


def _is_signed(body: bytes, header: str | None, secret: str) -> bool:
    try:
        return bool(stripe.WebhookSignature.verify_header(body, header, secret))
    except Exception:
        # The package raises its own error for a wrong signature, and others for bodies that are not UTF-8.
        return False


@contextmanager
def _answers() -> Iterator[None]:
    """Turn the package's errors into ours; ``CardError`` is an answer and passes."""
    try:
        yield
    except stripe.CardError:
        raise
    except (stripe.InvalidRequestError, stripe.IdempotencyError) as error:
        if error.http_status == 409:
            # The first request of this key is still at work there.
            raise ProviderUnavailable("Stripe is still at work on the same request.") from error
        raise ProviderRefused(f"Stripe refused the request: {error.code or error.http_status}.") from error
    except stripe.StripeError as error:
        # Not reached, too slow, overloaded, an error of its own, or a key of ours that does not open: none of it says
        # anything about the customer.
        raise ProviderUnavailable(f"Stripe does not answer: {type(error).__name__}.") from error


def _client() -> stripe.StripeClient:
    if not settings.BILLING_STRIPE_API_KEY:
        raise ProviderUnavailable("BILLING_STRIPE_API_KEY is not set.")
    return _make_client(settings.BILLING_STRIPE_API_KEY, settings.BILLING_STRIPE_API_BASE)


@lru_cache(maxsize=4)
def _make_client(api_key: str, api_base: str) -> stripe.StripeClient:
    return stripe.StripeClient(
        api_key,
        base_addresses={"api": api_base},
        http_client=DeadlineClient(),
        max_network_retries=0,
    )
