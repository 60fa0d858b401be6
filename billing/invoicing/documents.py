"""An invoice as a document: JSON and CSV of the same numbers. Money, rates and quantities are decimal strings."""

from __future__ import annotations

import csv
import re
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from billing.invoicing import settlement
from billing.invoicing.books import LineDraft
from billing.invoicing.operations import Preview
from billing.kernel.decimals import plain
from billing.kernel.money import format_minor
from billing.models import BalanceEntry, CreditNote, Invoice, InvoiceLine, InvoiceStatus, LineCharge, Payment

CSV_COLUMNS = (
    "row", "invoice", "number", "status", "position", "charge", "description", "meter", "plan", "plan_version",
    "starts_at", "ends_at", "quantity", "rate", "per", "tax_rate", "tax", "amount", "currency",
)  # fmt: skip

CREDIT_NOTE_COLUMNS = (
    "row", "credit_note", "number", "invoice_number", "position", "invoice_position", "description", "amount",
    "tax_rate", "tax_included", "tax", "currency",
)  # fmt: skip

_LINE_CELLS = ("position", "charge", "description", "meter", "quantity", "rate", "per", "tax_rate", "tax")

# A spreadsheet runs a cell that begins so, and some strip blanks before they look.
_FORMULA = re.compile(r"\s*[=+\-@\t\r\n|]")
_NUMBER = re.compile(r"-?[0-9]+(?:\.[0-9]+)?", re.ASCII)


def as_dict(invoice: Invoice) -> dict[str, Any]:
    """The invoice for the wire. Reads its lines and their plans, which ``queries`` and ``operations`` load along."""
    return {
        "id": str(invoice.id),
        "number": invoice.number,
        "status": invoice.status,
        "kind": invoice.kind,
        "organization": str(invoice.organization_id),
        "subscription": str(invoice.subscription_id),
        "currency": invoice.currency,
        "period": None if invoice.period_id is None else _span(invoice.starts_at, invoice.ends_at),
        "lines": [
            _line(line, line.position, code=line.plan.code, version=line.plan.version, currency=invoice.currency)
            for line in invoice.lines.all()
        ],
        "subtotal": format_minor(invoice.subtotal_minor, invoice.currency),
        "taxes": _taxes(invoice.lines.all(), invoice.currency),
        "tax": format_minor(invoice.tax_minor, invoice.currency),
        "total": format_minor(invoice.total_minor, invoice.currency),
        "paid": format_minor(settlement.standing(invoice).paid_minor, invoice.currency),
        "credited": format_minor(settlement.standing(invoice).credited_minor, invoice.currency),
        "due": format_minor(settlement.due_minor(invoice), invoice.currency),
        "from_balance": format_minor(settlement.standing(invoice).from_balance_minor, invoice.currency),
        "credit_notes": [note.number for note in invoice.credit_notes.all()],
        "drafted_at": _instant(invoice.drafted_at),
        **_waiting(invoice),
        "issued_at": _instant(invoice.issued_at) if invoice.issued_at else None,
        "due_on": invoice.due_on.isoformat() if invoice.due_on else None,
        "issuer": invoice.issuer,
        "customer": invoice.customer,
    }


def _waiting(invoice: Invoice) -> dict[str, Any]:
    """When a draft issues itself, or what keeps it from that. Nothing once it is none: the rest never changes again."""
    is_draft = invoice.status == InvoiceStatus.DRAFT
    issue_due_at, held_at, parked_at = (
        at if is_draft else None for at in (invoice.issue_due_at, invoice.held_at, invoice.parked_at)
    )
    return {
        "issue_due_at": _instant(issue_due_at) if issue_due_at else None,
        "held_at": _instant(held_at) if held_at else None,
        "parked": {"at": _instant(parked_at), "reason": invoice.parked_reason} if parked_at else None,
    }


