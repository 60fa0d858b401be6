"""What is left to pay of an invoice, from its rows: total − payments + refunds."""

from __future__ import annotations

from dataclasses import dataclass

from billing.models import Invoice, InvoiceStatus, PaymentKind

# An amount is owed only between issue and the end of the story.
_OWED = (InvoiceStatus.ISSUED, InvoiceStatus.PAID, InvoiceStatus.UNCOLLECTIBLE)


@dataclass(frozen=True, slots=True)
class Standing:
    """Minor units. ``paid`` is net of refunds."""

    total_minor: int
    paid_minor: int

    @property
    def due_minor(self) -> int:
        return self.total_minor - self.paid_minor


def standing(invoice: Invoice) -> Standing:
    """From the invoice's payments as loaded (``queries.with_lines`` loads them along)."""
    signed = {PaymentKind.PAYMENT: 1, PaymentKind.REFUND: -1}
    return Standing(
        total_minor=invoice.total_minor,
        paid_minor=sum(signed[PaymentKind(row.kind)] * row.amount_minor for row in invoice.payments.all()),
    )


def due_minor(invoice: Invoice) -> int:
    """What is to be paid of it: nothing while it is a draft, or once it is void."""
    return standing(invoice).due_minor if invoice.status in _OWED else 0
