"""The provider that works offline: test means of payment, pages of its own, and books of its own.

It behaves as a provider does: a charge is told once per idempotency key, whatever it knows it reports by signed
deliveries, and its pages are reached by links that expire.
"""

from __future__ import annotations

import hmac
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from hashlib import sha256
from typing import Any
from uuid import UUID

from django.conf import settings
from django.core import signing
from django.utils import timezone
from django.utils.crypto import salted_hmac

from billing.kernel import ids
from billing.kernel.errors import Invalid
from billing.models import Invoice, Organization, ProviderCustomer, StubCharge, StubReading, Subscription
from billing.payments import reading, registry, signatures
from billing.payments.events import (
    PaymentFailed,
    PaymentSucceeded,
    ProviderEvent,
    RefundReported,
    SubscriptionConfirmed,
)
from billing.payments.protocol import (
    CARD_DECLINED,
    INSUFFICIENT_FUNDS,
    NO_PAYMENT_METHOD,
    ChargeRequest,
    ChargeResult,
    EventUnreadable,
    ProviderRefused,
    ProviderUnavailable,
    ReportedUsage,
    SignatureInvalid,
    VerifiedEvent,
)

SIGNATURE_HEADER = "stub-signature"
LINK_SECONDS = 1800
PORTAL_SALT = "billing.payments.stub.portal"
CHECKOUT_SALT = "billing.payments.stub.checkout"
ORDER_SALT = "billing.payments.stub.order"


@dataclass(frozen=True, slots=True)
class TestMethod:
    """A test means of payment: what a charge of it comes to."""

    __test__ = False
    code: str
    label: str
    status: str
    failure: str = ""


METHODS: Mapping[str, TestMethod] = {
    each.code: each
    for each in (
        TestMethod("card_ok", "Card that pays", "succeeded"),
        TestMethod("card_declined", "Card that is declined", "failed", CARD_DECLINED),
        TestMethod("card_insufficient", "Card without enough money", "failed", INSUFFICIENT_FUNDS),
        TestMethod("debit_pending", "Bank debit that answers later", "pending"),
        TestMethod("card_unreachable", "Card whose bank cannot be reached", "unavailable"),
    )
}


class MethodUnknown(Invalid):
    """No such test means of payment."""

    code = "payment_method_unknown"


class LinkExpired(Invalid):
    """The link to a page of the stub is too old, or was changed."""

    code = "link_expired"


class StubProvider:
    code = registry.STUB

    def create_customer(self, *, organization: Organization) -> str:
        _refuse_in_earnest(is_sandbox=organization.is_sandbox)
        return reference_of(organization.id)

    def charge(self, request: ChargeRequest) -> ChargeResult:
        _refuse_in_earnest(is_sandbox=request.sandbox)
        customer = ProviderCustomer.objects.filter(provider=self.code, organization_id=request.organization_id).first()
        method = METHODS.get(customer.payment_method) if customer else None
        known = StubCharge.objects.filter(idempotency_key=request.idempotency_key).first()
        if known is None and method is not None and method.status == "unavailable":
            raise ProviderUnavailable("The stub's bank cannot be reached.")
        charge = known or self._book(request, method)
        message = "" if not charge.code else charge.code.replace("_", " ").capitalize() + "."
        return ChargeResult(
            status=charge.status,  # type: ignore[arg-type]  # written below, one of the three
            reference=str(charge.id),
            code=charge.code,
            message=message,
        )

    def _book(self, request: ChargeRequest, method: TestMethod | None) -> StubCharge:
        charge, _ = StubCharge.objects.get_or_create(
            idempotency_key=request.idempotency_key,
            defaults={
                "organization_id": request.organization_id,
                "invoice_id": request.invoice_id,
                "amount_minor": request.amount_minor,
                "currency": request.currency,
                "payment_method": method.code if method else "",
                "status": method.status if method else "failed",
                "code": method.failure if method else NO_PAYMENT_METHOD,
                "created_at": timezone.now(),
            },
        )
        return charge

    def portal_url(self, *, organization: Organization, customer_reference: str, return_url: str) -> str:
        _refuse_in_earnest(is_sandbox=organization.is_sandbox)
        token = signing.dumps([str(organization.id), return_url], salt=PORTAL_SALT)
        return f"/payments/portal/{token}"

    def checkout_url(self, *, subscription: Subscription, customer_reference: str, return_url: str) -> str:
        _refuse_in_earnest(is_sandbox=subscription.organization.is_sandbox)
        token = signing.dumps([str(subscription.id), return_url], salt=CHECKOUT_SALT)
        return f"/payments/checkout/{token}"

    def payment_url(self, *, invoice: Invoice, customer_reference: str, return_url: str) -> str:
        _refuse_in_earnest(is_sandbox=invoice.organization.is_sandbox)
        token = signing.dumps([str(invoice.id), return_url], salt=ORDER_SALT)
        return f"/payments/orders/{token}"

    def verify(self, *, body: bytes, headers: Mapping[str, str], now: datetime) -> VerifiedEvent:
        signed = signatures.read(headers.get(SIGNATURE_HEADER), now=now)
        if not any(hmac.compare_digest(_signature(signed.timestamp, body), each) for each in signed.signatures):
            raise SignatureInvalid("The signature is not ours.")
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
        make = _INTERPRETERS.get(event.type)
        return [] if make is None else [make(event.created_at, reading.Fields(event.payload.get("data"), "data"))]

    def reported_usage(
        self, *, organization: Organization, customer_reference: str, starts_at: datetime, ends_at: datetime
    ) -> Sequence[ReportedUsage]:
        readings = StubReading.objects.filter(organization=organization, starts_at=starts_at, ends_at=ends_at)
        return [
            ReportedUsage(each.meter, each.quantity, each.starts_at, each.ends_at)
            for each in readings.order_by("meter")
        ]


