"""Writing drafts, many at a time: new ones inserted, changed ones rewritten, the others left alone.

Lines are never updated: a draft whose lines differ from what the books now say loses them all and gets new ones.
The caller holds the organizations' locks.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from functools import partial
from operator import attrgetter
from typing import Any, NamedTuple, Protocol
from uuid import UUID

from django.conf import settings
from django.db.transaction import on_commit

from billing.infra import audit, inserting, logs, outbox, statements
from billing.invoicing import assembly, rating, rows, tax
from billing.invoicing.books import LINE_SAYS, LineDraft
from billing.invoicing.loading import Claim, Target
from billing.kernel.ids import new_id
from billing.kernel.money import format_minor
from billing.models import Invoice, InvoiceKind, InvoiceLine, InvoiceStatus

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


class Told(Protocol):
    """An invoice as far as others are told of it: a stored one, or one that is about to be."""

    @property
    def id(self) -> UUID: ...
    @property
    def organization_id(self) -> UUID: ...
    @property
    def subscription_id(self) -> UUID: ...
    @property
    def status(self) -> str: ...
    @property
    def number(self) -> str | None: ...
    @property
    def total_minor(self) -> int: ...
    @property
    def currency(self) -> str: ...


class NewInvoice(NamedTuple):
    """The columns of a draft that are not their defaults."""

    id: UUID
    organization_id: UUID
    subscription_id: UUID
    period_id: UUID
    kind: str
    occurrence: int
    status: str
    currency: str
    starts_at: datetime
    ends_at: datetime
    subtotal_minor: int
    tax_minor: int
    total_minor: int
    drafted_at: datetime
    issue_due_at: datetime | None
    number: str | None = None


def derive(target: Target) -> Derivation:
    """Raises ``PriceMissing`` or ``AmountOutOfBounds``."""
    lines = tax.levied(assembly.assemble(target.books), target.tax)
    derivation = Derivation(target, lines, sum(line.net_minor for line in lines), sum(line.tax_minor for line in lines))
    rating.bounded(derivation.total_minor, target.books.currency)
    return derivation


_STORED = """SELECT id FROM marketplace_invoices WHERE period_id = ANY(%s::uuid[]) AND kind = %s
    AND (status = 'draft' OR (%s::boolean AND status <> 'void'))
