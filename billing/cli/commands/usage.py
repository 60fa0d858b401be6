"""``mcpctl billing usage``: recording, reading and importing use."""

from __future__ import annotations

from datetime import date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from uuid import UUID, uuid4
from zoneinfo import ZoneInfo

import click
from django.utils import timezone

from billing.accounts import queries as accounts_queries
from billing.cli import environment, output, usage_import
from billing.cli.exits import Exit
from billing.cli.output import Answer, answers
from billing.cli.parameters import CODE, DAY, INSTANT, KEY, MAPPING, QUANTITY, REASON, ZONE, Text
from billing.lifecycle import reversal as lifecycle_reversal
from billing.metering import days
from billing.metering import queries as metering_queries
from billing.metering.importing import Layout
from billing.metering.offers import Offer, Outcome
from billing.reporting import representations
from billing.service import BillingService


@click.group("usage")
def command() -> None:
    """Record, show, take back and import use."""


@command.command("record")
@click.argument("organization")
@click.argument("event", type=CODE)
@click.option("--quantity", type=QUANTITY, default="1", show_default=True)
@click.option("--key", type=KEY, help="Names this use, for ever: the same key is counted once. [default: a new one]")
@click.option("--source", type=KEY, default="cli", show_default=True, help="Whose keys these are.")
@click.option("--at", "occurred_at", type=INSTANT, help="When it happened. [default: now]")
@click.option("--service", type=Text(60, length_min=0), default="", help="Which part of the product, such as planner.")
@click.option("--flag", "flags", type=CODE, multiple=True, help="A guardrail flag; may be repeated.")
@answers()
def record(
    organization: str,
    event: str,
    *,
    quantity: Decimal,
    key: str | None,
    source: str,
    occurred_at: datetime | None,
    service: str,
    flags: tuple[str, ...],
) -> Answer:
    """Count one use. Exit code 0: counted, now or before; 1: refused; 4: the key stands for another use."""
    offer = Offer(
        organization=accounts_queries.get_organization(organization),
        meter=event,
        quantity=quantity,
        key=key or str(uuid4()),
        source=source,
        occurred_at=occurred_at,
        service=service,
        guardrail_flags=flags,
    )
    (outcome,) = BillingService.record_usage([offer])
    return Answer(representations.usage_outcome(outcome), _tell(outcome), _exit(outcome))


@command.command("reverse")
@click.argument("event", type=click.UUID)
@click.option("--reason", type=REASON, required=True, help="Goes into the ledger and the audit log.")
@click.option("--quantity", type=QUANTITY, help="How much to take back. [default: all that is left of it]")
@click.option("--key", type=KEY, help="Names this reversal, for ever: the same key is carried out once.")
@answers()
def reverse(event: UUID, *, reason: str, quantity: Decimal | None, key: str | None) -> Answer:
    """Take back a use by the id of its event, whole or in part: windows, credits and money follow."""
    undone = lifecycle_reversal.reverse(
        event_id=event,
        quantity=quantity,
        key=key,
        actor=environment.actor(),
        reason=reason,
        now=timezone.now(),
    )
    text = output.pairs(
        [
            ("status", "reversed before" if undone.is_duplicate else "reversed"),
            ("event", undone.event.meter_id),
            ("quantity", -undone.event.quantity),
            ("left", undone.is_left),
            ("beyond the limit", -undone.event.overage),
            ("credits returned", undone.credits_returned),
            ("of these lapsed", undone.credits_lapsed),
        ]
    )
    return Answer(representations.reversal(undone), text)


@command.command("show")
@click.argument("organization")
@answers()
def show(organization: str) -> Answer:
    """Counters by event: in all, and in this calendar month of the organization's zone."""
    found = accounts_queries.get_organization(organization)
    counters = metering_queries.list_counters(found, now=timezone.now())
    rows = [(each.meter, each.month, each.total) for each in counters]
    text = output.table(("use", "this month", "ever"), rows, right=("this month", "ever"))
    return Answer(
        {"results": [representations.counter(each) for each in counters]}, text if rows else "Nothing was used yet."
    )


