"""The two statements of recording: one loads all that a list of offers touches, one writes all that was decided.

Both are set-based, so that a list of a thousand costs no more statements than a list of one. The load runs after the
organizations' locks are held, in a statement of its own and hence with a snapshot of its own: what it reads cannot
change before the write.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, NamedTuple
from uuid import UUID
from zoneinfo import ZoneInfo

import msgspec
from django.db import DataError
from psycopg.errors import DivisionByZero

from billing.infra import locks, statements
from billing.kernel.errors import InvariantViolation
from billing.kernel.periods import Cadence, calendar_window
from billing.metering import writing_many, writing_one
from billing.metering.books import Books, BooksRow
from billing.metering.decisions import CALENDAR, Decider
from billing.metering.offers import AHEAD_MAX, LATE_MAX, Offer
from billing.models import UsageDebitHold

LOAD = """
SELECT json_build_object(
    'organization_id', asked.organization_id,
    'zone', organization.zone,
    'clock_at', organization.clock_at,
    'products', coalesce((
        SELECT json_object_agg(meter.code, meter.product) FROM billing_meters meter
        WHERE meter.code IN (SELECT jsonb_array_elements_text(asked.meters))), '{}'),
    'known', coalesce((
        SELECT json_agg(json_build_object(
            'source', event.source, 'key', event.key, 'fingerprint', encode(event.fingerprint, 'hex'),
            'event', json_build_object(
                'id', event.id, 'subscription_id', event.subscription_id, 'plan_id', event.plan_id,
                'period_id', event.period_id, 'billed_period_id', event.billed_period_id, 'meter', event.meter,
                'quantity', event.quantity::text, 'overage', event.overage::text,
                'credits_due', event.credits_due::text, 'credits_paid', event.credits_paid::text,
                'occurred_at', event.occurred_at, 'recorded_at', event.recorded_at)))
        FROM jsonb_to_recordset(asked.keys) AS wanted(source text, key text)
        -- LIMIT keeps this one look-up in the index per key. A plan made while the table was small would otherwise join
        -- it whole, and would stay in use however large it grows.
        CROSS JOIN LATERAL (
            SELECT * FROM marketplace_usage_events known
            WHERE known.organization_id = asked.organization_id AND known.source = wanted.source
                AND known.key = wanted.key
            LIMIT 1) event), '[]'),
    'subscriptions', coalesce((
        SELECT json_agg(json_build_object(
            'id', subscription.id, 'product', subscription.product, 'status', subscription.status,
            'starts_at', subscription.starts_at, 'ended_at', subscription.ended_at,
            'past_due_at', subscription.past_due_at,
            'credit_balance', account.credit_balance::text, 'entries', account.entries,
            'filled', account.filled::text, 'told', account.told,
            'periods', coalesce((
                SELECT json_agg(json_build_object(
                    'id', period.id, 'ordinal', period.ordinal, 'kind', period.kind, 'starts_at', period.starts_at,
                    'ends_at', period.ends_at, 'closed_at', period.closed_at))
                FROM subscription_periods period
                WHERE period.subscription_id = subscription.id AND period.ends_at > asked.since), '[]'),
            'spans', coalesce((
                SELECT json_agg(json_build_object(
                    'plan_id', span.plan_id, 'content_digest', plan.content_digest,
                    'starts_at', span.starts_at, 'ends_at', span.ends_at, 'is_paused', span.is_paused))
                FROM subscription_plan_spans span JOIN billing_plans plan ON plan.id = span.plan_id
                WHERE span.subscription_id = subscription.id
                    AND (span.ends_at IS NULL OR span.ends_at > asked.since)), '[]'),
            'grants', coalesce((
                SELECT json_agg(json_build_object(
                    'id', credit_grant.id, 'priority', credit_grant.priority, 'starts_at', credit_grant.starts_at,
                    'expires_at', credit_grant.expires_at, 'remaining', credit_grant.remaining::text))
                FROM marketplace_credit_grants credit_grant
                WHERE credit_grant.organization_id = asked.organization_id
                    AND credit_grant.subscription_id = subscription.id AND credit_grant.is_open), '[]')))
        FROM organization_subscriptions subscription
        JOIN marketplace_subscriptions account ON account.subscription_id = subscription.id
        WHERE subscription.organization_id = asked.organization_id
            AND (subscription.ended_at IS NULL OR subscription.ended_at > asked.since)), '[]'),
    'windows', coalesce((
        SELECT json_agg(json_build_object(
            'id', usage.id, 'subscription_id', usage.subscription_id, 'meter', usage.meter, 'cadence', usage.cadence,
            'starts_at', usage.starts_at, 'used', usage.used::text, 'overage', usage.overage::text,
            'events', usage.events, 'peak', usage.peak::text))
        FROM (
            SELECT meter, cadence, starts_at
            FROM jsonb_to_recordset(asked.windows) AS calendar(meter text, cadence text, starts_at timestamptz)
            UNION
            SELECT meter, 'billing_period', period.starts_at
            FROM jsonb_array_elements_text(asked.meters) AS meter, subscription_periods period
            JOIN organization_subscriptions subscription ON subscription.id = period.subscription_id
            WHERE subscription.organization_id = asked.organization_id AND period.ends_at > asked.since
        ) wanted
        -- Each looked up for itself, which OFFSET keeps so: all windows of years would be read otherwise.
        CROSS JOIN LATERAL (
            SELECT * FROM subscription_usage_ledger kept
            WHERE kept.organization_id = asked.organization_id AND kept.meter = wanted.meter
                AND kept.cadence = wanted.cadence AND kept.starts_at = wanted.starts_at
            OFFSET 0) usage), '[]'),
    'holds', coalesce((
        SELECT json_agg(json_build_object(
            'id', hold.id, 'subscription_id', hold.subscription_id, 'meter', hold.meter,
            'quantity', hold.quantity::text, 'at', hold.reserved_at, 'credits', coalesce((
                SELECT json_agg(json_build_object('grant_id', share.grant_id, 'credits', share.credits::text))
                FROM usage_reservation_credits share WHERE share.reservation_id = hold.id), '[]')))
        FROM usage_reservations hold
        WHERE hold.organization_id = asked.organization_id AND hold.status = 'open'
            AND hold.expires_at > asked.now), '[]')
)::text
FROM jsonb_to_recordset(%s::jsonb)
    AS asked(organization_id uuid, now timestamptz, since timestamptz, keys jsonb, windows jsonb, meters jsonb)
