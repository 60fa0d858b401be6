"""Invoices and credit notes as several commands answer with them."""

from __future__ import annotations

from typing import Any

from billing.cli import output
from billing.cli.output import Answer
from billing.invoicing import documents
from billing.models import CreditNote, Invoice


def invoice(invoice: Invoice, *, as_csv: bool = False) -> Answer:
    """An invoice as every command here answers with it."""
    document = documents.as_dict(invoice)
    return Answer(document, documents.as_csv(invoice).rstrip("\r\n")) if as_csv else of(document)


def of(document: dict[str, Any]) -> Answer:
    """An invoice or a preview, by its document."""
    currency = document["currency"]
    head: list[tuple[str, object]] = [
        ("invoice", document["number"] or "without number"),
        ("id", document["id"]),
        ("status", document["status"]),
        ("kind", document["kind"]),
    ]
    if document["period"]:
        head.append(("period", f"{document['period']['starts_at']} to {document['period']['ends_at']}"))
    if document["status"] == "draft":
        head += waiting(document) if document["period"] else [("issues itself", "with its payment")]
    if document["issued_at"]:
        head += [("issued", document["issued_at"]), ("due", document["due_on"])]
    rows: list[tuple[object, ...]] = [
        (line["position"], line["description"], line["quantity"], f"{line['rate']} per {line['per']}", line["amount"])
        for line in document["lines"]
    ]
    settled = ("paid", "credited", "due") if document["total"] != document["due"] and document["issued_at"] else ()
    rows += [("", name, "", "", document[name]) for name in ("subtotal", "tax", "total", *settled)]
    header = ("no", "line", "quantity", "rate", currency)
    blank = [tuple(" " if value == "" else value for value in row) for row in rows]
    table = output.table(header, blank, right=("no", "quantity", currency))
    return Answer(document, f"{output.pairs(head)}\n\n{table}")


def waiting(draft: dict[str, Any]) -> list[tuple[str, object]]:
    """When a draft issues itself, or what it waits for."""
    parked = draft["parked"]
    rows = (
        ("issues itself", draft["issue_due_at"]),
        ("held", draft["held_at"]),
        ("parked", f"{parked['at']} {parked['reason']}" if parked else None),
    )
    return [row for row in rows if row[1]] or [("issues itself", "never: it follows one that is void")]


def credit_note(note: CreditNote, *, as_csv: bool = False) -> Answer:
    """A credit note as every command answers with it."""
    document = documents.credit_note_as_dict(note)
    if as_csv:
        return Answer(document, documents.credit_note_as_csv(note).rstrip("\r\n"))
    rows = [(line["invoice_position"], line["description"], line["amount"]) for line in document["lines"]]
    rows += [(" ", name, document[name]) for name in ("subtotal", "tax", "total")]
    head = output.pairs([("credit note", note.number), ("invoice", note.invoice.number), ("reason", note.reason)])
    table = output.table(("line", "credited", note.currency), rows, right=("line", note.currency))
    return Answer(document, f"{head}\n\n{table}")
