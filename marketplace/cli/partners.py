"""``mcpctl billing partners``: who offers something, and who writes it."""

from __future__ import annotations

from typing import Any

import click
from django.utils import timezone

from billing.cli import environment, output
from billing.cli.output import Answer, answers
from billing.cli.parameters import Text
from marketplace.models import NAME_LENGTH_MAX, WEBSITE_LENGTH_MAX, Partner, PartnerRole
from marketplace.partners import membership, queries

_slug = click.argument("slug", type=Text(60))


@click.group("partners")
def command() -> None:
    """Make and list partners, add their members."""


@command.command("create")
@_slug
@click.option("--name", type=Text(NAME_LENGTH_MAX), required=True)
@click.option("--website", type=Text(WEBSITE_LENGTH_MAX), help="Begins with https:// or http://.")
@answers()
def create(slug: str, *, name: str, website: str | None) -> Answer:
    """Make a partner. Its first member comes with `add-member`."""
    made = membership.create_partner(
        slug=slug, name=name, website=website or "", actor=environment.actor(), now=timezone.now()
    )
    return Answer(_document(made), output.pairs([("partner", made.slug), ("name", made.name)]))


@command.command("list")
@answers()
def list_partners() -> Answer:
    """All partners, with how many listings and members they have."""
    found = queries.list_partners(actor=environment.actor())
    # The numbers are the query's own.
    counted: list[tuple[Partner, int, int]] = [(row, row.listed, row.people) for row in found]  # type: ignore[attr-defined]
    rows = [(row.slug, row.name, row.website, listings, members) for row, listings, members in counted]
    text = output.table(("partner", "name", "website", "listings", "members"), rows, right=("listings", "members"))
    document = [_document(row) | {"listings": listings, "members": members} for row, listings, members in counted]
    return Answer({"results": document}, text if rows else "No partners.")


@command.command("add-member")
@_slug
@click.argument("email", type=Text(254))
@click.option("--role", type=click.Choice(PartnerRole.values), default=PartnerRole.EDITOR.value, show_default=True)
@answers()
def add_member(slug: str, email: str, *, role: str) -> Answer:
    """Make somebody who has an account a member, or change their role."""
    partner = queries.get_partner(slug)
    membership.set_member(partner=partner, email=email, role=role, actor=environment.actor(), now=timezone.now())
    return Answer(
        {"partner": partner.slug, "email": email, "role": role},
        output.pairs([("partner", partner.slug), ("member", email), ("role", role)]),
    )


def _document(row: Partner) -> dict[str, Any]:
    return {"slug": row.slug, "name": row.name, "website": row.website or None, "created_at": row.created_at}
