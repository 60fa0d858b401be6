"""The second person's word on credits that somebody asked for."""

from __future__ import annotations

from datetime import datetime

from django.db import transaction

from billing.accounts import actors, hands
from billing.accounts.actors import Act, Actor
from billing.credits import requests
from billing.credits.operations import CreditsInvalid
from billing.infra import audit, locks
from billing.kernel.errors import Conflict, Forbidden
from billing.lifecycle import adjust
from billing.lifecycle.adjust import Adjusted, Adjustment
from billing.models import CreditRequest, GrantKind, RequestStatus
from billing.subscriptions import queries as subscriptions_queries


class SecondPersonNeeded(Forbidden):
    """Whoever asks does not approve: neither themselves nor by a key of theirs."""

    code = "second_person_needed"


class RequestDecided(Conflict):
    """It was approved or rejected before; that stands."""

    code = "request_decided"


class RequestLapsed(Conflict):
    """Nobody decided in time: it has to be asked for anew."""

    code = "request_lapsed"


def approve(*, request: CreditRequest, actor: Actor, now: datetime) -> Adjusted:
    """Book what was asked for, as asked for, under the name of who asked; for finance, but another one.

    Two at once book once. Raises ``SecondPersonNeeded``, ``RequestDecided``, ``RequestLapsed``, and what booking it
    raises (``InsufficientCredits``, ``SubscriptionLeft``, ``CreditsInvalid`` where it would be expired by now): then
    it waits as before.
    """
    actors.require(actor, Act.CREDITS, request.organization)
    if hands.is_one_hand(request.requested_by, actor.name):
        raise SecondPersonNeeded("Somebody else has to approve: not whoever asked, and not a key of theirs.")
    with transaction.atomic():
        locks.lock_organization(request.organization_id)
        stored = _waiting(request, now)
        wanted = Adjustment(stored.credits, GrantKind(stored.kind), stored.expires_at, stored.reason)
        adjust.check(wanted, now)
        _decide(stored, RequestStatus.APPROVED, actor=actor, now=now)
        subscription = subscriptions_queries.get_subscription(stored.subscription_id)
        return Adjusted(adjust.book(subscription, wanted, by=stored.requested_by, now=now, request=stored), stored)


def reject(*, request: CreditRequest, actor: Actor, reason: str, now: datetime) -> CreditRequest:
    """Decide that nothing is booked; for finance, and whoever asked may take it back so.

    Raises ``RequestDecided``, ``RequestLapsed``, ``CreditsInvalid`` without a reason.
    """
    actors.require(actor, Act.CREDITS, request.organization)
    text = reason.strip()
    if not text or len(text) > adjust.REASON_LENGTH_MAX:
        raise CreditsInvalid(f"A reason of 1 to {adjust.REASON_LENGTH_MAX} characters is needed.", field="reason")
    with transaction.atomic():
        locks.lock_organization(request.organization_id)
        stored = _waiting(request, now)
        _decide(stored, RequestStatus.REJECTED, actor=actor, now=now, why=text)
        return stored


def _waiting(request: CreditRequest, now: datetime) -> CreditRequest:
    stored = requests.get_request(str(request.id))
    if stored.status != RequestStatus.WAITING:
        raise RequestDecided(f"This request is {stored.status} already.")
    if stored.lapses_at <= now:
        raise RequestLapsed("Nobody decided in time: ask for it anew.", lapsed_at=stored.lapses_at.isoformat())
    return stored


def _decide(stored: CreditRequest, status: RequestStatus, *, actor: Actor, now: datetime, why: str = "") -> None:
    stored.status, stored.decided_by, stored.decided_at, stored.decision = status, actor.name[:120], now, why
    stored.save(update_fields=["status", "decided_by", "decided_at", "decision"])
    audit.record(
        actor=actor.name,
        act="credits.approve" if status is RequestStatus.APPROVED else "credits.reject",
        object_type="credit_request",
        object_id=stored.id,
        organization_id=stored.organization_id,
        reason=why,
        details={"requested_by": stored.requested_by, "subscription": str(stored.subscription_id)},
    )
