"""Paths of listings, partners and reviewers."""

from django.urls import path

from marketplace.partners.views import partner, public, review

_PARTNER = "partner/<slug:partner_slug>"
_LISTING = f"{_PARTNER}/listings/<slug:listing_slug>"

urlpatterns = [
    path("listings", public.listings, name="listings"),
    path("listings/<slug:listing_slug>", public.listing, name="listing"),
    path("listings/<slug:listing_slug>/images/<uuid:image_id>", public.image, name="listing-image"),
    path("partner/", partner.start, name="partner-start"),
    path(f"{_PARTNER}/", partner.partner, name="partner"),
    path(f"{_PARTNER}/new", partner.new, name="partner-new"),
    path(f"{_PARTNER}/members", partner.members, name="partner-members"),
    path(f"{_LISTING}/", partner.listing, name="partner-listing"),
    path(f"{_LISTING}/edit", partner.edit, name="partner-edit"),
    path("review/", review.queue, name="review"),
    path("review/partners", review.partners, name="review-partners"),
    path("review/listings/<slug:listing_slug>/", review.listing, name="review-listing"),
]
