"""``mcpctl billing invoices verify``: issued invoices, rated again from their raw events."""

from __future__ import annotations

from collections.abc import Iterable

import click

from billing.accounts import queries as accounts_queries
from billing.cli import environment, output
from billing.cli.exits import Exit
from billing.cli.output import Answer, answers
from billing.cli.parameters import REFERENCE
from billing.invoicing import queries as invoicing_queries
from billing.invoicing import verifying
from billing.invoicing.verifying import Verification
from billing.kernel import money
from billing.models import Invoice


@click.command("verify")
@click.argument("reference", type=REFERENCE, metavar="INVOICE|ORGANIZATION")
@answers()
def verify(reference: str) -> Answer:
    """Rate an issued invoice, or all of an organization, once more from the raw events. Writes nothing.

    Every line must say the same again, to the cent; ends with 1 where one does not.
    """
    checked = [verifying.verify(invoice=invoice, actor=environment.actor()) for invoice in _named(reference)]
    document = {
        "agrees": all(each.agrees for each in checked),
        "invoices": [verifying.as_dict(each) for each in checked],
    }
    shown = "\n".join(_tell(each) for each in checked) or "No invoice is issued yet."
    return Answer(document, shown, Exit.OK if document["agrees"] else Exit.REFUSED)


def _named(reference: str) -> Iterable[Invoice]:
    invoice = invoicing_queries.find_invoice(reference)
    if invoice is not None:
        return [invoice]
    return invoicing_queries.iterate_issued(accounts_queries.get_organization(reference).id)


def _tell(checked: Verification) -> str:
    invoice = checked.invoice
    total = f"{money.format_minor(invoice.total_minor, invoice.currency)} {invoice.currency}"
    lines = [
        f"{invoice.number}: {total}, {checked.lines} lines, {output.figure(checked.events)} events: "
        + ("agrees" if checked.agrees else "DIFFERS")
    ]
    for each in checked.differences:
        where = f"line {each.line}, {each.field}" if each.line else each.field
        lines.append(f"  {where}: {output.cell(each.stored)}, by the events {output.cell(each.rated)}")
    if checked.voided_since:
        lines.append(f"  rated against invoices that are void since: {', '.join(checked.voided_since)}")
    return "\n".join(lines)
