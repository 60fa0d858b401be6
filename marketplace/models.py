"""Partners, the people in them, and their listings: what is written, what is published, and how it came to be so."""

from __future__ import annotations

from django.contrib.sessions.models import Session
from django.db import models
from django.db.models import Q, Value
from django.db.models.functions import Length
from django.db.models.lookups import LessThanOrEqual

from billing.kernel.ids import new_id
from billing.models import User
from marketplace.partners.transitions import Change, State, Status, Step

NAME_LENGTH_MAX = 80
SUMMARY_LENGTH_MAX = 200
DESCRIPTION_LENGTH_MAX = 5000
WEBSITE_LENGTH_MAX = 300
REASON_LENGTH_MAX = 500
IMAGE_BYTES_MAX = 500_000
STATUSES, CHANGES = [each.value for each in Status], [each.value for each in Change]
BEFORE_THE_PUBLIC = ["published", "suspended"]
WAITS = Q(status="submitted") | Q(change="submitted")


class Partner(models.Model):
    """Someone who offers something in the marketplace."""

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    slug = models.SlugField(max_length=60, unique=True)
    name = models.CharField(max_length=NAME_LENGTH_MAX)
    website = models.CharField(max_length=WEBSITE_LENGTH_MAX, blank=True)
    created_at = models.DateTimeField()

    class Meta:
        db_table = "marketplace_partners"
        constraints = [
            models.CheckConstraint(condition=~Q(name=""), name="partners_named"),
            models.CheckConstraint(condition=Q(website="") | Q(website__regex=r"^https?://"), name="partners_website"),
        ]

    def __str__(self) -> str:
        return self.name


class PartnerRole(models.TextChoices):
    """Both edit listings; an admin also says who is a member."""

    ADMIN = "admin"
    EDITOR = "editor"


class PartnerMember(models.Model):
    partner = models.ForeignKey(Partner, on_delete=models.PROTECT, related_name="members")
    user = models.ForeignKey(User, on_delete=models.CASCADE, related_name="partner_memberships")
    role = models.CharField(max_length=10, choices=PartnerRole.choices)
    created_at = models.DateTimeField()

    class Meta:
        db_table = "marketplace_partner_members"
        constraints = [
            models.UniqueConstraint(fields=["partner", "user"], name="partner_members_one_role_each"),
            models.CheckConstraint(condition=Q(role__in=PartnerRole.values), name="partner_members_role_known"),
        ]

    def __str__(self) -> str:
        return f"{self.user_id} {self.role}"


class Category(models.Model):
    """What listings are sorted by. ``code`` stands in addresses."""

    code = models.SlugField(primary_key=True, max_length=40)
    name = models.CharField(max_length=60, unique=True)
    position = models.PositiveSmallIntegerField(default=0)

    class Meta:
        db_table = "marketplace_categories"
        ordering = ["position", "name"]
        verbose_name_plural = "categories"

    def __str__(self) -> str:
        return self.name


