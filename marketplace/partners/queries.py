"""Reading partners and listings. What the public reads comes from published revisions of published listings alone."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from uuid import UUID

from django.db.models import Count, Q, QuerySet
from django.db.models.functions import Lower

from billing.accounts import actors
from billing.accounts.actors import Act, Actor
from billing.kernel import ids
from billing.kernel.errors import NotFound
from billing.models import User
from marketplace.models import WAITS, Category, Listing, ListingImage, ListingTransition, Partner, PartnerMember
from marketplace.partners import rights
from marketplace.partners.transitions import Status

SEARCH_WORDS_MAX = 8
SEARCH_LENGTH_MAX = 100


class ListingNotFound(NotFound):
    """No such listing, or none that the caller may know of."""


class CategoryUnknown(NotFound):
    """No such category."""


def list_categories() -> Sequence[Category]:
    return list(Category.objects.order_by("position", "name"))


def count_published_by_category() -> dict[str, int]:
    """How many listings the public sees in each category that has some."""
    rows = Listing.objects.filter(status=Status.PUBLISHED).values_list("published__category").order_by()
    return dict(rows.annotate(number=Count("id")))


def list_published(
    *, search: str = "", category: str = "", after: tuple[str, str] | None = None, offset: int = 0, limit: int
) -> Sequence[Listing]:
    """What the public sees, by name. Each word of ``search`` is in the name, the summary or the partner's name.

    ``after`` is ``sort_name`` and slug of the last one before; each row has its ``sort_name``.
    """
    rows = _public().annotate(sort_name=Lower("published__name"))
    for word in words_of(search):
        rows = rows.filter(
            Q(published__name__icontains=word)
            | Q(published__summary__icontains=word)
            | Q(partner__name__icontains=word)
        )
    if category:
        rows = rows.filter(published__category=category)
    if after is not None:
        name, slug = after
        rows = rows.filter(Q(sort_name__gt=name) | Q(sort_name=name, slug__gt=slug))
    return list(rows.order_by("sort_name", "slug")[offset : offset + limit])


def words_of(search: str) -> list[str]:
    """The words to look for: what is too long, and NUL, which no text of ours contains, is left out."""
    return search[:SEARCH_LENGTH_MAX].replace("\x00", " ").split()[:SEARCH_WORDS_MAX]


def get_published(slug: str) -> Listing:
    """A listing as the public sees it. Raises ``ListingNotFound``."""
    found = _public().filter(slug=slug).first() if _is_slug(slug) else None
    if found is None:
        raise _no_listing()
    return found


def find_image(slug: str, image_id: UUID, actor: Actor) -> tuple[ListingImage, bool]:
    """A picture of a listing, and whether the public sees it; otherwise it is there for those who write or review it.

    Raises ``ListingNotFound``.
    """
    listing = Listing.objects.select_related("partner", "published").filter(slug=slug).first()
    if listing is None:
        raise _no_listing()
    shown = listing.published if listing.status == Status.PUBLISHED else None
    is_public = shown is not None and shown.image_id == image_id
    if not is_public:
        try:
            rights.standing(actor, listing.partner)
        except rights.PartnerNotFound:
            raise _no_listing() from None
    image = ListingImage.objects.filter(id=image_id, partner_id=listing.partner_id).first()
    if image is None:
        raise _no_listing()
    return image, is_public


def get_partner(slug: str) -> Partner:
    """Raises ``PartnerNotFound``; whether the caller may know of it is asked apart."""
    found = Partner.objects.filter(slug=slug).first() if _is_slug(slug) else None
    if found is None:
        raise rights.no_partner()
    return found


def list_memberships(actor: Actor) -> Sequence[PartnerMember]:
    """The actor's own, by the partner's name, each with the number of its partner's listings."""
    if actor.user_id is None:
        return []
    rows = PartnerMember.objects.filter(user_id=actor.user_id).select_related("partner")
    return list(rows.annotate(listings=Count("partner__listings")).order_by("partner__name", "partner__slug"))


