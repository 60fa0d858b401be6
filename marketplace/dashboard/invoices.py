"""Invoices as pages show them: the list, and one with what was paid of it; frozen."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import date, datetime
from uuid import UUID
from zoneinfo import ZoneInfo

from django.utils.translation import gettext as _

from billing.accounts import actors
from billing.accounts.actors import Act, Actor
from billing.invoicing import operations as invoicing_operations
from billing.invoicing import queries as invoicing_queries
from billing.invoicing import settlement
from billing.invoicing.errors import InvoiceNotFound
from billing.models import (
    CreditNote,
    CreditPurchase,
    Invoice,
    InvoiceKind,
    InvoiceLine,
    InvoiceStatus,
    Organization,
    Payment,
    PaymentKind,
)
from marketplace import wording
from marketplace.dashboard import paging
from marketplace.dashboard.paging import Links
from marketplace.wording import Label, Moment

PAGE_LENGTH = 25
_PAYABLE = (InvoiceStatus.ISSUED, InvoiceStatus.UNCOLLECTIBLE)


@dataclass(frozen=True, slots=True)
class NoteRow:
    """A credit note: its PDF is at the API."""

    reference: str
    number: str
    amount: str
    reason: str
    issued_at: Moment


@dataclass(frozen=True, slots=True)
class InvoiceRow:
    """``total`` and ``due`` are empty for a draft, which says when it is issued instead; ``due`` is empty where nothing
    is left to pay. A purchase of credits has no ``period``."""

    reference: str
    number: str
    is_draft: bool
    status: Label
    period: tuple[Moment, Moment] | None
    due_on: str
    total: str
    due: str
    issues: str
    notes: tuple[NoteRow, ...]


@dataclass(frozen=True, slots=True)
class InvoicesPage:
    balances: tuple[str, ...]
    invoices: tuple[InvoiceRow, ...]
    links: Links


@dataclass(frozen=True, slots=True)
class LineRow:
    """``made_of`` is what the amount comes from, where it is more than the rate itself."""

    description: str
    made_of: str
    amount: str


@dataclass(frozen=True, slots=True)
class PaymentRow:
    received_at: Moment
    text: str
    amount: str


@dataclass(frozen=True, slots=True)
class InvoicePage:
    """``due`` is empty where nothing is left to pay; ``may_pay``: there is, and the reader may pay it. ``order`` is
    what it is the invoice of, where it has no ``period``."""

    reference: str
    title: str
    status: Label
    is_draft: bool
    issues: str
    currency: str
    period: tuple[Moment, Moment] | None
    order: str
    issued_at: Moment | None
    due_on: str
    lines: tuple[LineRow, ...]
    subtotal: str
    tax: str
    total: str
    price: str
    due: str
    is_overdue: bool
    may_pay: bool
    payments: tuple[PaymentRow, ...]
    notes: tuple[NoteRow, ...]


def invoices_page(*, organization: Organization, query: Mapping[str, str], actor: Actor) -> InvoicesPage:
    """A page of the list, the last drafted first, with the money balances that are not zero. Raises ``NotFound`` or
    ``Forbidden``."""
    actors.require(actor, Act.MONEY, organization)
    zone, wanted = ZoneInfo(organization.zone), paging.read_time(query)
    found = invoicing_queries.list_invoices(
        organization_id=organization.id,
        before=wanted.before,
        after=wanted.after,
        with_orders=False,
        limit=PAGE_LENGTH + 1,
    )
    shown, links = paging.cut(
        found, wanted, length=PAGE_LENGTH, key=lambda row: paging.write_time(row.drafted_at, row.id)
    )
    return InvoicesPage(
        balances=tuple(
            wording.price(each.balance_after_minor, each.currency)
            for each in invoicing_queries.list_balances(organization.id)
            if each.balance_after_minor
        ),
        invoices=tuple(_invoice(row, zone) for row in shown),
        links=links,
    )


def invoice_page(*, organization: Organization, invoice_id: UUID, actor: Actor, today: date) -> InvoicePage:
    """One invoice with its lines, a draft as the books are now. Raises ``NotFound`` or ``Forbidden``."""
    actors.require(actor, Act.MONEY, organization)
    # Asked first: of one that is elsewhere staff would learn that it is in a region they are not cleared for.
    if not Invoice.objects.filter(id=invoice_id, organization=organization).exists():
        raise InvoiceNotFound
    invoice = invoicing_operations.read_invoice(reference=str(invoice_id), actor=actor)
    zone, due_minor = ZoneInfo(organization.zone), _due_minor(invoice)
    return InvoicePage(
        reference=str(invoice.id),
        title=invoice.number or _("Draft invoice"),
        status=wording.invoice_status(invoice.status),
        is_draft=invoice.status == InvoiceStatus.DRAFT,
        issues=_issues(invoice, zone),
        currency=invoice.currency,
        period=_period(invoice, zone, wording.moment),
        order=_order(invoice),
        issued_at=wording.moment(invoice.issued_at, zone) if invoice.issued_at else None,
        due_on=wording.on(invoice.due_on) if invoice.due_on else "",
        lines=tuple(_line(line, invoice.currency) for line in invoice.lines.all()),
        subtotal=wording.money(invoice.subtotal_minor, invoice.currency),
        tax=wording.money(invoice.tax_minor, invoice.currency),
        total=wording.money(invoice.total_minor, invoice.currency),
        price=wording.price(invoice.total_minor, invoice.currency),
        due=wording.price(due_minor, invoice.currency) if due_minor > 0 else "",
        is_overdue=due_minor > 0 and invoice.due_on is not None and invoice.due_on < today,
        may_pay=due_minor > 0 and actors.may(actor, Act.SUBSCRIBE, organization),
        payments=tuple(_payment(row, invoice.currency, zone) for row in invoice.payments.all()),
        notes=tuple(_note(note, zone) for note in invoice.credit_notes.all()),
    )


def _due_minor(invoice: Invoice) -> int:
    """Of a purchase nothing is asked for: what went back of it is finance's to settle."""
    is_asked = invoice.status in _PAYABLE and invoice.kind != InvoiceKind.PURCHASE
    return settlement.due_minor(invoice) if is_asked else 0


