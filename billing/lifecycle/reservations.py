"""Reserving and settling, with the renewals that they meet on the way. See ``metering.reserving``."""

from __future__ import annotations

from datetime import datetime, timedelta
from decimal import Decimal

from billing.invoicing import operations as invoicing_operations
from billing.kernel.errors import InvariantViolation
from billing.lifecycle import quota, usage
from billing.metering import reserving
from billing.metering.offers import Offer
from billing.metering.reserving import Reserved, Settled
from billing.models import UsageReservation


def reserve(
    *,
    offer: Offer,
    now: datetime,
    quantity_max: Decimal | None = None,
    expires_in: timedelta = reserving.EXPIRES_IN_DEFAULT,
) -> Reserved:
    """As ``metering.reserving.reserve``. Raises ``RenewalStuck`` where a period is missing that renewal does not
    give."""
    return usage.renewing(
        lambda: reserving.reserve(offer=offer, now=now, quantity_max=quantity_max, expires_in=expires_in),
        [offer.organization],
        now,
    )


def passed(reserved: Reserved, *, entitlement: str = "", now: datetime) -> UsageReservation:
    """The reservation, if there is one. Raises ``PlanLimitError``, ``IdempotencyConflict``, ``UsageInvalid``."""
    if reserved.reservation is not None:
        return reserved.reservation
    quota.passed(quota.answer(reserved.outcome, entitlement, record_usage=True, now=now))
    raise InvariantViolation(f"a reservation that is neither there nor refused: {reserved.outcome}")


def settle(*, reservation: UsageReservation, quantity: Decimal, now: datetime) -> Settled:
    """As ``metering.reserving.settle``; use of a period whose last invoice is out comes on a final one."""
    settled = usage.renewing(
        lambda: reserving.settle(reservation=reservation, quantity=quantity, now=now), [reservation.organization], now
    )
    if settled.outcome.bills_closed and settled.outcome.event is not None:
        closed = {settled.outcome.event.billed_period_id}
        invoicing_operations.draft_finals(period_ids=closed, actor=usage.LATE_USE, now=now)
    return settled
