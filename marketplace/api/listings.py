"""Published listings, open to everyone."""

from __future__ import annotations

from typing import Annotated, TypedDict

import msgspec
from django.http import HttpRequest
from django.urls import reverse
from msgspec import Meta

from billing.api import pagination
from billing.api.endpoint import Answer, ApiView, Call, endpoint
from billing.api.pagination import PageQuery
from billing.api.wire import Nothing
from billing.catalog import queries as catalog_queries
from billing.reporting.representations import instant
from marketplace.models import Listing, ListingRevision
from marketplace.partners import queries

TAG = "marketplace"


class ListingsQuery(PageQuery, frozen=True):
    """``q``: each of its words is in the name, the summary or the partner's name."""

    q: Annotated[str, Meta(max_length=queries.SEARCH_LENGTH_MAX)] = ""
    category: Annotated[str, Meta(max_length=40)] = ""


class NameKey(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """Listings by their name in small letters, then by slug."""

    name: Annotated[str, Meta(max_length=200)]
    slug: Annotated[str, Meta(max_length=60)]


class ListingPartnerDocument(TypedDict):
    slug: str
    name: str
    website: str | None


class ListingCategoryDocument(TypedDict):
    code: str
    name: str


class ListingImageDocument(TypedDict):
    """``width`` and ``height`` in pixels."""

    url: str
    width: int
    height: int


class ListingSummaryDocument(TypedDict):
    """``plan_code`` is null where the listing goes with no plan, or with one that is not on sale."""

    slug: str
    url: str
    name: str
    summary: str
    partner: ListingPartnerDocument
    category: ListingCategoryDocument
    website: str | None
    plan_code: str | None
    image: ListingImageDocument | None
    published_at: str


class ListingDocument(ListingSummaryDocument):
    """``description`` is plain text; an empty line begins a new paragraph."""

    description: str


class Listings(ApiView):
    @endpoint("Partner listings", responses={200: pagination.page_of(ListingSummaryDocument)}, public=True, tag=TAG)
    def get(self, call: Call[Nothing, ListingsQuery]) -> Answer:
        """Those that are published, by name."""
        after = pagination.read_cursor(call.query, NameKey)
        if after is not None and "\x00" in after.name + after.slug:
            raise pagination.unreadable()
        rows = queries.list_published(
            search=call.query.q,
            category=call.query.category,
            after=(after.name, after.slug) if after else None,
            limit=call.query.size + 1,
        )
        sold = on_sale()
        shown = pagination.page(
            call.request,
            call.query,
            rows,
            show=lambda row: summary(row, call.request, sold),
            key=lambda row: NameKey(row.sort_name, row.slug),  # type: ignore[attr-defined]
        )
        return Answer(200, shown)


class ListingDetail(ApiView):
    @endpoint("A partner listing", responses={200: ListingDocument}, public=True, tag=TAG, problems=(404,))
    def get(self, call: Call[Nothing, Nothing], listing_slug: str) -> Answer:
        """A published listing with its description."""
        row = queries.get_published(listing_slug)
        return Answer(200, detail(row, call.request, on_sale()))


def on_sale() -> frozenset[str]:
    return frozenset(plan.code for plan in catalog_queries.list_plans_for_shop())


def summary(row: Listing, request: HttpRequest, sold: frozenset[str]) -> ListingSummaryDocument:
    """The published text of a published listing."""
    if row.published is None or row.published_at is None:
        raise AssertionError("a published listing without a published text")
    shown, partner = row.published, row.partner
    return {
        "slug": row.slug,
        "url": request.build_absolute_uri(reverse("listing", args=(row.slug,))),
        "name": shown.name,
        "summary": shown.summary,
        "partner": {"slug": partner.slug, "name": partner.name, "website": partner.website or None},
        "category": {"code": shown.category_id, "name": shown.category.name},
        "website": shown.website or None,
        "plan_code": shown.plan_code if shown.plan_code in sold else None,
        "image": image(row, shown, request),
        "published_at": instant(row.published_at),
    }


def detail(row: Listing, request: HttpRequest, sold: frozenset[str]) -> ListingDocument:
    description = row.published.description if row.published else ""
    return {**summary(row, request, sold), "description": description}


def image(row: Listing, revision: ListingRevision, request: HttpRequest) -> ListingImageDocument | None:
    if revision.image is None:
        return None
    url = request.build_absolute_uri(reverse("listing-image", args=(row.slug, revision.image.id)))
    return {"url": url, "width": revision.image.width, "height": revision.image.height}
