"""Reading collections: what is due, what holds a subscription, what an organization is dunned for."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from uuid import UUID

from django.db.models import F, Min, Prefetch, Q, QuerySet

from billing.accounts import actors
from billing.accounts.actors import Act, Actor
from billing.invoicing import queries as invoicing_queries
from billing.kernel import ids
from billing.lifecycle.collecting.errors import CollectionNotFound
from billing.models import ChargeAttempt, ChargeStatus, Collection, Invoice, Organization, Status, Subscription

PAGE_LENGTH_MAX = 200
# Grace ends for those that are in service; for one that is paused it ends when it comes back.
_GRACE = Q(closed_at__isnull=True, past_due_at__isnull=True, subscription__status__in=[Status.ACTIVE, Status.PAST_DUE])
_ENDING = Q(
    lifted_at__isnull=True,
    subscription__status=Status.PAST_DUE,
    subscription__held_at__isnull=True,
    subscription__parked_at__isnull=True,
)
HOLDING = Q(past_due_at__isnull=False, lifted_at__isnull=True)


def with_all(collections: QuerySet[Collection]) -> QuerySet[Collection]:
    """With what their documents show, in a fixed number of queries."""
    invoices = invoicing_queries.with_lines(Invoice.objects.select_related("organization"))
    return collections.select_related("organization", "subscription").prefetch_related(
        Prefetch("invoice", invoices), Prefetch("attempts", ChargeAttempt.objects.order_by("started_at", "id"))
    )


def get_collection(reference: str, *, actor: Actor) -> Collection:
    """The collection of this id, or the last of the invoice of this id or number.

    One that ``actor`` may not know of raises the same ``CollectionNotFound`` as one that is not there.
    """
    given = ids.parse_uuid(reference)
    named = Q(invoice__number=reference) if given is None else Q(id=given) | Q(invoice_id=given)
    found = None if "\x00" in reference else with_all(Collection.objects.filter(named)).order_by("-started_at").first()
    if found is None or not actors.is_visible(actor, found.organization):
        raise CollectionNotFound
    return found


def list_dunnings(
    *,
    organization: Organization,
    actor: Actor,
    is_open: bool | None = None,
    before: tuple[datetime, UUID] | None = None,
    limit: int = 50,
) -> list[Collection]:
    """Collections of an organization that came to a dunning, the last begun first."""
    actors.require(actor, Act.MONEY, organization)
    found = Collection.objects.filter(organization=organization, dunning_at__isnull=False)
    if is_open is not None:
        found = found.filter(closed_at__isnull=is_open)
    if before is not None:
        started_at, collection_id = before
        found = found.filter(Q(started_at__lt=started_at) | Q(started_at=started_at, id__lt=collection_id))
    return list(with_all(found).order_by("-started_at", "-id")[: min(limit, PAGE_LENGTH_MAX)])


def list_holding(subscription: Subscription) -> list[Collection]:
    """What makes the subscription past due, the longest unpaid first."""
    return list(with_all(Collection.objects.filter(HOLDING, subscription=subscription)).order_by("started_at", "id"))


def due_attempts(*, now: datetime, organization_id: UUID | None = None) -> QuerySet[ChargeAttempt]:
    found = ChargeAttempt.objects.filter(status=ChargeStatus.STARTED, ask_at__lte=now).order_by("ask_at", "id")
    return found if organization_id is None else found.filter(organization_id=organization_id)


def due_collections(*, now: datetime, organization_id: UUID | None = None) -> QuerySet[Collection]:
    return _of(Collection.objects.filter(next_at__lte=now).order_by("next_at", "id"), organization_id)


def ended_graces(*, now: datetime, organization_id: UUID | None = None) -> QuerySet[Collection]:
    found = Collection.objects.filter(_GRACE, grace_ends_at__lte=now)
    return _of(found.order_by("grace_ends_at", "id"), organization_id)


def ending(*, now: datetime, organization_id: UUID | None = None) -> QuerySet[Collection]:
    """Collections whose subscription was past due for so long that it ends."""
    return _of(Collection.objects.filter(_ENDING, cancels_at__lte=now).order_by("cancels_at", "id"), organization_id)


def next_due(organization_id: UUID) -> datetime | None:
    """When collecting next has something to do for an organization; None if never, as things stand.

    Not before a sandbox's own time: what waited meanwhile, as the end of grace does for a pause, is due now.
    """
    own = Collection.objects.filter(organization_id=organization_id)
    asked = ChargeAttempt.objects.filter(organization_id=organization_id, status=ChargeStatus.STARTED)
    instants: Iterable[datetime | None] = (
        asked.aggregate(at=Min("ask_at"))["at"],
        own.filter(next_at__isnull=False).aggregate(at=Min("next_at"))["at"],
        own.filter(_GRACE, grace_ends_at__isnull=False).aggregate(at=Min("grace_ends_at"))["at"],
        own.filter(_ENDING, cancels_at__isnull=False).aggregate(at=Min("cancels_at"))["at"],
    )
    due_at = min(filter(None, instants), default=None)
    clock_at = Organization.objects.values_list("clock_at", flat=True).get(id=organization_id) if due_at else None
    return max(filter(None, (due_at, clock_at)), default=None)


def list_due_organizations(*, now: datetime, limit: int) -> list[UUID]:
    """Organizations, not sandboxes, that collecting has something to do for; longest overdue first."""
    sources = (
        due_attempts(now=now).annotate(at=F("ask_at")),
        due_collections(now=now).annotate(at=F("next_at")),
        ended_graces(now=now).annotate(at=F("grace_ends_at")),
        ending(now=now).annotate(at=F("cancels_at")),
    )
    rows = [
        row
        for source in sources
        for row in source.filter(organization__is_sandbox=False).values_list("at", "organization_id")[:limit]
    ]
    return list(dict.fromkeys(organization_id for _, organization_id in sorted(rows)))[:limit]


def _of(collections: QuerySet[Collection], organization_id: UUID | None) -> QuerySet[Collection]:
    return collections if organization_id is None else collections.filter(organization_id=organization_id)
