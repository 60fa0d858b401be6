"""``mcpctl billing guardrails``: debits that guardrails hold, and use by flag."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

import click
from django.utils import timezone

from billing.accounts import queries as accounts_queries
from billing.cli import environment, output
from billing.cli.output import Answer, answers
from billing.cli.parameters import INSTANT, REASON
from billing.kernel import ids
from billing.lifecycle import guardrails as lifecycle_guardrails
from billing.metering import holding
from billing.models import Organization, UsageDebitHold
from billing.reporting import guardrails

_STATES = ("open", "cleared", "rejected")


@click.group("guardrails")
def command() -> None:
    """Held debits: list, clear, reject; use by flag."""


@command.command("list")
@click.argument("organization")
@click.option("--state", type=click.Choice(_STATES), help="Only these. [default: all]")
@click.option("--limit", type=click.IntRange(1, 1000), default=50, show_default=True)
@answers()
def list_holds(organization: str, *, state: str | None, limit: int) -> Answer:
    """Debits that guardrails hold or held, the last first."""
    rows = guardrails.list_holds(accounts_queries.get_organization(organization), state=state, limit=limit)
    documents = [guardrails.hold_as_dict(row) for row in rows]
    header = ("event", "meter", "quantity", "over", "credits", "flags", "held", "state")
    table = [
        (each["event_id"], each["meter"], row.event.quantity, row.overage, row.credits_due, " ".join(each["flags"]),
         row.held_at, each["state"])
        for each, row in zip(documents, rows, strict=True)
    ]  # fmt: skip
    text = output.table(header, table, right=header[2:5]) if table else "No debit is held."
    return Answer({"results": documents}, text)


@command.command("clear")
@click.argument("organization")
@click.argument("event")
@click.option("--reason", type=REASON, required=True, help="Goes into the audit log.")
@answers()
def clear(organization: str, event: str, *, reason: str) -> Answer:
    """Make the debit of EVENT now. Once: again shows what was done."""
    found, hold = _find(organization, event)
    resolution = lifecycle_guardrails.clear(
        organization=found, event_id=hold.event_id, actor=environment.actor(), reason=reason, now=timezone.now()
    )
    booked = resolution.booked
    text = "Cleared; nothing was left to debit."
    if booked is not None:
        paid = f"{output.figure(booked.credits_paid)} of {output.figure(booked.credits_due)} credits debited"
        text = f"Cleared: {paid}, {output.figure(booked.overage)} units beyond the limit."
    return Answer(guardrails.hold_as_dict(_find(organization, event)[1]), text)


@command.command("reject")
@click.argument("organization")
@click.argument("event")
@click.option("--reason", type=REASON, required=True, help="Goes into the audit log.")
@answers()
def reject(organization: str, event: str, *, reason: str) -> Answer:
    """Take the use of EVENT back; nothing is debited. Once: again shows what was done."""
    found, hold = _find(organization, event)
    resolution = lifecycle_guardrails.reject(
        organization=found, event_id=hold.event_id, actor=environment.actor(), reason=reason, now=timezone.now()
    )
    text = f"Rejected: {output.figure(resolution.quantity)} units taken back."
    return Answer(guardrails.hold_as_dict(_find(organization, event)[1]), text)


@command.command("report")
@click.argument("organization")
@click.option("--from", "starts_at", type=INSTANT, required=True, help="Use that occurred from here on.")
@click.option("--to", "ends_at", type=INSTANT, required=True, help="And before this.")
@click.option("--csv", "file", type=click.Path(path_type=Path, dir_okay=False), help="Write the rows to a new file.")
@answers()
def report(organization: str, *, starts_at: datetime, ends_at: datetime, file: Path | None) -> Answer:
    """Use by flags: each use is in one row, so the rows add up to all that was used."""
    found = guardrails.report(accounts_queries.get_organization(organization), starts_at=starts_at, ends_at=ends_at)
    if file is not None:
        try:
            with file.open("x", encoding="utf-8", newline="") as stream:
                stream.write(guardrails.as_csv(found))
        except OSError as error:
            raise click.UsageError(f"{file} cannot be written: {error.strerror}") from error
        return Answer({"file": str(file), "rows": len(found.rows)}, f"{len(found.rows)} rows written to {file}.")
    header = ("meter", "flags", "events", "quantity", "over", "credits", "held over", "held credits")
    rows = [(row.meter, " ".join(row.flags) or "none", *_figures(row)) for row in found.rows]
    rows += [(row.meter, "in all", *_figures(row)) for row in found.totals]
    text = output.table(header, rows, right=header[2:]) if rows else "Nothing was used."
    return Answer(guardrails.as_dict(found), text)


def _figures(row: guardrails.Row) -> tuple[object, ...]:
    figures = row.figures
    return (
        figures.events,
        figures.quantity,
        figures.overage,
        figures.credits_due,
        figures.held_overage,
        figures.held_credits,
    )


def _find(organization: str, event: str) -> tuple[Organization, UsageDebitHold]:
    found, wanted = accounts_queries.get_organization(organization), ids.parse_uuid(event)
    if wanted is None:
        raise holding.HoldNotFound("No debit of such an event was held.")
    return found, holding.get_hold(found.id, wanted)
