"""What is left to pay of an invoice, from its rows: total − payments + refunds − credit notes."""

from __future__ import annotations

from dataclasses import dataclass

from billing.models import Invoice, InvoiceKind, InvoiceStatus, PaymentKind

# Who pays where the customer's balance does: a payment's ``provider`` and ``method``.
BALANCE = "balance"
# An amount is owed only between issue and the end of the story.
_OWED = (InvoiceStatus.ISSUED, InvoiceStatus.PAID, InvoiceStatus.UNCOLLECTIBLE)
_SIGN = {PaymentKind.PAYMENT.value: 1, PaymentKind.REFUND.value: -1}


@dataclass(frozen=True, slots=True)
class Standing:
    """Minor units. ``paid`` is net of refunds; ``from_balance`` is the part of it that the customer's balance paid."""

    total_minor: int
    paid_minor: int
    credited_minor: int
    from_balance_minor: int

    @property
    def due_minor(self) -> int:
        return self.total_minor - self.paid_minor - self.credited_minor


def standing(invoice: Invoice) -> Standing:
    """From the invoice's payments and credit notes as loaded (``queries.with_lines`` loads them along)."""
    moved = [(row.provider == BALANCE, _SIGN[row.kind] * row.amount_minor) for row in invoice.payments.all()]
    return Standing(
        total_minor=invoice.total_minor,
        paid_minor=sum(amount for _, amount in moved),
        credited_minor=sum(note.total_minor for note in invoice.credit_notes.all()),
        from_balance_minor=sum(amount for is_balance, amount in moved if is_balance),
    )


def is_open_order(invoice: Invoice) -> bool:
    """Whether it is an order of credits that waits to be paid."""
    return invoice.kind == InvoiceKind.PURCHASE and invoice.status == InvoiceStatus.DRAFT


def order_state(invoice: Invoice) -> str:
    """How an order stands, by its invoice: ``open``, ``paid`` or ``withdrawn``. Paid stays paid, whatever became of the
    money since."""
    return {InvoiceStatus.DRAFT.value: "open", InvoiceStatus.VOID.value: "withdrawn"}.get(invoice.status, "paid")


def takes(invoice: Invoice, amount_minor: int, currency: str) -> bool:
    """Whether money that has come can be booked for it: it is owed, or it is an open order and this is all of it."""
    is_wanted = amount_minor >= invoice.total_minor if is_open_order(invoice) else invoice.status in _OWED
    return is_wanted and invoice.currency == currency


def due_minor(invoice: Invoice) -> int:
    """What is to be paid of it: nothing while it is a draft, or once it is void."""
    return standing(invoice).due_minor if invoice.status in _OWED else 0