CROSS JOIN LATERAL (SELECT * FROM organizations WHERE id = asked.organization_id LIMIT 1) organization
"""

_decode = msgspec.json.Decoder(BooksRow).decode


class Clock(NamedTuple):
    """An organization's zone and its now: real time, or a sandbox's ``clock_at``."""

    zone: str
    now: datetime


def load(
    offers_of: Mapping[UUID, Sequence[Offer]], clocks: Mapping[UUID, Clock], *, locking: bool = False
) -> dict[UUID, Books]:
    """Read the books of each organization as far as its offers reach; ``locking`` takes their locks before."""
    asked = [asking(organization_id, clocks[organization_id], offers) for organization_id, offers in offers_of.items()]
    params = [msgspec.json.encode(asked).decode()]
    found = locks.lock_and_fetch(offers_of, LOAD, params) if locking else statements.fetch_all(LOAD, params)
    rows = [_decode(text) for (text,) in found]
    return {row.organization_id: Books(row) for row in rows}


def asking(organization_id: UUID, clock: Clock, offers: Sequence[Offer]) -> dict[str, Any]:
    """What ``LOAD`` is asked for one organization: keys, calendar windows by exact start, and how far back to look."""
    zone, now = ZoneInfo(clock.zone), clock.now
    # Use too old to be accepted is refused without its books; its key may still be known.
    instants = {
        (offer.meter, offer.occurred_at or now)
        for offer in offers
        if offer.occurred_at is None or now - LATE_MAX <= offer.occurred_at <= now + AHEAD_MAX
    }
    # Calendar windows hang on the daily one alone, and a list of a thousand is mostly of one.
    days = {(meter, calendar_window(Cadence.DAILY, at, zone).starts_at): at for meter, at in instants}
    windows = {
        (meter, cadence.value, calendar_window(cadence, at, zone).starts_at)
        for (meter, _), at in days.items()
        for cadence in CALENDAR
    }
    # Never later than now: use told ahead of the clock may have to stand in the period that runs now.
    since = min((now, *(at for _, at in instants)))
    return {
        "organization_id": organization_id,
        "now": now,
        # The instant itself must be inside what is loaded.
        "since": since - timedelta(microseconds=1),
        "keys": [{"source": source, "key": key} for source, key in {(o.source, o.key) for o in offers}],
        "windows": [{"meter": meter, "cadence": cadence, "starts_at": at} for meter, cadence, at in windows],
        "meters": sorted({offer.meter for offer in offers}),
    }


def write(deciders: Collection[Decider], *, committing: bool = False) -> None:
    """Write all that was decided. Raises ``InvariantViolation`` if any row was not as it was loaded.

    ``committing`` allows to commit with the last row, where nothing of the transaction follows and it ``may_commit``.
    """
    if len(deciders) == 1 and (one := writing_one.statement(*deciders)) is not None:
        try:
            statements.fetch_texts(*one, committing=committing)
        except DataError as error:
            if isinstance(error.__cause__, DivisionByZero):
                raise InvariantViolation("recording met rows that had changed: the lock was bypassed") from error
            raise
        return
    many = writing_many.statement(deciders)
    if many is None:
        return
    (counts,) = statements.fetch_texts(writing_many.WRITE, many.values)
    if counts != many.rows:
        names = ", ".join(writing_many.PARTS)
        raise InvariantViolation(f"recording wrote {counts} rows of {names}, not {many.rows}: the lock was bypassed")
    # A statement of its own, which only flagged use costs.
    held = [(decider, each) for decider in deciders for each in decider.held]
    if held:
        UsageDebitHold.objects.bulk_create(
            UsageDebitHold(
                event_id=each.event.id,
                organization_id=decider.books.row.organization_id,
                subscription_id=each.event.subscription_id,
                flags=list(each.flags),
                overage=each.over,
                credits_due=each.due,
                held_at=decider.now,
            )
            for decider, each in held
        )
