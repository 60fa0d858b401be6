"""The invoices summed again, apart from the product's own doctor."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from uuid import UUID

from django.db.models import BigIntegerField, Count, F, Max, Q, Sum
from django.db.models.functions import Cast, Coalesce, Substr

from billing.invoicing import numbering
from billing.models import DocumentCounter, Invoice, InvoiceKind, InvoiceLine, InvoiceStatus, LineCharge, UsageCharge


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
    """Closed periods whose invoice lines, and those of final invoices, do not carry exactly the use that is charged to
    them."""
    charges = UsageCharge.objects.filter(billed_period__closed_at__isnull=False)
    lines = InvoiceLine.objects.filter(
        Q(invoice__kind=InvoiceKind.CYCLE, invoice__issued_at__isnull=False) | Q(invoice__kind=InvoiceKind.FINAL)
    ).exclude(invoice__status=InvoiceStatus.VOID)
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
