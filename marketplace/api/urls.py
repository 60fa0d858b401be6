"""Paths below ``/api/marketplace/``. None ends in a slash."""

from django.urls import path

from marketplace.api import listings, review

_LISTING = "listings/<str:listing_slug>"

urlpatterns = [
    path("listings", listings.Listings.as_view()),
    path(_LISTING, listings.ListingDetail.as_view()),
    path("review", review.ReviewQueue.as_view()),
    path(f"{_LISTING}/publish", review.PublishListing.as_view()),
    path(f"{_LISTING}/reject", review.RejectListing.as_view()),
    path(f"{_LISTING}/suspend", review.SuspendListing.as_view()),
    path(f"{_LISTING}/restore", review.RestoreListing.as_view()),
]