def list_members(partner: Partner) -> Sequence[PartnerMember]:
    return list(PartnerMember.objects.filter(partner=partner).select_related("user").order_by("user__email"))


def list_partners(*, actor: Actor) -> Sequence[Partner]:
    """All of them by name, each with numbers of ``listed`` and ``people``. For reviewers."""
    actors.require(actor, Act.LISTINGS, None)
    rows = Partner.objects.annotate(listed=Count("listings", distinct=True), people=Count("members", distinct=True))
    return list(rows.order_by("name", "slug"))


def list_listings(partner: Partner) -> Sequence[Listing]:
    """All of a partner's, by slug."""
    return list(_written().filter(partner=partner).order_by("slug"))


def get_listing(partner: Partner, slug: str) -> Listing:
    """One of ``partner``'s. Raises ``ListingNotFound``."""
    found = _written().filter(partner=partner, slug=slug).first() if _is_slug(slug) else None
    if found is None:
        raise _no_listing()
    return found


def get_for_review(slug: str, *, actor: Actor) -> Listing:
    """Any listing, for reviewers. Raises ``Forbidden`` or ``ListingNotFound``."""
    actors.require(actor, Act.LISTINGS, None)
    found = _written().filter(slug=slug).first() if _is_slug(slug) else None
    if found is None:
        raise _no_listing()
    return found


def count_waiting() -> int:
    """How many listings wait for a reviewer."""
    return Listing.objects.filter(WAITS).count()


def list_waiting(
    *, actor: Actor, after: tuple[datetime, UUID] | None = None, offset: int = 0, limit: int
) -> Sequence[Listing]:
    """What waits for a reviewer, the longest first. For reviewers. ``after`` is since when, and which, the last one
    before waits."""
    actors.require(actor, Act.LISTINGS, None)
    rows = _written().filter(WAITS)
    if after is not None:
        at, listing_id = after
        rows = rows.filter(Q(submitted_at__gt=at) | Q(submitted_at=at, id__gt=listing_id))
    return list(rows.order_by("submitted_at", "id")[offset : offset + limit])


def list_in_status(status: str, *, actor: Actor, offset: int = 0, limit: int) -> Sequence[Listing]:
    """Listings in ``status``, the last changed first. For reviewers."""
    actors.require(actor, Act.LISTINGS, None)
    return list(_written().filter(status=status).order_by("-updated_at", "-id")[offset : offset + limit])


def list_history(listing: Listing, *, limit: int) -> Sequence[ListingTransition]:
    """The listing's last steps, the newest first."""
    rows = ListingTransition.objects.filter(listing=listing).select_related("revision")
    return list(rows.order_by("-version")[:limit])


def names_of(actor_names: Iterable[str]) -> dict[str, str]:
    """What people are called, by the name of the actor that they were."""
    people = {text: ids.parse_uuid(text.removeprefix("user:")) for text in actor_names if text.startswith("user:")}
    users = User.objects.in_bulk([each for each in people.values() if each is not None])
    return {
        text: users[person].name or users[person].email
        for text, person in people.items()
        if person is not None and person in users
    }


def _public() -> QuerySet[Listing]:
    rows = Listing.objects.filter(status=Status.PUBLISHED)
    rows = rows.select_related("partner", "published__category", "published__image")
    return rows.defer("published__image__content", "published__image__digest")


def _written() -> QuerySet[Listing]:
    rows = Listing.objects.select_related(
        "partner", "latest__category", "latest__image", "published__category", "published__image"
    )
    return rows.defer(
        *(f"{which}__image__{heavy}" for which in ("latest", "published") for heavy in ("content", "digest"))
    )


def _is_slug(text: str) -> bool:
    return text.isascii() and text.replace("-", "").isalnum()


def _no_listing() -> ListingNotFound:
    return ListingNotFound("No such listing.")
