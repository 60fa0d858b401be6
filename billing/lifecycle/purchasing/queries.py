"""Reading orders of credits."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from django.db.models import Min, Q, QuerySet

from billing.accounts import actors
from billing.accounts.actors import Act, Actor
from billing.kernel import ids
from billing.lifecycle.purchasing.errors import PurchaseNotFound
from billing.models import CreditPurchase, Organization

PAGE_LENGTH_MAX = 200


def get_for(reference: str, *, actor: Actor, act: Act) -> CreditPurchase:
    """The order of this id, to do ``act`` to. Raises ``PurchaseNotFound``, also where the actor may not know of it."""
    wanted = ids.parse_uuid(reference)
    found = None if wanted is None else _purchases().filter(id=wanted).first()
    if found is None or not actors.is_visible(actor, found.organization):
        raise PurchaseNotFound("No such purchase.")
    actors.require(actor, act, found.organization)
    return found


def read_purchases(
    *, organization: Organization, actor: Actor, before: tuple[datetime, UUID] | None = None, limit: int = 50
) -> list[CreditPurchase]:
    """An organization's orders, the last first; ``before`` is the last row of the page before."""
    actors.require(actor, Act.MONEY, organization)
    found = _purchases().filter(organization=organization).order_by("-ordered_at", "-id")
    if before is not None:
        ordered_at, purchase_id = before
        found = found.filter(Q(ordered_at__lt=ordered_at) | Q(ordered_at=ordered_at, id__lt=purchase_id))
    return list(found[: min(limit, PAGE_LENGTH_MAX)])


def get_purchase(purchase_id: UUID) -> CreditPurchase:
    return _purchases().get(id=purchase_id)


def next_lapse(organization_id: UUID) -> datetime | None:
    """When the organization's next open order is withdrawn."""
    waiting = CreditPurchase.objects.filter(organization_id=organization_id, lapses_at__isnull=False)
    at: datetime | None = waiting.aggregate(at=Min("lapses_at"))["at"]
    return at


def list_lapsing_organizations(*, now: datetime, limit: int) -> list[UUID]:
    """Organizations, not sandboxes, with an order that is to be withdrawn by ``now``; longest overdue first."""
    lapsed = CreditPurchase.objects.filter(lapses_at__lte=now, organization__is_sandbox=False)
    return list(dict.fromkeys(lapsed.order_by("lapses_at").values_list("organization_id", flat=True)[:limit]))


def _purchases() -> QuerySet[CreditPurchase]:
    return CreditPurchase.objects.select_related("organization", "subscription__plan", "invoice")
