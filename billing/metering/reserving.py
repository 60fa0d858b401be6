"""Reserving quota before work whose size is known only afterwards, and settling what it really took.

A reservation stands against limits and grants as use does, from its instant until it is settled, released or expires,
which needs nobody: it simply stops counting. What it is settled with counts at its own instant, in its own windows,
even after these have started anew.
"""

from __future__ import annotations

import hashlib
from dataclasses import replace
from datetime import datetime, timedelta
from decimal import Decimal
from typing import NamedTuple
from uuid import UUID

import msgspec
from django.db import transaction

from billing.infra import locks
from billing.kernel.decimals import ZERO, plain
from billing.kernel.errors import Conflict, Invalid, NotFound
from billing.metering import operations, store
from billing.metering.decisions import Decider
from billing.metering.flaws import find_flaw
from billing.metering.offers import Offer, Outcome, Refusal
from billing.metering.opening import open_books
from billing.models import Organization, ReservationCredits, ReservationStatus, UsageReservation

EXPIRES_IN_DEFAULT, EXPIRES_IN_MAX = timedelta(minutes=15), timedelta(hours=24)
# Where settled use comes from: its key is the reservation's id.
SOURCE = "reservation"


class ReservationNotFound(NotFound):
    """No such reservation of this organization."""


class ReservationInvalid(Invalid):
    """A reservation that cannot be: its time, or the most that it may be settled with."""

    code = "reservation_invalid"


class ReservationSettled(Conflict):
    """It was settled already, with another quantity."""

    code = "reservation_settled"


class ReservationReleased(Conflict):
    """It was released: what was used meanwhile has to be recorded."""

    code = "reservation_released"


class ReservationExceeded(Conflict):
    """More than the most that it may be settled with."""

    code = "reservation_exceeded"


class Reserved(NamedTuple):
    """``reservation`` is None where the outcome is a refusal or a conflict."""

    outcome: Outcome
    reservation: UsageReservation | None


class Settled(NamedTuple):
    """``outcome`` is of the use that was counted; ``is_late`` if the reservation had expired, and it was admitted
    anew."""

    outcome: Outcome
    reservation: UsageReservation
    is_late: bool


def reserve(
    *,
    offer: Offer,
    now: datetime,
    quantity_max: Decimal | None = None,
    expires_in: timedelta = EXPIRES_IN_DEFAULT,
) -> Reserved:
    """Keep ``offer.quantity`` of its meter, and the credits that it would cost, for ``expires_in``.

    ``offer.key`` names the reservation within its organization: the same again gives the first one back, as
    ``duplicate``; another content is a ``conflict``. ``quantity_max`` (by default the quantity) is the most that it may
    be settled with. Raises ``ReservationInvalid``, ``RenewalDue`` and ``Busy`` with nothing written.
    """
    most = offer.quantity if quantity_max is None else quantity_max
    if not timedelta(0) < expires_in <= EXPIRES_IN_MAX:
        most_seconds = int(EXPIRES_IN_MAX.total_seconds())
        raise ReservationInvalid(f"A reservation lasts from 1 to {most_seconds} seconds.", field="expires_in")
    flaw = find_flaw(offer)
    if flaw is not None:
        return Reserved(Outcome(offer, "refused", None, flaw), None)
    if most < offer.quantity:
        raise ReservationInvalid("The most cannot be less than the quantity.", field="quantity_max")
    with transaction.atomic():
        locks.lock_organization(offer.organization.id)
        known = UsageReservation.objects.filter(organization=offer.organization, key=offer.key).first()
        if known is not None:
            return _repeat(offer, known, most, expires_in)
        decider = _open(offer, now)
        outcome, judged = decider.reserve(offer)
        reservation = None
        if judged is not None:
            reservation = UsageReservation.objects.create(
                organization=offer.organization,
                subscription_id=judged.stretch.subscription.id,
                meter_id=offer.meter,
                quantity=offer.quantity,
                quantity_max=most,
                key=offer.key,
                fingerprint=_fingerprint(offer, most, expires_in),
                service=offer.service,
                reserved_at=decider.now,
                expires_at=decider.now + expires_in,
            )
            ReservationCredits.objects.bulk_create(
                ReservationCredits(reservation=reservation, grant_id=share.grant_id, credits=share.credits)
                for share in judged.shares
            )
    operations.tell(offer.organization.id, decider.now, [outcome] if outcome.refusal else [])
    return Reserved(outcome, reservation)


