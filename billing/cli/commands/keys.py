"""``mcpctl billing keys``: API keys of organizations and of the platform."""

from __future__ import annotations

from datetime import datetime

import click
from django.utils import timezone

from billing.accounts import operations as accounts_operations
from billing.accounts import queries as accounts_queries
from billing.accounts.actors import SCOPES
from billing.cli import environment, output
from billing.cli.output import Answer, answers
from billing.cli.parameters import INSTANT
from billing.kernel import ids
from billing.models import ApiKey, Organization
from billing.reporting import representations

_organization = click.argument("organization", required=False)
_platform = click.option("--platform", is_flag=True, help="The platform's own keys, for all organizations.")


@click.group("keys")
def command() -> None:
    """Create, list and revoke API keys."""


@command.command("create")
@_organization
@_platform
@click.option("--name", required=True, help="What it is for.")
@click.option("--scope", "scopes", multiple=True, required=True, help=f"May be repeated: {', '.join(sorted(SCOPES))}.")
@click.option("--expires-at", type=INSTANT, help="[default: never]")
@answers()
def create(
    organization: str | None, *, platform: bool, name: str, scopes: tuple[str, ...], expires_at: datetime | None
) -> Answer:
    """Make a key. Its secret is shown this once and stored nowhere."""
    key, secret = accounts_operations.create_key(
        organization=_owner(organization, platform=platform),
        name=name,
        scopes=scopes,
        actor=environment.actor(),
        expires_at=expires_at,
    )
    rows = [("id", key.id), ("name", key.name), ("scopes", ", ".join(key.scopes)), ("expires", key.expires_at)]
    text = output.pairs([*rows, ("key", secret)]) + "\nThe key is shown this once."
    return Answer(representations.new_key(key, secret), text)


@command.command("list")
@_organization
@_platform
@answers()
def list_keys(organization: str | None, *, platform: bool) -> Answer:
    """All keys, newest first, revoked and expired ones too."""
    keys = accounts_queries.list_keys(_owner(organization, platform=platform))
    header = ("id", "key", "name", "scopes", "state")
    rows = [(key.id, f"{key.prefix}…", key.name, ", ".join(key.scopes), _state(key)) for key in keys]
    text = output.table(header, rows) if rows else "No keys."
    return Answer({"results": [representations.key(key) for key in keys]}, text)


@command.command("revoke")
@click.argument("key_id")
@answers()
def revoke(key_id: str) -> Answer:
    """Make a key useless from the next request on. Revoking twice keeps the first time."""
    wanted = ids.parse_uuid(key_id)
    if wanted is None:
        raise accounts_queries.KeyNotFound("No such key: name it by its id (see `keys list`).")
    key = accounts_operations.revoke_key(
        key=accounts_queries.get_key_by_id(wanted), actor=environment.actor(), now=timezone.now()
    )
    return Answer(representations.key(key), f"{key.prefix}… {_state(key)}.")


def _owner(reference: str | None, *, platform: bool) -> Organization | None:
    if (reference is None) is not platform:
        raise click.UsageError("Name an organization, or --platform.")
    return None if reference is None else accounts_queries.get_organization(reference)


def _state(key: ApiKey) -> str:
    if key.revoked_at is not None:
        return f"revoked {output.instant(key.revoked_at)}"
    if key.expires_at is None:
        return "usable"
    return f"{'usable until' if key.is_usable_at(timezone.now()) else 'expired'} {output.instant(key.expires_at)}"
