"""``mcpctl billing verify``: the books, re-summed."""

from __future__ import annotations

import click

from billing.accounts import queries as accounts_queries
from billing.cli import environment, output
from billing.cli.exits import Exit
from billing.cli.output import Answer, answers
from billing.reporting import doctor
from billing.reporting.doctor import Violation

ROWS_SHOWN = 20


@click.command("verify")
@click.argument("organization", required=False)
@click.option("--open", "is_open", is_flag=True, help="Only what is open, and of what is sealed the digests due now.")
@answers()
def command(organization: str | None, *, is_open: bool) -> Answer:
    """Check every promise of the books, or of one organization's. Silent and 0 when all is well, else 1."""
    if organization is None:
        violations = doctor.run(actor=environment.actor(), is_whole=not is_open)
    else:
        violations = doctor.verify(organization=accounts_queries.get_organization(organization))
    document = {"sound": not violations, "violations": [violation.as_dict() for violation in violations]}
    text = "\n\n".join(_tell(violation) for violation in violations)
    return Answer(document, text, Exit.REFUSED if violations else Exit.OK)


def _tell(violation: Violation) -> str:
    lines = [f"{violation.name}: {violation.sentence}"]
    for row in violation.rows[:ROWS_SHOWN]:
        lines.append("  " + ", ".join(f"{name} {output.cell(value)}" for name, value in row.items()))
    if len(violation.rows) > ROWS_SHOWN:
        lines.append(f"  … and {len(violation.rows) - ROWS_SHOWN} more")
    if violation.hint:
        lines.append(f"  {violation.hint}")
    return "\n".join(lines)