"""


def claims_on(period_ids: Iterable[UUID], kind: InvoiceKind) -> tuple[list[Claim], dict[UUID, Invoice]]:
    """A claim of this kind on each period, and the stored invoice behind it, with its lines, by period.

    A period has one cycle invoice that is not void. Of the other kinds it may have several, but one draft.
    """
    ids = list(period_ids)
    known = statements.fetch_all(_STORED, [ids, kind.value, kind == InvoiceKind.CYCLE])
    invoices = Invoice.objects.filter(id__in=[row[0] for row in known]).prefetch_related("lines") if known else ()
    stored = {invoice.period_id: invoice for invoice in invoices if invoice.period_id is not None}
    return [Claim(each, kind, stored[each].id if each in stored else None) for each in ids], stored


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
    taken = _occurrences(derivations)
    invoices = [_invoice(derivation, taken, now) for derivation in derivations]
    inserting.insert(Invoice, NewInvoice._fields, invoices)
    insert_lines((invoice, derivation.lines) for invoice, derivation in zip(invoices, derivations, strict=True))
    tell_drafted(invoices, actor=actor, now=now)
    return {derivation.target.period_id: invoice.id for derivation, invoice in zip(derivations, invoices, strict=True)}


def tell_drafted(invoices: Sequence[Told], *, actor: str, now: datetime) -> None:
    """Tell the audit log and the outbox of new drafts."""
    audit.record_all(
        audit.Entry(invoice.organization_id, actor, "invoice.draft", "invoice", str(invoice.id)) for invoice in invoices
    )
    outbox.emit_all(
        outbox.Event(invoice.organization_id, "invoice.drafted", message(invoice), now) for invoice in invoices
    )
    for invoice in invoices:
        on_commit(partial(logs.event, "invoice.drafted", organization=invoice.organization_id, invoice=invoice.id))


def rewrite(changed: Sequence[tuple[Invoice, Derivation]]) -> None:
    """Bring stored drafts up to the books."""
    for invoice, derivation in changed:
        period = derivation.target.books.period
        invoice.starts_at, invoice.ends_at = period.starts_at, period.ends_at
        invoice.subtotal_minor, invoice.tax_minor = derivation.subtotal_minor, derivation.tax_minor
        invoice.total_minor = derivation.total_minor
    InvoiceLine.objects.filter(invoice_id__in=[invoice.id for invoice, _ in changed]).delete()
    insert_lines((invoice, derivation.lines) for invoice, derivation in changed)
    Invoice.objects.bulk_update(
        [invoice for invoice, _ in changed],
        ["starts_at", "ends_at", "subtotal_minor", "tax_minor", "total_minor"],
        batch_size=BATCH,
    )


def message(invoice: Told) -> dict[str, Any]:
    """What the outbox says of an invoice."""
    return {
        "invoice": str(invoice.id),
        "subscription": str(invoice.subscription_id),
        "status": invoice.status,
        "number": invoice.number,
        "total": format_minor(invoice.total_minor, invoice.currency),
        "currency": invoice.currency,
    }


class _Taken(NamedTuple):
    """What earlier invoices of a subscription and kind took: their highest occurrence, and which of them were taken
    back. A draft of a fee in advance that came to nothing is void, too, but was never out."""

    highest: int
    void: frozenset[int]


def _occurrences(derivations: Iterable[Derivation]) -> dict[tuple[UUID, str], _Taken]:
    found: dict[tuple[UUID, str], list[tuple[int, bool]]] = defaultdict(list)
    taken = rows.list_taken({each.target.subscription_id for each in derivations})
    for subscription_id, kind, occurrence, status, number in taken:
        is_taken_back = status == InvoiceStatus.VOID and (kind == InvoiceKind.CYCLE or number is not None)
        found[subscription_id, kind].append((occurrence, is_taken_back))
    return {
        key: _Taken(
            max(occurrence for occurrence, _ in each),
            frozenset(occurrence for occurrence, is_taken_back in each if is_taken_back),
        )
        for key, each in found.items()
    }


def _invoice(derivation: Derivation, taken: Mapping[tuple[UUID, str], _Taken], now: datetime) -> NewInvoice:
    target = derivation.target
    kind, period = target.claim.kind, target.books.period
    before = taken.get((target.subscription_id, kind), _Taken(0, frozenset()))
    occurrence = period.ordinal if kind == InvoiceKind.CYCLE else before.highest + 1
    return NewInvoice(
        id=new_id(),
        organization_id=target.organization_id,
        subscription_id=target.subscription_id,
        period_id=target.period_id,
        kind=kind.value,
        occurrence=occurrence,
        status=InvoiceStatus.DRAFT.value,
        currency=target.books.currency,
        starts_at=period.starts_at,
        ends_at=period.ends_at,
        subtotal_minor=derivation.subtotal_minor,
        tax_minor=derivation.tax_minor,
        total_minor=derivation.total_minor,
        drafted_at=now,
        # Whoever took back the invoice before this one will want to see this one first.
        issue_due_at=None if _follows_a_void(kind, occurrence, before) else _issue_due_at(target, now),
    )


def _follows_a_void(kind: InvoiceKind, occurrence: int, before: _Taken) -> bool:
    return (occurrence if kind == InvoiceKind.CYCLE else before.highest) in before.void


def _issue_due_at(target: Target, now: datetime) -> datetime:
    """Fees in advance are due now; the rest waits for use that is told late."""
    if target.claim.kind == InvoiceKind.CHANGE:
        return now
    grace = timedelta(hours=settings.BILLING_GRACE_HOURS)
    return (now if target.claim.kind == InvoiceKind.FINAL else target.ends_at) + grace


def insert_lines(drafts: Iterable[tuple[Told, Sequence[LineDraft]]]) -> None:
    """Write the lines of drafts that have none, numbered from 1."""
    inserting.insert(
        InvoiceLine,
        ("organization_id", "invoice_id", "position", *LINE_SAYS, "details"),
        (
            (invoice.organization_id, invoice.id, position, *_content(line))
            for invoice, lines in drafts
            for position, line in enumerate(lines, start=1)
        ),
    )


_said = attrgetter(*LINE_SAYS)


def _content(line: InvoiceLine | LineDraft) -> tuple[object, ...]:
    return *_said(line), dict(line.details)
