"""One invoice as a page shows it: frozen."""

from __future__ import annotations

from dataclasses import dataclass
from uuid import UUID
from zoneinfo import ZoneInfo

from billing.accounts import actors
from billing.accounts.actors import Act, Actor
from billing.invoicing import operations as invoicing_operations
from billing.invoicing.errors import InvoiceNotFound
from billing.models import Invoice, InvoiceLine, InvoiceStatus, Organization
from marketplace import wording
from marketplace.wording import Label, Moment


@dataclass(frozen=True, slots=True)
class LineRow:
    """``made_of`` is what the amount comes from, where it is more than the rate itself."""

    description: str
    made_of: str
    amount: str


@dataclass(frozen=True, slots=True)
class InvoicePage:
    title: str
    status: Label
    is_draft: bool
    issues: str
    currency: str
    period: tuple[Moment, Moment]
    issued_at: Moment | None
    due_on: str
    lines: tuple[LineRow, ...]
    subtotal: str
    tax: str
    total: str


def invoice_page(*, organization: Organization, invoice_id: UUID, actor: Actor) -> InvoicePage:
    """One invoice with its lines, a draft as the books are now. Raises ``NotFound`` or ``Forbidden``."""
    actors.require(actor, Act.MONEY, organization)
    # Asked first: of one that is elsewhere staff would learn that it is in a region they are not cleared for.
    if not Invoice.objects.filter(id=invoice_id, organization=organization).exists():
        raise InvoiceNotFound
    invoice = invoicing_operations.read_invoice(reference=str(invoice_id), actor=actor)
    zone = ZoneInfo(organization.zone)
    return InvoicePage(
        title=invoice.number or "Draft invoice",
        status=wording.invoice_status(invoice.status),
        is_draft=invoice.status == InvoiceStatus.DRAFT,
        issues=wording.issues(invoice.issue_due_at, zone) if invoice.status == InvoiceStatus.DRAFT else "",
        currency=invoice.currency,
        period=(wording.moment(invoice.starts_at, zone), wording.moment(invoice.ends_at, zone)),
        issued_at=wording.moment(invoice.issued_at, zone) if invoice.issued_at else None,
        due_on=wording.on(invoice.due_on) if invoice.due_on else "",
        lines=tuple(_line(line, invoice.currency) for line in invoice.lines.all()),
        subtotal=wording.money(invoice.subtotal_minor, invoice.currency),
        tax=wording.money(invoice.tax_minor, invoice.currency),
        total=wording.money(invoice.total_minor, invoice.currency),
    )


def _line(line: InvoiceLine, currency: str) -> LineRow:
    rate = f"{wording.number(line.rate)} {currency}"
    if line.per != 1:
        rate = f"{rate} per {wording.number(line.per)}"
    return LineRow(
        description=line.description,
        made_of="" if line.quantity == line.per == 1 else f"{wording.number(line.quantity)} at {rate}",
        amount=wording.money(line.amount_minor, currency),
    )
