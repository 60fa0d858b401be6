"""``mcpctl billing dunning``: unpaid invoices, what was tried, and what finance does about them."""

from __future__ import annotations

import click

from billing.accounts import queries as accounts_queries
from billing.cli import environment, output
from billing.cli.output import Answer, answers
from billing.cli.parameters import REASON, REFERENCE
from billing.lifecycle.collecting import documents, operations, queries
from billing.models import Collection

_dunning = click.argument("reference", type=REFERENCE, metavar="DUNNING|INVOICE")


@click.group("dunning")
def command() -> None:
    """List, show, retry and stop dunnings.

    A dunning is named by its id, or by the id or number of its invoice.
    """


@command.command("list")
@click.argument("organization", type=REFERENCE)
@click.option("--state", type=click.Choice(["open", "closed"]), help="Only those. [default: both]")
@click.option("--limit", type=click.IntRange(1, 200), default=50, show_default=True)
@answers()
def list_dunnings(organization: str, *, state: str | None, limit: int) -> Answer:
    """What an organization is, or was, dunned for; the last issued first."""
    found = queries.list_dunnings(
        organization=accounts_queries.get_organization(organization),
        actor=environment.actor(),
        is_open=None if state is None else state == "open",
        limit=limit,
    )
    listed = [documents.dunning(each) for each in found]
    rows = [
        (
            told["invoice_number"],
            told["due"],
            told["currency"],
            each.dunning_at,
            each.step,
            each.next_at,
            each.past_due_at or each.grace_ends_at,
            each.closed_because or ("past due" if each.past_due_at else "in grace"),
        )
        for each, told in zip(found, listed, strict=True)
    ]
    header = ("invoice", "due", "currency", "opened", "step", "next", "past due", "state")
    text = output.table(header, rows, right=("due", "step")) if rows else "No dunnings."
    return Answer({"results": listed}, text)


@command.command("show")
@_dunning
@answers()
def show(reference: str) -> Answer:
    """One dunning and every charge that was tried; of an invoice also while it is only collected."""
    return _shown(queries.get_collection(reference, actor=environment.actor()))


@command.command("retry")
@_dunning
@answers()
def retry(reference: str) -> Answer:
    """Charge all that is due now, whatever the schedule says."""
    found = queries.get_collection(reference, actor=environment.actor())
    now = accounts_queries.now_for(found.organization)
    return _shown(operations.retry(collection=found, actor=environment.actor(), now=now))


@command.command("stop")
@_dunning
@click.option("--reason", type=REASON, required=True, help="Why, for the audit log.")
@answers()
def stop(reference: str, *, reason: str) -> Answer:
    """Charge and remind no more, and let go of a subscription that is past due because of it. The invoice stays due."""
    found = queries.get_collection(reference, actor=environment.actor())
    now = accounts_queries.now_for(found.organization)
    return _shown(operations.stop(collection=found, actor=environment.actor(), reason=reason, now=now))


def _shown(row: Collection) -> Answer:
    document = documents.dunning(row)
    head: list[tuple[str, object]] = [
        ("dunning", document["id"]),
        ("invoice", document["invoice_number"]),
        ("status", document["invoice_status"]),
        ("due", f"{document['due']} {document['currency']}"),
        ("collected", document["method"]),
        ("opened", row.dunning_at),
        ("steps behind", row.step),
        ("next", row.next_at),
        ("grace ends", row.grace_ends_at),
        ("past due", row.past_due_at),
        ("let go", row.lifted_at),
        ("closed", f"{output.instant(row.closed_at)} {row.closed_because}" if row.closed_at else None),
    ]
    rows = [
        (each.started_at, each.step, each.provider, told["amount"], each.status, each.code, each.reference)
        for each, told in zip(row.attempts.all(), document["attempts"], strict=True)
    ]
    header = ("tried", "step", "provider", "amount", "outcome", "code", "reference")
    text = output.pairs(head) + ("\n\n" + output.table(header, rows, right=("step", "amount")) if rows else "")
    return Answer(document, text)
