"""``mcpctl billing export``: the books for an auditor, of any size."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

import click

from billing.accounts import queries as accounts_queries
from billing.cli.output import Answer, answers, figure
from billing.cli.parameters import INSTANT
from billing.reporting import exports


@click.command("export")
@click.argument("what", type=click.Choice(list(exports.EXPORTS)))
@click.option("--organization", required=True, help="Whose books.")
@click.option("--format", "shape", type=click.Choice(exports.FORMATS), default="csv", show_default=True)
@click.option("--from", "since", type=INSTANT, help="Only from then on.")
@click.option("--to", "until", type=INSTANT, help="Only before then.")
@click.option(
    "--output", type=click.Path(path_type=Path, dir_okay=False), help="A new file. [default: standard output]"
)
@answers()
def command(
    what: str, *, organization: str, shape: str, since: datetime | None, until: datetime | None, output: Path | None
) -> Answer:
    """Write usage windows, the credit ledger or usage events, whole and in order, as of one moment.

    Columns, and how to verify the ledger without this program: docs/exports.md.
    """
    found = accounts_queries.get_organization(organization)
    pieces = exports.stream(what, organization=found, shape=shape, since=since, until=until)
    if output is None:
        if click.get_current_context().params["as_json"]:
            raise click.UsageError("--json needs --output: standard output takes the rows.")
        for piece in pieces:
            click.echo(piece, nl=False)
        return Answer(None, "")
    try:
        with output.open("x", encoding="utf-8", newline="") as file:
            for piece in pieces:
                file.write(piece)
    except FileExistsError as error:
        raise click.UsageError(f"{output} is there already.") from error
    size = output.stat().st_size
    return Answer({"file": str(output), "bytes": size}, f"{figure(size)} bytes in {output}.")
