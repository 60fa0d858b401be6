"""``mcpctl billing mail``: what was written to organizations, and what was not sent."""

from __future__ import annotations

import click
from django.utils import timezone

from billing.accounts import queries as accounts_queries
from billing.cli import environment, output
from billing.cli.output import Answer, answers
from billing.cli.parameters import REFERENCE
from billing.mail import documents, operations, queries
from billing.models import MailStatus


@click.group("mail")
def command() -> None:
    """List e-mail and send it again."""


@command.command("list")
@click.argument("organization", type=REFERENCE)
@click.option("--status", type=click.Choice([status.value for status in MailStatus]))
@click.option("--limit", type=click.IntRange(1, 200), default=50, show_default=True)
@answers()
def list_mails(organization: str, *, status: str | None, limit: int) -> Answer:
    """What was written to an organization, the last first; and what was not sent, and why."""
    found = queries.list_mails(
        organization=accounts_queries.get_organization(organization),
        actor=environment.actor(),
        status=status,
        limit=limit,
    )
    rows = [
        (row.created_at, row.kind, row.invoice.number if row.invoice else "", row.to, row.status, row.reason, row.id)
        for row in found
    ]
    header = ("written", "kind", "invoice", "to", "status", "why", "id")
    text = output.table(header, rows) if rows else "No e-mail."
    return Answer({"results": [documents.mail(row) for row in found]}, text)


@command.command("resend")
@click.argument("mail_id", type=REFERENCE)
@answers()
def resend(mail_id: str) -> Answer:
    """Queue a message once more, for the address that the organization has now."""
    actor = environment.actor()
    sent = operations.resend(mail=queries.get_mail(mail_id, actor=actor), actor=actor, now=timezone.now())
    return Answer(documents.mail(sent), f"{sent.kind} to {sent.to} is queued.")
