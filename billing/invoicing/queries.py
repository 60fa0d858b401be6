"""Reading invoices as they are stored, finding what is to be drafted, and re-summing the books."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from django.db.models import BigIntegerField, Count, Exists, F, Max, OuterRef, Prefetch, Q, QuerySet, Sum
from django.db.models.functions import Cast, Coalesce, Substr

from billing.invoicing import numbering
from billing.invoicing.errors import CreditNoteNotFound, InvoiceNotFound
from billing.kernel import ids
from billing.models import (
    CreditNote,
    CreditNoteLine,
    DocumentCounter,
    Invoice,
    InvoiceKind,
    InvoiceLine,
    InvoiceStatus,
    LineCharge,
    Payment,
    PeriodKind,
    Status,
    SubscriptionPeriod,
    UsageCharge,
)

PAGE_LENGTH_MAX = 200


def with_lines(invoices: QuerySet[Invoice]) -> QuerySet[Invoice]:
    """All that a document shows of each, in a fixed number of further queries however many there are."""
    return invoices.prefetch_related(
        Prefetch("lines", InvoiceLine.objects.select_related("plan").order_by("position")),
        Prefetch("payments", Payment.objects.order_by("id")),
        Prefetch("credit_notes", CreditNote.objects.order_by("id")),
    )


def find_invoice(reference: str) -> Invoice | None:
    """The invoice of this id or number, with its organization and lines as stored."""
    given = ids.parse_uuid(reference)
    named = Q(number=reference) if given is None else Q(id=given)
    if "\x00" in reference:
        return None
    return with_lines(Invoice.objects.select_related("organization").filter(named)).first()


def get_invoice(reference: str) -> Invoice:
    """As ``find_invoice`` but raises ``InvoiceNotFound``."""
    invoice = find_invoice(reference)
    if invoice is None:
        raise InvoiceNotFound
    return invoice


def credit_notes() -> QuerySet[CreditNote]:
    """With all that their documents show."""
    return CreditNote.objects.select_related("organization", "invoice").prefetch_related(
        Prefetch("lines", CreditNoteLine.objects.select_related("invoice_line").order_by("position"))
    )


def get_credit_note(reference: str) -> CreditNote:
    """The credit note of this id or number, with what its document shows. Raises ``CreditNoteNotFound``."""
    given = ids.parse_uuid(reference)
    named = Q(number=reference) if given is None else Q(id=given)
    note = None if "\x00" in reference else credit_notes().filter(named).first()
    if note is None:
        raise CreditNoteNotFound
    return note


def list_invoices(
    *,
    organization_id: UUID | None = None,
    subscription_id: UUID | None = None,
    status: str | None = None,
    before: tuple[datetime, UUID] | None = None,
    limit: int = 50,
) -> list[Invoice]:
    """Invoices with their lines as stored, the last drafted first; ``before`` is the last row of the page before."""
    invoices = Invoice.objects.order_by("-drafted_at", "-id")
    if organization_id is not None:
        invoices = invoices.filter(organization_id=organization_id)
    if subscription_id is not None:
        invoices = invoices.filter(subscription_id=subscription_id)
    if status is not None:
        invoices = invoices.filter(status=status)
    if before is not None:
        drafted_at, invoice_id = before
        invoices = invoices.filter(
            Q(drafted_at__lt=drafted_at) | Q(drafted_at=drafted_at, id__lt=invoice_id), drafted_at__lte=drafted_at
        )
    return list(with_lines(invoices)[: min(limit, PAGE_LENGTH_MAX)])


def find_last_ended_period(subscription_id: UUID, now: datetime) -> SubscriptionPeriod | None:
    return (
        SubscriptionPeriod.objects.filter(subscription_id=subscription_id, ends_at__lte=now)
        .order_by("-ends_at")
        .first()
    )


def find_current_period(subscription_id: UUID, now: datetime) -> SubscriptionPeriod | None:
    return SubscriptionPeriod.objects.filter(
        subscription_id=subscription_id, starts_at__lte=now, ends_at__gt=now
    ).first()


def iterate_due(now: datetime) -> Iterator[UUID]:
    """Ids of ended periods without an invoice, sandboxes left out: what the sweep drafts. Streamed, any number."""
    drafted = Invoice.objects.filter(period_id=OuterRef("pk"), kind=InvoiceKind.CYCLE).exclude(
        status=InvoiceStatus.VOID
    )
    charged = UsageCharge.objects.filter(billed_period_id=OuterRef("pk"))
    return (
        SubscriptionPeriod.objects.filter(~Exists(drafted), ends_at__lte=now, closed_at__isnull=True)
        .filter(
            Q(kind=PeriodKind.REGULAR, subscription__ended_at__isnull=True)
            | Q(kind=PeriodKind.REGULAR, subscription__ended_at__gt=F("starts_at"))
            | Exists(charged)
        )
        .filter(organization__is_sandbox=False)
        .exclude(subscription__status=Status.INCOMPLETE)
        .order_by("organization_id", "subscription_id", "ordinal")
        .values_list("id", flat=True)
        .iterator(chunk_size=2000)
    )


@dataclass(frozen=True, slots=True)
class Discrepancy:
    """Something in the invoices that does not add up, with the row that it was seen on."""

    row: str
    sentence: str


def verify_totals(*, organization_id: UUID | None = None) -> list[Discrepancy]:
    """Re-sum the invoices: Σ lines = subtotal, subtotal + tax = total, all chargeable use of a closed period stands on
    its invoice, and (for the whole installation) numbers have no gap. Empty when all is well."""
    found = [*_sums(organization_id), *_unbilled(organization_id)]
    return found if organization_id is not None else [*found, *_gaps()]


def _sums(organization_id: UUID | None) -> Iterator[Discrepancy]:
    included = Sum("lines__tax_minor", filter=Q(lines__tax_included=True), default=0)
    invoices = Invoice.objects.annotate(
        net=Sum("lines__amount_minor", default=0) - included, levied=Sum("lines__tax_minor", default=0)
    )
    if organization_id is not None:
        invoices = invoices.filter(organization_id=organization_id)
    wrong = invoices.exclude(
        net=F("subtotal_minor"), levied=F("tax_minor"), total_minor=F("subtotal_minor") + F("tax_minor")
    )
    for invoice in wrong.order_by("id"):
        yield Discrepancy(
            f"invoice {invoice.id}",
            f"lines sum to {invoice.net} and tax {invoice.levied}, subtotal {invoice.subtotal_minor}, tax "
            f"{invoice.tax_minor}, total {invoice.total_minor} (minor units)",
        )


def _unbilled(organization_id: UUID | None) -> Iterator[Discrepancy]:
    """Closed periods whose invoice lines do not carry exactly the use that is charged to them."""
    charges = UsageCharge.objects.filter(billed_period__closed_at__isnull=False)
    lines = InvoiceLine.objects.filter(invoice__kind=InvoiceKind.CYCLE, invoice__issued_at__isnull=False).exclude(
        invoice__status=InvoiceStatus.VOID
    )
    if organization_id is not None:
        charges, lines = charges.filter(organization_id=organization_id), lines.filter(organization_id=organization_id)
    for charge, column in ((LineCharge.OVERAGE, "overage"), (LineCharge.CREDITS, "credit_deficit")):
        due = dict(charges.values_list("billed_period_id").annotate(Sum(column)).order_by())
        billed = dict(
            lines.filter(charge=charge).values_list("invoice__period_id").annotate(Sum("quantity")).order_by()
        )
        for period_id in sorted(due.keys() | billed.keys()):
            if due.get(period_id, 0) != billed.get(period_id, 0):
                yield Discrepancy(
                    f"period {period_id}",
                    f"{charge.value}: {due.get(period_id, 0)} charged, {billed.get(period_id, 0)} on its invoice",
                )


def _gaps() -> Iterator[Discrepancy]:
    for counter in DocumentCounter.objects.filter(document=numbering.INVOICE).order_by("series", "year"):
        prefix = numbering.prefix(series=counter.series, year=counter.year)
        # Digits to the end: the series of a slug such as "a-2026" begins with the prefix of the slug "a".
        invoices = Invoice.objects.filter(number__startswith=prefix, number__regex=f"^{re.escape(prefix)}[0-9]+$")
        given = invoices.aggregate(
            count=Count("id"), last=Coalesce(Max(Cast(Substr("number", len(prefix) + 1), BigIntegerField())), 0)
        )
        if not given["count"] == given["last"] == counter.last:
            yield Discrepancy(
                f"counter {prefix}",
                f"{counter.last} numbers were counted, {given['count']} are on invoices, the last is {given['last']}",
            )
