"""Deliveries as Stripe sends them: its payloads (API version 2025-09-30), signed by its scheme."""

import hashlib
import hmac
import json
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

SECRET = "whsec_of_the_test_suite"
HEADER = "stripe-signature"


def event(kind: str, source: Mapping[str, Any], *, at: datetime, event_id: str) -> bytes:
    document = {
        "id": event_id,
        "object": "event",
        "api_version": "2025-09-30.clover",
        "created": int(at.timestamp()),
        "data": {"object": dict(source)},
        "livemode": False,
        "pending_webhooks": 1,
        "request": {"id": "req_1", "idempotency_key": None},
        "type": kind,
    }
    return json.dumps(document).encode()


def subscription(
    reference: str = "sub_1",
    *,
    status: str = "active",
    plan: str = "team",
    metadata: Mapping[str, str] | None = None,
    customer: str = "cus_1",
    cancel_at_period_end: bool = False,
) -> dict[str, Any]:
    price = {
        "id": f"price_{plan}",
        "object": "price",
        "currency": "usd",
        "lookup_key": plan,
        "metadata": {},
        "unit_amount": 4900,
    }
    return {
        "id": reference,
        "object": "subscription",
        "cancel_at_period_end": cancel_at_period_end,
        "collection_method": "charge_automatically",
        "currency": "usd",
        "customer": customer,
        "items": {"object": "list", "data": [{"id": "si_1", "object": "subscription_item", "price": price}]},
        "metadata": dict(metadata or {}),
        "pause_collection": None,
        "status": status,
    }


def payment_intent(
    reference: str = "pi_1",
    *,
    amount: int,
    metadata: Mapping[str, str] | None = None,
    currency: str = "usd",
    customer: str | None = "cus_1",
    error: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    return {
        "id": reference,
        "object": "payment_intent",
        "amount": amount,
        "amount_received": 0 if error else amount,
        "currency": currency,
        "customer": customer,
        "last_payment_error": error,
        "latest_charge": f"ch_{reference[3:]}",
        "metadata": dict(metadata or {}),
        "payment_method_types": ["card"],
        "status": "requires_payment_method" if error else "succeeded",
    }


def refund(reference: str = "re_1", *, amount: int, payment: str = "pi_1", status: str = "succeeded") -> dict[str, Any]:
    return {
        "id": reference,
        "object": "refund",
        "amount": amount,
        "charge": f"ch_{payment[3:]}",
        "currency": "usd",
        "metadata": {},
        "payment_intent": payment,
        "reason": "requested_by_customer",
        "status": status,
    }


def dispute(reference: str = "dp_1", *, amount: int, payment: str = "pi_1") -> dict[str, Any]:
    return {
        "id": reference,
        "object": "dispute",
        "amount": amount,
        "charge": f"ch_{payment[3:]}",
        "currency": "usd",
        "payment_intent": payment,
        "reason": "fraudulent",
        "status": "needs_response",
    }


def checkout(subscription_id: str, *, customer: str = "cus_1", payment_status: str = "no_payment_required") -> Any:
    return {
        "id": "cs_test_1",
        "object": "checkout.session",
        "amount_total": None,
        "client_reference_id": subscription_id,
        "customer": customer,
        "metadata": {"subscription": subscription_id},
        "mode": "setup",
        "payment_status": payment_status,
        "status": "complete",
        "subscription": None,
    }


def signature(body: bytes, *, at: datetime, secret: str = SECRET) -> str:
    """Counted here from Stripe's documentation, not by its package."""
    timestamp = int(at.timestamp())
    return hmac.new(secret.encode(), f"{timestamp}.".encode() + body, hashlib.sha256).hexdigest()


def header(body: bytes, *, at: datetime, secrets: Sequence[str] = (SECRET,)) -> str:
    signed = ",".join(f"v1={signature(body, at=at, secret=secret)}" for secret in secrets)
    return f"t={int(at.timestamp())},{signed}"


def headers(body: bytes, *, at: datetime) -> dict[str, str]:
    return {HEADER: header(body, at=at)}