def _refuse_in_earnest(*, is_sandbox: bool) -> None:
    """Test cards must pay for nothing where customers are real. An installation without a provider is paid by hand."""
    if settings.BILLING_ENVIRONMENT == "production" and not is_sandbox:
        raise ProviderRefused("No payment provider is set up: BILLING_PROVIDER is the stub.")


def reference_of(organization_id: UUID) -> str:
    return f"stub_{organization_id.hex}"


def choose(organization: Organization, method: str, *, now: datetime) -> ProviderCustomer:
    """Have later charges of ``organization`` go to a test means of payment. Raises ``MethodUnknown``."""
    if method not in METHODS:
        raise MethodUnknown(f"Test means of payment are {', '.join(METHODS)}.", field="payment_method")
    customer, _ = ProviderCustomer.objects.update_or_create(
        organization=organization,
        provider=registry.STUB,
        defaults={"payment_method": method},
        create_defaults={
            "payment_method": method,
            "reference": reference_of(organization.id),
            "created_at": now,
        },
    )
    return customer


def list_charges(organization_id: UUID, *, limit: int = 20) -> Sequence[StubCharge]:
    """Newest first."""
    return list(StubCharge.objects.filter(organization_id=organization_id).order_by("-created_at", "-id")[:limit])


def report_usage(*, organization: Organization, reported: ReportedUsage) -> None:
    """Have the stub claim to have metered this much in a window, in place of what it claimed before."""
    StubReading.objects.update_or_create(
        organization=organization,
        meter=reported.meter,
        starts_at=reported.starts_at,
        ends_at=reported.ends_at,
        defaults={"quantity": reported.quantity},
    )


def read_link(token: str, *, salt: str) -> tuple[UUID, str]:
    """What a link to a page of the stub is about, and where it leads back to. Raises ``LinkExpired``."""
    try:
        subject, return_url = signing.loads(token, salt=salt, max_age=LINK_SECONDS)
        return UUID(subject), str(return_url)
    except (signing.BadSignature, ValueError, TypeError) as error:
        raise LinkExpired("This link has expired. Go back and ask for a new one.") from error


def event(kind: str, data: Mapping[str, Any], *, at: datetime, event_id: str = "") -> bytes:
    """The body of a delivery, as the stub would send it."""
    document = {
        "id": event_id or f"evt_{ids.new_id().hex}",
        "type": kind,
        "created": int(at.timestamp()),
        "data": dict(data),
    }
    return json.dumps(document).encode()


def sign(body: bytes, *, at: datetime) -> Mapping[str, str]:
    """The headers that prove that ``body`` is the stub's."""
    timestamp = int(at.timestamp())
    return {SIGNATURE_HEADER: f"t={timestamp},v1={_signature(timestamp, body)}"}


def _signature(timestamp: int, body: bytes) -> str:
    key = salted_hmac("billing.payments.stub.webhook", b"", algorithm="sha256").digest()
    return hmac.new(key, b"%d." % timestamp + body, sha256).hexdigest()


def _confirmed(at: datetime, data: reading.Fields) -> ProviderEvent:
    subscription_id = data.uuid("subscription_id")
    if subscription_id is None:
        raise EventUnreadable("data.subscription_id is missing")
    return SubscriptionConfirmed(
        subject=f"checkout:{subscription_id}",
        at=at,
        customer_reference=data.optional_text("customer"),
        subscription_id=subscription_id,
    )


def _succeeded(at: datetime, data: reading.Fields) -> ProviderEvent:
    reference = data.text("payment")
    return PaymentSucceeded(
        subject=f"payment:{reference}",
        at=at,
        customer_reference=data.optional_text("customer"),
        reference=reference,
        amount_minor=data.amount("amount"),
        currency=data.currency(),
        invoice_id=data.uuid("invoice_id"),
        method=data.optional_text("method") or "card",
    )


def _failed(at: datetime, data: reading.Fields) -> ProviderEvent:
    reference = data.text("payment")
    return PaymentFailed(
        subject=f"payment:{reference}",
        at=at,
        customer_reference=data.optional_text("customer"),
        reference=reference,
        invoice_id=data.uuid("invoice_id"),
        code=data.optional_text("code", length_max=60),
        message=data.optional_text("message"),
    )


def _refunded(at: datetime, data: reading.Fields) -> ProviderEvent:
    reference = data.text("refund")
    return RefundReported(
        subject=f"refund:{reference}",
        at=at,
        customer_reference=data.optional_text("customer"),
        reference=reference,
        payment_reference=data.text("payment"),
        amount_minor=data.amount("amount"),
        currency=data.currency(),
        reason=data.optional_text("reason"),
    )


_INTERPRETERS = {
    "signup.confirmed": _confirmed,
    "payment.succeeded": _succeeded,
    "payment.failed": _failed,
    "refund.succeeded": _refunded,
}
