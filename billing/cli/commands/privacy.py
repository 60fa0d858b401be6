"""``mcpctl billing privacy``: what is held of a person, and taking it out."""

from __future__ import annotations

import json
from datetime import datetime

import click

from billing.accounts import queries as accounts_queries
from billing.cli import environment, output
from billing.cli.output import Answer, answers
from billing.cli.parameters import INSTANT, KEY, REASON
from billing.lifecycle import privacy

_email = click.argument("email")
_audited = click.option("--reason", type=REASON, required=True, help="Why, for the audit log.")


@click.group("privacy")
def command() -> None:
    """Export or erase a person's data, and forget payloads of use."""


@command.command("export")
@_email
@answers()
def export(email: str) -> Answer:
    """All that is held of the person with this address, as JSON."""
    document = privacy.export(email=email, actor=environment.actor())
    return Answer(document, json.dumps(document, indent=2, ensure_ascii=False))


@command.command("erase")
@_email
@_audited
@answers()
def erase(email: str, *, reason: str) -> Answer:
    """Take out what names the person. What they did stays, by an author without a name."""
    gone = privacy.erase(email=email, actor=environment.actor(), reason=reason)
    return Answer(gone, output.pairs((name.replace("_", " "), count) for name, count in gone.items()))


@command.command("forget")
@click.argument("organization")
@click.option("--key", "keys", type=KEY, multiple=True, help="Of the events with this key. As often as wanted.")
@click.option("--before", type=INSTANT, help="Of all events that occurred before.")
@_audited
@answers()
def forget(organization: str, *, keys: tuple[str, ...], before: datetime | None, reason: str) -> Answer:
    """Drop what was attached to uses. Windows, invoices and ledgers never read it and stay as they are."""
    count = privacy.forget_payloads(
        organization=accounts_queries.get_organization(organization),
        actor=environment.actor(),
        reason=reason,
        keys=keys,
        before=before,
    )
    return Answer({"payloads": count}, f"{output.figure(count)} payloads are gone.")
