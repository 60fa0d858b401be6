"""Debits that guardrails hold: cleared, they are made; rejected, what was used is taken back. Each once and for ever.

A held event counts in its windows and costs nothing; its hold says what it would. So nothing of it is on any invoice.
Clearing books an event of no quantity beside it, which bears the cost from that moment on: every sum of events, window,
charge and debit stays what it always is. Off the hot path.
"""

from __future__ import annotations

import hashlib
from datetime import datetime
from decimal import Decimal
from typing import NamedTuple
from uuid import UUID

import msgspec

from billing.catalog import queries as catalog_queries
from billing.credits import operations as credits_operations
from billing.kernel.decimals import ZERO
from billing.kernel.errors import Conflict, NotFound
from billing.kernel.ids import new_id
from billing.metering import rebooking, reversing
from billing.metering.reversing import Reversal
from billing.metering.undoing import NOTHING, Figures, take_back
from billing.models import PeriodKind, Resolution, SubscriptionPeriod, UsageDebitHold, UsageDebitResolution, UsageEvent

# Whose keys the keys of cleared debits are: the identifiers of the events that they are of.
SOURCE = "guardrail"


class HoldNotFound(NotFound):
    """No debit of such an event is held or was."""


class HoldRejected(Conflict):
    """The use was taken back; its debit cannot be cleared any more."""

    code = "debit_rejected"


class HoldCleared(Conflict):
    """The debit was made; to take the use back, reverse it."""

    code = "debit_cleared"


class Cleared(NamedTuple):
    """``bills_closed``: the period that bills it has its invoice out already, and a final one has to follow."""

    resolution: UsageDebitResolution
    is_duplicate: bool
    bills_closed: bool = False


def get_hold(organization_id: UUID, event_id: UUID) -> UsageDebitHold:
    """Raises ``HoldNotFound``."""
    holds = UsageDebitHold.objects.select_related("resolution__booked", "event__period", "event__billed_period")
    found = (
        holds.select_related("event__subscription__marketplace")
        .filter(organization_id=organization_id, event_id=event_id)
        .first()
    )
    if found is None:
        raise HoldNotFound("No debit of such an event was held.")
    return found


def find_resolution(hold: UsageDebitHold) -> UsageDebitResolution | None:
    return hold.resolution if hasattr(hold, "resolution") else None


def is_left(hold: UsageDebitHold) -> Figures:
    """What the held debit is of, less what was taken back of its use."""
    whole = Figures(hold.event.quantity, hold.overage, hold.credits_due, ZERO)
    back = reversing.reversed_so_far(hold.event).quantity
    return whole.less(take_back(whole, before=NOTHING, quantity=back)) if back else whole


def clear(hold: UsageDebitHold, *, actor: str, reason: str, now: datetime) -> Cleared:
    """Make the debit now: credits from the grants that are open now, the rest and what is beyond the limit on the first
    invoice that is not out. The caller holds the organization's lock.

    Once: a second time answers with the first. Raises, and writes nothing: ``HoldRejected``; ``InsufficientCredits``
    where the plan blocks without credits; ``RenewalDue`` if the open period is not on the spine yet.
    """
    known = find_resolution(hold)
    if known is not None:
        if known.state != Resolution.CLEARED:
            raise HoldRejected("This use was taken back.")
        return Cleared(known, is_duplicate=True)
    left = is_left(hold)
    booked, bills_closed = None, False
    if left.overage or left.credits_due:
        booked = _debit(hold, left, actor=actor, reason=reason, now=now)
        bills_closed = booked.billed_period.closed_at is not None and bool(booked.overage or _deficit(booked))
    resolution = _resolve(hold, Resolution.CLEARED, left.quantity, booked, actor=actor, reason=reason, now=now)
    return Cleared(resolution, is_duplicate=False, bills_closed=bills_closed)


def close_reversed(reversal: Reversal, *, actor: str, reason: str, now: datetime) -> None:
    """Reject the debit of a use of which nothing is left, where it still waits."""
    if reversal.is_left:
        return
    hold = UsageDebitHold.objects.filter(event=reversal.original, resolution=None).first()
    if hold is not None:
        quantity = -reversal.event.quantity
        _resolve(hold, Resolution.REJECTED, quantity, reversal.event, actor=actor, reason=reason, now=now)


def _debit(hold: UsageDebitHold, left: Figures, *, actor: str, reason: str, now: datetime) -> UsageEvent:
    event, booked_id = hold.event, new_id()
    paid = ZERO
    if left.credits_due:
        paid = credits_operations.pay(
            account=event.subscription.marketplace,
            credits=left.credits_due,
            event_id=booked_id,
            may_owe=_may_owe(event),
            actor=actor,
            reason=reason,
            now=now,
        )
    billed = event.billed_period
    if left.overage or left.credits_due > paid:
        # Where no more periods come, the last one bills it, by a final invoice.
        billed = rebooking.find_open_period(event, since=billed) or _last_period(event)
    booked = UsageEvent.objects.create(
        id=booked_id,
        organization_id=event.organization_id,
        subscription_id=event.subscription_id,
        period_id=event.period_id,
        billed_period=billed,
        plan_id=event.plan_id,
        meter_id=event.meter_id,
        service=event.service,
        source=SOURCE,
        key=str(event.id),
        fingerprint=hashlib.sha256(msgspec.json.encode([str(event.id), "cleared"])).digest(),
        quantity=ZERO,
        overage=left.overage,
        credits_due=left.credits_due,
        credits_paid=paid,
        occurred_at=event.occurred_at,
        recorded_at=now,
        clears=event,
    )
    rebooking.move_windows(event, quantity=ZERO, overage=left.overage)
    rebooking.add_charge(event, billed.id, overage=left.overage, credit_deficit=_deficit(booked))
    return booked


def _may_owe(event: UsageEvent) -> bool:
    """Whether credits that are missing are billed in money: as when the use was admitted."""
    priced = catalog_queries.compiled_plan(event.plan_id).guards(event.meter_id).priced
    return event.period.kind != PeriodKind.TRIAL and priced is not None and not priced.blocks


def _last_period(event: UsageEvent) -> SubscriptionPeriod:
    return event.subscription.periods.order_by("-ordinal")[0]


def _deficit(booked: UsageEvent) -> Decimal:
    return booked.credits_due - booked.credits_paid


def _resolve(
    hold: UsageDebitHold,
    state: Resolution,
    quantity: Decimal,
    booked: UsageEvent | None,
    *,
    actor: str,
    reason: str,
    now: datetime,
) -> UsageDebitResolution:
    return UsageDebitResolution.objects.create(
        hold=hold,
        organization_id=hold.organization_id,
        state=state,
        quantity=quantity,
        booked=booked,
        actor=actor,
        reason=reason,
        resolved_at=now,
    )
