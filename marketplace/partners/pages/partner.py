"""A partner's own pages: its listings with their states and reasons, its members."""

from __future__ import annotations

from dataclasses import dataclass
from uuid import UUID

from billing.accounts.actors import Actor
from marketplace import wording
from marketplace.models import Listing
from marketplace.partners import queries, rights
from marketplace.partners.pages import parts
from marketplace.partners.pages.parts import Happening, Text
from marketplace.partners.transitions import PARTNER_STEPS, TRANSITIONS, Status
from marketplace.wording import Label, Moment


@dataclass(frozen=True, slots=True)
class PartnerChoice:
    slug: str
    name: str
    role: str
    listings: int


@dataclass(frozen=True, slots=True)
class StartPage:
    partners: tuple[PartnerChoice, ...]
    reviews: bool


@dataclass(frozen=True, slots=True)
class Row:
    slug: str
    name: str
    summary: str
    labels: tuple[Label, ...]
    reason: str
    updated_at: Moment


@dataclass(frozen=True, slots=True)
class PartnerPage:
    slug: str
    name: str
    may_edit: bool
    rows: tuple[Row, ...]


@dataclass(frozen=True, slots=True)
class ListingPage:
    """``steps`` are those that its members may take now, an edit among them. ``published`` is the text that the public
    reads, where it is another one than ``latest``."""

    partner_slug: str
    partner: str
    slug: str
    version: int
    labels: tuple[Label, ...]
    is_public: bool
    rejected_reason: str
    suspended_reason: str
    steps: frozenset[str]
    latest: Text
    published: Text | None
    history: tuple[Happening, ...]


@dataclass(frozen=True, slots=True)
class Member:
    user_id: UUID
    email: str
    name: str
    role: str
    role_value: str
    since: Moment


@dataclass(frozen=True, slots=True)
class MembersPage:
    slug: str
    name: str
    may_change: bool
    members: tuple[Member, ...]


def start_page(actor: Actor) -> StartPage:
    return StartPage(
        partners=tuple(
            PartnerChoice(row.partner.slug, row.partner.name, parts.role(row.role), row.listings)  # type: ignore[attr-defined]
            for row in queries.list_memberships(actor)
        ),
        reviews=rights.reviews(actor),
    )


def partner_page(slug: str, *, actor: Actor) -> PartnerPage:
    """Raises ``PartnerNotFound``."""
    partner = queries.get_partner(slug)
    standing = rights.standing(actor, partner)
    return PartnerPage(
        slug=partner.slug,
        name=partner.name,
        may_edit=standing.may_edit,
        rows=tuple(_row(row) for row in queries.list_listings(partner)),
    )


def listing_page(partner_slug: str, slug: str, *, actor: Actor) -> ListingPage:
    """Raises ``PartnerNotFound`` or ``ListingNotFound``."""
    partner = queries.get_partner(partner_slug)
    standing = rights.standing(actor, partner)
    listing = queries.get_listing(partner, slug)
    people = frozenset(f"user:{row.user_id}" for row in queries.list_members(partner))
    return ListingPage(
        partner_slug=partner.slug,
        partner=partner.name,
        slug=listing.slug,
        version=listing.version,
        labels=parts.labels(listing.state),
        is_public=listing.status == Status.PUBLISHED,
        rejected_reason=listing.rejected_reason,
        suspended_reason=listing.suspended_reason,
        steps=_steps(listing) if standing.may_edit else frozenset(),
        latest=parts.text(listing.latest),
        published=parts.text(listing.published)
        if listing.published is not None and listing.published_id != listing.latest_id
        else None,
        history=parts.history(listing, people=people),
    )


def members_page(slug: str, *, actor: Actor) -> MembersPage:
    """Raises ``PartnerNotFound``."""
    partner = queries.get_partner(slug)
    standing = rights.standing(actor, partner)
    return MembersPage(
        slug=partner.slug,
        name=partner.name,
        may_change=standing.may_keep_members,
        members=tuple(
            Member(
                row.user_id,
                row.user.email,
                row.user.name,
                parts.role(row.role),
                row.role,
                wording.day(row.created_at, parts.ZONE),
            )
            for row in queries.list_members(partner)
        ),
    )


def _row(listing: Listing) -> Row:
    return Row(
        slug=listing.slug,
        name=listing.latest.name,
        summary=listing.latest.summary,
        labels=parts.labels(listing.state),
        reason=listing.suspended_reason or listing.rejected_reason,
        updated_at=wording.moment(listing.updated_at, parts.ZONE),
    )


def _steps(listing: Listing) -> frozenset[str]:
    return frozenset(step.value for step in TRANSITIONS[listing.state] if step in PARTNER_STEPS)
