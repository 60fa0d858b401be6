"""Reading credits."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from decimal import Decimal
from uuid import UUID

from django.db.models import F, Sum

from billing.credits import allocation
from billing.infra import statements
from billing.kernel import ids
from billing.kernel.decimals import ZERO
from billing.kernel.errors import NotFound
from billing.models import CreditEntry, CreditGrant, MarketplaceSubscription, ReservationCredits, ReservationStatus


class GrantNotFound(NotFound):
    """The account has no such grant."""


def list_open_grants(account: MarketplaceSubscription) -> list[CreditGrant]:
    """Grants with something left, in drain order; an expiry that is not booked yet does not hide one."""
    return allocation.in_drain_order(CreditGrant.objects.filter(account=account, is_open=True))


def held(account: MarketplaceSubscription, at: datetime) -> dict[UUID, Decimal]:
    """What reservations that are open at ``at`` keep of each of the account's grants."""
    kept = ReservationCredits.objects.filter(
        grant__account=account, reservation__status=ReservationStatus.OPEN, reservation__expires_at__gt=at
    )
    return dict(kept.values_list("grant_id").annotate(Sum("credits")))


def list_grants(account: MarketplaceSubscription) -> Sequence[CreditGrant]:
    """All grants ever, newest first."""
    return list(CreditGrant.objects.filter(account=account).order_by("-created_at", "-id"))


def get_grant(account: MarketplaceSubscription, grant_id: str) -> CreditGrant:
    """Raises ``GrantNotFound``."""
    wanted = ids.parse_uuid(grant_id)
    found = None if wanted is None else CreditGrant.objects.filter(account=account, id=wanted).first()
    if found is None:
        raise GrantNotFound("No such grant of this subscription.")
    return found


def spendable(account: MarketplaceSubscription, at: datetime) -> Decimal:
    """Credits that could pay for use at ``at``."""
    open_grants = list_open_grants(account)
    return sum((each.remaining for each in open_grants if allocation.is_spendable(each, at)), ZERO)


# A plan that is kept: made anew for each page, it took as long as the page.
_OWN_ENTRIES = "own.organization_id = %s AND own.subscription_id = %s AND own.sequence"
_ENTRIES_BEFORE = f"{_OWN_ENTRIES} < %s::bigint ORDER BY own.sequence DESC LIMIT %s::int"
_ENTRIES_AFTER = f"{_OWN_ENTRIES} > %s::bigint ORDER BY own.sequence LIMIT %s::int"

_SEQUENCE_MAX = 2**63 - 1


def list_entries(
    account: MarketplaceSubscription,
    *,
    before_sequence: int | None = None,
    after_sequence: int | None = None,
    limit: int = 50,
) -> list[CreditEntry]:
    """Ledger entries newest first; ``before_sequence`` continues a page, ``after_sequence`` goes back to the one
    before it."""
    own = [account.organization_id, account.subscription_id]
    if after_sequence is not None:
        return statements.fetch_rows(CreditEntry, _ENTRIES_AFTER, [*own, _bounded(after_sequence), limit])[::-1]
    before = _SEQUENCE_MAX if before_sequence is None else before_sequence
    return statements.fetch_rows(CreditEntry, _ENTRIES_BEFORE, [*own, _bounded(before), limit])


def _bounded(sequence: int) -> int:
    """A cursor may say any number; beyond these there are no entries."""
    return max(0, min(sequence, _SEQUENCE_MAX))


def list_accounts(organization_id: UUID, *, limit: int = 20) -> list[MarketplaceSubscription]:
    """The credit accounts of an organization's subscriptions with their plans: those that did not end first, then the
    last ended."""
    return list(
        MarketplaceSubscription.objects.select_related("subscription__plan")
        .filter(organization_id=organization_id)
        .order_by(F("subscription__ended_at").desc(nulls_first=True), "-subscription__created_at")[:limit]
    )
