"""Credits given or taken by hand."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal

from django.db import transaction

from billing.accounts import actors
from billing.accounts.actors import Act, Actor
from billing.credits import operations as credits_operations
from billing.credits.operations import CreditsInvalid
from billing.infra import audit, locks, outbox
from billing.kernel.decimals import ZERO, plain
from billing.kernel.errors import Conflict
from billing.models import CreditEntry, GrantKind, Subscription
from billing.subscriptions import queries as subscriptions_queries

REASON_LENGTH_MAX = 500


class SubscriptionLeft(Conflict):
    """The subscription has ended and another one of its product is live: credits given to it could never be used."""

    code = "subscription_left"


def adjust(
    *,
    subscription: Subscription,
    credits: Decimal,
    actor: Actor,
    reason: str,
    now: datetime,
    kind: GrantKind = GrantKind.ADJUSTMENT,
    expires_at: datetime | None = None,
) -> list[CreditEntry]:
    """Give ``credits`` as one grant or, where negative, take them from the open grants in drain order; for finance.

    Returns the ledger entries made. Raises ``InsufficientCredits``, ``SubscriptionLeft`` or ``CreditsInvalid`` naming
    the field, and writes nothing then. ``kind`` and ``expires_at`` are of what is given.
    """
    actors.require(actor, Act.CREDITS, subscription.organization)
    if not reason.strip() or len(reason) > REASON_LENGTH_MAX:
        raise CreditsInvalid(f"A reason of 1 to {REASON_LENGTH_MAX} characters is needed.", field="reason")
    credits_operations.check(credits.copy_abs())
    if expires_at is not None and (credits < ZERO or expires_at <= now):
        raise CreditsInvalid("Only credits given can expire, and after now.", field="expires_at")
    if credits < ZERO and kind is not GrantKind.ADJUSTMENT:
        raise CreditsInvalid("What is taken is an adjustment.", field="kind")
    if kind is GrantKind.ALLOWANCE:
        raise CreditsInvalid("An allowance comes from the plan alone.", field="kind")
    with transaction.atomic():
        locks.lock_organization(subscription.organization_id)
        current = subscriptions_queries.get_subscription(subscription.id)
        if credits > ZERO and current.ended_at is not None:
            _refuse_stranded(current)
        account = current.marketplace
        first = account.entries + 1
        if credits < ZERO:
            credits_operations.take(account=account, credits=-credits, actor=actor.name, reason=reason, now=now)
        else:
            credits_operations.grant(
                account=account,
                kind=kind,
                credits=credits,
                starts_at=now,
                expires_at=expires_at,
                actor=actor.name,
                reason=reason,
                now=now,
            )
        audit.record(
            actor=actor.name,
            act="credits.adjust",
            object_type="subscription",
            object_id=subscription.id,
            organization_id=subscription.organization_id,
            reason=reason,
            details={"credits": plain(credits), "kind": kind.value},
        )
        outbox.emit(
            organization_id=subscription.organization_id,
            topic="credits.adjusted",
            payload={"subscription_id": str(subscription.id), "credits": plain(credits), "kind": kind.value},
            now=now,
        )
        return list(
            CreditEntry.objects.filter(
                organization_id=account.organization_id, account=account, sequence__gte=first
            ).order_by("sequence")
        )


def _refuse_stranded(ended: Subscription) -> None:
    live = subscriptions_queries.find_live(ended.organization, ended.product)
    if live is not None:
        raise SubscriptionLeft(
            "This subscription has ended; give the credits to the live one.", subscription_id=str(live.id)
        )
