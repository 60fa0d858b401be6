"""Reversing use: a counter-event beside the event, in the same windows, with the same grants and the same plan.

Off the hot path: what recording does in two statements for a thousand events takes a dozen here for one.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from datetime import datetime
from decimal import Decimal
from typing import NamedTuple
from uuid import UUID

import msgspec
from django.db.models import Sum

from billing.credits import allocation
from billing.credits import operations as credits_operations
from billing.credits.allocation import Share
from billing.kernel.decimals import ZERO, bounded, plain
from billing.kernel.errors import Conflict, Invalid, NotFound
from billing.kernel.ids import new_id
from billing.metering import flaws, rebooking
from billing.metering.undoing import NOTHING, Figures, take_back
from billing.models import CreditEntry, EntryKind, Resolution, UsageDebitResolution, UsageEvent

# Whose keys the keys of reversals are, so that they never meet those of uses.
SOURCE = "reversal"


class EventNotFound(NotFound):
    """No such usage event, or none that the caller may know of."""


class ReversalInvalid(Invalid):
    """Not a quantity, key or reason that a reversal can have."""

    code = "reversal_invalid"


class ReversalOfReversal(Conflict):
    """A reversal is not reversed: record the use again."""

    code = "reversal_of_reversal"


class ReversalOfDebit(Conflict):
    """A debit that had waited is not reversed: its use is."""

    code = "reversal_of_debit"


class ReversalExceedsEvent(Conflict):
    """More than is left of the event, or nothing is left of it."""

    code = "reversal_exceeds_event"


class ReversalKeyReused(Conflict):
    """The key stood for another reversal before."""

    code = "idempotency_conflict"


class NoOpenPeriod(Conflict):
    """Money would have to be given back, and every period that could carry it is invoiced: credit the invoice."""

    code = "no_open_period"


class Reversal(NamedTuple):
    """The counter-event, whose figures are below zero; what ``is_left`` of the event after it; the ledger's entries."""

    event: UsageEvent
    original: UsageEvent
    is_left: Decimal
    entries: Sequence[CreditEntry]
    is_duplicate: bool

    @property
    def credits_returned(self) -> Decimal:
        """Credits that went back to their grants, those included that lapsed or were voided again at once."""
        return -self.event.credits_paid

    @property
    def credits_lapsed(self) -> Decimal:
        """Of these, what expired grants and voided ones could not keep."""
        return -sum((entry.amount for entry in self.entries if entry.kind != EntryKind.REVERSAL), ZERO)


def find_event(event_id: UUID) -> UsageEvent | None:
    return UsageEvent.objects.select_related("organization").filter(id=event_id).first()


def reverse(
    event: UsageEvent, *, quantity: Decimal | None, key: str, actor: str, reason: str, now: datetime
) -> Reversal:
    """Take back ``quantity`` units of ``event``, or all that is left of it. The caller holds the organization's lock.

    The same key and content is answered with what was done at first. The counter-event stands where the event does; if
    the period that bills it is closed, what cost money is given back by the next open one, under the period of use.
    Raises, and writes nothing: ``ReversalInvalid``, ``ReversalOfReversal``, ``ReversalExceedsEvent``,
    ``ReversalKeyReused``, ``NoOpenPeriod``, and ``RenewalDue`` if the open period is not on the spine yet.
    """
    asked = _checked(event, quantity, key)
    fingerprint = _fingerprint(event, asked, reason)
    known = UsageEvent.objects.filter(organization_id=event.organization_id, source=SOURCE, key=key).first()
    if known is not None:
        if known.reverses_id is None or bytes(known.fingerprint) != fingerprint:
            raise ReversalKeyReused(f"The key {key!r} was used for another reversal.", field="idempotency_key")
        return _outcome(known, event, is_duplicate=True)
    if event.reverses_id is not None:
        raise ReversalOfReversal("This is a reversal itself; record the use again instead.")
    if event.clears_id is not None:
        raise ReversalOfDebit("This is the debit of another event, which had waited: reverse that one.")
    debited, whole, before = _standing(event)
    left = whole.quantity - before.quantity
    if not left or (asked is not None and asked > left):
        raise ReversalExceedsEvent(f"{plain(left)} of {plain(whole.quantity)} can be taken back.", left=plain(left))
    back = take_back(whole, before=before, quantity=left if asked is None else asked)
    written = _write(event, debited, back, key=key, fingerprint=fingerprint, now=now)
    shares = _shares(event, debited, back.credits_paid)
    if shares:
        credits_operations.give_back(shares=shares, event_id=written.id, actor=actor, reason=reason, now=now)
    return _outcome(written, event, is_duplicate=False)


