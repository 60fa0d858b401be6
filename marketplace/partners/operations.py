"""Writing listings. Each operation asks for the right, takes one step of ``transitions``, and leaves a row of history
and one of audit with it.

``expected_version`` is the listing's version that the actor has seen: a step about a listing that has moved on since is
refused, so that nobody publishes what they have not read. The same step sent twice by the same person is taken once.
"""

from __future__ import annotations

import hashlib
from datetime import datetime
from typing import Any

from django.db import IntegrityError, transaction
from django.db.transaction import atomic

from billing.accounts import fields as account_fields
from billing.accounts.actors import Actor
from billing.catalog import queries as catalog_queries
from billing.infra import audit, locks
from billing.kernel.errors import Conflict, Invalid
from billing.kernel.ids import new_id
from marketplace.models import (
    IMAGE_BYTES_MAX,
    Category,
    Listing,
    ListingImage,
    ListingRevision,
    ListingTransition,
    Partner,
)
from marketplace.partners import fields, images, rights, transitions
from marketplace.partners.fields import ListingText
from marketplace.partners.transitions import PARTNER_STEPS, REASON_NEEDED, Change, State, Status, Step

LISTINGS_MAX = 100


class ListingExists(Conflict):
    """Another listing has this slug."""

    code = "listing_exists"


class ListingStale(Conflict):
    """The listing is not as the actor has seen it."""

    code = "listing_stale"


class TooManyListings(Conflict):
    """A partner has at most ``LISTINGS_MAX`` listings, withdrawn ones too."""

    code = "too_many_listings"


@atomic
def create(
    *, partner: Partner, slug: str, text: ListingText, actor: Actor, now: datetime, image: bytes | None = None
) -> Listing:
    """Begin a listing as a draft. Sent twice it begins once.

    Raises ``PartnerNotFound``, ``Forbidden``, ``Invalid`` naming the field, ``ListingExists`` or ``TooManyListings``.
    """
    rights.require_edit(actor, partner)
    slug = account_fields.slug(slug)
    said = _checked(text)
    picture = _keep_image(partner, image, now) if image is not None else None
    first = Listing.objects.select_related("latest").filter(slug=slug).first()
    if first is not None:
        is_twin = first.partner_id == partner.id and first.version == 1 and first.latest.author == actor.name
        if is_twin and _says(first.latest, said, picture):
            return first
        raise _taken()
    if Listing.objects.filter(partner=partner).count() >= LISTINGS_MAX:
        raise TooManyListings(f"A partner has at most {LISTINGS_MAX} listings.")
    revision = _revision(said, picture, number=1, actor=actor, now=now)
    listing = Listing(
        partner=partner, slug=slug, status=Status.DRAFT, latest_id=revision.id, created_at=now, updated_at=now
    )
    try:
        with transaction.atomic():
            listing.save(force_insert=True)
    except IntegrityError as error:
        raise _taken() from error
    revision.listing = listing
    revision.save(force_insert=True)
    _remember(listing, None, None, actor=actor, now=now)
    return listing


@atomic
def edit(
    *,
    listing: Listing,
    text: ListingText,
    actor: Actor,
    now: datetime,
    expected_version: int,
    image: bytes | None = None,
    drops_image: bool = False,
) -> Listing:
    """Save the text as a new revision; of a published listing the public goes on reading the published one.

    ``image`` replaces the picture there is; without it that one stays, unless ``drops_image``. What is said already
    changes nothing. Raises ``PartnerNotFound``, ``Forbidden``, ``Invalid`` naming the field, ``ListingStale`` or
    ``IllegalStep``.
    """
    rights.require_edit(actor, listing.partner)
    said = _checked(text)
    row = _locked(listing)
    picture = None if drops_image else row.latest.image
    if image is not None:
        picture = _keep_image(row.partner, image, now)
    if row.status != Status.WITHDRAWN and _says(row.latest, said, picture):
        return row
    _expect(row, expected_version)
    after = transitions.after(row.state, Step.EDIT)
    # The latest is not the last one written, where a change was thrown away.
    written = ListingRevision.objects.filter(listing=row).count()
    revision = _revision(said, picture, number=written + 1, actor=actor, now=now)
    revision.listing = row
    revision.save(force_insert=True)
    return _take(row, Step.EDIT, after, actor=actor, now=now, latest=revision)


@atomic
def take(
    *, listing: Listing, step: Step, actor: Actor, now: datetime, expected_version: int | None = None, reason: str = ""
) -> Listing:
    """Take any step but an edit: the partner's for members, the others for whoever reviews.

    ``expected_version`` None: whatever it is (from a shell, where nobody has a page open). Raises ``PartnerNotFound``,
    ``Forbidden``, ``Invalid`` (a reason is missing), ``ListingStale`` or ``IllegalStep``.
    """
    if step in PARTNER_STEPS:
        rights.require_edit(actor, listing.partner)
    else:
        rights.require_review(actor)
    why = fields.reason(reason) if step in REASON_NEEDED else ""
    row = _locked(listing)
    if expected_version is not None and _is_taken_already(row, step, actor, expected_version):
        return row
    _expect(row, expected_version)
    after = transitions.after(row.state, step)
    return _take(row, step, after, actor=actor, now=now, reason=why)


