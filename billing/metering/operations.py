"""Recording use: the one way that events, windows, charges and debits are written."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from datetime import datetime
from typing import TypeVar
from uuid import UUID

from django.db import transaction

from billing.infra import logs, refusals, statements
from billing.metering import store
from billing.metering.decisions import Decider
from billing.metering.flaws import find_claim, find_flaw
from billing.metering.offers import Offer, Outcome
from billing.metering.opening import open_books

Item = TypeVar("Item")


def record(offers: Sequence[Offer], *, now: datetime) -> list[Outcome]:
    """Count a list of offers, each accepted, duplicate, refused or conflicting, in the order given.

    All of it commits with the surrounding transaction: keys, windows, credits, ledger and outbox, or nothing. A refused
    offer does not stop later ones and consumes no key. ``now`` is real time; a sandbox organization's clock replaces
    it. Raises ``Busy`` if another writer holds the books for too long, and ``RenewalDue`` (nothing written) if a
    subscription in service has run off its spine.
    """
    flaws = [find_flaw(offer) or find_claim(offer) for offer in offers]
    deciders, decided = _settle([offer for offer, flaw in zip(offers, flaws, strict=True) if flaw is None], now)
    settled = iter(decided)
    outcomes = [
        Outcome(offer, "refused", None, flaw) if flaw else next(settled)
        for offer, flaw in zip(offers, flaws, strict=True)
    ]
    # After the lock is released, on a connection of their own: counting must not make the next writer wait.
    for organization_id, its_outcomes in _apart(outcomes, of=lambda outcome: outcome.offer).items():
        decider = deciders.get(organization_id)
        at = decider.now if decider else its_outcomes[-1].offer.organization.clock_at or now
        tell(organization_id, at, its_outcomes)
    return outcomes


def _settle(offers: Sequence[Offer], now: datetime) -> tuple[dict[UUID, Decider], list[Outcome]]:
    if not offers:
        return {}, []
    by_organization = _apart(offers, of=lambda offer: offer)
    may_commit = statements.may_commit()
    with transaction.atomic():
        deciders = open_books(by_organization, now, locking=True)
        # Nobody reads the guards behind each of many.
        is_read = len(offers) == 1
        outcomes = [deciders[offer.organization.id].decide(offer, is_read=is_read) for offer in offers]
        store.write(deciders.values(), committing=may_commit)
    return deciders, outcomes


def _apart(items: Iterable[Item], *, of: Callable[[Item], Offer]) -> dict[UUID, list[Item]]:
    """``items`` by organization, in their order. Most lists are one organization's, and looking it up for each takes
    longer than seeing that it is the same."""
    apart: dict[UUID, list[Item]] = {}
    last, its = None, []
    for item in items:
        organization = of(item).organization
        if organization is not last:
            last, its = organization, apart.setdefault(organization.id, [])
        its.append(item)
    return apart


def tell(organization_id: UUID, now: datetime, outcomes: Sequence[Outcome]) -> None:
    notes = [note for outcome in outcomes for note in outcome.notes]
    if notes:
        refusals.count(organization_id, notes, now)
        logs.event("usage.refused", organization=organization_id, notes=dict(Counter(notes)))
    counted = Counter(outcome.offer.meter for outcome in outcomes if outcome.status == "accepted")
    if counted:
        logs.event("usage.recorded", organization=organization_id, events=dict(counted))
