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
from django.db import connection
from django.db.models import F, Sum

from billing.catalog import queries as catalog_queries
from billing.credits import allocation
from billing.credits import operations as credits_operations
from billing.credits.allocation import Share
from billing.kernel.decimals import ZERO, bounded, plain
from billing.kernel.errors import Conflict, Invalid, InvariantViolation, NotFound
from billing.kernel.ids import new_id
from billing.metering import flaws
from billing.metering.decisions import ALWAYS_KEPT, SERVED, RenewalDue
from billing.metering.undoing import NOTHING, Figures, take_back
from billing.models import CreditEntry, EntryKind, SubscriptionPeriod, UsageCharge, UsageEvent

# Whose keys the keys of reversals are, so that they never meet those of uses.
SOURCE = "reversal"

# The windows that recording put the event into: by its plan's cadences and its instant, its billing period by its own
# bounds. Before anything is taken from a window, the most that stood in it is kept: what all subscriptions that share a
# calendar stretch have in it.
_SHRINK = """
    UPDATE subscription_usage_ledger AS touched
    SET used = touched.used - %(quantity)s, overage = touched.overage - %(overage)s, events = touched.events + 1,
        peak = (
            SELECT greatest(sum(shared.used), max(shared.peak)) FROM subscription_usage_ledger AS shared
            WHERE shared.organization_id = touched.organization_id AND shared.meter = touched.meter
                AND shared.cadence = touched.cadence AND shared.starts_at = touched.starts_at
                AND (touched.cadence <> 'billing_period' OR shared.subscription_id = touched.subscription_id))
    WHERE touched.organization_id = %(organization)s AND touched.meter = %(meter)s
        AND touched.subscription_id = %(subscription)s AND touched.cadence = ANY(%(cadences)s)
        AND CASE touched.cadence WHEN 'billing_period' THEN touched.starts_at = %(period_starts_at)s
            ELSE touched.starts_at <= %(at)s AND touched.ends_at > %(at)s END
"""


class EventNotFound(NotFound):
    """No such usage event, or none that the caller may know of."""


class ReversalInvalid(Invalid):
    """Not a quantity, key or reason that a reversal can have."""

    code = "reversal_invalid"


class ReversalOfReversal(Conflict):
    """A reversal is not reversed: record the use again."""

    code = "reversal_of_reversal"


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
    whole, before = _figures(event), _reversed_so_far(event)
    left = whole.quantity - before.quantity
    if not left or (asked is not None and asked > left):
        raise ReversalExceedsEvent(f"{plain(left)} of {plain(whole.quantity)} can be taken back.", left=plain(left))
    back = take_back(whole, before=before, quantity=left if asked is None else asked)
    written = _write(event, back, key=key, fingerprint=fingerprint, now=now)
    shares = _shares(event, back.credits_paid)
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


def _reversed_so_far(event: UsageEvent) -> Figures:
    sums = UsageEvent.objects.filter(reverses=event).aggregate(
        *(Sum(name) for name in Figures._fields),
    )
    return NOTHING.less(Figures(*(sums[f"{name}__sum"] or ZERO for name in Figures._fields)))


def _write(event: UsageEvent, back: Figures, *, key: str, fingerprint: bytes, now: datetime) -> UsageEvent:
    billed_id = _billed_period(event, costs_money=bool(back.overage or back.credit_deficit))
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
    _shrink_windows(event, back)
    if back.overage or back.credit_deficit:
        charge, _ = UsageCharge.objects.get_or_create(
            organization_id=event.organization_id,
            subscription_id=event.subscription_id,
            billed_period_id=billed_id,
            service_period_id=event.period_id,
            plan_id=event.plan_id,
            meter_id=event.meter_id,
            defaults={"overage": ZERO, "credit_deficit": ZERO},
        )
        UsageCharge.objects.filter(pk=charge.pk).update(
            overage=F("overage") - back.overage, credit_deficit=F("credit_deficit") - back.credit_deficit
        )
    return written


def _billed_period(event: UsageEvent, *, costs_money: bool) -> UUID:
    """The period that bills the event if it is open, else the next one that is: never an earlier one, which would
    give money back before it is asked for."""
    if not costs_money:
        return event.billed_period_id
    open_period = (
        SubscriptionPeriod.objects.filter(
            subscription_id=event.subscription_id, ordinal__gte=event.billed_period.ordinal, closed_at__isnull=True
        )
        .order_by("ordinal")
        .first()
    )
    if open_period is not None:
        return open_period.id
    if event.subscription.status in SERVED:
        raise RenewalDue
    raise NoOpenPeriod("All periods are invoiced: give the money back by a credit note.")


def _shrink_windows(event: UsageEvent, back: Figures) -> None:
    guards = catalog_queries.compiled_plan(event.plan_id).guards(event.meter_id)
    cadences = {cadence.value for cadence in (*ALWAYS_KEPT, *(guard.cadence for guard in guards.metered))}
    with connection.cursor() as cursor:
        cursor.execute(
            _SHRINK,
            {
                "quantity": back.quantity,
                "overage": back.overage,
                "organization": event.organization_id,
                "subscription": event.subscription_id,
                "meter": event.meter_id,
                "cadences": sorted(cadences),
                "period_starts_at": event.period.starts_at,
                "at": event.occurred_at,
            },
        )
        if cursor.rowcount != len(cadences):
            raise InvariantViolation(f"event {event.id} stands in {cursor.rowcount} windows, not {len(cadences)}")


def _shares(event: UsageEvent, credits: Decimal) -> list[Share]:
    """The same grants that paid, the last of them first."""
    if not credits:
        return []
    entries = CreditEntry.objects.filter(organization_id=event.organization_id)
    debits = entries.filter(event_id=event.id, kind=EntryKind.DEBIT).order_by("sequence")
    paid = [Share(grant_id, -amount) for grant_id, amount in debits.values_list("grant_id", "amount")]
    reversals = list(UsageEvent.objects.filter(reverses=event).values_list("id", flat=True))
    before = dict(
        entries.filter(event_id__in=reversals, kind=EntryKind.REVERSAL).values_list("grant_id").annotate(Sum("amount"))
    )
    return allocation.give_back(paid, before=before, credits=credits)


def _outcome(written: UsageEvent, original: UsageEvent, *, is_duplicate: bool) -> Reversal:
    is_left = original.quantity - _reversed_so_far(original).quantity
    entries: Sequence[CreditEntry] = ()
    if written.credits_paid:
        entries = list(
            CreditEntry.objects.filter(organization_id=written.organization_id, event_id=written.id).order_by(
                "account_id", "sequence"
            )
        )
    return Reversal(written, original, is_left, entries, is_duplicate)
