"""``mcpctl billing providers``: what payment providers told, and use that they metered."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal

import click
from django.utils import timezone

from billing.accounts import queries as accounts_queries
from billing.cli import environment, output
from billing.cli.output import Answer, answers
from billing.cli.parameters import CODE, INSTANT, QUANTITY, REFERENCE, Text
from billing.lifecycle import provider_events, reconciling
from billing.models import ProviderInboxEvent
from billing.payments import documents, inbox, stub
from billing.payments.protocol import ReportedUsage

SHOWN = 50
_organization = click.argument("organization", type=REFERENCE)
_event = click.argument("event", type=Text(255))
_from = click.option("--from", "starts_at", type=INSTANT, required=True, help="The window's start, …")
_to = click.option("--to", "ends_at", type=INSTANT, required=True, help="… and its end, which is outside of it.")


@click.group("providers")
def command() -> None:
    """Payment providers: what they told, and use that they metered."""


@command.group("events")
def events() -> None:
    """The inbox: every event that a provider delivered, and what became of it."""


@events.command("list")
@click.option("--status", type=click.Choice(["waiting", "applied", "ignored", "parked"]), help="[default: all]")
@click.option("--provider", type=CODE, help="[default: all]")
@click.option("--limit", type=click.IntRange(1, 1000), default=SHOWN, show_default=True)
@answers()
def list_events(*, status: str | None, provider: str | None, limit: int) -> Answer:
    """Last received first; --status parked are those that somebody has to look at."""
    rows = inbox.list_events(status=status, provider=provider, limit=limit)
    header = ("event", "type", "status", "tries", "received", "next try", "reason")
    lines = [
        (row.event_id, row.type, row.status, row.attempts, row.received_at, row.next_attempt_at, row.reason[:80])
        for row in rows
    ]
    text = output.table(header, lines, right=("tries",)) if rows else "No events."
    return Answer({"results": [documents.event(row) for row in rows]}, text)


@events.command("show")
@_event
@answers()
def show(event: str) -> Answer:
    """One event by its id, ours or the provider's, with what was sent."""
    found = inbox.get_event(event)
    document = documents.event_detail(found)
    return Answer(document, _pairs(found))


@events.command("replay")
@_event
@click.option("--reason", type=Text(inbox.REASON_LENGTH_MAX), required=True, help="Why, for the audit log.")
@answers()
def replay(event: str, *, reason: str) -> Answer:
    """Apply an event again, now. What is applied already stays as it is."""
    now = timezone.now()
    row = inbox.replay(event=inbox.get_event(event), actor=environment.actor(), reason=reason, now=now)
    provider_events.process(event_id=row.id, now=now)
    return _shown(inbox.get_event(str(row.id)))


@command.command("test-method")
@_organization
@click.argument("method", type=click.Choice(list(stub.METHODS)))
@answers()
def test_method(organization: str, *, method: str) -> Answer:
    """Have the stub's charges of an organization end as the test means of payment says."""
    found = accounts_queries.get_organization(organization)
    stub.choose(found, method, now=timezone.now())
    return Answer({"organization": str(found.id), "payment_method": method}, f"{found.slug} pays by {method}.")


@command.command("test-reading")
@_organization
@click.argument("meter", type=CODE)
@click.argument("quantity", type=QUANTITY)
@_from
@_to
@answers()
def test_reading(organization: str, *, meter: str, quantity: Decimal, starts_at: datetime, ends_at: datetime) -> Answer:
    """Have the stub claim to have metered so much in a window, to try reconciliation."""
    found = accounts_queries.get_organization(organization)
    stub.report_usage(organization=found, reported=ReportedUsage(meter, quantity, starts_at, ends_at))
    return Answer({"organization": str(found.id), "meter": meter}, f"The stub reports {output.cell(quantity)} {meter}.")


@command.command("reconcile")
@_organization
@_from
@_to
@answers()
def reconcile(organization: str, *, starts_at: datetime, ends_at: datetime) -> Answer:
    """Compare what the provider metered in a window with what was counted here, and book what is missing."""
    differences = reconciling.reconcile(
        organization=accounts_queries.get_organization(organization),
        starts_at=starts_at,
        ends_at=ends_at,
        actor=environment.actor(),
        now=timezone.now(),
    )
    header = ("meter", "ours", "reported", "booked", "outcome", "reason")
    text = output.table(header, differences, right=("ours", "reported", "booked")) if differences else "No meters."
    return Answer({"results": [reconciling.as_dict(each) for each in differences]}, text)


def _shown(row: ProviderInboxEvent) -> Answer:
    return Answer(documents.event(row), _pairs(row))


def _pairs(row: ProviderInboxEvent) -> str:
    return output.pairs(
        [
            ("id", row.id),
            ("provider", row.provider),
            ("event", row.event_id),
            ("type", row.type),
            ("status", row.status),
            ("reason", row.reason),
            ("organization", row.organization.slug if row.organization else None),
            ("tries", row.attempts),
            ("awaits", row.awaits),
            ("happened", row.occurred_at),
            ("received", row.received_at),
            ("next try", row.next_attempt_at),
            ("finished", row.finished_at),
        ]
    )
