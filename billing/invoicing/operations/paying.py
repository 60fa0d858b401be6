"""Money for an invoice, and money given back: rows that are only ever added."""

from __future__ import annotations

import re
from datetime import datetime
from typing import NamedTuple

from django.db import IntegrityError
from django.db.transaction import atomic

from billing.accounts import actors
from billing.accounts.actors import Act, Actor
from billing.infra import outbox
from billing.invoicing import balance, settlement
from billing.invoicing.errors import (
    InvoiceNotFound,
    PaymentExceedsDue,
    PaymentReferenceTaken,
    RefundExceedsPaid,
    SettlementInvalid,
)
from billing.invoicing.operations import moving
from billing.kernel.money import format_minor
from billing.models import BalanceKind, Invoice, Payment, PaymentKind

# Who kept the money: a provider's code, or finance by hand.
MANUAL = "manual"
TRANSFER = "transfer"
_CODE = re.compile(r"[a-z][a-z0-9_.-]{0,39}", re.ASCII)
REFERENCE_LENGTH_MAX = 200


def pay(
    *,
    invoice: Invoice,
    amount_minor: int,
    reference: str,
    actor: Actor,
    now: datetime,
    provider: str = MANUAL,
    method: str = TRANSFER,
    received_at: datetime | None = None,
    keeps_excess: bool = False,
) -> Payment:
    """Book money received for an issued or written-off invoice, all of it or a part; it is paid once nothing is due.

    ``reference`` is the provider's own name for the payment: told twice, it is booked once and the first row comes
    back. What is too much raises ``PaymentExceedsDue``, so that it is sent back or booked where it belongs; with
    ``keeps_excess``, for money that a provider has taken already, it goes to the customer's balance. Raises
    ``PaymentReferenceTaken``, ``InvoiceNotIssued``, ``InvoiceVoid``, ``SettlementInvalid``, ``Busy``.
    """
    given = checked(provider=provider, method=method, reference=reference, received_at=received_at, now=now)
    moving.checked_amount(amount_minor, invoice.currency)
    with moving.locked(invoice, actor=actor) as stored:
        known = _find(stored, PaymentKind.PAYMENT, amount_minor, given)
        if known is not None:
            return known
        moving.require_issued(stored)
        due = settlement.due_minor(stored)
        if amount_minor > due and not keeps_excess:
            raise PaymentExceedsDue(
                f"{format_minor(due, stored.currency)} {stored.currency} is left to pay.",
                due=format_minor(due, stored.currency),
                field="amount",
            )
        excess = max(0, amount_minor - due)
        return _book(stored, PaymentKind.PAYMENT, amount_minor, given, actor=actor, now=now, excess_minor=excess)


def refund(
    *,
    invoice: Invoice,
    amount_minor: int,
    reference: str,
    reason: str,
    actor: Actor,
    now: datetime,
    provider: str = MANUAL,
    method: str = TRANSFER,
    received_at: datetime | None = None,
) -> Payment:
    """Book money that went back: a refund, a bounced or charged-back payment. The invoice is due again by as much.

    At most what was paid and not given back yet. Told twice by the same reference it is booked once. Raises
    ``RefundExceedsPaid``, else as ``pay`` does.
    """
    given = checked(
        provider=provider,
        method=method,
        reference=reference,
        received_at=received_at,
        now=now,
        reason=moving.checked_reason(reason),
    )
    moving.checked_amount(amount_minor, invoice.currency)
    with moving.locked(invoice, actor=actor) as stored:
        known = _find(stored, PaymentKind.REFUND, amount_minor, given)
        if known is not None:
            return known
        moving.require_issued(stored)
        paid = settlement.standing(stored).paid_minor
        if amount_minor > paid:
            raise RefundExceedsPaid(
                f"{format_minor(paid, stored.currency)} {stored.currency} is paid and not given back.",
                paid=format_minor(paid, stored.currency),
                field="amount",
            )
        return _book(stored, PaymentKind.REFUND, amount_minor, given, actor=actor, now=now)


def read_payments(*, invoice: Invoice, actor: Actor) -> list[Payment]:
    """Payments and refunds of an invoice, first booked first."""
    if not actors.is_visible(actor, invoice.organization):
        raise InvoiceNotFound
    actors.require(actor, Act.MONEY, invoice.organization)
    return list(Payment.objects.filter(invoice=invoice).order_by("id"))


class Given(NamedTuple):
    """What the caller says of a movement of money, checked."""

    provider: str
    method: str
    reference: str
    received_at: datetime
    reason: str


def checked(
    *, provider: str, method: str, reference: str, received_at: datetime | None, now: datetime, reason: str = ""
) -> Given:
    """Raises ``SettlementInvalid`` naming the field."""
    for field, value in (("provider", provider), ("method", method)):
        if not _CODE.fullmatch(value):
            raise SettlementInvalid("1 to 40 of a-z, 0-9 and _ . -, the first a letter.", field=field)
    if provider == settlement.BALANCE:
        raise SettlementInvalid("What the balance pays is applied when an invoice is issued.", field="provider")
    text = reference.strip()
    if not text or len(text) > REFERENCE_LENGTH_MAX or not text.isprintable():
        raise SettlementInvalid(
            f"A reference of 1 to {REFERENCE_LENGTH_MAX} printable characters is needed.", field="reference"
        )
    if received_at is not None and received_at > now:
        raise SettlementInvalid("Money is not booked before it moved.", field="received_at")
    return Given(provider, method, text, received_at or now, reason)


def _find(invoice: Invoice, kind: PaymentKind, amount_minor: int, given: Given) -> Payment | None:
    """The row that this was booked as before; raises where the reference stands for something else."""
    known = Payment.objects.filter(provider=given.provider, reference=given.reference).first()
    if known is not None and (known.invoice_id, known.kind, known.amount_minor) != (invoice.id, kind, amount_minor):
        raise taken()
    return known


def _book(
    invoice: Invoice,
    kind: PaymentKind,
    amount_minor: int,
    given: Given,
    *,
    actor: Actor,
    now: datetime,
    excess_minor: int = 0,
) -> Payment:
    try:
        with atomic():
            payment = Payment.objects.create(
                organization_id=invoice.organization_id,
                invoice=invoice,
                kind=kind,
                amount_minor=amount_minor,
                actor=actor.name[:120],
                booked_at=now,
                **given._asdict(),
            )
    except IntegrityError as error:
        # Another organization's lock is another lock: there the same reference may have been booked meanwhile.
        raise taken() from error
    amount = format_minor(amount_minor, invoice.currency)
    act = "invoice.pay" if kind is PaymentKind.PAYMENT else "invoice.refund"
    moving.audit_of(
        invoice, act, actor=actor, reason=payment.reason, amount=amount, provider=payment.provider,
        reference=payment.reference,
    )  # fmt: skip
    outbox.emit(
        organization_id=invoice.organization_id,
        topic="payment.received" if kind is PaymentKind.PAYMENT else "payment.refunded",
        payload={
            "payment": str(payment.id),
            "invoice": str(invoice.id),
            "number": invoice.number,
            "amount": amount,
            "currency": invoice.currency,
        },
        now=now,
    )
    if excess_minor:
        balance.give(
            invoice,
            excess_minor,
            kind=BalanceKind.OVERPAID,
            reference=f"excess {payment.id}",
            actor=actor.name,
            now=now,
        )
    payment.invoice = moving.settle(invoice, now=now)
    return payment


def taken() -> PaymentReferenceTaken:
    return PaymentReferenceTaken("This reference stands for another payment.", field="reference")
