"""``mcpctl billing quota``: would it be admitted?"""

from __future__ import annotations

from decimal import Decimal

import click

from billing.cli import output
from billing.cli.exits import Exit
from billing.cli.output import Answer, answers
from billing.cli.parameters import CODE, KEY, QUANTITY
from billing.service import BillingQuotaOutcome, BillingService

# The books could not be asked; any other note is an answer.
_ERROR = "billing:error:"


@click.group("quota")
def command() -> None:
    """Ask whether a use would be admitted."""


@command.command("check")
@click.argument("organization")
@click.argument("name", type=CODE)
@click.option("--quantity", type=QUANTITY, default="1", show_default=True)
@click.option("--record", is_flag=True, help="Count it in the same step.")
@click.option("--key", type=KEY, help="With --record: the same key is counted once.")
@answers()
def check(organization: str, name: str, *, quantity: Decimal, record: bool, key: str | None) -> Answer:
    """Ask about an event or an entitlement. Exit code 0: allowed, 1: not."""
    if key is not None and not record:
        raise click.UsageError("--key goes with --record.")
    outcome = BillingService.enforce_quota(
        organization, name, quantity, record_usage=record, idempotency_key=key, source="cli"
    )
    return Answer(outcome.as_dict(), _tell(outcome), _exit(outcome))


def _exit(outcome: BillingQuotaOutcome) -> Exit:
    if outcome.allowed:
        return Exit.OK
    return Exit.UNAVAILABLE if any(note.startswith(_ERROR) for note in outcome.notes) else Exit.REFUSED


def _tell(outcome: BillingQuotaOutcome) -> str:
    rows: list[tuple[str, object]] = [("allowed", outcome.allowed)]
    if outcome.recorded or outcome.duplicate:
        rows.append(("counted", "before, under the same key" if outcome.duplicate else "yes"))
    if not outcome.allowed:
        rows += [("why", outcome.message), ("notes", ", ".join(outcome.notes))]
    rows += [("entitlement", outcome.entitlement), ("event", outcome.meter)]
    if outcome.cadence:
        rows += [
            ("limit", "unlimited" if outcome.limit is None else outcome.limit),
            ("used", outcome.used),
            ("left", "unlimited" if outcome.remaining is None else outcome.remaining),
            ("resets", outcome.resets_at or outcome.cadence),
        ]
    if outcome.remedies:
        rows.append(("would help", ", ".join(" ".join(remedy.values()) for remedy in outcome.remedies)))
    return output.pairs(rows)
