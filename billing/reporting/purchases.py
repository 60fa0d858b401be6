"""Orders of credits as API and shell tell them."""

from __future__ import annotations

from typing import TypedDict

from billing.invoicing import settlement
from billing.kernel.decimals import plain
from billing.kernel.money import format_minor
from billing.models import CreditPurchase
from billing.reporting.representations import instant
from billing.reporting.shapes import NamedInvoiceDocument


class CreditPurchaseDocument(TypedDict):
    """``state`` is ``open``, ``paid`` or ``withdrawn``; ``lapses_at`` is when an open order is withdrawn. ``total`` has
    the tax in it. The invoice has a number once it is paid."""

    id: str
    organization: str
    subscription: str
    state: str
    credits: str
    total: str
    currency: str
    invoice: NamedInvoiceDocument
    ordered_by: str
    ordered_at: str
    lapses_at: str | None


def credit_purchase(row: CreditPurchase) -> CreditPurchaseDocument:
    invoice = row.invoice
    return {
        "id": str(row.id),
        "organization": str(row.organization_id),
        "subscription": str(row.subscription_id),
        "state": settlement.order_state(invoice),
        "credits": plain(row.credits),
        "total": format_minor(invoice.total_minor, invoice.currency),
        "currency": invoice.currency,
        "invoice": {"id": str(invoice.id), "number": invoice.number},
        "ordered_by": row.ordered_by,
        "ordered_at": instant(row.ordered_at),
        "lapses_at": instant(row.lapses_at) if row.lapses_at else None,
    }
