"""Writing grants and the ledger, apart from debits for use. The caller holds the organization's lock.

Every function books whole movements: the grant, one ledger entry per grant touched, and the account's balance.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from typing import NamedTuple
from uuid import UUID

from django.db.models import F

from billing.credits import allocation, queries
from billing.kernel.decimals import ZERO, bounded, plain
from billing.kernel.errors import Conflict, Invalid, InvariantViolation, LimitExceeded
from billing.models import (
    DEFAULT_PRIORITY,
    CreditEntry,
    CreditGrant,
    EntryKind,
    GrantKind,
    MarketplaceSubscription,
    Notice,
    SubscriptionPeriod,
)

# What may be added by hand stops here; allowances still fit their column (NUMERIC(20,6)) on top for many years.
BALANCE_MAX = Decimal("10000000000000")


FILLING = (EntryKind.GRANT, EntryKind.ADJUSTMENT, EntryKind.TRANSFER)


class InsufficientCredits(LimitExceeded):
    """The open grants do not cover what was to be taken. Nothing was written."""

    code = "insufficient_credits"


class GrantExpired(Conflict):
    """The grant's time is over: what was left of it lapsed and cannot be voided."""

    code = "grant_expired"


class NothingToVoid(Conflict):
    """The grant is spent."""

    code = "nothing_to_void"


class CreditsInvalid(Invalid):
    """Not an amount of credits that can be moved."""

    code = "credits_invalid"


class GrantReserved(Conflict):
    """A reservation that is open keeps some of the grant."""

    code = "grant_reserved"


class Movement(NamedTuple):
    """``amount`` into (positive) or out of (negative) the account, by one grant."""

    grant: CreditGrant
    kind: EntryKind
    amount: Decimal
    event_id: UUID | None = None


def grant(
    *,
    account: MarketplaceSubscription,
    kind: GrantKind,
    credits: Decimal,
    starts_at: datetime,
    expires_at: datetime | None,
    actor: str,
    reason: str,
    now: datetime,
    cause: str | None = None,
    period: SubscriptionPeriod | None = None,
) -> CreditGrant | None:
    """Add credits from one source. With a ``cause``, once for that cause and account: the second time returns None.

    Raises ``CreditsInvalid`` for an amount that cannot be booked, or one that is added by hand to a full account.
    """
    check(credits)
    if cause is not None and CreditGrant.objects.filter(account=account, cause=cause).exists():
        return None
    if kind is not GrantKind.ALLOWANCE:
        account.refresh_from_db(fields=["credit_balance"])
        if account.credit_balance + credits > BALANCE_MAX:
            raise CreditsInvalid(f"An account holds at most {BALANCE_MAX} credits.", field="credits")
    added = CreditGrant.objects.create(
        organization_id=account.organization_id,
        account=account,
        kind=kind,
        priority=DEFAULT_PRIORITY[kind],
        starts_at=starts_at,
        expires_at=expires_at,
        granted=credits,
        remaining=credits,
        cause=cause,
        period=period,
        reason=reason,
    )
    entry_kind = EntryKind.ADJUSTMENT if kind is GrantKind.ADJUSTMENT else EntryKind.GRANT
    _book(account, [Movement(added, entry_kind, credits)], actor=actor, reason=reason, now=now)
    return added


def take(
    *, account: MarketplaceSubscription, credits: Decimal, actor: str, reason: str, now: datetime
) -> list[CreditEntry]:
    """Take credits back by hand, from the open grants in drain order. Raises ``InsufficientCredits``."""
    check(credits)
    shares, missing = _shares(account, credits, now)
    if missing:
        raise InsufficientCredits(f"{credits - missing} credits can be taken, not {credits}.")
    movements = []
    for open_grant, taken in shares:
        CreditGrant.objects.filter(pk=open_grant.pk).update(
            remaining=F("remaining") - taken, voided=F("voided") + taken
        )
        movements.append(Movement(open_grant, EntryKind.ADJUSTMENT, -taken))
    return _book(account, movements, actor=actor, reason=reason, now=now)