def preview_as_dict(preview: Preview) -> dict[str, Any]:
    """A preview in the shape of an invoice: no id, no number, status ``preview``."""
    return {
        "id": None,
        "number": None,
        "status": "preview",
        "kind": preview.kind.value,
        "organization": str(preview.organization_id),
        "subscription": str(preview.subscription_id),
        "currency": preview.currency,
        "period": _span(preview.period.starts_at, preview.period.ends_at),
        "lines": [
            _line(line, position, code=line.plan_code, version=line.plan_version, currency=preview.currency)
            for position, line in enumerate(preview.lines, start=1)
        ],
        "subtotal": format_minor(preview.subtotal_minor, preview.currency),
        "taxes": _taxes(preview.lines, preview.currency),
        "tax": format_minor(preview.tax_minor, preview.currency),
        "total": format_minor(preview.total_minor, preview.currency),
        "paid": format_minor(0, preview.currency),
        "credited": format_minor(0, preview.currency),
        "due": format_minor(0, preview.currency),
        "from_balance": format_minor(0, preview.currency),
        "credit_notes": [],
        "drafted_at": None,
        "issue_due_at": None,
        "held_at": None,
        "parked": None,
        "issued_at": None,
        "due_on": None,
        "issuer": {},
        "customer": {},
    }


def credit_note_as_dict(note: CreditNote) -> dict[str, Any]:
    """A credit note for the wire, as ``queries.credit_notes`` loads it; amounts are what is taken back."""
    currency = note.currency
    return {
        "id": str(note.id),
        "number": note.number,
        "organization": str(note.organization_id),
        "invoice": {"id": str(note.invoice_id), "number": note.invoice.number},
        "currency": currency,
        "lines": [
            {
                "position": line.position,
                "invoice_position": line.invoice_line.position,
                "description": line.invoice_line.description,
                "amount": format_minor(line.amount_minor, currency),
                "tax_rate": plain(line.tax_rate),
                "tax_included": line.tax_included,
                "tax": format_minor(line.tax_minor, currency),
            }
            for line in note.lines.all()
        ],
        "subtotal": format_minor(note.subtotal_minor, currency),
        "tax": format_minor(note.tax_minor, currency),
        "total": format_minor(note.total_minor, currency),
        "reason": note.reason,
        "issued_at": _instant(note.issued_at),
        "issuer": note.issuer,
        "customer": note.customer,
    }


def credit_note_as_csv(note: CreditNote) -> str:
    """A credit note as CSV (RFC 4180): a row per line, then subtotal, tax and total."""
    document = credit_note_as_dict(note)
    shared = {
        "credit_note": document["id"],
        "number": document["number"],
        "invoice_number": document["invoice"]["number"],
        "currency": document["currency"],
    }
    rows = [{"row": "line", **shared, **line} for line in document["lines"]]
    rows += [{"row": name, **shared, "amount": document[name]} for name in ("subtotal", "tax", "total")]
    writer = csv.writer(Echo())
    lines = [list(CREDIT_NOTE_COLUMNS), *([inert(row.get(name)) for name in CREDIT_NOTE_COLUMNS] for row in rows)]
    return "".join(writer.writerow(line) for line in lines)


def balance_entry(entry: BalanceEntry) -> dict[str, Any]:
    """A movement of the customer's balance for the wire."""
    invoice = entry.payment.invoice if entry.payment else None
    return {
        "sequence": entry.sequence,
        "kind": entry.kind,
        "amount": format_minor(entry.amount_minor, entry.currency),
        "balance_after": format_minor(entry.balance_after_minor, entry.currency),
        "currency": entry.currency,
        "invoice": {"id": str(invoice.id), "number": invoice.number} if invoice else None,
        "reference": entry.reference,
        "reason": entry.reason,
        "booked_at": _instant(entry.booked_at),
    }