@command.command("days")
@click.argument("organization")
@click.option("--from", "since", type=DAY, help="The first day. [default: the first of this month]")
@click.option("--to", "until", type=DAY, help="The day after the last. [default: tomorrow]")
@click.option("--meter", type=CODE, help="Only this event.")
@answers()
def list_days(organization: str, *, since: date | None, until: date | None, meter: str | None) -> Answer:
    """Use day by day, in the organization's zone; days without use are left out. At most 366 days."""
    found = accounts_queries.get_organization(organization)
    today = accounts_queries.now_for(found, timezone.now()).astimezone(ZoneInfo(found.zone)).date()
    rows = days.list_days(
        found,
        since=since or today.replace(day=1),
        until=until or today + timedelta(days=1),
        meter=meter,
    )
    text = output.table(
        ("day", "use", "quantity", "over", "recorded"),
        [(each.on.isoformat(), each.meter, each.quantity, each.overage, each.events) for each in rows],
        right=("quantity", "over", "recorded"),
    )
    return Answer(
        {"results": [representations.usage_day(each) for each in rows]}, text if rows else "Nothing was used then."
    )


@command.command("import")
@click.argument("file", type=click.Path(path_type=Path, exists=True, dir_okay=False))
@click.option("--organization", required=True, help="Whose use it is.")
@click.option("--time-column", required=True, help="The column that says when.")
@click.option("--map", "meters", type=MAPPING, multiple=True, required=True, help="Column=event; may be repeated.")
@click.option("--zone", type=ZONE, default="UTC", show_default=True, help="Of times without an offset.")
@click.option("--key", "key_column", help="The column that names a row. [default: its content does]")
@click.option("--source", type=KEY, default="csv", show_default=True, help="Whose keys these are.")
@click.option("--service", type=Text(60, length_min=0), default="", help="Which part of the product, such as planner.")
@click.option("--dry-run", is_flag=True, help="Check the file and say what is in it; count nothing.")
@click.option("--batch", type=click.IntRange(1, 1000), default=1000, show_default=True, help="Uses a transaction.")
@answers()
def import_file(
    file: Path,
    *,
    organization: str,
    time_column: str,
    meters: tuple[tuple[str, str], ...],
    zone: ZoneInfo,
    key_column: str | None,
    source: str,
    service: str,
    dry_run: bool,
    batch: int,
) -> Answer:
    """Count the rows of a CSV file, each once for ever: run it again and nothing is added.

    The whole file is checked first; of a bad one nothing is counted. Exit code 1: some uses were refused.
    """
    counted_on = [meter for _, meter in meters]
    if len(set(counted_on)) < len(counted_on):
        raise click.UsageError("Each event takes one column: an event is named twice in --map.")
    plan = usage_import.Plan(
        file=file,
        organization=accounts_queries.get_organization(organization),
        layout=Layout(time_column.strip(), meters, zone, key_column.strip() if key_column else None),
        source=source,
        service=service,
        batch=batch,
    )
    report = usage_import.preview(plan) if dry_run else usage_import.run(plan)
    return Answer(report.as_dict(), report.as_text(), Exit.REFUSED if report.refused else Exit.OK)


def _exit(outcome: Outcome) -> Exit:
    if outcome.refusal is None:
        return Exit.OK
    if outcome.status == "conflict":
        return Exit.CONFLICT
    # What no quota would ever admit is the caller's mistake.
    return Exit.BAD_INPUT if outcome.refusal.note.startswith("billing:error:") else Exit.REFUSED


def _tell(outcome: Outcome) -> str:
    rows: list[tuple[str, object]] = [
        ("status", outcome.status),
        ("event", outcome.offer.meter),
        ("quantity", outcome.offer.quantity),
        ("key", outcome.offer.key),
    ]
    if outcome.refusal is not None:
        rows += [("why", outcome.message), ("code", outcome.code)]
    elif outcome.event is not None:
        rows += [
            ("at", outcome.event.occurred_at),
            ("over the limit", outcome.event.overage),
            ("credits paid", outcome.event.credits_paid),
            ("credits missing", outcome.event.credit_deficit),
        ]
    return output.pairs(rows)
