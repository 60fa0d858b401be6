"""What Stripe's webhook payloads mean, in our words: https://docs.stripe.com/api/events/types. Pure.

Money is read from payment intents, refunds and disputes alone. Stripe tells of the same money in charges, checkout
sessions and invoices too; reading one kind counts it once. Our own ids travel in ``metadata``: ``organization``,
``subscription``, ``invoice``, and ``plan`` on subscriptions and prices.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime

from billing.kernel import money
from billing.models import Status
from billing.payments.events import (
    PaymentFailed,
    PaymentSucceeded,
    ProviderEvent,
    RefundReported,
    SubscriptionChanged,
    SubscriptionConfirmed,
    SubscriptionDeleted,
)
from billing.payments.protocol import CARD_DECLINED, INSUFFICIENT_FUNDS, EventUnreadable, VerifiedEvent
from billing.payments.reading import Fields

STATUSES: Mapping[str, str] = {
    "incomplete": Status.INCOMPLETE.value,
    "incomplete_expired": Status.EXPIRED.value,
    "trialing": Status.TRIALING.value,
    "active": Status.ACTIVE.value,
    "past_due": Status.PAST_DUE.value,
    # Retries are used up and the subscription is kept: nothing is served, as when past due.
    "unpaid": Status.PAST_DUE.value,
    "paused": Status.PAUSED.value,
    "canceled": Status.CANCELED.value,
}
# Stripe writes these with two digits though they have none: https://docs.stripe.com/currencies#special-cases
_TWO_DIGITS_AT_STRIPE = frozenset({"ISK", "UGX"})

Interpreter = Callable[[datetime, Fields], Sequence[ProviderEvent]]


def interpret(event: VerifiedEvent) -> Sequence[ProviderEvent]:
    """Nothing for a type that is not read. Raises ``EventUnreadable``."""
    make = INTERPRETERS.get(event.type)
    if make is None:
        return []
    return make(event.created_at, Fields(event.payload.get("data"), "data").object("object"))


def to_stripe(amount_minor: int, currency: str) -> int:
    """Our minor units as Stripe counts them. Raises ``ValueError`` where Stripe cannot charge that amount."""
    if currency in _TWO_DIGITS_AT_STRIPE:
        return amount_minor * 100
    if money.exponent(currency) == 3 and amount_minor % 10:
        raise ValueError(f"Stripe charges {currency} in steps of 0.01.")
    return amount_minor


def from_stripe(amount: int, currency: str) -> int:
    """The inverse of ``to_stripe``. Raises ``EventUnreadable`` for a fraction of a minor unit."""
    if currency not in _TWO_DIGITS_AT_STRIPE:
        return amount
    if amount % 100:
        raise EventUnreadable(f"{amount} is no amount of {currency}")
    return amount // 100


def failure_code(error: Fields) -> str:
    """Why a payment failed, from ``last_payment_error``."""
    declined = error.optional_text("decline_code")
    code = error.optional_text("code")
    if INSUFFICIENT_FUNDS in (declined, code):
        return INSUFFICIENT_FUNDS
    return code or declined or CARD_DECLINED


def _amount(source: Fields, name: str = "amount") -> tuple[int, str]:
    currency = source.currency()
    return from_stripe(source.amount(name), currency), currency


def _subscription(rank: int) -> Interpreter:
    def changed(at: datetime, source: Fields) -> Sequence[ProviderEvent]:
        reference, metadata = source.text("id"), source.object("metadata")
        status = source.text("status")
        if status not in STATUSES:
            raise EventUnreadable(f"data.object.status {status} is not known")
        currency = source.optional_text("currency", length_max=3).upper()
        return [
            SubscriptionChanged(
                subject=f"subscription:{reference}",
                at=at,
                rank=rank,
                customer_reference=source.reference("customer"),
                reference=reference,
                organization=metadata.optional_text("organization"),
                subscription_id=metadata.uuid("subscription"),
                plan_code=_plan_code(source, metadata),
                status=STATUSES[status],
                currency=currency if money.is_currency(currency) else "",
                cancel_at_period_end=source.flag("cancel_at_period_end"),
            )
        ]

    return changed


def _plan_code(source: Fields, metadata: Fields) -> str:
    """Of the subscription's metadata, else of the one price that names a plan: in metadata, or by its lookup key."""
    named = metadata.optional_text("plan")
    if named:
        return named
    prices = [item.object("price") for item in source.object("items").objects("data")]
    codes = {
        price.object("metadata").optional_text("plan") or price.optional_text("lookup_key") for price in prices
    } - {""}
    if len(codes) > 1:
        raise EventUnreadable(f"its prices name several plans: {', '.join(sorted(codes))}")
    return next(iter(codes), "")