def payment(row: Payment, currency: str) -> dict[str, str]:
    """A payment or refund for the wire; ``currency`` is its invoice's."""
    return {
        "id": str(row.id),
        "invoice": str(row.invoice_id),
        "kind": row.kind,
        "amount": format_minor(row.amount_minor, currency),
        "currency": currency,
        "provider": row.provider,
        "method": row.method,
        "reference": row.reference,
        "reason": row.reason,
        "received_at": _instant(row.received_at),
        "booked_at": _instant(row.booked_at),
    }


def as_csv(invoice: Invoice) -> str:
    """One invoice as CSV (RFC 4180): a row per line, then subtotal, tax and total."""
    return "".join(stream_csv([invoice]))


def stream_csv(invoices: Iterable[Invoice]) -> Iterator[str]:
    """Any number of invoices as CSV under one header, row by row; text that a spreadsheet would run is made inert."""
    writer = csv.writer(Echo())
    yield writer.writerow(CSV_COLUMNS)
    for invoice in invoices:
        for row in _rows(as_dict(invoice)):
            yield writer.writerow([inert(row.get(column)) for column in CSV_COLUMNS])


def inert(value: object) -> str:
    """``value`` as a cell that no spreadsheet takes for a formula; plain numbers, also negative ones, stay numbers."""
    text = "" if value is None else str(value)
    return f"'{text}" if _FORMULA.match(text) and not _NUMBER.fullmatch(text) else text


class Echo:
    """A file that hands back what is written to it, so that rows can be streamed."""

    def write(self, text: str) -> str:
        return text


def _rows(document: dict[str, Any]) -> Iterator[dict[str, Any]]:
    shared = {
        "invoice": document["id"],
        "number": document["number"],
        "status": document["status"],
        "currency": document["currency"],
    }
    for line in document["lines"]:
        yield {
            "row": "line",
            **shared,
            **{name: line[name] for name in _LINE_CELLS},
            "plan": line["plan"]["code"],
            "plan_version": line["plan"]["version"],
            **(line["period"] or {}),
            "amount": line["amount"],
        }
    for name in ("subtotal", "tax", "total"):
        yield {"row": name, **shared, **(document["period"] or {}), "amount": document[name]}


def _line(line: InvoiceLine | LineDraft, position: int, *, code: str, version: int, currency: str) -> dict[str, Any]:
    return {
        "position": position,
        "charge": line.charge,
        "description": line.description,
        "meter": line.meter_id,
        "plan": {"code": code, "version": version},
        # Credits that were bought are of no stretch of time.
        "period": None if line.charge == LineCharge.PURCHASE else _span(line.starts_at, line.ends_at),
        "quantity": plain(line.quantity),
        "rate": plain(line.rate),
        "per": plain(line.per),
        "amount": format_minor(line.amount_minor, currency),
        "tax_rate": plain(line.tax_rate),
        "tax_included": line.tax_included,
        "tax": format_minor(line.tax_minor, currency),
        "details": dict(line.details),
    }


def _taxes(lines: Iterable[InvoiceLine | LineDraft], currency: str) -> list[dict[str, Any]]:
    """The tax by rate, with the net amount that it is on. Nothing where no line is taxed."""
    sums: dict[tuple[str, str, Decimal], tuple[int, int]] = {}
    for line in lines:
        treatment = line.details.get("tax_treatment")
        if treatment is not None:
            key = (treatment, line.details["tax_label"], line.tax_rate)
            net, tax = sums.get(key, (0, 0))
            sums[key] = net + line.net_minor, tax + line.tax_minor
    return [
        {
            "treatment": treatment,
            "label": label,
            "rate": plain(rate),
            "net": format_minor(net, currency),
            "tax": format_minor(tax, currency),
        }
        for (treatment, label, rate), (net, tax) in sums.items()
    ]


def _span(starts_at: datetime, ends_at: datetime) -> dict[str, str]:
    return {"starts_at": _instant(starts_at), "ends_at": _instant(ends_at)}


def _instant(at: datetime) -> str:
    return at.astimezone(UTC).isoformat().replace("+00:00", "Z")
