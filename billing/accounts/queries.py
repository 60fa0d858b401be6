"""Reading accounts: organizations by any of their names, keys by their text, and what time it is for whom."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import datetime
from uuid import UUID

from django.utils import timezone

from billing.accounts import actors, fields, tokens
from billing.infra import statements
from billing.kernel import ids
from billing.kernel.errors import NotFound
from billing.models import ApiKey, Organization

# How code that shares the database names an organization: the row, its id, slug or external id.
Reference = Organization | UUID | str


class KeyNotFound(NotFound):
    """No such key, or none that the caller may know of."""


def find_organization(reference: str) -> Organization | None:
    """The organization whose id, slug or external id is ``reference``; where two match, the first in that order."""
    if not fields.is_reference(reference):
        return None
    given = ids.parse_uuid(reference)
    found = statements.fetch_rows(
        Organization, "own.slug = %s OR own.external_id = %s OR own.id = %s", [reference, reference, given]
    )
    return min(found, key=lambda each: _rank(each, reference, given), default=None)


def find_organizations(references: Collection[str]) -> dict[str, Organization]:
    """As ``find_organization`` for many references in one query; those that name nobody are left out."""
    texts = {reference for reference in references if fields.is_reference(reference)}
    if len(texts) == 1:
        # Arrays of unknown length are planned anew each time; one name is not.
        return {text: organization for text in texts if (organization := find_organization(text)) is not None}
    given = {text: parsed for text in texts if (parsed := ids.parse_uuid(text)) is not None}
    named = [list(texts), list(texts), list(given.values())]
    by_name: dict[str | UUID, Organization] = {}
    for organization in statements.fetch_rows(
        Organization,
        "own.slug = ANY(%s::text[]) OR own.external_id = ANY(%s::text[]) OR own.id = ANY(%s::uuid[])",
        named,
    ):
        if organization.external_id:
            by_name.setdefault(organization.external_id, organization)
        by_name |= {organization.slug: organization, organization.id: organization}
    found = {text: by_name.get(given.get(text, text)) or by_name.get(text) for text in texts}
    return {text: organization for text, organization in found.items() if organization is not None}


def get_organization(reference: str) -> Organization:
    """As ``find_organization`` but raises ``OrganizationNotFound``."""
    organization = find_organization(reference)
    if organization is None:
        raise actors.no_organization()
    return organization


def resolve(reference: Reference) -> Organization:
    """The organization itself, or the one of that id, slug or external id; raises ``OrganizationNotFound``."""
    return reference if isinstance(reference, Organization) else get_organization(str(reference))


def list_organizations(*, after_slug: str = "", limit: int = 100) -> Sequence[Organization]:
    """A page of all organizations by slug; ``after_slug`` is the last of the page before."""
    return list(Organization.objects.filter(slug__gt=after_slug).order_by("slug")[:limit])


def is_named(organization: Organization, reference: str) -> bool:
    """Whether ``reference`` is this organization's id, slug or external id."""
    return reference in (organization.slug, organization.external_id) or reference.lower() == str(organization.id)


def now_for(organization: Organization, now: datetime | None = None) -> datetime:
    """The present as ``organization`` lives it: a sandbox's own clock, otherwise ``now``, by default real time."""
    return organization.clock_at or now or timezone.now()


def find_key(secret: str, at: datetime) -> ApiKey | None:
    """The usable key of this text, with its organization, in one query; None if it is unknown, expired or revoked.

    Never from a cache: a revocation counts from the next request on.
    """
    if not tokens.is_well_formed(secret):
        return None
    found = statements.fetch_rows(ApiKey, "own.digest = %s", [tokens.digest(secret)], beside=("organization",))
    return found[0] if found and found[0].is_usable_at(at) else None


def get_key(organization: Organization, key_id: UUID) -> ApiKey:
    """A key of ``organization``; raises ``KeyNotFound``."""
    key = ApiKey.objects.filter(organization=organization, id=key_id).first()
    if key is None:
        raise KeyNotFound("No such key.")
    return key


def get_key_by_id(key_id: UUID) -> ApiKey:
    """Any key, the platform's too; raises ``KeyNotFound``."""
    key = ApiKey.objects.filter(id=key_id).first()
    if key is None:
        raise KeyNotFound("No such key.")
    return key


def list_keys(organization: Organization | None) -> Sequence[ApiKey]:
    """All keys of an organization, or of the platform where that is None, revoked and expired too, newest first."""
    return list(ApiKey.objects.filter(organization=organization).order_by("-created_at", "-id"))


def _rank(organization: Organization, reference: str, given: UUID | None) -> int:
    if organization.id == given:
        return 0
    return 1 if organization.slug == reference else 2
