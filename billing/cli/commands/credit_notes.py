"""``mcpctl billing credit-notes``: reading them. `invoices credit-note` issues one."""

from __future__ import annotations

from pathlib import Path
from zoneinfo import ZoneInfo

import click

from billing.cli import environment, output, showing
from billing.cli.output import Answer, answers
from billing.cli.parameters import REFERENCE, pdf_option
from billing.invoicing import documents, pdf
from billing.invoicing import operations as invoicing_operations
from billing.invoicing import queries as invoicing_queries


@click.group("credit-notes")
def command() -> None:
    """List and show credit notes. `invoices credit-note` issues one."""


@command.command("list")
@click.argument("reference", type=REFERENCE, metavar="INVOICE")
@answers()
def list_notes(reference: str) -> Answer:
    """The credit notes of an invoice, first issued first."""
    invoice = invoicing_queries.get_invoice(reference)
    notes = invoicing_operations.read_credit_notes(invoice=invoice, actor=environment.actor())
    listed = [documents.credit_note_as_dict(note) for note in notes]
    header = ("credit note", "issued", "total", "currency", "reason")
    rows = [
        (note.number, note.issued_at, document["total"], note.currency, note.reason)
        for note, document in zip(notes, listed, strict=True)
    ]
    text = output.table(header, rows, right=("total",)) if rows else "No credit notes."
    return Answer({"results": listed}, text)


@command.command("show")
@click.argument("reference", type=REFERENCE, metavar="CREDIT-NOTE")
@click.option("--csv", "as_csv", is_flag=True, help="As CSV, a row per line.")
@pdf_option
@answers()
def show(reference: str, *, as_csv: bool, pdf_file: Path | None) -> Answer:
    """A credit note, by its id or number."""
    note = invoicing_operations.read_credit_note(reference=reference, actor=environment.actor())
    if pdf_file is not None:
        document = documents.credit_note_as_dict(note)
        pdf_file.write_bytes(pdf.render_credit_note(document, zone=ZoneInfo(note.organization.zone)))
    return showing.credit_note(note, as_csv=as_csv)
