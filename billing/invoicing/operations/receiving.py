"""Money as a provider reports it: it has moved already, so none of it may be refused or lost.

What an invoice is due for pays it; the rest, and what names no invoice that is owed, goes to the customer's balance,
from which the next invoice is paid. Everything is booked once per ``(provider, reference)``.
"""

from __future__ import annotations

from datetime import datetime

from django.db import IntegrityError
from django.db.models import Sum
from django.db.transaction import atomic

from billing.accounts import actors
from billing.accounts.actors import Act, Actor
from billing.infra import audit, locks, outbox
from billing.invoicing import balance, settlement
from billing.invoicing.errors import RefundExceedsPaid, SettlementInvalid
from billing.invoicing.operations import balancing, moving, ordering, paying
from billing.kernel.money import format_minor
from billing.models import BalanceEntry, BalanceKind, Invoice, Organization, Payment, PaymentKind


def is_booked(*, provider: str, reference: str) -> bool:
    """Whether money of this reference is in the books, as a payment or refund of an invoice, or on a balance."""
    return (
        Payment.objects.filter(provider=provider, reference=reference).exists()
        or BalanceEntry.objects.filter(provider=provider, reference=reference).exists()
    )


def is_given_back(*, provider: str, reference: str, payment_reference: str) -> bool:
    """Whether the refund ``reference`` of a payment is in the books."""
    from_balance = _from_balance(payment_reference) + reference
    return is_booked(provider=provider, reference=reference) or is_booked(provider=provider, reference=from_balance)


def receive(
    *,
    organization: Organization,
    invoice: Invoice | None,
    amount_minor: int,
    currency: str,
    provider: str,
    reference: str,
    method: str,
    received_at: datetime,
    actor: Actor,
    now: datetime,
) -> None:
    """Book money that a provider took: for ``invoice`` if that takes it, else on the balance.

    Told again it changes nothing, also where the invoice was not owed then and is now. Raises ``SettlementInvalid``
    for what cannot be money, ``PaymentReferenceTaken``, ``Busy``.
    """
    actors.require(actor, Act.INVOICES, organization)
    with atomic():
        locks.lock_organization(organization.id)
        if is_booked(provider=provider, reference=reference):
            return
        stored = None if invoice is None else Invoice.objects.select_related("organization").get(id=invoice.id)
        if stored is not None and settlement.takes(stored, amount_minor, currency):
            ordering.pay(
                invoice=stored,
                amount_minor=amount_minor,
                reference=reference,
                actor=actor,
                now=now,
                provider=provider,
                method=method,
                received_at=received_at,
                keeps_excess=True,
            )
            return
        named = "no invoice" if stored is None else f"invoice {stored.number or stored.id}, which is not owed so"
        keep(
            organization=organization,
            currency=currency,
            amount_minor=amount_minor,
            provider=provider,
            reference=reference,
            reason=f"Received for {named}.",
            actor=actor,
            now=now,
        )


def keep(
    *,
    organization: Organization,
    currency: str,
    amount_minor: int,
    provider: str,
    reference: str,
    reason: str,
    actor: Actor,
    now: datetime,
) -> BalanceEntry:
    """Put money received on the customer's balance. The caller has seen that it is not booked, under the lock."""
    given = paying.checked(
        provider=provider,
        method=paying.TRANSFER,
        reference=reference,
        received_at=None,
        now=now,
        reason=moving.checked_reason(reason),
    )
    moving.checked_amount(amount_minor, currency)
    actors.require(actor, Act.INVOICES, organization)
    with atomic():
        locks.lock_organization(organization.id)
        try:
            with atomic():
                entry = balance.receive(
                    organization.id,
                    currency,
                    amount_minor,
                    provider=given.provider,
                    reference=given.reference,
                    reason=given.reason,
                    actor=actor.name,
                    now=now,
                )
        except IntegrityError as error:
            # Booked for another organization meanwhile, under another lock.
            raise paying.taken() from error
        told = {
            "amount": format_minor(amount_minor, currency),
            "currency": currency,
            "balance": format_minor(entry.balance_after_minor, currency),
        }
        audit.record(
            actor=actor.name,
            act="balance.receive",
            object_type="organization",
            object_id=organization.id,
            organization_id=organization.id,
            reason=given.reason,
            details={**told, "provider": given.provider, "reference": given.reference},
        )
        outbox.emit(organization_id=organization.id, topic="balance.received", payload=told, now=now)
        return entry


def give_back(
    *,
    organization: Organization,
    payment_reference: str,
    amount_minor: int,
    currency: str,
    provider: str,
    reference: str,
    reason: str,
    sent_at: datetime,
    actor: Actor,
    now: datetime,
) -> None:
    """Book that a provider gave back money of the payment ``payment_reference``, which is in the books.

    What of that payment went to the balance comes off the balance first, so that an invoice paid twice stays paid;
    for the rest the invoice is due again. Told again it changes nothing. Raises ``RefundExceedsPaid`` where the
    payment, or what is left of it, does not cover that.
    """
    actors.require(actor, Act.INVOICES, organization)
    with atomic():
        locks.lock_organization(organization.id)
        if is_given_back(provider=provider, reference=reference, payment_reference=payment_reference):
            return
        payment = Payment.objects.filter(
            organization=organization, provider=provider, reference=payment_reference, kind=PaymentKind.PAYMENT
        ).first()
        invoice = None
        if payment is not None:
            invoice = Invoice.objects.select_related("organization").get(id=payment.invoice_id)
            if invoice.currency != currency:
                raise SettlementInvalid("It was paid in another currency.", field="currency")
        kept_minor = _kept(organization, payment, provider, payment_reference, currency)
        from_balance = min(amount_minor, kept_minor, balance.balance_minor(organization.id, currency))
        from_invoice = amount_minor - from_balance
        if from_invoice and invoice is None:
            raise RefundExceedsPaid(
                f"The balance holds {format_minor(from_balance, currency)} {currency} of that payment.", field="amount"
            )
        if from_balance:
            balancing.pay_out(
                organization=organization,
                currency=currency,
                amount_minor=from_balance,
                reference=_from_balance(payment_reference) + reference,
                reason=reason,
                actor=actor,
                now=now,
                provider=provider,
            )
        if from_invoice and invoice is not None:
            paying.refund(
                invoice=invoice,
                amount_minor=from_invoice,
                reference=reference,
                reason=reason,
                actor=actor,
                now=now,
                provider=provider,
                method=payment.method if payment else paying.TRANSFER,
                received_at=sent_at,
            )


def _kept(
    organization: Organization, payment: Payment | None, provider: str, payment_reference: str, currency: str
) -> int:
    """How much of a payment went to the balance and was not given back from there."""
    if payment is None:
        kept = BalanceEntry.objects.filter(
            organization=organization,
            currency=currency,
            kind=BalanceKind.RECEIVED,
            provider=provider,
            reference=payment_reference,
        ).first()
    else:
        kept = BalanceEntry.objects.filter(
            kind=BalanceKind.OVERPAID, payment__invoice=payment.invoice_id, payment__reference=f"excess {payment.id}"
        ).first()
    if kept is None:
        return 0
    returned = BalanceEntry.objects.filter(
        organization=organization,
        kind=BalanceKind.PAYOUT,
        provider=provider,
        reference__startswith=_from_balance(payment_reference),
    ).aggregate(total=Sum("amount_minor"))["total"]
    return kept.amount_minor + (returned or 0)


def _from_balance(payment_reference: str) -> str:
    """How the reference begins of what is given back from the balance: it tells of which payment that was."""
    return f"{payment_reference} refund "
