"""What waits for a reviewer, and the reviewers' decisions."""

from __future__ import annotations

from typing import Annotated, TypedDict
from uuid import UUID

import msgspec
from msgspec import Meta

from billing.accounts.actors import Act
from billing.api import pagination
from billing.api.endpoint import Answer, ApiView, Call, endpoint
from billing.api.pagination import PageQuery, TimeKey
from billing.api.wire import Nothing, Request
from billing.reporting.representations import instant
from marketplace.api.listings import TAG
from marketplace.models import REASON_LENGTH_MAX, Listing
from marketplace.partners import operations, queries
from marketplace.partners.transitions import Step


class Seen(Request, frozen=True):
    """``version`` is the one that was looked at: if the listing has moved on since, the answer is 409."""

    version: Annotated[int, Meta(ge=1, le=2**31 - 1)]


class Refusal(Seen, frozen=True):
    """``reason`` is what the partner reads."""

    reason: Annotated[str, Meta(min_length=1, max_length=REASON_LENGTH_MAX)]


class ListingStateDocument(TypedDict):
    """``status``: draft, submitted, rejected, published, suspended or withdrawn. ``change``: empty, or draft, submitted
    or rejected where a published or suspended listing has a new text. The text is the latest one."""

    slug: str
    partner: str
    status: str
    change: str
    version: int
    revision: int
    name: str
    summary: str
    description: str
    category: str
    website: str | None
    plan_code: str | None
    rejected_reason: str
    suspended_reason: str
    submitted_at: str | None
    updated_at: str


class ReviewQueue(ApiView):
    @endpoint(
        "Listings that wait for review",
        responses={200: pagination.page_of(ListingStateDocument)},
        act=Act.LISTINGS,
        tag=TAG,
    )
    def get(self, call: Call[Nothing, PageQuery]) -> Answer:
        """The one that waits longest first."""
        after = pagination.read_cursor(call.query, TimeKey)
        rows = queries.list_waiting(
            actor=call.actor, after=(after.at, after.id) if after else None, limit=call.query.size + 1
        )
        shown = pagination.page(call.request, call.query, rows, show=state, key=_key)
        return Answer(200, shown)


class PublishListing(ApiView):
    @endpoint("Publish a listing", responses={200: ListingStateDocument}, act=Act.LISTINGS, tag=TAG, problems=(409,))
    def post(self, call: Call[Seen, Nothing], listing_slug: str) -> Answer:
        """Everybody reads the submitted text from then on. Twice is once."""
        return _take(call, listing_slug, Step.PUBLISH)


class RejectListing(ApiView):
    @endpoint("Reject a listing", responses={200: ListingStateDocument}, act=Act.LISTINGS, tag=TAG, problems=(409,))
    def post(self, call: Call[Refusal, Nothing], listing_slug: str) -> Answer:
        """The submitted text goes back to its partner; one that is published stays so."""
        return _take(call, listing_slug, Step.REJECT, call.body.reason)


class SuspendListing(ApiView):
    @endpoint("Suspend a listing", responses={200: ListingStateDocument}, act=Act.LISTINGS, tag=TAG, problems=(409,))
    def post(self, call: Call[Refusal, Nothing], listing_slug: str) -> Answer:
        """It is on no page until it is restored, or a new text of it is published."""
        return _take(call, listing_slug, Step.SUSPEND, call.body.reason)


class RestoreListing(ApiView):
    @endpoint("Restore a listing", responses={200: ListingStateDocument}, act=Act.LISTINGS, tag=TAG, problems=(409,))
    def post(self, call: Call[Seen, Nothing], listing_slug: str) -> Answer:
        """The text that was published before the suspension is on the pages again."""
        return _take(call, listing_slug, Step.RESTORE)


def _take(call: Call[Seen, Nothing], listing_slug: str, step: Step, reason: str = "") -> Answer:
    found = queries.get_for_review(listing_slug, actor=call.actor)
    row = operations.take(
        listing=found, step=step, actor=call.actor, now=call.at, expected_version=call.body.version, reason=reason
    )
    return Answer(200, state(row))


def state(row: Listing) -> ListingStateDocument:
    latest = row.latest
    return {
        "slug": row.slug,
        "partner": row.partner.slug,
        "status": row.status,
        "change": row.change,
        "version": row.version,
        "revision": latest.number,
        "name": latest.name,
        "summary": latest.summary,
        "description": latest.description,
        "category": latest.category_id,
        "website": latest.website or None,
        "plan_code": latest.plan_code or None,
        "rejected_reason": row.rejected_reason,
        "suspended_reason": row.suspended_reason,
        "submitted_at": instant(row.submitted_at) if row.submitted_at else None,
        "updated_at": instant(row.updated_at),
    }


def _key(row: Listing) -> msgspec.Struct:
    if row.submitted_at is None:
        raise AssertionError("a listing that waits has waited since some time")
    identity: UUID = row.id
    return TimeKey(row.submitted_at, identity)
