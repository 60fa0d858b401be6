"""Invoices: drafting, reading, issuing."""

from __future__ import annotations

from typing import Literal
from zoneinfo import ZoneInfo

from django.http import HttpResponse

from billing.accounts import actors
from billing.accounts.actors import Act
from billing.api import pagination
from billing.api.endpoint import Answer, ApiView, Call, endpoint
from billing.api.pagination import PageQuery, TimeKey
from billing.api.wire import Id, Nothing, Request
from billing.invoicing import documents, pdf, verifying
from billing.invoicing import operations as invoicing_operations
from billing.invoicing import queries as invoicing_queries
from billing.invoicing.errors import InvoiceNotFound, PeriodNotOfSubscription
from billing.models import Invoice, Subscription, SubscriptionPeriod
from billing.reporting.shapes import InvoiceDocument, VerificationDocument

CSV = "text/csv"
PDF = "application/pdf"


class Period(Request, frozen=True):
    """Which period; by default the last one that ended."""

    period: Id | None = None


class InvoiceQuery(Request, frozen=True):
    format: Literal["json", "csv", "pdf"] | None = None


class InvoicesQuery(PageQuery, frozen=True):
    """``held`` and ``parked`` are drafts that wait for a human."""

    status: Literal["draft", "held", "parked", "issued", "paid", "void", "uncollectible"] | None = None


class DraftInvoice(ApiView):
    @endpoint(
        "Draft an invoice",
        responses={201: InvoiceDocument},
        act=Act.INVOICES,
        idempotent=True,
        tag="invoices",
        problems=(409,),
    )
    def post(self, call: Call[Period, Nothing], subscription_id: str) -> Answer:
        """Drafts the invoice of an ended period, or brings its draft up to the books: there is never a second one."""
        subscription = call.subscription(subscription_id, Act.INVOICES)
        invoice = invoicing_operations.draft(
            subscription=subscription,
            actor=call.actor,
            now=call.now(subscription.organization),
            period=_period(subscription, call.body.period),
        )
        return Answer(201, documents.as_dict(invoice), headers={"Location": f"/api/billing/invoices/{invoice.id}"})


class PreviewInvoice(ApiView):
    @endpoint("Preview an invoice", responses={200: InvoiceDocument}, act=Act.PREVIEW, tag="invoices", problems=(409,))
    def get(self, call: Call[Nothing, Nothing], subscription_id: str) -> Answer:
        """What the running period's invoice would say if nothing more happened. Writes nothing."""
        subscription = call.subscription(subscription_id, Act.PREVIEW)
        preview = invoicing_operations.preview(
            subscription=subscription, actor=call.actor, now=call.now(subscription.organization)
        )
        return Answer(200, documents.preview_as_dict(preview))


class SubscriptionInvoices(ApiView):
    @endpoint("List invoices", responses={200: pagination.page_of(InvoiceDocument)}, act=Act.MONEY, tag="invoices")
    def get(self, call: Call[Nothing, InvoicesQuery], subscription_id: str) -> Answer:
        """The subscription's invoices, last drafted first; drafts as the books are now."""
        return _page(call, call.subscription(subscription_id, Act.MONEY))


class Invoices(ApiView):
    @endpoint(
        "List everybody's invoices",
        responses={200: pagination.page_of(InvoiceDocument)},
        act=Act.INVOICES,
        tag="invoices",
    )
    def get(self, call: Call[Nothing, InvoicesQuery]) -> Answer:
        """For platform keys: all organizations' invoices, last drafted first. ``?status=parked`` is what waits for a
        human because something about it is odd."""
        return _page(call, None)


def _page(call: Call[Nothing, InvoicesQuery], subscription: Subscription | None) -> Answer:
    after = pagination.read_cursor(call.query, TimeKey)
    rows = invoicing_operations.read_invoices(
        organization=subscription.organization if subscription else None,
        actor=call.actor,
        subscription_id=subscription.id if subscription else None,
        status=call.query.status,
        before=(after.at, after.id) if after else None,
        limit=call.query.size + 1,
    )
    shown = pagination.page(
        call.request, call.query, rows, show=documents.as_dict, key=lambda row: TimeKey(row.drafted_at, row.id)
    )
    return Answer(200, shown)


