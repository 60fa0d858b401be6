"""An organization with very much use, made by COPY: events of one calendar month, the ledger entries that paid for
some of them, and the windows that hold them. All of it is sound, and the doctor says so."""

from __future__ import annotations

from datetime import datetime, timedelta
from decimal import Decimal

from django.db import connection

from billing.accounts import actors
from billing.credits import operations as credits_operations
from billing.kernel.ids import new_id
from billing.lifecycle import onboard
from billing.models import (
    CreditGrant,
    GrantKind,
    MarketplaceSubscription,
    Organization,
    Subscription,
    SubscriptionPeriod,
)
from tests.support import factories

METERS = ("api_calls", "jobs", "tokens")
OPERATOR = actors.operator("crowd")

_EVENTS = """
    COPY marketplace_usage_events (id, organization_id, subscription_id, period_id, billed_period_id, plan_id, meter,
        service, source, key, fingerprint, quantity, overage, credits_due, credits_paid, guardrail_flags, occurred_at,
        recorded_at) FROM STDIN
"""
_ENTRIES = """
    COPY marketplace_credit_ledger (id, organization_id, subscription_id, sequence, kind, amount, balance_after,
        grant_id, event_id, actor, reason, booked_at) FROM STDIN
"""
# The same in UTC, where the organization lives, as the calendar's own function would say.
_WINDOWS = """
    INSERT INTO subscription_usage_ledger (organization_id, subscription_id, meter, cadence, starts_at, ends_at, used,
        overage, events)
    SELECT organization_id, subscription_id, meter, cadence, starts_at, ends_at, sum(quantity), sum(overage), count(*)
    FROM marketplace_usage_events
    CROSS JOIN LATERAL (
        SELECT date_trunc('day', occurred_at, 'UTC') AS day, date_trunc('month', occurred_at, 'UTC') AS month) AS began
    CROSS JOIN LATERAL (VALUES
        ('daily', day, day + interval '1 day'),
        ('monthly', month, month + interval '1 month'),
        ('never', timestamptz '1970-01-01 00:00Z', timestamptz '9999-01-01 00:00Z'),
        ('billing_period', %(starts_at)s, %(ends_at)s)) AS window_of (cadence, starts_at, ends_at)
    WHERE organization_id = %(organization)s
    GROUP BY 1, 2, 3, 4, 5, 6
"""


def make(*, events: int, entries: int, month: datetime) -> Organization:
    """An organization in UTC at the 28th of ``month`` (its first midnight), with ``events`` from its first day on, of
    which the first ``entries`` cost a credit each."""
    organization = factories.sandbox(clock_at=month + timedelta(days=27), zone="UTC", slug="crowd", name="Crowd Ltd")
    factories.plan(code="crowd", name="Crowd", overages=[factories.Overage(meter, str(events)) for meter in METERS])
    subscription = onboard.subscribe(
        organization=organization, plan_code="crowd", actor=OPERATOR, now=month, starts_at=month
    )
    bought = credits_operations.grant(
        account=subscription.marketplace,
        kind=GrantKind.PURCHASE,
        credits=Decimal(2 * entries),
        starts_at=month,
        expires_at=None,
        actor=OPERATOR.name,
        reason="bought",
        now=month,
    )
    assert bought is not None
    entry = bought.movements.get()
    period = SubscriptionPeriod.objects.get(subscription=subscription, ordinal=1)
    _copy(subscription, period, entry.grant_id, events=events, entries=entries, first_sequence=entry.sequence + 1)
    CreditGrant.objects.filter(id=entry.grant_id).update(consumed=entries, remaining=entries)
    MarketplaceSubscription.objects.filter(pk=subscription.pk).update(
        credit_balance=entries, entries=entry.sequence + entries
    )
    with connection.cursor() as cursor:
        cursor.execute(
            _WINDOWS,
            {"organization": organization.id, "starts_at": period.starts_at, "ends_at": period.ends_at},
        )
        cursor.execute("ANALYZE")
    return organization


def _copy(
    subscription: Subscription,
    period: SubscriptionPeriod,
    grant_id: object,
    *,
    events: int,
    entries: int,
    first_sequence: int,
) -> None:
    step = timedelta(days=27) / events
    paid = []
    with connection.cursor() as cursor:
        with cursor.copy(_EVENTS) as copy:
            for number in range(events):
                event_id, at = new_id(), period.starts_at + step * number
                cost = 1 if number < entries else 0
                if cost:
                    paid.append((event_id, at))
                copy.write_row(
                    (event_id, subscription.organization_id, subscription.id, period.id, period.id,
                     subscription.plan_id, METERS[number % len(METERS)], "", "crowd", f"k{number}", b"\0" * 32, 1, 0,
                     cost, cost, [], at, at)
                )  # fmt: skip
        with cursor.copy(_ENTRIES) as copy:
            for number, (event_id, at) in enumerate(paid):
                copy.write_row(
                    (new_id(), subscription.organization_id, subscription.id, first_sequence + number, "debit", -1,
                     2 * entries - number - 1, grant_id, event_id, "", "", at)
                )  # fmt: skip
