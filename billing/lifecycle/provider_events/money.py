"""Payments and refunds as providers report them: each is booked once, whatever came before it."""

from __future__ import annotations

from billing.invoicing import operations as invoicing_operations
from billing.invoicing import settlement
from billing.lifecycle.collecting import operations as collecting_operations
from billing.lifecycle.provider_events.believing import believe
from billing.lifecycle.provider_events.outcomes import OUTDATED, PROVIDER, Context, Outcome, Waits
from billing.models import BalanceEntry, Invoice, InvoiceStatus, Payment
from billing.payments.events import PaymentFailed, PaymentSucceeded, RefundReported

_OWED = (InvoiceStatus.ISSUED, InvoiceStatus.PAID, InvoiceStatus.UNCOLLECTIBLE)
REASON_LENGTH_MAX = 300


def succeeded(event: PaymentSucceeded, context: Context) -> Outcome:
    """Book the money: for the invoice that it names if that is owed, or an order that it pays, else on the customer's
    balance."""
    known = (f"payment:{event.reference}",)
    if not event.amount_minor:
        return Outcome(is_applied=False, reason="No money has moved.", known=known)
    believe(context, event, state="succeeded", is_final=True)
    invoice = _invoice(event, context)
    is_kept = BalanceEntry.objects.filter(provider=context.provider, reference=event.reference).exists()
    if invoice is not None and settlement.takes(invoice, event.amount_minor, event.currency) and not is_kept:
        collecting_operations.payment_succeeded(
            invoice=invoice,
            provider=context.provider,
            reference=event.reference,
            amount_minor=event.amount_minor,
            method=event.method,
            received_at=context.no_later(event.at),
            actor=PROVIDER,
            now=context.now,
        )
        return Outcome(is_applied=True, known=known)
    _receive(event.reference, event.amount_minor, event.currency, event, context, method=event.method)
    return Outcome(is_applied=True, reason="Kept on the customer's balance.", known=known)


def failed(event: PaymentFailed, context: Context) -> Outcome:
    """Hand a failed charge to whoever collects; one that has succeeded after all is no matter any more."""
    if not believe(context, event, state="failed"):
        return OUTDATED
    invoice = _invoice(event, context)
    if invoice is None or invoice.status not in _OWED:
        return Outcome(is_applied=False, reason="It was for no invoice that is owed.")
    collecting_operations.payment_failed(
        invoice=invoice,
        provider=context.provider,
        reference=event.reference,
        code=event.code,
        message=event.message,
        actor=PROVIDER,
        now=context.now,
    )
    return Outcome(is_applied=True)


def refunded(event: RefundReported, context: Context) -> Outcome:
    """Book money that went back, or that it is here again. Waits for the payment that it is of."""
    state = "undone" if event.is_undone else "refunded"
    if not believe(context, event, state=state, is_final=event.is_undone):
        return OUTDATED
    if event.is_undone:
        return _undo(event, context)
    if not _payment_is_booked(event, context):
        raise Waits(f"payment:{event.payment_reference}", f"The payment {event.payment_reference} is not known yet.")
    if not event.amount_minor:
        return Outcome(is_applied=False, reason="No money has moved.")
    invoicing_operations.give_back(
        organization=context.organization,
        payment_reference=event.payment_reference,
        amount_minor=event.amount_minor,
        currency=event.currency,
        provider=context.provider,
        reference=event.reference,
        reason=_reason(event),
        sent_at=context.no_later(event.at),
        actor=PROVIDER,
        now=context.now,
    )
    return Outcome(is_applied=True)


def _undo(event: RefundReported, context: Context) -> Outcome:
    if not invoicing_operations.is_given_back(
        provider=context.provider, reference=event.reference, payment_reference=event.payment_reference
    ):
        return Outcome(is_applied=True, reason="The money had not gone by our books.")
    payment = Payment.objects.filter(
        organization=context.organization, provider=context.provider, reference=event.payment_reference
    ).first()
    invoice = Invoice.objects.filter(id=payment.invoice_id).first() if payment else None
    _receive(f"{event.reference} undone", event.amount_minor, event.currency, event, context, invoice=invoice)
    return Outcome(is_applied=True)


def _receive(
    reference: str,
    amount_minor: int,
    currency: str,
    event: PaymentSucceeded | RefundReported,
    context: Context,
    *,
    invoice: Invoice | None = None,
    method: str = "card",
) -> None:
    invoicing_operations.receive(
        organization=context.organization,
        invoice=invoice,
        amount_minor=amount_minor,
        currency=currency,
        provider=context.provider,
        reference=reference,
        method=method,
        received_at=context.no_later(event.at),
        actor=PROVIDER,
        now=context.now,
    )


def _invoice(event: PaymentSucceeded | PaymentFailed, context: Context) -> Invoice | None:
    """The invoice that the event names, if it is the organization's."""
    if event.invoice_id is None:
        return None
    return (
        Invoice.objects.select_related("organization")
        .filter(id=event.invoice_id, organization=context.organization)
        .first()
    )


def _payment_is_booked(event: RefundReported, context: Context) -> bool:
    booked = {"provider": context.provider, "reference": event.payment_reference, "organization": context.organization}
    return Payment.objects.filter(**booked).exists() or BalanceEntry.objects.filter(**booked).exists()


def _reason(event: RefundReported) -> str:
    words = event.reason.replace("_", " ").strip()
    return f"Reported by the provider{': ' if words else ''}{words}."[:REASON_LENGTH_MAX]