def _checked(event: UsageEvent, quantity: Decimal | None, key: str) -> Decimal | None:
    if not key or not flaws.is_storable(key, flaws.KEY_LENGTH_MAX):
        raise ReversalInvalid(f"key must have 1 to {flaws.KEY_LENGTH_MAX} characters.", field="idempotency_key")
    if quantity is None:
        return None
    try:
        asked = bounded(quantity)
    except ValueError as error:
        raise ReversalInvalid(f"quantity {error}.", field="quantity") from error
    if asked <= ZERO:
        raise ReversalInvalid("quantity must be more than 0.", field="quantity")
    return asked


def _fingerprint(event: UsageEvent, quantity: Decimal | None, reason: str) -> bytes:
    content = [str(event.id), None if quantity is None else plain(quantity), reason]
    return hashlib.sha256(msgspec.json.encode(content)).digest()


def _figures(event: UsageEvent) -> Figures:
    return Figures(event.quantity, event.overage, event.credits_due, event.credits_paid)


def _standing(event: UsageEvent) -> tuple[UsageEvent, Figures, Figures]:
    """The event that was debited (itself, or the one that cleared it), what stood then, and what came back since."""
    whole, before = _figures(event), reversed_so_far(event)
    cleared = UsageDebitResolution.objects.select_related("booked__billed_period").filter(
        hold_id=event.id, state=Resolution.CLEARED
    )
    resolution = cleared.first()
    if resolution is None or resolution.booked is None:
        return event, whole, before
    # What came back while the debit was held had cost nothing, and the debit is of the rest.
    at_clearing = _figures(resolution.booked)._replace(quantity=resolution.quantity)
    earlier = whole.quantity - resolution.quantity
    return resolution.booked, at_clearing, before._replace(quantity=before.quantity - earlier)


def reversed_so_far(event: UsageEvent) -> Figures:
    sums = UsageEvent.objects.filter(reverses=event).aggregate(
        *(Sum(name) for name in Figures._fields),
    )
    return NOTHING.less(Figures(*(sums[f"{name}__sum"] or ZERO for name in Figures._fields)))


def _write(
    event: UsageEvent, debited: UsageEvent, back: Figures, *, key: str, fingerprint: bytes, now: datetime
) -> UsageEvent:
    billed_id = _billed_period(event, debited, costs_money=bool(back.overage or back.credit_deficit))
    written = UsageEvent.objects.create(
        id=new_id(),
        organization_id=event.organization_id,
        subscription_id=event.subscription_id,
        period_id=event.period_id,
        billed_period_id=billed_id,
        plan_id=event.plan_id,
        meter_id=event.meter_id,
        service=event.service,
        source=SOURCE,
        key=key,
        fingerprint=fingerprint,
        quantity=-back.quantity,
        overage=-back.overage,
        credits_due=-back.credits_due,
        credits_paid=-back.credits_paid,
        occurred_at=event.occurred_at,
        recorded_at=now,
        reverses=event,
    )
    rebooking.move_windows(event, quantity=-back.quantity, overage=-back.overage)
    rebooking.add_charge(event, billed_id, overage=-back.overage, credit_deficit=-back.credit_deficit)
    return written


def _billed_period(event: UsageEvent, debited: UsageEvent, *, costs_money: bool) -> UUID:
    """The period that bills what was debited if it is open, else the next one that is: never an earlier one, which
    would give money back before it is asked for."""
    if not costs_money:
        return event.billed_period_id
    period = rebooking.find_open_period(event, since=debited.billed_period)
    if period is None:
        raise NoOpenPeriod("All periods are invoiced: give the money back by a credit note.")
    return period.id


def _shares(event: UsageEvent, debited: UsageEvent, credits: Decimal) -> list[Share]:
    """The same grants that paid, the last of them first."""
    if not credits:
        return []
    entries = CreditEntry.objects.filter(organization_id=event.organization_id)
    debits = entries.filter(event_id=debited.id, kind=EntryKind.DEBIT).order_by("sequence")
    paid = [Share(grant_id, -amount) for grant_id, amount in debits.values_list("grant_id", "amount")]
    reversals = list(UsageEvent.objects.filter(reverses=event).values_list("id", flat=True))
    before = dict(
        entries.filter(event_id__in=reversals, kind=EntryKind.REVERSAL).values_list("grant_id").annotate(Sum("amount"))
    )
    return allocation.give_back(paid, before=before, credits=credits)


def _outcome(written: UsageEvent, original: UsageEvent, *, is_duplicate: bool) -> Reversal:
    is_left = original.quantity - reversed_so_far(original).quantity
    entries: Sequence[CreditEntry] = ()
    if written.credits_paid:
        entries = list(
            CreditEntry.objects.filter(organization_id=written.organization_id, event_id=written.id).order_by(
                "account_id", "sequence"
            )
        )
    return Reversal(written, original, is_left, entries, is_duplicate)