def settle(*, reservation: UsageReservation, quantity: Decimal, now: datetime) -> Settled:
    """Count what the work really took, at the instant of the reservation; what it kept beyond that is free again.

    More than was reserved has to fit beside all else, as any use; a refusal leaves the reservation as it is. Of an
    expired one it is a new use, of now. Settling with the same quantity again is a duplicate; with nothing, a release.
    Raises ``ReservationSettled``, ``ReservationReleased``, ``ReservationExceeded``, ``RenewalDue``, ``Busy``.
    """
    if quantity == ZERO:
        raise ReservationInvalid("What took nothing is released.", field="quantity")
    with transaction.atomic():
        locks.lock_organization(reservation.organization_id)
        stored = get_reservation(reservation.organization, reservation.id)
        if stored.status == ReservationStatus.RELEASED:
            raise ReservationReleased("This reservation was released.")
        if stored.status == ReservationStatus.SETTLED and stored.settled_quantity != quantity:
            raise ReservationSettled(
                f"This reservation was settled with {plain(stored.settled_quantity or ZERO)}.",
                quantity=plain(stored.settled_quantity or ZERO),
            )
        if quantity > stored.quantity_max:
            raise ReservationExceeded(f"It may be settled with {plain(stored.quantity_max)} at most.", field="quantity")
        offer = Offer(stored.organization, stored.meter_id, quantity, str(stored.id), SOURCE, service=stored.service)
        flaw = find_flaw(offer)
        if flaw is not None:
            return Settled(Outcome(offer, "refused", None, flaw), stored, False)
        kept = replace(offer, occurred_at=stored.reserved_at)
        decider = _open(kept, now)
        is_open = stored.id in decider.books.holds
        if is_open:
            del decider.books.holds[stored.id]
        if (SOURCE, kept.key) in decider.books.known:
            # Settled before: the event tells whether it had expired then.
            event = decider.books.known[SOURCE, kept.key].event
            is_late = event.occurred_at != stored.reserved_at
            return Settled(Outcome(kept, "duplicate", event, None), stored, is_late)
        if not is_open:
            offer = replace(offer, occurred_at=decider.now)
            decider = _open(offer, now)
        outcome = decider.decide(kept if is_open else offer)
        store.write([decider])
        if outcome.event is not None:
            stored.status, stored.ended_at = ReservationStatus.SETTLED, decider.now
            stored.settled_quantity, stored.event_id = quantity, outcome.event.id
            stored.save(update_fields=["status", "ended_at", "settled_quantity", "event_id"])
    operations.tell(stored.organization_id, decider.now, [outcome])
    return Settled(outcome, stored, not is_open)


def release(*, reservation: UsageReservation, now: datetime) -> UsageReservation:
    """Give up what is kept. Twice is once, and so is one that expired. Raises ``ReservationSettled``."""
    with transaction.atomic():
        locks.lock_organization(reservation.organization_id)
        stored = get_reservation(reservation.organization, reservation.id)
        if stored.status == ReservationStatus.SETTLED:
            raise ReservationSettled("This reservation was settled.")
        if stored.status != ReservationStatus.RELEASED:
            stored.status, stored.ended_at = ReservationStatus.RELEASED, stored.organization.clock_at or now
            stored.save(update_fields=["status", "ended_at"])
    return stored


def get_reservation(organization: Organization, reservation_id: UUID) -> UsageReservation:
    """Raises ``ReservationNotFound``."""
    found = (
        UsageReservation.objects.select_related("organization")
        .prefetch_related("credits")
        .filter(organization=organization, id=reservation_id)
        .first()
    )
    if found is None:
        raise ReservationNotFound("No such reservation.")
    return found


def mark_expired(*, before: datetime) -> int:
    """Say of reservations that expired before ``before`` that they did, so that nobody looks at them again. Sandboxes
    live by their own clocks and are left alone."""
    return UsageReservation.objects.filter(
        status=ReservationStatus.OPEN, expires_at__lt=before, organization__is_sandbox=False
    ).update(status=ReservationStatus.EXPIRED)


def _open(offer: Offer, now: datetime) -> Decider:
    return open_books({offer.organization.id: [offer]}, now)[offer.organization.id]


def _repeat(offer: Offer, known: UsageReservation, most: Decimal, expires_in: timedelta) -> Reserved:
    if bytes(known.fingerprint) == _fingerprint(offer, most, expires_in):
        return Reserved(Outcome(offer, "duplicate", None, None), known)
    message = f"The key {offer.key!r} was used for another reservation."
    return Reserved(Outcome(offer, "conflict", None, Refusal("idempotency_conflict", "", message)), None)


def _fingerprint(offer: Offer, most: Decimal, expires_in: timedelta) -> bytes:
    content = [offer.meter, plain(offer.quantity), plain(most), offer.service, int(expires_in.total_seconds())]
    return hashlib.sha256(msgspec.json.encode(content)).digest()
