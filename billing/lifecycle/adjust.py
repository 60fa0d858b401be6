"""Credits given or taken by hand: at once, or above a set amount once a second person has approved."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import NamedTuple

from django.conf import settings
from django.db import transaction

from billing.accounts import actors, hands
from billing.accounts.actors import Act, Actor
from billing.credits import operations as credits_operations
from billing.credits.operations import CreditsInvalid
from billing.infra import audit, locks, outbox
from billing.kernel.decimals import ZERO, plain
from billing.kernel.errors import Conflict
from billing.models import AuditEntry, CreditEntry, CreditRequest, GrantKind, Subscription
from billing.subscriptions import queries as subscriptions_queries

REASON_LENGTH_MAX = 500
ADJUSTED = "credits.adjust"
# What one hand books on one account within this time counts together: many small ones are a large one.
COUNTED_FOR = timedelta(hours=24)
# How long a request waits for the second person.
LAPSES_AFTER = timedelta(days=14)


class SubscriptionLeft(Conflict):
    """The subscription has ended and another one of its product is live: credits given to it could never be used."""

    code = "subscription_left"


class Adjusted(NamedTuple):
    """What came of it: ledger entries that were made, or the request that waits for a second person."""

    entries: list[CreditEntry]
    request: CreditRequest | None


class Adjustment(NamedTuple):
    """What is to be given (``credits`` above zero; ``kind`` and ``expires_at`` are of that) or taken, and why."""

    credits: Decimal
    kind: GrantKind
    expires_at: datetime | None
    reason: str


def adjust(
    *,
    subscription: Subscription,
    credits: Decimal,
    actor: Actor,
    reason: str,
    now: datetime,
    kind: GrantKind = GrantKind.ADJUSTMENT,
    expires_at: datetime | None = None,
) -> Adjusted:
    """Give ``credits`` as one grant or, where negative, take them from the open grants in drain order; for finance.

    Where that is more than ``BILLING_APPROVAL_ABOVE_CREDITS``, with what the same hand booked on the account in the
    last 24 hours, it is only asked for, whoever asks and by whatever door: nothing is booked before another one
    approves (``lifecycle.approving``). Raises ``InsufficientCredits``, ``SubscriptionLeft`` or ``CreditsInvalid``
    naming the field, and writes nothing then.
    """
    actors.require(actor, Act.CREDITS, subscription.organization)
    wanted = Adjustment(credits, kind, expires_at, reason)
    check(wanted, now)
    with transaction.atomic():
        locks.lock_organization(subscription.organization_id)
        current = subscriptions_queries.get_subscription(subscription.id)
        _refuse_stranded(current, wanted)
        if _needs_approval(current, credits, actor, now):
            return Adjusted([], _ask(current, wanted, actor, now))
        return Adjusted(book(current, wanted, by=actor.name, now=now), None)


def check(wanted: Adjustment, now: datetime) -> None:
    """Raise ``CreditsInvalid`` naming the field where it could not be booked whatever the account holds."""
    if not wanted.reason.strip() or len(wanted.reason) > REASON_LENGTH_MAX:
        raise CreditsInvalid(f"A reason of 1 to {REASON_LENGTH_MAX} characters is needed.", field="reason")
    credits_operations.check(wanted.credits.copy_abs())
    if wanted.expires_at is not None and (wanted.credits < ZERO or wanted.expires_at <= now):
        raise CreditsInvalid("Only credits given can expire, and after now.", field="expires_at")
    if wanted.credits < ZERO and wanted.kind is not GrantKind.ADJUSTMENT:
        raise CreditsInvalid("What is taken is an adjustment.", field="kind")
    if wanted.kind is GrantKind.ALLOWANCE:
        raise CreditsInvalid("An allowance comes from the plan alone.", field="kind")


def book(
    subscription: Subscription, wanted: Adjustment, *, by: str, now: datetime, request: CreditRequest | None = None
) -> list[CreditEntry]:
    """Book what was checked, under the lock that the caller holds; ``request`` is what a second person approved."""
    _refuse_stranded(subscription, wanted)
    account = subscription.marketplace
    first = account.entries + 1
    if wanted.credits < ZERO:
        credits_operations.take(account=account, credits=-wanted.credits, actor=by, reason=wanted.reason, now=now)
    else:
        credits_operations.grant(
            account=account,
            kind=wanted.kind,
            credits=wanted.credits,
            starts_at=now,
            expires_at=wanted.expires_at,
            actor=by,
            reason=wanted.reason,
            now=now,
        )
    figures = {"credits": plain(wanted.credits), "kind": wanted.kind.value}
    audit.record(
        actor=by,
        act=ADJUSTED,
        object_type="subscription",
        object_id=subscription.id,
        organization_id=subscription.organization_id,
        reason=wanted.reason,
        details=figures | {"at": _stamp(now)} if request is None else figures | {"request": str(request.id)},
    )
    outbox.emit(
        organization_id=subscription.organization_id,
        topic="credits.adjusted",
        payload={"subscription_id": str(subscription.id), **figures},
        now=now,
    )
    return list(
        CreditEntry.objects.filter(
            organization_id=account.organization_id, account=account, sequence__gte=first
        ).order_by("sequence")
    )


def _needs_approval(subscription: Subscription, credits: Decimal, actor: Actor, now: datetime) -> bool:
    above: Decimal | None = settings.BILLING_APPROVAL_ABOVE_CREDITS
    if above is None or actors.is_system(actor):
        return False
    if abs(credits) > above:
        return True
    lately = AuditEntry.objects.filter(
        object_type="subscription",
        object_id=str(subscription.id),
        act=ADJUSTED,
        details__at__gt=_stamp(now - COUNTED_FOR),
    ).values_list("actor", "details__credits")
    by_actor: dict[str, Decimal] = {}
    for name, booked in lately:
        by_actor[name] = by_actor.get(name, ZERO) + abs(Decimal(booked))
    before = sum((booked for name, booked in by_actor.items() if hands.is_one_hand(name, actor.name)), ZERO)
    return before + abs(credits) > above


def _ask(subscription: Subscription, wanted: Adjustment, actor: Actor, now: datetime) -> CreditRequest:
    request = CreditRequest.objects.create(
        organization_id=subscription.organization_id,
        subscription=subscription,
        kind=wanted.kind,
        credits=wanted.credits,
        expires_at=wanted.expires_at,
        reason=wanted.reason,
        requested_by=actor.name[:120],
        requested_at=now,
        lapses_at=now + LAPSES_AFTER,
    )
    audit.record(
        actor=actor.name,
        act="credits.request",
        object_type="credit_request",
        object_id=request.id,
        organization_id=subscription.organization_id,
        reason=wanted.reason,
        details={
            "subscription": str(subscription.id),
            "credits": plain(wanted.credits),
            "kind": wanted.kind.value,
        },
    )
    return request


def _stamp(at: datetime) -> str:
    """The organization's time, so that it compares as text; the log's own time is real time, for sandboxes too."""
    return at.astimezone(UTC).isoformat(timespec="microseconds")


def _refuse_stranded(subscription: Subscription, wanted: Adjustment) -> None:
    if wanted.credits < ZERO or subscription.ended_at is None:
        return
    live = subscriptions_queries.find_live(subscription.organization, subscription.product)
    if live is not None:
        raise SubscriptionLeft(
            "This subscription has ended; give the credits to the live one.", subscription_id=str(live.id)
        )
