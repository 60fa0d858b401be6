"""``mcpctl billing listings``: what waits for review, and the decision."""

from __future__ import annotations

import click
from django.utils import timezone

from billing.cli import environment, output
from billing.cli.output import Answer, answers
from billing.cli.parameters import Text
from marketplace.api import review
from marketplace.models import REASON_LENGTH_MAX, Listing
from marketplace.partners import operations, queries
from marketplace.partners.transitions import Status, Step

WAITING = "waiting"
_slug = click.argument("slug", type=Text(60))
_version = click.option("--version", type=click.IntRange(1), help="Only if it is still this version.")
_reason = click.option("--reason", type=Text(REASON_LENGTH_MAX), required=True, help="The partner reads it.")


@click.group("listings")
def command() -> None:
    """List partner listings and decide about them."""


@command.command("list")
@click.option(
    "--status", type=click.Choice([WAITING, *(each.value for each in Status)]), default=WAITING, show_default=True
)
@click.option("--limit", type=click.IntRange(1, 200), default=50, show_default=True)
@answers()
def list_listings(*, status: str, limit: int) -> Answer:
    """Those that wait for review, the longest first; or those in a status, the last changed first."""
    actor = environment.actor()
    if status == WAITING:
        found = queries.list_waiting(actor=actor, limit=limit)
    else:
        found = queries.list_in_status(status, actor=actor, limit=limit)
    rows = [
        (row.slug, row.partner.slug, row.latest.name, _state(row), row.version, row.submitted_at or row.updated_at)
        for row in found
    ]
    text = output.table(("listing", "partner", "name", "state", "version", "since"), rows, right=("version",))
    return Answer({"results": [review.state(row) for row in found]}, text if rows else "No listings.")


@command.command("publish")
@_slug
@_version
@answers()
def publish(slug: str, *, version: int | None) -> Answer:
    """Put the submitted text on the pages."""
    return _take(slug, Step.PUBLISH, version)


@command.command("reject")
@_slug
@_reason
@_version
@answers()
def reject(slug: str, *, reason: str, version: int | None) -> Answer:
    """Give the submitted text back to its partner."""
    return _take(slug, Step.REJECT, version, reason)


@command.command("suspend")
@_slug
@_reason
@_version
@answers()
def suspend(slug: str, *, reason: str, version: int | None) -> Answer:
    """Take a published listing off the pages."""
    return _take(slug, Step.SUSPEND, version, reason)


@command.command("restore")
@_slug
@_version
@answers()
def restore(slug: str, *, version: int | None) -> Answer:
    """Put a suspended listing back on the pages."""
    return _take(slug, Step.RESTORE, version)


def _take(slug: str, step: Step, version: int | None, reason: str = "") -> Answer:
    actor = environment.actor()
    row = operations.take(
        listing=queries.get_for_review(slug, actor=actor),
        step=step,
        actor=actor,
        now=timezone.now(),
        expected_version=version,
        reason=reason,
    )
    return Answer(review.state(row), output.pairs([("listing", row.slug), ("state", _state(row))]))


def _state(row: Listing) -> str:
    return f"{row.status}, change {row.change}" if row.change else row.status
