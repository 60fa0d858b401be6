"""``mcpctl billing invoices``: what happens to an invoice once it is issued."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from decimal import Decimal
from typing import Any

import click

from billing.accounts import queries as accounts_queries
from billing.cli import environment, output, showing
from billing.cli.output import Answer, answers
from billing.cli.parameters import CODE, INSTANT, KEY, QUANTITY, REASON, REFERENCE, SIGNED
from billing.invoicing import amounts, documents
from billing.invoicing import operations as invoicing_operations
from billing.invoicing import queries as invoicing_queries
from billing.invoicing.operations import paying

_invoice = click.argument("reference", type=REFERENCE, metavar="INVOICE")
_audited = click.option("--reason", type=REASON, required=True, help="Why, for the audit log.")


_POSITION: click.ParamType[int] = click.IntRange(1, 100_000)


class _Line(click.ParamType[tuple[int, Decimal | None]]):
    """``3`` or ``3=9.00``."""

    name = "position[=amount]"

    def convert(
        self, value: object, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[int, Decimal | None]:
        if isinstance(value, tuple):
            return value
        position, separator, amount = str(value).partition("=")
        return (
            _POSITION.convert(position, param, ctx),
            SIGNED.convert(amount, param, ctx) if separator else None,
        )


def _money(taken: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """What every movement of money is told."""
    options = (
        click.option("--reference", "named", type=KEY, required=True, help="The bank's or provider's name for it."),
        click.option("--provider", type=CODE, default=paying.MANUAL, show_default=True, help="Who moved the money."),
        click.option("--method", type=CODE, default=paying.TRANSFER, show_default=True, help="How it moved."),
        click.option("--received-at", type=INSTANT, help=f"When {taken}. [default: now]"),
    )

    def add(function: Callable[..., Any]) -> Callable[..., Any]:
        for option in reversed(options):
            function = option(function)
        return function

    return add


@click.command("pay")
@_invoice
@click.argument("amount", type=QUANTITY)
@_money("it came")
@answers()
def pay(
    reference: str, amount: Decimal, *, named: str, provider: str, method: str, received_at: datetime | None
) -> Answer:
    """Book money received for an invoice, in its currency. The same reference again books nothing."""
    invoice = invoicing_queries.get_invoice(reference)
    invoicing_operations.pay(
        invoice=invoice,
        amount_minor=amounts.read(amount, invoice.currency),
        reference=named,
        provider=provider,
        method=method,
        received_at=received_at,
        actor=environment.actor(),
        now=accounts_queries.now_for(invoice.organization),
    )
    return showing.invoice(invoicing_queries.get_invoice(reference))


@click.command("refund")
@_invoice
@click.argument("amount", type=QUANTITY)
@_money("it went")
@_audited
@answers()
def refund(
    reference: str,
    amount: Decimal,
    *,
    named: str,
    provider: str,
    method: str,
    received_at: datetime | None,
    reason: str,
) -> Answer:
    """Book money that went back, at most what was paid; so much is due again. The same reference again books none."""
    invoice = invoicing_queries.get_invoice(reference)
    invoicing_operations.refund(
        invoice=invoice,
        amount_minor=amounts.read(amount, invoice.currency),
        reference=named,
        reason=reason,
        provider=provider,
        method=method,
        received_at=received_at,
        actor=environment.actor(),
        now=accounts_queries.now_for(invoice.organization),
    )
    return showing.invoice(invoicing_queries.get_invoice(reference))


@click.command("payments")
@_invoice
@answers()
def payments(reference: str) -> Answer:
    """Payments and refunds of an invoice, first booked first."""
    invoice = invoicing_queries.get_invoice(reference)
    found = invoicing_operations.read_payments(invoice=invoice, actor=environment.actor())
    listed = [documents.payment(each, invoice.currency) for each in found]
    header = ("booked", "kind", invoice.currency, "provider", "method", "reference", "reason")
    rows = [
        (each.booked_at, each.kind, row["amount"], each.provider, each.method, each.reference, each.reason)
        for each, row in zip(found, listed, strict=True)
    ]
    text = output.table(header, rows, right=(invoice.currency,)) if rows else "No payments."
    return Answer({"results": listed}, text)


@click.command("credit-note")
@_invoice
@click.option("--reason", type=REASON, required=True, help="Why, for the document.")
@click.option(
    "--line", "lines", type=_Line(), multiple=True, help="Credit this line only: what is left of it, or the amount."
)
@answers()
def credit_note(reference: str, *, reason: str, lines: tuple[tuple[int, Decimal | None], ...]) -> Answer:
    """Issue a credit note for all that is left of an invoice, or of some lines. What was paid goes to the balance.

    An amount is as it stands on the line: before tax, if that comes on top.
    """
    wanted = dict(lines)
    if len(wanted) < len(lines):
        raise click.UsageError("A line is there twice.")
    invoice = invoicing_queries.get_invoice(reference)
    note = invoicing_operations.credit(
        invoice=invoice,
        actor=environment.actor(),
        reason=reason,
        lines={
            position: None if amount is None else amounts.read(amount, invoice.currency)
            for position, amount in wanted.items()
        }
        or None,
        now=accounts_queries.now_for(invoice.organization),
    )
    return showing.credit_note(note)


@click.command("uncollectible")
@_invoice
@_audited
@answers()
def mark_uncollectible(reference: str, *, reason: str) -> Answer:
    """Give up on what is left to pay. The invoice stays in the books and can still be paid."""
    invoice = invoicing_queries.get_invoice(reference)
    return showing.invoice(
        invoicing_operations.mark_uncollectible(
            invoice=invoice,
            actor=environment.actor(),
            reason=reason,
            now=accounts_queries.now_for(invoice.organization),
        )
    )


@click.command("void")
@_invoice
@_audited
@answers()
def void(reference: str, *, reason: str) -> Answer:
    """Take back an issued invoice of which nothing is paid, or discard a draft. Its period is billed anew."""
    invoice = invoicing_queries.get_invoice(reference)
    return showing.invoice(
        invoicing_operations.void(
            invoice=invoice,
            actor=environment.actor(),
            reason=reason,
            now=accounts_queries.now_for(invoice.organization),
        )
    )


COMMANDS = (pay, refund, payments, credit_note, mark_uncollectible, void)
