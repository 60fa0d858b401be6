"""``mcpctl billing balance``: money that we owe an organization."""

from __future__ import annotations

from decimal import Decimal

import click

from billing.accounts import fields
from billing.accounts import queries as accounts_queries
from billing.cli import environment, output
from billing.cli.output import Answer, answers
from billing.cli.parameters import CODE, KEY, QUANTITY, REASON
from billing.invoicing import amounts, documents
from billing.invoicing import operations as invoicing_operations
from billing.invoicing.operations import paying
from billing.kernel.money import format_minor

_currency = click.option("--currency", type=CODE, help="[default: the organization's]")


@click.group("balance")
def command() -> None:
    """Show and pay out an organization's money balance."""


@command.command("show")
@click.argument("organization")
@_currency
@click.option("--before", type=click.IntRange(min=1), help="Continue below this entry number.")
@click.option("--limit", type=click.IntRange(1, 1000), default=50, show_default=True)
@answers()
def show(organization: str, *, currency: str | None, before: int | None, limit: int) -> Answer:
    """Every movement in one currency with the balance after it, newest first."""
    found = accounts_queries.get_organization(organization)
    code = fields.currency(currency or found.currency)
    entries = invoicing_operations.read_balance(
        organization=found, actor=environment.actor(), currency=code, before_sequence=before, limit=limit + 1
    )
    page = entries[:limit]
    rest = page[-1].sequence if len(entries) > limit else None
    listed = [documents.balance_entry(each) for each in page]
    header = ("no", "booked", "kind", "amount", "balance", "invoice", "reference", "reason")
    rows = [
        (
            each.sequence, each.booked_at, each.kind, row["amount"], row["balance_after"],
            row["invoice"]["number"] if row["invoice"] else None, each.reference, each.reason,
        )
        for each, row in zip(page, listed, strict=True)
    ]  # fmt: skip
    text = output.table(header, rows, right=("no", "amount", "balance")) if rows else f"Nothing in {code}."
    if rest is not None:
        text += f"\n… more with --before {rest}"
    return Answer({"currency": code, "results": listed, "next": rest}, text)


@command.command("payout")
@click.argument("organization")
@click.argument("amount", type=QUANTITY)
@_currency
@click.option("--reference", type=KEY, required=True, help="The bank's or provider's name for it.")
@click.option("--reason", type=REASON, required=True, help="Why, for the audit log.")
@click.option("--provider", type=CODE, default=paying.MANUAL, show_default=True, help="Who sent the money.")
@answers()
def payout(
    organization: str, amount: Decimal, *, currency: str | None, reference: str, reason: str, provider: str
) -> Answer:
    """Book that money of the balance was sent back to the customer. The same reference again books nothing."""
    found = accounts_queries.get_organization(organization)
    code = fields.currency(currency or found.currency)
    entry = invoicing_operations.pay_out(
        organization=found,
        currency=code,
        amount_minor=amounts.read(amount, code),
        reference=reference,
        reason=reason,
        provider=provider,
        actor=environment.actor(),
        now=accounts_queries.now_for(found),
    )
    after = format_minor(entry.balance_after_minor, code)
    return Answer(
        documents.balance_entry(entry),
        f"{format_minor(-entry.amount_minor, code)} {code} paid out; the balance is {after}.",
    )
