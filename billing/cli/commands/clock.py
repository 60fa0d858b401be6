"""``mcpctl billing clock``: a sandbox organization's own time."""

from __future__ import annotations

from datetime import datetime, timedelta

import click

from billing.accounts import queries as accounts_queries
from billing.cli import environment, output
from billing.cli.output import Answer, answers
from billing.cli.parameters import INSTANT, LENGTH
from billing.lifecycle import clock
from billing.reporting import representations


@click.group("clock")
def command() -> None:
    """Move a sandbox organization's clock."""


@command.command("advance")
@click.argument("organization")
@click.option("--to", type=INSTANT, help="Where the clock shall stand.")
@click.option("--by", type=LENGTH, help="How far it shall move: 30d, 2w, 12h, 90m, 45s.")
@answers()
def advance(organization: str, *, to: datetime | None, by: timedelta | None) -> Answer:
    """Move it forward, do the work that falls due on the way in order, and tell what happened."""
    if (to is None) is (by is None):
        raise click.UsageError("Say --to when or --by how much.")
    found = accounts_queries.get_organization(organization)
    target = to or accounts_queries.now_for(found) + (by or timedelta())
    happenings = clock.advance(organization=found, to=target, actor=environment.actor())
    document = {
        "organization": representations.organization(found),
        "events": [representations.happening(**each._asdict()) for each in happenings],
    }
    lines = [
        f"{output.instant(each.at)}  {each.topic}  {output.cell(' '.join(f'{k}={v}' for k, v in each.details.items()))}"
        for each in happenings
    ]
    return Answer(document, "\n".join([*lines, f"The clock of {found.slug} stands at {output.instant(target)}."]))
