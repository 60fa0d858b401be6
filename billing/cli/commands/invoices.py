"""``mcpctl billing invoices``: drafting, issuing and reading them."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import Any, TypedDict
from zoneinfo import ZoneInfo

import click

from billing.accounts import queries as accounts_queries
from billing.accounts.actors import Actor
from billing.cli import environment, lookup, output, showing
from billing.cli.commands import invoices_settle, invoices_verify
from billing.cli.output import Answer, answers
from billing.cli.parameters import INSTANT, REASON, REFERENCE, pdf_option
from billing.invoicing import documents, pdf
from billing.invoicing import operations as invoicing_operations
from billing.invoicing import queries as invoicing_queries
from billing.invoicing.errors import InvoiceNotFound
from billing.kernel.errors import Conflict, NotFound
from billing.models import Invoice, InvoiceKind, InvoiceStatus, Subscription, SubscriptionPeriod
from billing.subscriptions import queries as subscriptions_queries

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
@click.option("--preview", "is_preview", is_flag=True, help="Write nothing; by default of the period that runs.")
@lookup.product_option
@answers()
def draft(organization: str, *, within: datetime | None, is_preview: bool, product: str) -> Answer:
    """Draft the invoice of an ended period, or bring its draft up to the books. There is never a second one."""
    subscription = lookup.last_subscription(organization, product)
    period = subscriptions_queries.find_period(subscription, within) if within else None
    if within is not None and period is None:
        raise PeriodNotFound(f"The subscription has no period at {output.instant(within)}.", field="period")
    asked: _Asked = {
        "subscription": subscription,
        "actor": environment.actor(),
        "now": accounts_queries.now_for(subscription.organization),
        "period": period,
    }
    if is_preview:
        document = documents.preview_as_dict(invoicing_operations.preview(**asked))
        return showing.of(document)
    return showing.invoice(invoicing_operations.draft(**asked))


class _Asked(TypedDict):
    subscription: Subscription
    actor: Actor
    now: datetime
    period: SubscriptionPeriod | None


@command.command("issue")
@_reference
@answers()
def issue(reference: str) -> Answer:
    """Close the period, give the number, freeze the invoice. Of an organization: its only draft."""
    invoice = invoicing_queries.find_invoice(reference) or _only_draft(reference)
    return showing.invoice(
        invoicing_operations.issue(
            invoice=invoice, actor=environment.actor(), now=accounts_queries.now_for(invoice.organization)
        )
    )


@command.command("hold")
@_reference
@click.option("--reason", type=REASON, required=True, help="Why, for the audit log.")
@answers()
def hold(reference: str, *, reason: str) -> Answer:
    """Keep a draft from being issued by itself. Of an organization: its only draft."""
    invoice = invoicing_queries.find_invoice(reference) or _only_draft(reference)
    return showing.invoice(
        invoicing_operations.hold(
            invoice=invoice,
            actor=environment.actor(),
            reason=reason,
            now=accounts_queries.now_for(invoice.organization),
        )
    )


@command.command("release")
@_reference
@answers()
def release(reference: str) -> Answer:
    """Let a held or parked draft be issued by itself again, from now on."""
    invoice = invoicing_queries.find_invoice(reference) or _only_draft(reference)
    return showing.invoice(
        invoicing_operations.release(
            invoice=invoice, actor=environment.actor(), now=accounts_queries.now_for(invoice.organization)
        )
    )


@command.command("show")
@_reference
@click.option("--csv", "as_csv", is_flag=True, help="As CSV, a row per line.")
@pdf_option
@answers()
def show(reference: str, *, as_csv: bool, pdf_file: Path | None) -> Answer:
    """An invoice; of an organization the one drafted last. A draft is shown as the books are now."""
    if invoicing_queries.find_invoice(reference) is not None:
        invoice = invoicing_operations.read_invoice(reference=reference, actor=environment.actor())
    else:
        invoice = next(iter(_of_organization(reference, limit=1)), None) or _none(reference)
    if pdf_file is not None:
        pdf_file.write_bytes(pdf.render(documents.as_dict(invoice), zone=ZoneInfo(invoice.organization.zone)))
    return showing.invoice(invoice, as_csv=as_csv)


@command.command("list")
@click.argument("organization", required=False)
@click.option("--status", type=click.Choice([*(status.value for status in InvoiceStatus), *invoicing_queries.WAITING]))
@click.option("--parked", "status", flag_value="parked", help="The same as --status parked.")
@click.option("--limit", type=click.IntRange(1, 200), default=50, show_default=True)
@answers()
def list_invoices(organization: str | None, *, status: str | None, limit: int) -> Answer:
    """An organization's invoices, or everybody's, the last drafted first. Held and parked ones are drafts."""
    found = _of_organization(organization, limit=limit, status=status)
    listed = [documents.as_dict(invoice) for invoice in found]
    rows: list[tuple[object, ...]] = [
        (each["number"] or each["id"], _status(each), *_days(each), each["total"], each["currency"])
        for each in listed
    ]  # fmt: skip
    header: tuple[str, ...] = ("invoice", "status", "from", "to", "total", "currency")
    if organization is None:
        header = ("organization", *header)
        rows = [(invoice.organization.slug, *row) for invoice, row in zip(found, rows, strict=True)]
    text = output.table(header, rows, right=("total",)) if rows else "No invoices."
    reasons = "".join(f"\n{each['id']} {each['parked']['reason']}" for each in listed if each["parked"])
    return Answer({"results": listed}, text + (f"\n{reasons}" if reasons else ""))


def _days(document: dict[str, Any]) -> tuple[str, str]:
    period = document["period"]
    return (period["starts_at"][:10], period["ends_at"][:10]) if period else ("", "")


def _status(document: dict[str, Any]) -> str:
    return f"{document['status']}{', parked' if document['parked'] else ', held' if document['held_at'] else ''}"


def _of_organization(reference: str | None, *, limit: int, status: str | None = None) -> list[Invoice]:
    return invoicing_operations.read_invoices(
        organization=accounts_queries.get_organization(reference) if reference else None,
        actor=environment.actor(),
        status=status,
        limit=limit,
    )


def _only_draft(reference: str) -> Invoice:
    found = _of_organization(reference, limit=200, status=InvoiceStatus.DRAFT.value)
    # Orders of credits are issued by being paid.
    drafts = [each for each in found if each.kind != InvoiceKind.PURCHASE]
    if len(drafts) > 1:
        raise InvoiceAmbiguous(f"{reference} has several drafts: name one by its id (see `invoices list`).")
    if not drafts:
        raise InvoiceNotFound(f"{reference} has no draft to issue (see `invoices list`).")
    return drafts[0]


def _none(reference: str) -> Invoice:
    raise InvoiceNotFound


for _settling in invoices_settle.COMMANDS:
    command.add_command(_settling)
command.add_command(invoices_verify.verify)