def pay(
    *,
    account: MarketplaceSubscription,
    credits: Decimal,
    event_id: UUID,
    may_owe: bool,
    actor: str,
    reason: str,
    now: datetime,
) -> Decimal:
    """Debit an event from the grants that are open now, in drain order. Returns the credits that they paid.

    That is less than ``credits`` only if it ``may_owe`` the rest; else raises ``InsufficientCredits``.
    """
    shares, missing = _shares(account, credits, now)
    if missing and not may_owe:
        raise InsufficientCredits(f"{plain(credits)} credits are needed and {plain(credits - missing)} are there.")
    movements = []
    for open_grant, paid in shares:
        CreditGrant.objects.filter(pk=open_grant.pk).update(
            remaining=F("remaining") - paid, consumed=F("consumed") + paid
        )
        movements.append(Movement(open_grant, EntryKind.DEBIT, -paid, event_id))
    _book(account, movements, actor=actor, reason=reason, now=now)
    return credits - missing


def _shares(
    account: MarketplaceSubscription, credits: Decimal, now: datetime
) -> tuple[list[tuple[CreditGrant, Decimal]], Decimal]:
    """What open grants give of ``credits`` beside what reservations keep of them, and what is missing."""
    open_grants = {each.id: each for each in queries.list_open_grants(account)}
    for grant_id, kept in queries.held(account, now).items():
        if grant_id in open_grants:
            open_grants[grant_id].remaining -= kept
    shares, missing = allocation.allocate(allocation.in_drain_order(open_grants.values()), credits=credits, at=now)
    return [(open_grants[share.grant_id], share.credits) for share in shares], missing


def void(*, account: MarketplaceSubscription, grant: CreditGrant, actor: str, reason: str, now: datetime) -> bool:
    """Make what is left of a grant worthless. A voided grant stays as it is: False.

    Raises ``GrantExpired``, ``NothingToVoid``.
    """
    if grant.voided_at is not None:
        return False
    if grant.expires_at is not None and grant.expires_at <= now:
        raise GrantExpired("The grant has expired.")
    if not grant.remaining:
        raise NothingToVoid("Nothing is left of the grant.")
    if queries.held(account, now).get(grant.id):
        raise GrantReserved("Some of this grant is reserved: release the reservation first, or wait for its end.")
    movement = Movement(grant, EntryKind.VOID, -grant.remaining)
    CreditGrant.objects.filter(pk=grant.pk).update(voided=F("voided") + F("remaining"), remaining=ZERO, voided_at=now)
    _book(account, [movement], actor=actor, reason=reason, now=now)
    return True


def give_back(*, shares: Sequence[allocation.Share], event_id: UUID, actor: str, reason: str, now: datetime) -> None:
    """Return to grants what they paid for use that the counter-event ``event_id`` takes back.

    Each on the account that it belongs to by now. What is expired, lapsed with its subscription or voided is booked
    back and lapses or is voided again at once: it is unspendable from its instant, whatever becomes of it later.
    """
    credits = dict(shares)
    grants = CreditGrant.objects.select_related("account__subscription").filter(id__in=credits)
    by_account: dict[MarketplaceSubscription, list[CreditGrant]] = {}
    for each in sorted(grants, key=lambda each: list(credits).index(each.id)):
        by_account.setdefault(each.account, []).append(each)
    for account, its_grants in by_account.items():
        movements = []
        for each in its_grants:
            amount = credits[each.id]
            movements.append(Movement(each, EntryKind.REVERSAL, amount, event_id))
            ends_as = _ended_as(each, now)
            if ends_as is not None:
                movements.append(Movement(each, ends_as, -amount, event_id))
            column = {None: "remaining", EntryKind.VOID: "voided", EntryKind.EXPIRY: "expired"}[ends_as]
            CreditGrant.objects.filter(pk=each.pk).update(
                consumed=F("consumed") - amount, **{column: F(column) + amount}
            )
        _book(account, movements, actor=actor, reason=reason, now=now)


def _ended_as(grant: CreditGrant, now: datetime) -> EntryKind | None:
    """What made the grant worthless, if anything did."""
    if grant.voided_at is not None:
        return EntryKind.VOID
    is_over = grant.expires_at is not None and grant.expires_at <= now
    # An allowance lapses with its subscription, before its time.
    has_lapsed = grant.expired > ZERO or (
        grant.kind == GrantKind.ALLOWANCE and grant.account.subscription.ended_at is not None
    )
    return EntryKind.EXPIRY if is_over or has_lapsed else None


def expire_due(*, account: MarketplaceSubscription, now: datetime) -> Decimal:
    """Book the expiry of all that expired by ``now``, once. Returns the credits that lapsed."""
    lapsed = [each for each in queries.list_open_grants(account) if each.expires_at and each.expires_at <= now]
    # What a reservation keeps was there at its instant: it lapses after it, if it is not used.
    return _lapse(account, lapsed, reason="expired", now=now, kept=queries.held(account, now))


