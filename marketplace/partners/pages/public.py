"""Listings as everybody sees them: the published text of published ones."""

from __future__ import annotations

from dataclasses import dataclass

from billing.catalog import queries as catalog_queries
from marketplace import wording
from marketplace.models import Listing, ListingRevision
from marketplace.partners import queries
from marketplace.partners.pages import parts
from marketplace.partners.pages.parts import Picture, Text

PAGE_SIZE = 24
PAGES_MAX = 1000


@dataclass(frozen=True, slots=True)
class Card:
    slug: str
    name: str
    partner: str
    summary: str
    category: str
    picture: Picture | None


@dataclass(frozen=True, slots=True)
class CategoryChoice:
    code: str
    name: str
    listings: int
    is_chosen: bool


@dataclass(frozen=True, slots=True)
class ListingsPage:
    """``before`` and ``after`` are the numbers of the pages beside this one, 0 where there is none."""

    search: str
    category: str
    categories: tuple[CategoryChoice, ...]
    cards: tuple[Card, ...]
    number: int
    before: int
    after: int
    is_filtered: bool


@dataclass(frozen=True, slots=True)
class PlanLink:
    code: str
    name: str


@dataclass(frozen=True, slots=True)
class ListingPage:
    slug: str
    partner: str
    partner_website: parts.Website | None
    category_code: str
    text: Text
    plan: PlanLink | None
    published_on: str


def listings_page(*, search: str = "", category: str = "", number: int = 1) -> ListingsPage:
    """Page ``number``, from 1 on, of what is found; a category that there is none of finds nothing."""
    words = " ".join(queries.words_of(search))
    number = min(max(number, 1), PAGES_MAX)
    known = queries.list_categories()
    chosen = category if category in {each.code for each in known} else ""
    rows = (
        queries.list_published(search=words, category=chosen, offset=(number - 1) * PAGE_SIZE, limit=PAGE_SIZE + 1)
        if chosen or not category
        else []
    )
    counts = queries.count_published_by_category()
    return ListingsPage(
        search=words,
        category=chosen,
        categories=tuple(
            CategoryChoice(each.code, each.name, counts.get(each.code, 0), each.code == chosen)
            for each in known
            if counts.get(each.code) or each.code == chosen
        ),
        cards=tuple(_card(row) for row in rows[:PAGE_SIZE]),
        number=number,
        before=number - 1,
        after=number + 1 if len(rows) > PAGE_SIZE and number < PAGES_MAX else 0,
        is_filtered=bool(words or category),
    )


def listing_page(slug: str) -> ListingPage:
    """Raises ``ListingNotFound``."""
    listing = queries.get_published(slug)
    shown = _published(listing)
    plans = {plan.code: plan for plan in catalog_queries.list_plans_for_shop()} if shown.plan_code else {}
    plan = plans.get(shown.plan_code)
    return ListingPage(
        slug=listing.slug,
        partner=listing.partner.name,
        partner_website=parts.website(listing.partner.website),
        category_code=shown.category_id,
        text=parts.text(shown),
        plan=PlanLink(plan.code, plan.name) if plan else None,
        published_on=wording.day(listing.published_at, parts.ZONE).text if listing.published_at else "",
    )


def _card(listing: Listing) -> Card:
    shown = _published(listing)
    return Card(
        slug=listing.slug,
        name=shown.name,
        partner=listing.partner.name,
        summary=shown.summary,
        category=shown.category.name,
        picture=parts.picture(shown),
    )


def _published(listing: Listing) -> ListingRevision:
    if listing.published is None:
        raise AssertionError("a published listing without a published text")
    return listing.published
