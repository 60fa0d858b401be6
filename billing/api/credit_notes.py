"""Credit notes, and the money balance that what was paid too much goes to."""

from __future__ import annotations

from typing import Annotated, Literal, TypedDict
from zoneinfo import ZoneInfo

from django.http import HttpResponse
from msgspec import Meta

from billing.accounts.actors import Act
from billing.api import invoices, pagination
from billing.api.endpoint import Answer, ApiView, Call, endpoint
from billing.api.invoices import find
from billing.api.pagination import NumberKey, PageQuery
from billing.api.problems import invalid_field
from billing.api.settlement import Code, Reason, Reference
from billing.api.wire import Nothing, Quantity, Request, SignedQuantity
from billing.invoicing import amounts, documents, pdf
from billing.invoicing import operations as invoicing_operations
from billing.invoicing.operations import paying
from billing.kernel import money
from billing.models import CreditNote, Invoice
from billing.reporting.shapes import BalanceEntryDocument, CreditNoteDocument

Currency = Annotated[str, Meta(min_length=3, max_length=3)]


class CreditedLine(Request, frozen=True):
    """A line of the invoice by its position; without an amount all that is left of it."""

    position: Annotated[int, Meta(ge=1, le=100_000)]
    amount: SignedQuantity | None = None


class NewCreditNote(Request, frozen=True):
    """Why, and which lines; without lines all that is left of the invoice."""

    reason: Reason
    lines: Annotated[list[CreditedLine], Meta(min_length=1, max_length=1000)] | None = None


class CreditNotesDocument(TypedDict):
    results: list[CreditNoteDocument]


class DocumentQuery(Request, frozen=True):
    format: Literal["json", "csv", "pdf"] | None = None


class BalanceQuery(PageQuery, frozen=True, kw_only=True):
    currency: Currency | None = None


class Payout(Request, frozen=True):
    """Money of the balance that was sent to the customer."""

    amount: Quantity
    currency: Currency
    reference: Reference
    reason: Reason
    provider: Code = paying.MANUAL


class InvoiceCreditNotes(ApiView):
    @endpoint(
        "Issue a credit note",
        responses={201: CreditNoteDocument},
        act=Act.INVOICES,
        idempotent=True,
        tag="invoices",
        problems=(409,),
    )
    def post(self, call: Call[NewCreditNote, Nothing], invoice_id: str) -> Answer:
        """Takes back an issued invoice or a part of it. What of that was paid goes to the customer's balance."""
        invoice = find(call, invoice_id)
        call.require(Act.INVOICES, invoice.organization)
        note = invoicing_operations.credit(
            invoice=invoice,
            actor=call.actor,
            reason=call.body.reason,
            lines=_lines(call.body.lines, invoice),
            now=call.now(invoice.organization),
        )
        return Answer(
            201, documents.credit_note_as_dict(note), headers={"Location": f"/api/billing/credit-notes/{note.id}"}
        )

    @endpoint("List an invoice's credit notes", responses={200: CreditNotesDocument}, act=Act.MONEY, tag="invoices")
    def get(self, call: Call[Nothing, Nothing], invoice_id: str) -> Answer:
        """First issued first."""
        notes = invoicing_operations.read_credit_notes(invoice=find(call, invoice_id), actor=call.actor)
        return Answer(200, {"results": [documents.credit_note_as_dict(note) for note in notes]})


class CreditNoteDetail(ApiView):
    @endpoint(
        "Read a credit note",
        responses={200: CreditNoteDocument},
        act=Act.MONEY,
        tag="invoices",
        media={invoices.CSV: "text/csv", invoices.PDF: "application/pdf"},
    )
    def get(self, call: Call[Nothing, DocumentQuery], credit_note_id: str) -> Answer | HttpResponse:
        """By id or number; as CSV or PDF as an invoice is."""
        reference, shape = invoices.shape_of(
            credit_note_id, call.query.format, call.request.META.get("HTTP_ACCEPT", "")
        )
        note = invoicing_operations.read_credit_note(reference=reference, actor=call.actor)
        document = documents.credit_note_as_dict(note)
        if shape == "csv":
            return invoices.file_of(
                note.number, documents.credit_note_as_csv(note), f"{invoices.CSV}; charset=utf-8", shape
            )
        if shape == "pdf":
            return invoices.file_of(note.number, _pdf(note), invoices.PDF, shape)
        return Answer(200, document)


class Balance(ApiView):
    @endpoint(
        "Read the money balance",
        responses={200: pagination.page_of(BalanceEntryDocument)},
        act=Act.MONEY,
        tag="invoices",
    )
    def get(self, call: Call[Nothing, BalanceQuery], organization_ref: str) -> Answer:
        """Every movement with the balance after it, newest first, in ``currency`` or the organization's own."""
        organization = call.organization(organization_ref, Act.MONEY)
        after = pagination.read_cursor(call.query, NumberKey)
        rows = invoicing_operations.read_balance(
            organization=organization,
            actor=call.actor,
            currency=_currency(call.query.currency or organization.currency),
            before_sequence=after.number if after else None,
            limit=call.query.size + 1,
        )
        return Answer(
            200,
            pagination.page(
                call.request,
                call.query,
                rows,
                show=documents.balance_entry,
                key=lambda row: NumberKey(row.sequence),
            ),
        )


class PayOutBalance(ApiView):
    @endpoint(
        "Book a payout of the balance",
        responses={201: BalanceEntryDocument},
        act=Act.INVOICES,
        idempotent=True,
        tag="invoices",
        problems=(409,),
    )
    def post(self, call: Call[Payout, Nothing], organization_ref: str) -> Answer:
        """Books that money of the balance was sent back. The same reference again answers with the first booking."""
        organization = call.organization(organization_ref, Act.INVOICES)
        body = call.body
        currency = _currency(body.currency)
        entry = invoicing_operations.pay_out(
            organization=organization,
            currency=currency,
            amount_minor=amounts.read(body.amount.value, currency),
            reference=body.reference,
            reason=body.reason,
            provider=body.provider,
            actor=call.actor,
            now=call.now(organization),
        )
        return Answer(201, documents.balance_entry(entry))


def _lines(lines: list[CreditedLine] | None, invoice: Invoice) -> dict[int, int | None] | None:
    if lines is None:
        return None
    wanted: dict[int, int | None] = {}
    for index, line in enumerate(lines):
        if line.position in wanted:
            raise invalid_field(f"lines[{index}].position", "duplicate", "this line is there twice")
        amount = line.amount
        wanted[line.position] = None if amount is None else amounts.read(amount.value, invoice.currency)
    return wanted


def _currency(code: str) -> str:
    if not money.is_currency(code):
        raise invalid_field("currency", "unknown_currency", "is not an ISO 4217 currency")
    return code


def _pdf(note: CreditNote) -> bytes:
    return pdf.render_credit_note(documents.credit_note_as_dict(note), zone=ZoneInfo(note.organization.zone))