def _period(
    invoice: Invoice, zone: ZoneInfo, shown: Callable[[datetime, ZoneInfo], Moment]
) -> tuple[Moment, Moment] | None:
    return None if invoice.period_id is None else (shown(invoice.starts_at, zone), shown(invoice.ends_at, zone))


def _order(invoice: Invoice) -> str:
    if invoice.kind != InvoiceKind.PURCHASE:
        return ""
    return str(CreditPurchase.objects.values_list("id", flat=True).get(invoice=invoice))


def _issues(invoice: Invoice, zone: ZoneInfo) -> str:
    if settlement.is_open_order(invoice):
        return _("Issued when it is paid")
    return wording.issues(invoice.issue_due_at, zone) if invoice.status == InvoiceStatus.DRAFT else ""


def _invoice(row: Invoice, zone: ZoneInfo) -> InvoiceRow:
    is_draft, due_minor = row.status == InvoiceStatus.DRAFT, _due_minor(row)
    return InvoiceRow(
        reference=str(row.id),
        number=row.number or _("No number yet"),
        is_draft=is_draft,
        status=wording.invoice_status(row.status),
        period=_period(row, zone, wording.day),
        due_on=wording.on(row.due_on) if row.due_on else "",
        total="" if is_draft else wording.price(row.total_minor, row.currency),
        due=wording.price(due_minor, row.currency) if due_minor > 0 else "",
        issues=_issues(row, zone),
        notes=tuple(_note(note, zone) for note in row.credit_notes.all()),
    )


def _note(note: CreditNote, zone: ZoneInfo) -> NoteRow:
    return NoteRow(
        str(note.id),
        note.number,
        wording.price(-note.total_minor, note.currency),
        note.reason,
        wording.moment(note.issued_at, zone),
    )


def _payment(row: Payment, currency: str, zone: ZoneInfo) -> PaymentRow:
    is_refund = row.kind == PaymentKind.REFUND
    if row.provider == settlement.BALANCE:
        text = _("Given to your balance") if is_refund else _("Paid from your balance")
    else:
        text = _("Refunded") if is_refund else _("Paid")
    return PaymentRow(
        wording.moment(row.received_at, zone),
        text,
        wording.price(-row.amount_minor if is_refund else row.amount_minor, currency),
    )


def _line(line: InvoiceLine, currency: str) -> LineRow:
    words = {
        "quantity": wording.number(line.quantity),
        "rate": wording.rate(line.rate, currency),
        "per": wording.number(line.per),
    }
    made_of = _("%(quantity)s at %(rate)s") if line.per == 1 else _("%(quantity)s at %(rate)s per %(per)s")
    return LineRow(
        description=line.description,
        made_of="" if line.quantity == line.per == 1 else made_of % words,
        amount=wording.money(line.amount_minor, currency),
    )
