"""Writing the customer's balance: money that we owe an organization, per currency. The caller holds its lock.

Each entry but a payout and money received for no invoice is the other side of a payment row on an invoice, so an
invoice's due amount has one rule.
"""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from billing.invoicing.settlement import BALANCE
from billing.kernel.errors import InvariantViolation
from billing.models import BalanceEntry, BalanceKind, Invoice, Payment, PaymentKind


def find_last(organization_id: UUID, currency: str) -> BalanceEntry | None:
    return BalanceEntry.objects.filter(organization_id=organization_id, currency=currency).order_by("-sequence").first()


def balance_minor(organization_id: UUID, currency: str) -> int:
    last = find_last(organization_id, currency)
    return last.balance_after_minor if last else 0


def give(invoice: Invoice, amount_minor: int, *, kind: BalanceKind, reference: str, actor: str, now: datetime) -> None:
    """Put ``amount_minor`` of what an invoice was paid (or is negative by) on the balance."""
    row = _payment(invoice, PaymentKind.REFUND, amount_minor, reference=reference, actor=actor, now=now)
    _add(row, invoice.currency, amount_minor, kind=kind, actor=actor, now=now)


def take(invoice: Invoice, amount_minor: int, *, reference: str, actor: str, now: datetime) -> None:
    """Pay ``amount_minor`` of an invoice from the balance."""
    row = _payment(invoice, PaymentKind.PAYMENT, amount_minor, reference=reference, actor=actor, now=now)
    _add(row, invoice.currency, -amount_minor, kind=BalanceKind.APPLIED, actor=actor, now=now)


def pay_out(
    organization_id: UUID,
    currency: str,
    amount_minor: int,
    *,
    provider: str,
    reference: str,
    reason: str,
    actor: str,
    now: datetime,
) -> BalanceEntry:
    last = find_last(organization_id, currency)
    if last is None or last.balance_after_minor < amount_minor:
        raise InvariantViolation(f"the balance of {organization_id} does not hold {amount_minor} {currency}")
    return BalanceEntry.objects.create(
        organization_id=organization_id,
        currency=currency,
        sequence=last.sequence + 1,
        kind=BalanceKind.PAYOUT,
        amount_minor=-amount_minor,
        balance_after_minor=last.balance_after_minor - amount_minor,
        provider=provider,
        reference=reference,
        reason=reason,
        actor=actor[:120],
        booked_at=now,
    )


def receive(
    organization_id: UUID,
    currency: str,
    amount_minor: int,
    *,
    provider: str,
    reference: str,
    reason: str,
    actor: str,
    now: datetime,
) -> BalanceEntry:
    """Keep money that came for no invoice: the next one is paid from it."""
    last = find_last(organization_id, currency)
    return BalanceEntry.objects.create(
        organization_id=organization_id,
        currency=currency,
        sequence=(last.sequence if last else 0) + 1,
        kind=BalanceKind.RECEIVED,
        amount_minor=amount_minor,
        balance_after_minor=(last.balance_after_minor if last else 0) + amount_minor,
        provider=provider,
        reference=reference,
        reason=reason,
        actor=actor[:120],
        booked_at=now,
    )


def _payment(
    invoice: Invoice, kind: PaymentKind, amount_minor: int, *, reference: str, actor: str, now: datetime
) -> Payment:
    return Payment.objects.create(
        organization_id=invoice.organization_id,
        invoice=invoice,
        kind=kind,
        amount_minor=amount_minor,
        provider=BALANCE,
        method=BALANCE,
        reference=reference,
        actor=actor[:120],
        received_at=now,
        booked_at=now,
    )


def _add(payment: Payment, currency: str, amount_minor: int, *, kind: BalanceKind, actor: str, now: datetime) -> None:
    last = find_last(payment.organization_id, currency)
    after = (last.balance_after_minor if last else 0) + amount_minor
    if after < 0:
        raise InvariantViolation(f"the balance of {payment.organization_id} would be {after} {currency}")
    BalanceEntry.objects.create(
        organization_id=payment.organization_id,
        currency=currency,
        sequence=(last.sequence if last else 0) + 1,
        kind=kind,
        amount_minor=amount_minor,
        balance_after_minor=after,
        payment=payment,
        actor=actor[:120],
        booked_at=now,
    )