class InvoiceDetail(ApiView):
    @endpoint(
        "Read an invoice",
        responses={200: InvoiceDocument},
        act=Act.MONEY,
        tag="invoices",
        media={CSV: "text/csv", PDF: "application/pdf"},
    )
    def get(self, call: Call[Nothing, InvoiceQuery], invoice_id: str) -> Answer | HttpResponse:
        """By id or number; as CSV or PDF with ``?format=``, ``.csv``, ``.pdf`` or an ``Accept`` header that says so."""
        reference, shape = shape_of(invoice_id, call.query.format, call.request.META.get("HTTP_ACCEPT", ""))
        invoice = invoicing_operations.read_invoice(reference=reference, actor=call.actor)
        document = documents.as_dict(invoice)
        if shape == "csv":
            return file_of(invoice.number or str(invoice.id), documents.as_csv(invoice), f"{CSV}; charset=utf-8", shape)
        if shape == "pdf":
            return file_of(
                invoice.number or str(invoice.id),
                pdf.render(document, zone=ZoneInfo(invoice.organization.zone)),
                PDF,
                shape,
            )
        return Answer(200, document)


def shape_of(invoice_id: str, wanted: str | None, accept: str) -> tuple[str, str]:
    """The document's reference and the form it is asked for in: the query says, else the ending, else the header."""
    for shape, media_type in (("csv", CSV), ("pdf", PDF)):
        if wanted == shape or (wanted is None and (invoice_id.endswith(f".{shape}") or media_type in accept)):
            return invoice_id.removesuffix(f".{shape}"), shape
    return invoice_id, "json"


def file_of(name: str, content: str | bytes, content_type: str, ending: str) -> HttpResponse:
    """A document to keep, named by its number."""
    name = "".join(c if c.isalnum() or c in "-_" else "-" for c in name)
    return HttpResponse(
        content,
        content_type=content_type,
        headers={"Content-Disposition": f'attachment; filename="{name}.{ending}"', "Cache-Control": "no-store"},
    )


class IssueInvoice(ApiView):
    @endpoint(
        "Issue an invoice",
        responses={200: InvoiceDocument},
        act=Act.INVOICES,
        idempotent=True,
        tag="invoices",
        problems=(409,),
    )
    def post(self, call: Call[Nothing, Nothing], invoice_id: str) -> Answer:
        """Closes the period, gives the number and freezes the invoice. Issuing an issued one changes nothing."""
        invoice = find(call, invoice_id)
        call.require(Act.INVOICES, invoice.organization)
        issued = invoicing_operations.issue(invoice=invoice, actor=call.actor, now=call.now(invoice.organization))
        return Answer(200, documents.as_dict(issued))


class VerifyInvoice(ApiView):
    @endpoint(
        "Verify an invoice",
        responses={200: VerificationDocument},
        act=Act.PREVIEW,
        tag="invoices",
        problems=(409,),
    )
    def get(self, call: Call[Nothing, Nothing], invoice_id: str) -> Answer:
        """Rates an issued invoice once more from the raw events; every line must say the same, to the cent."""
        invoice = find(call, invoice_id)
        return Answer(200, verifying.as_dict(verifying.verify(invoice=invoice, actor=call.actor)))


def find(call: Call[object, object], reference: str) -> Invoice:
    """The invoice; one that the actor may not know of looks like one that is not there."""
    invoice = invoicing_queries.get_invoice(reference)
    if not actors.is_visible(call.actor, invoice.organization):
        raise InvoiceNotFound
    return invoice


def _period(subscription: Subscription, wanted: Id | None) -> SubscriptionPeriod | None:
    if wanted is None:
        return None
    period = SubscriptionPeriod.objects.filter(subscription=subscription, id=wanted.value).first()
    if period is None:
        raise PeriodNotOfSubscription("This period is not one of the subscription's.", field="period")
    return period