def expire_allowances(*, account: MarketplaceSubscription, now: datetime) -> Decimal:
    """Book the end of what a subscription that ends was allowed, reserved or not; what was bought stays. Returns the
    credits lapsed."""
    lapsed = [each for each in queries.list_open_grants(account) if each.kind == GrantKind.ALLOWANCE]
    return _lapse(account, lapsed, reason="subscription ended", now=now, kept={})


def shorten_allowances(*, account: MarketplaceSubscription, ends_at: datetime) -> None:
    """Let what is allowed beyond ``ends_at``, which lies ahead, expire then: its period ends earlier than was planned.

    Nothing is booked before that.
    """
    CreditGrant.objects.filter(
        account=account, kind=GrantKind.ALLOWANCE, starts_at__lt=ends_at, expires_at__gt=ends_at
    ).update(expires_at=ends_at)


def move_remaining(*, source: MarketplaceSubscription, target: MarketplaceSubscription, now: datetime) -> Decimal:
    """Bring what is left of an ended subscription's grants to the one that follows it. Returns the credits moved.

    The grants keep their identity, expiry and history; each ledger tells its side.
    """
    expire_due(account=source, now=now)
    moved = queries.list_open_grants(source)
    reason = f"moved from subscription {source.pk} to {target.pk}"
    out = [Movement(each, EntryKind.TRANSFER, -each.remaining) for each in moved]
    _book(source, out, actor="system:subscribe", reason=reason, now=now)
    CreditGrant.objects.filter(id__in=[each.id for each in moved]).update(account=target)
    into = [Movement(each, EntryKind.TRANSFER, each.remaining) for each in moved]
    _book(target, into, actor="system:subscribe", reason=reason, now=now)
    return sum((each.remaining for each in moved), ZERO)


def _lapse(
    account: MarketplaceSubscription,
    lapsed: Sequence[CreditGrant],
    *,
    reason: str,
    now: datetime,
    kept: Mapping[UUID, Decimal],
) -> Decimal:
    movements = []
    for each in lapsed:
        gone = each.remaining - kept.get(each.id, ZERO)
        if gone > ZERO:
            CreditGrant.objects.filter(id=each.id).update(expired=F("expired") + gone, remaining=F("remaining") - gone)
            movements.append(Movement(each, EntryKind.EXPIRY, -gone))
    _book(account, movements, actor="system:expiry", reason=reason, now=now)
    return -sum((movement.amount for movement in movements), ZERO)


def check(credits: Decimal) -> None:
    """Raise ``CreditsInvalid`` unless ``credits`` is more than 0 and fits its column to the last digit."""
    try:
        amount = bounded(credits)
    except ValueError as error:
        raise CreditsInvalid(f"The number of credits {error}.", field="credits") from error
    if amount <= ZERO:
        raise CreditsInvalid("Credits must be more than 0.", field="credits")


def _book(
    account: MarketplaceSubscription, movements: Sequence[Movement], *, actor: str, reason: str, now: datetime
) -> list[CreditEntry]:
    if not movements:
        return []
    account.refresh_from_db(fields=["credit_balance", "entries"])
    was, balance, sequence = account.credit_balance, account.credit_balance, account.entries
    entries = []
    for movement in movements:
        balance += movement.amount
        sequence += 1
        entries.append(
            CreditEntry(
                organization_id=account.organization_id,
                account=account,
                sequence=sequence,
                kind=movement.kind,
                amount=movement.amount,
                balance_after=balance,
                grant=movement.grant,
                event_id=movement.event_id,
                actor=actor,
                reason=reason,
                booked_at=now,
            )
        )
    CreditEntry.objects.bulk_create(entries)
    # Credits that are added begin anew what is told of their running out; those that come back do not.
    is_filled = balance > was and movements[0].kind in FILLING
    told = {"filled": balance, "told": Notice.NOTHING} if is_filled else {}
    written = MarketplaceSubscription.objects.filter(pk=account.pk, credit_balance=was).update(
        credit_balance=balance, entries=sequence, **told
    )
    if written != 1:
        raise InvariantViolation(f"credit account {account.pk} changed under the lock")
    account.credit_balance, account.entries = balance, sequence
    return entries
