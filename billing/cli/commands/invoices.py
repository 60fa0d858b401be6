"""``mcpctl billing invoices``: drafting, issuing and reading them."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from typing import Any

import click

from billing.accounts import queries as accounts_queries
from billing.cli import environment, lookup, output
from billing.cli.output import Answer, answers
from billing.cli.parameters import CODE, INSTANT, KEY, QUANTITY, REASON, REFERENCE, SIGNED
from billing.invoicing import amounts, documents
from billing.invoicing import operations as invoicing_operations
from billing.invoicing import queries as invoicing_queries
from billing.invoicing.errors import InvoiceNotFound
from billing.invoicing.operations import paying
from billing.kernel.errors import Conflict, NotFound
from billing.models import Invoice, InvoiceStatus
from billing.subscriptions import queries as subscriptions_queries

_invoice = click.argument("reference", type=REFERENCE, metavar="INVOICE")
_reference = click.argument("reference", type=REFERENCE, metavar="INVOICE|ORGANIZATION")


class InvoiceAmbiguous(Conflict):
    """The organization has several drafts, so its name does not say which one to issue."""

    code = "invoice_ambiguous"


class PeriodNotFound(NotFound):
    """The subscription has no period at that time."""

    code = "period_not_found"


@click.group("invoices")
def command() -> None:
    """Draft, issue, show, list, settle and void invoices.

    An invoice is named by its id or number.
    """


@command.command("draft")
@click.argument("organization")
@click.option("--period", "within", type=INSTANT, help="A time in the period. [default: the last that ended]")
@lookup.product_option
@answers()
def draft(organization: str, *, within: datetime | None, product: str) -> Answer:
    """Draft the invoice of an ended period, or bring its draft up to the books. There is never a second one."""
    subscription = lookup.last_subscription(organization, product)
    period = subscriptions_queries.find_period(subscription, within) if within else None
    if within is not None and period is None:
        raise PeriodNotFound(f"The subscription has no period at {output.instant(within)}.", field="period")
    return _show(
        invoicing_operations.draft(
            subscription=subscription,
            actor=environment.actor(),
            now=accounts_queries.now_for(subscription.organization),
            period=period,
        )
    )


@command.command("issue")
@_reference
@answers()
def issue(reference: str) -> Answer:
    """Close the period, give the number, freeze the invoice. Of an organization: its only draft."""
    invoice = invoicing_queries.find_invoice(reference) or _only_draft(reference)
    return _show(
        invoicing_operations.issue(
            invoice=invoice, actor=environment.actor(), now=accounts_queries.now_for(invoice.organization)
        )
    )


@command.command("void")
@_invoice
@click.option("--reason", type=REASON, required=True, help="Why, for the audit log.")
@answers()
def void(reference: str, *, reason: str) -> Answer:
    """Take back an issued invoice of which nothing is paid, or discard a draft. Its period is billed anew."""
    invoice = invoicing_queries.get_invoice(reference)
    return _show(
        invoicing_operations.void(
            invoice=invoice,
            actor=environment.actor(),
            reason=reason,
            now=accounts_queries.now_for(invoice.organization),
        )
    )


@command.command("pay")
@_invoice
@click.argument("amount", type=QUANTITY)
@click.option("--reference", "paid_by", type=KEY, required=True, help="The bank's or provider's name for the payment.")
@click.option("--provider", type=CODE, default=paying.MANUAL, show_default=True, help="Who took the money.")
@click.option("--method", type=CODE, default=paying.TRANSFER, show_default=True, help="How it came.")
@click.option("--received-at", type=INSTANT, help="When it came. [default: now]")
@answers()
def pay(
    reference: str, amount: Decimal, *, paid_by: str, provider: str, method: str, received_at: datetime | None
) -> Answer:
    """Book money received for an invoice, in its currency. The same reference again books nothing."""
    invoice = invoicing_queries.get_invoice(reference)
    invoicing_operations.pay(
        invoice=invoice,
        amount_minor=amounts.read(amount, invoice.currency),
        reference=paid_by,
        provider=provider,
        method=method,
        received_at=received_at,
        actor=environment.actor(),
        now=accounts_queries.now_for(invoice.organization),
    )
    return _show(invoicing_queries.get_invoice(reference))


@command.command("credit-note")
@_invoice
@click.option("--reason", type=REASON, required=True, help="Why, for the document.")
@click.option(
    "--line", "lines", type=click.IntRange(1), multiple=True, help="Credit this line only, what is left of it."
)
@click.option("--amount", type=SIGNED, help="With one --line: so much of it, before tax if that comes on top.")
@answers()
def credit_note(reference: str, *, reason: str, lines: tuple[int, ...], amount: Decimal | None) -> Answer:
    """Issue a credit note for all that is left of an invoice, or of some lines. What was paid goes to the balance."""
    if amount is not None and len(lines) != 1:
        raise click.UsageError("--amount goes with exactly one --line.")
    invoice = invoicing_queries.get_invoice(reference)
    of_each = None if amount is None else amounts.read(amount, invoice.currency)
    note = invoicing_operations.credit(
        invoice=invoice,
        actor=environment.actor(),
        reason=reason,
        lines=dict.fromkeys(lines, of_each) if lines else None,
        now=accounts_queries.now_for(invoice.organization),
    )
    document = documents.credit_note_as_dict(note)
    rows = [(line["invoice_position"], line["description"], line["amount"]) for line in document["lines"]]
    rows += [(" ", name, document[name]) for name in ("subtotal", "tax", "total")]
    head = output.pairs([("credit note", note.number), ("invoice", invoice.number), ("reason", note.reason)])
    table = output.table(("line", "credited", note.currency), rows, right=("line", note.currency))
    return Answer(document, f"{head}\n\n{table}")


@command.command("show")
@_reference
@click.option("--csv", "as_csv", is_flag=True, help="As CSV, a row per line.")
@answers()
def show(reference: str, *, as_csv: bool) -> Answer:
    """An invoice; of an organization the one drafted last. A draft is shown as the books are now."""
    if invoicing_queries.find_invoice(reference) is not None:
        invoice = invoicing_operations.read_invoice(reference=reference, actor=environment.actor())
    else:
        invoice = next(iter(_of_organization(reference, limit=1)), None) or _none(reference)
    return _show(invoice, as_csv=as_csv)


@command.command("list")
@click.argument("organization")
@click.option("--status", type=click.Choice([status.value for status in InvoiceStatus]))
@click.option("--limit", type=click.IntRange(1, 200), default=50, show_default=True)
@answers()
def list_invoices(organization: str, *, status: str | None, limit: int) -> Answer:
    """An organization's invoices, the last drafted first."""
    found = _of_organization(organization, limit=limit, status=status)
    listed = [documents.as_dict(invoice) for invoice in found]
    rows = [
        (each["number"] or each["id"], each["status"], each["period"]["starts_at"][:10], each["period"]["ends_at"][:10],
         each["total"], each["currency"])
        for each in listed
    ]  # fmt: skip
    header = ("invoice", "status", "from", "to", "total", "currency")
    text = output.table(header, rows, right=("total",)) if rows else "No invoices."
    return Answer({"results": listed}, text)


