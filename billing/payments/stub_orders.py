"""The stub's page on which an order is paid. Reached by a link that expires."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from billing.invoicing import settlement
from billing.kernel.money import format_minor
from billing.models import Invoice, StubCharge
from billing.payments import stub, stub_pages
from billing.payments.stub import METHODS, LinkExpired, TestMethod


@dataclass(frozen=True, slots=True)
class OrderPage:
    """``state`` is ``open``, ``told`` (paid, and the books are told or will be), ``pending`` (the bank answers later)
    or ``over`` (it was withdrawn)."""

    organization: str
    what: str
    price: str
    methods: Sequence[TestMethod]
    state: str
    return_url: str


def order_page(token: str) -> OrderPage:
    """Raises ``LinkExpired``."""
    invoice, return_url = _order(token)
    return OrderPage(
        organization=invoice.organization.name,
        what=invoice.lines.all()[0].description,
        price=f"{format_minor(invoice.total_minor, invoice.currency)} {invoice.currency}",
        methods=tuple(METHODS.values()),
        state=_state(invoice),
        return_url=return_url,
    )


def pay(token: str, method: str, *, now: datetime) -> UUID | None:
    """Pay the order once with ``method`` and tell of it. The event's row; None if it was told before, or the bank
    answers later (on the portal page).

    A card that is declined pays nothing: raises ``MethodDeclined``; else ``LinkExpired``, ``MethodUnknown``.
    """
    invoice, _ = _order(token)
    chosen = stub_pages.accepted(method)
    if _state(invoice) != "open":
        return None
    charge, _ = StubCharge.objects.get_or_create(
        idempotency_key=_key(invoice),
        defaults={
            "organization_id": invoice.organization_id,
            "invoice_id": invoice.id,
            "amount_minor": invoice.total_minor,
            "currency": invoice.currency,
            "payment_method": chosen.code,
            "status": chosen.status,
            "created_at": now,
        },
    )
    return stub_pages.tell_charge(charge, now=now) if charge.status == "succeeded" else None


def _state(invoice: Invoice) -> str:
    charge = StubCharge.objects.filter(idempotency_key=_key(invoice)).first()
    if charge is not None and charge.status != "failed":
        return "told" if charge.status == "succeeded" else "pending"
    return "open" if charge is None and settlement.is_open_order(invoice) else "over"


def _key(invoice: Invoice) -> str:
    """One charge pays an order, in however many tabs."""
    return f"order {invoice.id}"


def _order(token: str) -> tuple[Invoice, str]:
    invoice_id, return_url = stub.read_link(token, salt=stub.ORDER_SALT)
    found = Invoice.objects.select_related("organization").prefetch_related("lines").filter(id=invoice_id).first()
    if found is None:
        raise LinkExpired("This link leads nowhere any more.")
    return found, return_url
