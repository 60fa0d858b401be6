"""Listings for everybody, and their pictures."""

from __future__ import annotations

from uuid import UUID

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render

from marketplace import doors
from marketplace.partners import queries
from marketplace.partners.pages import public

# Of a picture alone: it draws, and does nothing else, also where somebody opens it by itself.
PICTURE_POLICY = "default-src 'none'; sandbox"
PICTURE_SECONDS = 86_400


@doors.page
def listings(request: HttpRequest) -> HttpResponse:
    """What is published, by words and category."""
    shown = public.listings_page(
        search=request.GET.get("q", ""),
        category=request.GET.get("category", ""),
        number=page_number(request),
    )
    return render(request, "marketplace/partners/listings.html", {"page": shown})


@doors.page
def listing(request: HttpRequest, listing_slug: str) -> HttpResponse:
    """One published listing."""
    return render(request, "marketplace/partners/listing.html", {"page": public.listing_page(listing_slug)})


@doors.page
def image(request: HttpRequest, listing_slug: str, image_id: UUID) -> HttpResponse:
    """A picture as it was uploaded; one that is not published only for those who write or review the listing."""
    found, is_public = queries.find_image(listing_slug, image_id, doors.actor_of(request))
    # Under its id a picture never changes; it may be taken off the pages, though, so it is not kept for ever.
    cached = f"public, max-age={PICTURE_SECONDS}" if is_public else "private, no-store"
    return HttpResponse(
        bytes(found.content),
        content_type=found.media_type,
        headers={
            "Cache-Control": cached,
            "Content-Disposition": "inline",
            "Content-Security-Policy": PICTURE_POLICY,
            "X-Content-Type-Options": "nosniff",
        },
    )


def page_number(request: HttpRequest) -> int:
    """The page asked for; the first, where that is no number."""
    text = request.GET.get("page", "1")
    return int(text) if text.isascii() and text.isdigit() and len(text) <= 6 else 1
