"""Changing later what an event stands for in its windows and charges: for reversals, and for debits that were held.

Off the hot path: what recording does in two statements for a thousand events takes several here for one.
"""

from __future__ import annotations

from decimal import Decimal
from uuid import UUID

from django.db import connection
from django.db.models import F

from billing.kernel.decimals import ZERO
from billing.kernel.errors import InvariantViolation
from billing.kernel.periods import Cadence
from billing.metering.decisions import SERVED, RenewalDue
from billing.models import SubscriptionPeriod, UsageCharge, UsageEvent

# The windows that recording put the event into: one of every cadence, by its instant, its billing period by its own
# bounds. Before anything is taken from a window, the most that stood in it is kept: what all subscriptions that share a
# calendar stretch have in it.
_MOVE = """
    UPDATE subscription_usage_ledger AS touched
    SET used = touched.used + %(quantity)s, overage = touched.overage + %(overage)s, events = touched.events + 1,
        peak = (
            SELECT greatest(sum(shared.used), max(shared.peak)) FROM subscription_usage_ledger AS shared
            WHERE shared.organization_id = touched.organization_id AND shared.meter = touched.meter
                AND shared.cadence = touched.cadence AND shared.starts_at = touched.starts_at
                AND (touched.cadence <> 'billing_period' OR shared.subscription_id = touched.subscription_id))
    WHERE touched.organization_id = %(organization)s AND touched.meter = %(meter)s
        AND touched.subscription_id = %(subscription)s
        AND CASE touched.cadence WHEN 'billing_period' THEN touched.starts_at = %(period_starts_at)s
            ELSE touched.starts_at <= %(at)s AND touched.ends_at > %(at)s END
"""


def find_open_period(event: UsageEvent, *, since: SubscriptionPeriod) -> SubscriptionPeriod | None:
    """The first period of the event's subscription, from ``since`` on, whose invoice is not out. None where there is
    none and no more will come; raises ``RenewalDue`` where the next one is about to begin."""
    found = (
        SubscriptionPeriod.objects.filter(
            subscription_id=event.subscription_id, ordinal__gte=since.ordinal, closed_at__isnull=True
        )
        .order_by("ordinal")
        .first()
    )
    if found is None and event.subscription.status in SERVED:
        raise RenewalDue
    return found


def move_windows(event: UsageEvent, *, quantity: Decimal, overage: Decimal) -> None:
    """Add one more event of these figures, below zero or not, to the windows that ``event`` stands in."""
    with connection.cursor() as cursor:
        cursor.execute(
            _MOVE,
            {
                "quantity": quantity,
                "overage": overage,
                "organization": event.organization_id,
                "subscription": event.subscription_id,
                "meter": event.meter_id,
                "period_starts_at": event.period.starts_at,
                "at": event.occurred_at,
            },
        )
        if cursor.rowcount != len(Cadence):
            raise InvariantViolation(f"event {event.id} stands in {cursor.rowcount} windows, not {len(Cadence)}")


def add_charge(event: UsageEvent, billed_id: UUID, *, overage: Decimal, credit_deficit: Decimal) -> None:
    """Let the period ``billed_id`` bill these units, or give them back where they are below zero."""
    if not (overage or credit_deficit):
        return
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
        overage=F("overage") + overage, credit_deficit=F("credit_deficit") + credit_deficit
    )