def _take(
    row: Listing,
    step: Step,
    after: State,
    *,
    actor: Actor,
    now: datetime,
    reason: str = "",
    latest: ListingRevision | None = None,
) -> Listing:
    before = row.state
    row.status, row.change, row.version, row.updated_at = after.status, after.change, row.version + 1, now
    if latest is not None:
        row.latest = latest
    if step is Step.PUBLISH:
        row.published, row.published_at = row.latest, now
    elif step is Step.DISCARD and row.published is not None:
        row.latest = row.published
    elif step is Step.WITHDRAW:
        row.published = row.published_at = None
    if step is Step.REJECT:
        row.rejected_reason = reason
    elif step is not Step.EDIT and Change.REJECTED not in (after.status, after.change):
        row.rejected_reason = ""
    if step is Step.SUSPEND:
        row.suspended_reason = reason
    elif after.status is not Status.SUSPENDED:
        row.suspended_reason = ""
    if not transitions.waits(after):
        row.submitted_at = None
    elif not transitions.waits(before):
        row.submitted_at = now
    row.save()
    _remember(row, step, before, actor=actor, now=now, reason=reason)
    return row


def _remember(
    row: Listing, step: Step | None, before: State | None, *, actor: Actor, now: datetime, reason: str = ""
) -> None:
    ListingTransition.objects.create(
        listing=row,
        version=row.version,
        step=step or "",
        from_status=before.status if before else "",
        from_change=before.change if before else "",
        to_status=row.status,
        to_change=row.change,
        revision_id=row.latest_id,
        actor=actor.name,
        reason=reason,
        recorded_at=now,
    )
    details: dict[str, Any] = {"slug": row.slug, "version": row.version, "to": f"{row.status} {row.change}".strip()}
    audit.record(
        actor=actor.name,
        act=f"listing.{step or 'create'}",
        object_type="listing",
        object_id=row.id,
        organization_id=None,
        reason=reason,
        details=details,
    )


def _locked(listing: Listing) -> Listing:
    """The row as it is now, which nobody else changes before this transaction ends."""
    with locks.busy_on_timeout():
        # On its own: joined, a row that was waited for would be sought beside the revisions of before the wait.
        Listing.objects.select_for_update().only("id").get(id=listing.id)
    rows = Listing.objects.select_related("partner", "latest", "latest__image", "published")
    return rows.defer("latest__image__content").get(id=listing.id)


def _expect(row: Listing, version: int | None) -> None:
    if version is not None and row.version != version:
        raise ListingStale("This listing has changed since you saw it: look at it again.", version=row.version)


def _is_taken_already(row: Listing, step: Step, actor: Actor, version: int) -> bool:
    """Whether this is the second click of whoever took the listing's last step."""
    if row.version != version + 1:
        return False
    return ListingTransition.objects.filter(
        listing=row, version=row.version, step=step.value, actor=actor.name
    ).exists()


def _checked(text: ListingText) -> ListingText:
    said = fields.checked(text)
    if said.category not in Category.objects.values_list("code", flat=True):
        raise Invalid("Choose one of the categories.", field="category")
    if said.plan_code and said.plan_code not in {plan.code for plan in catalog_queries.list_plans_for_shop()}:
        raise Invalid("No such plan is on sale.", field="plan_code")
    return said


def _says(revision: ListingRevision, said: ListingText, picture: ListingImage | None) -> bool:
    there = ListingText(
        name=revision.name,
        summary=revision.summary,
        description=revision.description,
        category=revision.category_id,
        website=revision.website,
        plan_code=revision.plan_code,
    )
    return there == said and revision.image_id == (picture.id if picture else None)


def _revision(
    said: ListingText, picture: ListingImage | None, *, number: int, actor: Actor, now: datetime
) -> ListingRevision:
    return ListingRevision(
        id=new_id(),
        number=number,
        name=said.name,
        summary=said.summary,
        description=said.description,
        category_id=said.category,
        website=said.website,
        plan_code=said.plan_code,
        image=picture,
        author=actor.name,
        created_at=now,
    )


def _keep_image(partner: Partner, raw: bytes, now: datetime) -> ListingImage:
    """The picture in ``raw``, stored once for a partner however often it is sent. Raises ``ImageInvalid``."""
    picture = images.read(raw, bytes_max=IMAGE_BYTES_MAX)
    digest = hashlib.sha256(picture.content).digest()
    ListingImage.objects.bulk_create(
        [
            ListingImage(
                partner=partner,
                digest=digest,
                media_type=picture.media_type,
                width=picture.width,
                height=picture.height,
                content=picture.content,
                created_at=now,
            )
        ],
        ignore_conflicts=True,
    )
    found: ListingImage = ListingImage.objects.defer("content").get(partner=partner, digest=digest)
    return found


def _taken() -> ListingExists:
    return ListingExists("Another listing has this address.", field="slug")