def _subscription_deleted(at: datetime, source: Fields) -> Sequence[ProviderEvent]:
    reference, metadata = source.text("id"), source.object("metadata")
    return [
        SubscriptionDeleted(
            subject=f"subscription:{reference}",
            at=at,
            customer_reference=source.reference("customer"),
            reference=reference,
            organization=metadata.optional_text("organization"),
            subscription_id=metadata.uuid("subscription"),
        )
    ]


def _checkout(at: datetime, source: Fields) -> Sequence[ProviderEvent]:
    """One of ours names our subscription; one that is paid later is confirmed by the event of that."""
    subscription_id = source.object("metadata").uuid("subscription")
    if subscription_id is None or source.optional_text("payment_status") == "unpaid":
        return []
    return [
        SubscriptionConfirmed(
            subject=f"checkout:{source.text('id')}",
            at=at,
            customer_reference=source.reference("customer"),
            subscription_id=subscription_id,
        )
    ]


def _payment_succeeded(at: datetime, source: Fields) -> Sequence[ProviderEvent]:
    reference, metadata = source.text("id"), source.object("metadata")
    amount_minor, currency = _amount(source, "amount_received")
    return [
        PaymentSucceeded(
            subject=f"payment:{reference}",
            at=at,
            customer_reference=source.reference("customer"),
            reference=reference,
            amount_minor=amount_minor,
            currency=currency,
            invoice_id=metadata.uuid("invoice"),
            organization=metadata.optional_text("organization"),
            subscription_id=metadata.uuid("subscription"),
        )
    ]


def _payment_failed(at: datetime, source: Fields) -> Sequence[ProviderEvent]:
    reference, metadata, error = source.text("id"), source.object("metadata"), source.object("last_payment_error")
    return [
        PaymentFailed(
            subject=f"payment:{reference}",
            at=at,
            customer_reference=source.reference("customer"),
            reference=reference,
            invoice_id=metadata.uuid("invoice"),
            organization=metadata.optional_text("organization"),
            code=failure_code(error),
            message=error.optional_text("message", length_max=1000),
        )
    ]


def _refund(rank: int) -> Interpreter:
    def refund(at: datetime, source: Fields) -> Sequence[ProviderEvent]:
        status = source.optional_text("status") or "succeeded"
        if status not in ("succeeded", "failed", "canceled"):
            # Pending, or waiting for the customer: told again once it is decided.
            return []
        return [_given_back(at, source, rank=rank, is_undone=status != "succeeded", reason="refund")]

    return refund


def _charge_refunded(at: datetime, source: Fields) -> Sequence[ProviderEvent]:
    """Versions of the API before 2022-11-15 list the refunds here; later ones tell of each by itself."""
    payment = source.reference("payment_intent") or source.text("id")
    refunds = source.object("refunds").objects("data")
    decided = [each for each in refunds if (each.optional_text("status") or "succeeded") == "succeeded"]
    return [_given_back(at, each, rank=0, is_undone=False, reason="refund", payment=payment) for each in decided]


def _dispute(*, is_undone: bool) -> Interpreter:
    def dispute(at: datetime, source: Fields) -> Sequence[ProviderEvent]:
        return [_given_back(at, source, rank=0, is_undone=is_undone, reason="dispute")]

    return dispute


def _given_back(
    at: datetime, source: Fields, *, rank: int, is_undone: bool, reason: str, payment: str = ""
) -> ProviderEvent:
    reference = source.text("id")
    amount_minor, currency = _amount(source)
    why = source.optional_text("reason")
    return RefundReported(
        subject=f"refund:{reference}",
        at=at,
        rank=rank,
        reference=reference,
        payment_reference=source.reference("payment_intent") or payment or source.reference("charge"),
        amount_minor=amount_minor,
        currency=currency,
        reason=f"{reason}, {why}" if why else reason,
        is_undone=is_undone,
    )


INTERPRETERS: Mapping[str, Interpreter] = {
    "customer.subscription.created": _subscription(0),
    "customer.subscription.updated": _subscription(1),
    "customer.subscription.paused": _subscription(1),
    "customer.subscription.resumed": _subscription(1),
    "customer.subscription.deleted": _subscription_deleted,
    "checkout.session.completed": _checkout,
    "checkout.session.async_payment_succeeded": _checkout,
    "payment_intent.succeeded": _payment_succeeded,
    "payment_intent.payment_failed": _payment_failed,
    "payment_intent.canceled": _payment_failed,
    "refund.created": _refund(0),
    "refund.updated": _refund(1),
    "refund.failed": _refund(1),
    "charge.refund.updated": _refund(1),
    "charge.refunded": _charge_refunded,
    "charge.dispute.funds_withdrawn": _dispute(is_undone=False),
    "charge.dispute.funds_reinstated": _dispute(is_undone=True),
}