def _of_organization(reference: str, *, limit: int, status: str | None = None) -> list[Invoice]:
    return invoicing_operations.read_invoices(
        organization=accounts_queries.get_organization(reference),
        actor=environment.actor(),
        status=status,
        limit=limit,
    )


def _only_draft(reference: str) -> Invoice:
    drafts = _of_organization(reference, limit=2, status=InvoiceStatus.DRAFT.value)
    if len(drafts) > 1:
        raise InvoiceAmbiguous(f"{reference} has several drafts: name one by its id (see `invoices list`).")
    if not drafts:
        raise InvoiceNotFound(f"{reference} has no draft to issue (see `invoices list`).")
    return drafts[0]


def _none(reference: str) -> Invoice:
    raise InvoiceNotFound


def _show(invoice: Invoice, *, as_csv: bool = False) -> Answer:
    document = documents.as_dict(invoice)
    return Answer(document, documents.as_csv(invoice).rstrip("\r\n") if as_csv else _tell(document))


def _tell(document: dict[str, Any]) -> str:
    currency = document["currency"]
    head: list[tuple[str, object]] = [
        ("invoice", document["number"] or "without number"),
        ("id", document["id"]),
        ("status", document["status"]),
        ("period", f"{document['period']['starts_at']} to {document['period']['ends_at']}"),
    ]
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
    return f"{output.pairs(head)}\n\n{output.table(header, blank, right=('no', 'quantity', currency))}"