class ListingImage(models.Model):
    """A picture that was uploaded, without what a picture does not need. In the table, so that it is backed up, moved
    and deleted with everything else. Immutable."""

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    partner = models.ForeignKey(Partner, on_delete=models.PROTECT, related_name="images")
    digest = models.BinaryField(max_length=32)
    media_type = models.CharField(max_length=20)
    width = models.PositiveSmallIntegerField()
    height = models.PositiveSmallIntegerField()
    content = models.BinaryField()
    created_at = models.DateTimeField()

    class Meta:
        db_table = "marketplace_listing_images"
        constraints = [
            models.UniqueConstraint(fields=["partner", "digest"], name="listing_images_identity"),
            models.CheckConstraint(
                condition=Q(media_type__in=["image/png", "image/jpeg", "image/webp"]), name="listing_images_type_known"
            ),
            models.CheckConstraint(
                condition=LessThanOrEqual(Length("content"), Value(IMAGE_BYTES_MAX)), name="listing_images_bounded"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.media_type} {self.width} × {self.height}"


class Listing(models.Model):
    """An offer of a partner. ``latest`` is the text that its partner works on, ``published`` the one that the public
    reads or, while it is suspended, would read. ``version`` counts the steps taken, of which each is a row in the
    history."""

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    partner = models.ForeignKey(Partner, on_delete=models.PROTECT, related_name="listings")
    slug = models.SlugField(max_length=60, unique=True)
    status = models.CharField(max_length=10, choices=[(each, each) for each in STATUSES])
    change = models.CharField(max_length=10, blank=True, choices=[(each, each) for each in CHANGES])
    latest = models.ForeignKey("ListingRevision", on_delete=models.PROTECT, related_name="+")
    published = models.ForeignKey("ListingRevision", on_delete=models.PROTECT, related_name="+", null=True)
    # Why the last review said no, for as long as that matters, and why it is off the pages.
    rejected_reason = models.CharField(max_length=REASON_LENGTH_MAX, blank=True)
    suspended_reason = models.CharField(max_length=REASON_LENGTH_MAX, blank=True)
    # Since when it waits for a reviewer.
    submitted_at = models.DateTimeField(null=True)
    # When what the public reads was put there.
    published_at = models.DateTimeField(null=True)
    created_at = models.DateTimeField()
    updated_at = models.DateTimeField()
    version = models.PositiveIntegerField(default=1)

    class Meta:
        db_table = "marketplace_listings"
        constraints = [
            models.CheckConstraint(condition=Q(status__in=STATUSES), name="listings_status_known"),
            models.CheckConstraint(
                condition=Q(change="") | Q(change__in=CHANGES, status__in=BEFORE_THE_PUBLIC),
                name="listings_change_of_a_published_one",
            ),
            models.CheckConstraint(
                condition=Q(status__in=BEFORE_THE_PUBLIC, published__isnull=False, published_at__isnull=False)
                | (~Q(status__in=BEFORE_THE_PUBLIC) & Q(published__isnull=True, published_at__isnull=True)),
                name="listings_published_text",
            ),
            models.CheckConstraint(
                condition=(Q(submitted_at__isnull=False) & WAITS) | (Q(submitted_at__isnull=True) & ~WAITS),
                name="listings_waiting_since",
            ),
            models.CheckConstraint(
                condition=~(Q(status="rejected") | Q(change="rejected")) | ~Q(rejected_reason=""),
                name="listings_rejected_with_reason",
            ),
            models.CheckConstraint(
                condition=(Q(status="suspended") & ~Q(suspended_reason=""))
                | (~Q(status="suspended") & Q(suspended_reason="")),
                name="listings_suspended_with_reason",
            ),
        ]
        indexes = [
            models.Index(fields=["submitted_at", "id"], condition=WAITS, name="listings_waiting"),
            models.Index(fields=["published"], condition=Q(status="published"), name="listings_public"),
        ]

    def __str__(self) -> str:
        return self.slug

    @property
    def state(self) -> State:
        return State(Status(self.status), Change(self.change))


class ListingRevision(models.Model):
    """The text of a listing as it was saved once. Immutable: a reviewer's word is about one of these, and stays so."""

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    listing = models.ForeignKey(Listing, on_delete=models.PROTECT, related_name="revisions")
    number = models.PositiveIntegerField()
    name = models.CharField(max_length=NAME_LENGTH_MAX)
    summary = models.CharField(max_length=SUMMARY_LENGTH_MAX)
    description = models.TextField(max_length=DESCRIPTION_LENGTH_MAX)
    category = models.ForeignKey(Category, on_delete=models.PROTECT, related_name="+")
    website = models.CharField(max_length=WEBSITE_LENGTH_MAX, blank=True)
    image = models.ForeignKey(ListingImage, on_delete=models.PROTECT, related_name="+", null=True)
    # By code rather than by version: it goes on leading to what is on sale.
    plan_code = models.CharField(max_length=60, blank=True)
    author = models.CharField(max_length=120)
    created_at = models.DateTimeField()

    class Meta:
        db_table = "marketplace_listing_revisions"
        constraints = [
            models.UniqueConstraint(fields=["listing", "number"], name="listing_revisions_in_order"),
            # What a listing's keys to its own revisions refer to.
            models.UniqueConstraint(fields=["listing", "id"], name="listing_revisions_own"),
            models.CheckConstraint(condition=~Q(name="") & ~Q(summary=""), name="listing_revisions_named"),
            models.CheckConstraint(
                condition=Q(website="") | Q(website__regex=r"^https?://"), name="listing_revisions_website"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.name} ({self.number})"


class ListingTransition(models.Model):
    """A step that a listing took. Append-only; one for each version of the listing."""

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    listing = models.ForeignKey(Listing, on_delete=models.PROTECT, related_name="transitions")
    version = models.PositiveIntegerField()
    # Empty for the first, with which the listing began.
    step = models.CharField(max_length=10, blank=True, choices=[(each.value, each.value) for each in Step])
    from_status = models.CharField(max_length=10, blank=True)
    from_change = models.CharField(max_length=10, blank=True)
    to_status = models.CharField(max_length=10)
    to_change = models.CharField(max_length=10, blank=True)
    revision = models.ForeignKey(ListingRevision, on_delete=models.PROTECT, related_name="+")
    actor = models.CharField(max_length=120)
    reason = models.CharField(max_length=REASON_LENGTH_MAX, blank=True)
    recorded_at = models.DateTimeField()

    class Meta:
        db_table = "marketplace_listing_transitions"
        constraints = [models.UniqueConstraint(fields=["listing", "version"], name="listing_transitions_one_a_version")]

    def __str__(self) -> str:
        return f"{self.step or 'create'} {self.to_status}"


class OpenSession(models.Model):
    """Whose a session is, which its own row tells only when it is decoded. Goes with that row.

    Without a constraint of the database: code from before this table ends sessions and knows nothing of it.
    """

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    session = models.OneToOneField(Session, on_delete=models.CASCADE, db_constraint=False, related_name="open")
    user = models.ForeignKey(User, on_delete=models.CASCADE, related_name="open_sessions")

    class Meta:
        db_table = "open_sessions"

    def __str__(self) -> str:
        return str(self.id)
