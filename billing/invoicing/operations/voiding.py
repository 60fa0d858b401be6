"""Taking an invoice back, or giving up on its money."""

from __future__ import annotations

from datetime import datetime

from billing.accounts.actors import Actor
from billing.invoicing import balance, settlement
from billing.invoicing.errors import (
    InvoiceHasCreditNotes,
    InvoiceHasPayments,
    InvoicePaid,
    InvoicePeriodClosed,
    InvoicePrepaid,
    InvoiceWrittenOff,
)
from billing.invoicing.operations import drafting, moving
from billing.models import BalanceKind, Invoice, InvoiceKind, InvoiceStatus, SubscriptionPeriod


def void(*, invoice: Invoice, actor: Actor, reason: str, now: datetime) -> Invoice:
    """Discard a draft, or take back an issued invoice of which nothing is paid. Its number stays used.

    The period it billed is open again, whatever came after it, and is drafted anew: the use that is charged to the
    period stays charged to it, and what was recorded meanwhile stays on the later period that it went to. So each
    event is on exactly one invoice that is not void. A final invoice is drafted anew at once. What the customer's
    balance paid goes back to it. Voiding a void invoice returns it unchanged. Raises ``InvoicePaid``,
    ``InvoiceWrittenOff``, ``InvoiceHasPayments``, ``InvoiceHasCreditNotes``, ``InvoicePeriodClosed``,
    ``InvoicePrepaid``, ``SettlementInvalid`` without a reason, ``Busy``.
    """
    text = moving.checked_reason(reason)
    with moving.locked(invoice, actor=actor) as stored:
        if stored.status == InvoiceStatus.VOID:
            return stored
        if stored.status == InvoiceStatus.PAID:
            raise InvoicePaid("A paid invoice is never voided: credit it instead.")
        if stored.status == InvoiceStatus.UNCOLLECTIBLE:
            raise InvoiceWrittenOff("An invoice that was written off stays in the books: credit it instead.")
        standing = settlement.standing(stored)
        if standing.credited_minor:
            raise InvoiceHasCreditNotes("Part of this invoice is credited: credit the rest.")
        if standing.paid_minor != standing.from_balance_minor:
            raise InvoiceHasPayments("Part of this invoice is paid: refund that first, or credit the rest.")
        is_issued = stored.status == InvoiceStatus.ISSUED
        if is_issued and stored.kind == InvoiceKind.PURCHASE:
            raise InvoicePrepaid("The credits of this invoice were granted: void them, and credit it instead.")
        if is_issued and stored.kind == InvoiceKind.CHANGE and stored.period and stored.period.closed_at is not None:
            # Its fee would be on no invoice: none of that period is still to come.
            raise InvoicePeriodClosed("The invoice of its period is out: credit this one instead.")
        # Of the other kinds, the period stays closed as long as its own invoice is out.
        if is_issued and stored.kind == InvoiceKind.CYCLE and stored.period_id:
            SubscriptionPeriod.objects.filter(id=stored.period_id).update(closed_at=None)
        if standing.from_balance_minor:
            balance.give(
                stored,
                standing.from_balance_minor,
                kind=BalanceKind.RETURNED,
                reference=f"void {stored.id}",
                actor=actor.name,
                now=now,
            )
        moving.audit_of(stored, "invoice.void", actor=actor, reason=text, was=stored.status)
        moving.move(stored, InvoiceStatus.VOID, now=now)
        if stored.kind == InvoiceKind.FINAL and stored.period and stored.period.closed_at is not None:
            # The sweep looks for cycle invoices, and for finals only for a while after the end.
            drafting.draft_finals(period_ids=[stored.period.id], actor=actor, now=now)
        elif is_issued and stored.kind == InvoiceKind.CYCLE and stored.period_id and stored.organization.is_sandbox:
            # No sweep comes by here.
            drafting.derive_and_write([stored.period_id], actor=actor, now=now)
        return stored


def mark_uncollectible(*, invoice: Invoice, actor: Actor, reason: str, now: datetime) -> Invoice:
    """Give up on what is left to pay; the invoice stays in the books and can still be paid. Twice is once.

    Raises ``InvoiceNotIssued``, ``InvoiceVoid``, ``InvoicePaid``, ``SettlementInvalid`` without a reason, ``Busy``.
    """
    text = moving.checked_reason(reason)
    with moving.locked(invoice, actor=actor) as stored:
        moving.require_issued(stored)
        if stored.status == InvoiceStatus.UNCOLLECTIBLE:
            return stored
        if stored.status == InvoiceStatus.PAID:
            raise InvoicePaid("This invoice is paid: nothing is left to write off.")
        moving.audit_of(stored, "invoice.uncollectible", actor=actor, reason=text)
        moving.move(stored, InvoiceStatus.UNCOLLECTIBLE, now=now)
        return stored
