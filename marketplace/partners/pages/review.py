"""The reviewers' pages: what waits, what is published or was taken off, and one listing to decide about."""

from __future__ import annotations

from dataclasses import dataclass

from django.utils.translation import gettext

from billing.accounts.actors import Actor
from marketplace import wording
from marketplace.models import Listing, ListingRevision
from marketplace.partners import queries
from marketplace.partners.pages import parts
from marketplace.partners.pages.parts import Happening, Picture, Text
from marketplace.partners.transitions import REVIEW_STEPS, TRANSITIONS, Status
from marketplace.wording import Label, Moment

PAGE_SIZE = 50
PAGES_MAX = 1000
WAITING = "waiting"
# What can be looked at beside what waits.
SHOWN = (WAITING, Status.PUBLISHED.value, Status.SUSPENDED.value, Status.REJECTED.value)


@dataclass(frozen=True, slots=True)
class Tab:
    code: str
    name: str
    is_chosen: bool


@dataclass(frozen=True, slots=True)
class Row:
    slug: str
    name: str
    partner: str
    category: str
    labels: tuple[Label, ...]
    at: Moment


@dataclass(frozen=True, slots=True)
class QueuePage:
    """``before`` and ``after`` are the numbers of the pages beside this one, 0 where there is none."""

    tabs: tuple[Tab, ...]
    shown: str
    waiting: int
    rows: tuple[Row, ...]
    number: int
    before: int
    after: int


@dataclass(frozen=True, slots=True)
class Difference:
    """A field that differs; pictures in place of words where there are some."""

    field: str
    published: str
    submitted: str
    published_picture: Picture | None = None
    submitted_picture: Picture | None = None


@dataclass(frozen=True, slots=True)
class ListingPage:
    """``differences`` is None where there is no published text to compare with."""

    slug: str
    partner_slug: str
    partner: str
    version: int
    labels: tuple[Label, ...]
    is_public: bool
    rejected_reason: str
    suspended_reason: str
    waits_since: Moment | None
    steps: frozenset[str]
    latest: Text
    differences: tuple[Difference, ...] | None
    history: tuple[Happening, ...]


@dataclass(frozen=True, slots=True)
class PartnerRow:
    slug: str
    name: str
    website: parts.Website | None
    listings: int
    members: int


@dataclass(frozen=True, slots=True)
class PartnersPage:
    partners: tuple[PartnerRow, ...]


def queue_page(*, actor: Actor, shown: str = WAITING, number: int = 1) -> QueuePage:
    """Raises ``Forbidden`` for whoever does not review."""
    chosen = shown if shown in SHOWN else WAITING
    number = min(max(number, 1), PAGES_MAX)
    offset, limit = (number - 1) * PAGE_SIZE, PAGE_SIZE + 1
    if chosen == WAITING:
        rows = queries.list_waiting(actor=actor, offset=offset, limit=limit)
    else:
        rows = queries.list_in_status(chosen, actor=actor, offset=offset, limit=limit)
    return QueuePage(
        tabs=tuple(Tab(code, _tab(code), code == chosen) for code in SHOWN),
        shown=chosen,
        waiting=queries.count_waiting(),
        rows=tuple(_row(row, chosen) for row in rows[:PAGE_SIZE]),
        number=number,
        before=number - 1,
        after=number + 1 if len(rows) > PAGE_SIZE and number < PAGES_MAX else 0,
    )


def listing_page(slug: str, *, actor: Actor) -> ListingPage:
    """Raises ``Forbidden`` or ``ListingNotFound``."""
    listing = queries.get_for_review(slug, actor=actor)
    published = listing.published
    return ListingPage(
        slug=listing.slug,
        partner_slug=listing.partner.slug,
        partner=listing.partner.name,
        version=listing.version,
        labels=parts.labels(listing.state),
        is_public=listing.status == Status.PUBLISHED,
        rejected_reason=listing.rejected_reason,
        suspended_reason=listing.suspended_reason,
        waits_since=wording.moment(listing.submitted_at, parts.ZONE) if listing.submitted_at else None,
        steps=frozenset(step.value for step in TRANSITIONS[listing.state] if step in REVIEW_STEPS),
        latest=parts.text(listing.latest),
        differences=None if published is None else _differences(published, listing.latest),
        history=parts.history(listing, people=None),
    )


def partners_page(*, actor: Actor) -> PartnersPage:
    """Raises ``Forbidden``."""
    return PartnersPage(
        tuple(
            PartnerRow(row.slug, row.name, parts.website(row.website), row.listed, row.people)  # type: ignore[attr-defined]
            for row in queries.list_partners(actor=actor)
        )
    )


def _row(listing: Listing, shown: str) -> Row:
    at = listing.submitted_at if shown == WAITING and listing.submitted_at else listing.updated_at
    return Row(
        slug=listing.slug,
        name=listing.latest.name,
        partner=listing.partner.name,
        category=listing.latest.category.name,
        labels=parts.labels(listing.state),
        at=wording.moment(at, parts.ZONE),
    )


def _tab(code: str) -> str:
    return {
        WAITING: gettext("Waiting"),
        Status.PUBLISHED.value: gettext("Published"),
        Status.SUSPENDED.value: gettext("Suspended"),
        Status.REJECTED.value: gettext("Rejected"),
    }[code]


def _differences(published: ListingRevision, latest: ListingRevision) -> tuple[Difference, ...]:
    fields = (
        (gettext("Name"), published.name, latest.name),
        (gettext("Summary"), published.summary, latest.summary),
        (gettext("Description"), published.description, latest.description),
        (gettext("Category"), published.category.name, latest.category.name),
        (gettext("Website"), published.website, latest.website),
        (gettext("Plan"), parts.plan_name(published), parts.plan_name(latest)),
    )
    found = [Difference(name, was, becomes) for name, was, becomes in fields if was != becomes]
    if published.image_id != latest.image_id:
        found.append(
            Difference(
                gettext("Picture"),
                "",
                "",
                published_picture=parts.picture(published),
                submitted_picture=parts.picture(latest),
            )
        )
    return tuple(found)
