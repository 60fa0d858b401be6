"""What happens to an invoice once it is issued: paid, refunded, voided, written off."""

from __future__ import annotations

from typing import Annotated, TypedDict

from msgspec import Meta

from billing.accounts.actors import Act
from billing.api.endpoint import Answer, ApiView, Call, endpoint
from billing.api.invoices import find
from billing.api.wire import Instant, Nothing, Quantity, Request
from billing.invoicing import amounts, documents
from billing.invoicing import operations as invoicing_operations
from billing.invoicing import queries as invoicing_queries
from billing.invoicing.operations import paying
from billing.models import Invoice
from billing.reporting.shapes import InvoiceDocument, PaymentDocument

Reason = Annotated[str, Meta(min_length=1, max_length=500, pattern=r"\S")]
Code = Annotated[str, Meta(min_length=1, max_length=40)]
Reference = Annotated[str, Meta(min_length=1, max_length=200)]


class Why(Request, frozen=True):
    reason: Reason


class Paid(Request, frozen=True):
    """Money received, in the invoice's currency; ``reference`` is the provider's own name for it."""

    amount: Quantity
    reference: Reference
    provider: Code = paying.MANUAL
    method: Code = paying.TRANSFER
    received_at: Instant | None = None


class Refunded(Paid, frozen=True, kw_only=True):
    """Money that went back, and why."""

    reason: Reason


class SettledDocument(TypedDict):
    payment: PaymentDocument
    invoice: InvoiceDocument


class PaymentsDocument(TypedDict):
    results: list[PaymentDocument]


class VoidInvoice(ApiView):
    @endpoint(
        "Void an invoice",
        responses={200: InvoiceDocument},
        act=Act.INVOICES,
        idempotent=True,
        tag="invoices",
        problems=(409,),
    )
    def post(self, call: Call[Why, Nothing], invoice_id: str) -> Answer:
        """Takes back an issued invoice of which nothing is paid, or discards a draft. Its period is billed anew."""
        invoice = find(call, invoice_id)
        call.require(Act.INVOICES, invoice.organization)
        voided = invoicing_operations.void(
            invoice=invoice, actor=call.actor, reason=call.body.reason, now=call.now(invoice.organization)
        )
        return Answer(200, documents.as_dict(voided))


class HoldInvoice(ApiView):
    @endpoint(
        "Hold a draft",
        responses={200: InvoiceDocument},
        act=Act.INVOICES,
        idempotent=True,
        tag="invoices",
        problems=(409,),
    )
    def post(self, call: Call[Why, Nothing], invoice_id: str) -> Answer:
        """Keeps a draft from issuing itself until it is released, or issued by hand. Twice is once."""
        invoice = find(call, invoice_id)
        call.require(Act.INVOICES, invoice.organization)
        held = invoicing_operations.hold(
            invoice=invoice, actor=call.actor, reason=call.body.reason, now=call.now(invoice.organization)
        )
        return Answer(200, documents.as_dict(held))


class ReleaseInvoice(ApiView):
    @endpoint(
        "Release a draft",
        responses={200: InvoiceDocument},
        act=Act.INVOICES,
        idempotent=True,
        tag="invoices",
        problems=(409,),
    )
    def post(self, call: Call[Nothing, Nothing], invoice_id: str) -> Answer:
        """Lets a draft that is held, parked or waits after a void issue itself with the next sweep. One that is due
        anyway is left alone. If it is still odd, it is parked again."""
        invoice = find(call, invoice_id)
        call.require(Act.INVOICES, invoice.organization)
        released = invoicing_operations.release(invoice=invoice, actor=call.actor, now=call.now(invoice.organization))
        return Answer(200, documents.as_dict(released))


class WriteOffInvoice(ApiView):
    @endpoint(
        "Mark an invoice uncollectible",
        responses={200: InvoiceDocument},
        act=Act.INVOICES,
        idempotent=True,
        tag="invoices",
        problems=(409,),
    )
    def post(self, call: Call[Why, Nothing], invoice_id: str) -> Answer:
        """Gives up on what is left to pay. It can still be paid."""
        invoice = find(call, invoice_id)
        call.require(Act.INVOICES, invoice.organization)
        marked = invoicing_operations.mark_uncollectible(
            invoice=invoice, actor=call.actor, reason=call.body.reason, now=call.now(invoice.organization)
        )
        return Answer(200, documents.as_dict(marked))


class PayInvoice(ApiView):
    @endpoint(
        "Book a payment",
        responses={201: SettledDocument},
        act=Act.INVOICES,
        idempotent=True,
        tag="invoices",
        problems=(409,),
    )
    def post(self, call: Call[Paid, Nothing], invoice_id: str) -> Answer:
        """Books money received, all that is due or a part. The same reference again answers with the first booking."""
        invoice = find(call, invoice_id)
        call.require(Act.INVOICES, invoice.organization)
        body = call.body
        payment = invoicing_operations.pay(
            invoice=invoice,
            amount_minor=amounts.read(body.amount.value, invoice.currency),
            reference=body.reference,
            provider=body.provider,
            method=body.method,
            received_at=body.received_at.value if body.received_at else None,
            actor=call.actor,
            now=call.now(invoice.organization),
        )
        return _settled(documents.payment(payment, invoice.currency), invoice)


class RefundInvoice(ApiView):
    @endpoint(
        "Book a refund",
        responses={201: SettledDocument},
        act=Act.INVOICES,
        idempotent=True,
        tag="invoices",
        problems=(409,),
    )
    def post(self, call: Call[Refunded, Nothing], invoice_id: str) -> Answer:
        """Books money that went back, at most what was paid; so much is due again."""
        invoice = find(call, invoice_id)
        call.require(Act.INVOICES, invoice.organization)
        body = call.body
        payment = invoicing_operations.refund(
            invoice=invoice,
            amount_minor=amounts.read(body.amount.value, invoice.currency),
            reference=body.reference,
            reason=body.reason,
            provider=body.provider,
            method=body.method,
            received_at=body.received_at.value if body.received_at else None,
            actor=call.actor,
            now=call.now(invoice.organization),
        )
        return _settled(documents.payment(payment, invoice.currency), invoice)


class InvoicePayments(ApiView):
    @endpoint("List an invoice's payments", responses={200: PaymentsDocument}, act=Act.MONEY, tag="invoices")
    def get(self, call: Call[Nothing, Nothing], invoice_id: str) -> Answer:
        """Payments and refunds, first booked first."""
        invoice = find(call, invoice_id)
        payments = invoicing_operations.read_payments(invoice=invoice, actor=call.actor)
        return Answer(200, {"results": [documents.payment(each, invoice.currency) for each in payments]})


def _settled(payment: dict[str, str], invoice: Invoice) -> Answer:
    settled = invoicing_queries.get_invoice(str(invoice.id))
    return Answer(201, {"payment": payment, "invoice": documents.as_dict(settled)})
