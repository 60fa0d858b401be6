"""Writing drafts, many at a time: new ones inserted, changed ones rewritten, the others left alone.

Lines are never updated: a draft whose lines differ from what the books now say loses them all and gets new ones.
The caller holds the organizations' locks.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from functools import partial
from typing import Any, NamedTuple
from uuid import UUID

from django.db.transaction import on_commit

from billing.infra import audit, logs, outbox
from billing.invoicing import assembly, rating, tax
from billing.invoicing.books import LineDraft
from billing.invoicing.loading import Target
from billing.kernel.money import format_minor
from billing.models import AuditEntry, Invoice, InvoiceKind, InvoiceLine, InvoiceStatus, OutboxEvent

BATCH = 1000


class Derivation(NamedTuple):
    """What the invoice of ``target`` says by the books as they are now."""

    target: Target
    lines: tuple[LineDraft, ...]
    subtotal_minor: int
    tax_minor: int

    @property
    def total_minor(self) -> int:
        return self.subtotal_minor + self.tax_minor


def derive(target: Target) -> Derivation:
    """Raises ``PriceMissing`` or ``AmountOutOfBounds``."""
    lines = tax.levied(assembly.assemble(target.books), target.tax)
    derivation = Derivation(target, lines, sum(line.net_minor for line in lines), sum(line.tax_minor for line in lines))
    rating.bounded(derivation.total_minor, target.books.currency)
    return derivation


def stored_by_period(period_ids: Iterable[UUID]) -> dict[UUID, Invoice]:
    """The cycle invoice of each period that has one (void ones do not count), with its lines."""
    invoices = (
        Invoice.objects.filter(period_id__in=list(period_ids), kind=InvoiceKind.CYCLE)
        .exclude(status=InvoiceStatus.VOID)
        .prefetch_related("lines")
    )
    return {invoice.period_id: invoice for invoice in invoices if invoice.period_id is not None}


def is_current(invoice: Invoice, derivation: Derivation) -> bool:
    """Whether the stored draft says what the books say."""
    stored = sorted(invoice.lines.all(), key=lambda line: line.position)
    return (
        (invoice.subtotal_minor, invoice.tax_minor) == (derivation.subtotal_minor, derivation.tax_minor)
        and len(stored) == len(derivation.lines)
        and all(_content(row) == _content(line) for row, line in zip(stored, derivation.lines, strict=True))
    )


def insert(derivations: Sequence[Derivation], *, actor: str, now: datetime) -> dict[UUID, UUID]:
    """Write new drafts; returns the invoice's id by its period's. Told once to the outbox and the audit log."""
    invoices = [_invoice(derivation, now) for derivation in derivations]
    Invoice.objects.bulk_create(invoices, batch_size=BATCH)
    _insert_lines(zip(invoices, derivations, strict=True))
    audit.record_all(
        AuditEntry(
            actor=actor,
            act="invoice.draft",
            object_type="invoice",
            object_id=str(invoice.id),
            organization_id=invoice.organization_id,
        )
        for invoice in invoices
    )
    outbox.emit_all(
        OutboxEvent(
            organization_id=invoice.organization_id,
            topic="invoice.drafted",
            payload=message(invoice),
            created_at=now,
        )
        for invoice in invoices
    )
    for invoice in invoices:
        on_commit(partial(logs.event, "invoice.drafted", organization=invoice.organization_id, invoice=invoice.id))
    return {derivation.target.period_id: invoice.id for derivation, invoice in zip(derivations, invoices, strict=True)}


def rewrite(changed: Sequence[tuple[Invoice, Derivation]]) -> None:
    """Bring stored drafts up to the books."""
    for invoice, derivation in changed:
        period = derivation.target.books.period
        invoice.starts_at, invoice.ends_at = period.starts_at, period.ends_at
        invoice.subtotal_minor, invoice.tax_minor = derivation.subtotal_minor, derivation.tax_minor
        invoice.total_minor = derivation.total_minor
    InvoiceLine.objects.filter(invoice_id__in=[invoice.id for invoice, _ in changed]).delete()
    _insert_lines(changed)
    Invoice.objects.bulk_update(
        [invoice for invoice, _ in changed],
        ["starts_at", "ends_at", "subtotal_minor", "tax_minor", "total_minor"],
        batch_size=BATCH,
    )


def message(invoice: Invoice) -> dict[str, Any]:
    """What the outbox says of an invoice."""
    return {
        "invoice": str(invoice.id),
        "subscription": str(invoice.subscription_id),
        "status": invoice.status,
        "number": invoice.number,
        "total": format_minor(invoice.total_minor, invoice.currency),
        "currency": invoice.currency,
    }


def _invoice(derivation: Derivation, now: datetime) -> Invoice:
    target = derivation.target
    return Invoice(
        organization_id=target.organization_id,
        subscription_id=target.subscription_id,
        period_id=target.period_id,
        kind=InvoiceKind.CYCLE,
        occurrence=target.books.period.ordinal,
        status=InvoiceStatus.DRAFT,
        currency=target.books.currency,
        starts_at=target.books.period.starts_at,
        ends_at=target.books.period.ends_at,
        subtotal_minor=derivation.subtotal_minor,
        tax_minor=derivation.tax_minor,
        total_minor=derivation.total_minor,
        drafted_at=now,
    )


def _insert_lines(drafts: Iterable[tuple[Invoice, Derivation]]) -> None:
    InvoiceLine.objects.bulk_create(
        (
            InvoiceLine(
                organization_id=invoice.organization_id,
                invoice_id=invoice.id,
                position=position,
                charge=line.charge,
                description=line.description,
                plan_id=line.plan_id,
                meter_id=line.meter_id,
                starts_at=line.starts_at,
                ends_at=line.ends_at,
                quantity=line.quantity,
                rate=line.rate,
                per=line.per,
                amount_minor=line.amount_minor,
                tax_rate=line.tax_rate,
                tax_included=line.tax_included,
                tax_minor=line.tax_minor,
                details=dict(line.details),
            )
            for invoice, derivation in drafts
            for position, line in enumerate(derivation.lines, start=1)
        ),
        batch_size=BATCH,
    )


def _content(line: InvoiceLine | LineDraft) -> tuple[object, ...]:
    return (
        line.charge,
        line.description,
        line.plan_id,
        line.meter_id,
        line.starts_at,
        line.ends_at,
        line.quantity,
        line.rate,
        line.per,
        line.amount_minor,
        line.tax_rate,
        line.tax_included,
        line.tax_minor,
        dict(line.details),
    )
