"""The two statements of recording: one loads all that a list of offers touches, one writes all that was decided.

Both take one JSON parameter and are set-based, so that a list of a thousand costs about what a list of ten does. The
load runs after the organizations' locks are held, in a statement of its own and hence with a snapshot of its own:
what it reads cannot change before the write.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any, NamedTuple
from uuid import UUID
from zoneinfo import ZoneInfo

import msgspec
from django.db import DataError
from psycopg.errors import DivisionByZero

from billing.infra import locks, statements
from billing.kernel.decimals import plain
from billing.kernel.errors import InvariantViolation
from billing.kernel.ids import new_id, new_ids
from billing.kernel.periods import Cadence, calendar_window
from billing.metering import writing_one
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

WRITE = """
WITH doc AS MATERIALIZED (SELECT %s::jsonb AS d),
new_events AS (
    INSERT INTO marketplace_usage_events (id, organization_id, subscription_id, period_id, billed_period_id, plan_id,
        meter, service, source, key, fingerprint, quantity, overage, credits_due, credits_paid, guardrail_flags,
        occurred_at, recorded_at)
    SELECT e.id, e.organization_id, e.subscription_id, e.period_id, e.billed_period_id, e.plan_id, e.meter, e.service,
        e.source, e.key, decode(e.fingerprint, 'hex'), e.quantity, e.overage, e.credits_due, e.credits_paid,
        e.guardrail_flags, e.occurred_at, e.recorded_at
    FROM doc, jsonb_to_recordset(d->'events') AS e(id uuid, organization_id uuid, subscription_id uuid, period_id uuid,
        billed_period_id uuid, plan_id uuid, meter text, service text, source text, key text, fingerprint text,
        quantity numeric, overage numeric, credits_due numeric, credits_paid numeric, guardrail_flags text[],
        occurred_at timestamptz, recorded_at timestamptz)
    RETURNING 1),
new_payloads AS (
    INSERT INTO usage_event_payloads (event_id, organization_id, payload)
    SELECT p.event_id, p.organization_id, p.payload
    FROM doc, jsonb_to_recordset(d->'payloads') AS p(event_id uuid, organization_id uuid, payload jsonb)
    RETURNING 1),
new_windows AS (
    INSERT INTO subscription_usage_ledger (organization_id, subscription_id, meter, cadence, starts_at, ends_at, used,
        overage, events)
    SELECT w.organization_id, w.subscription_id, w.meter, w.cadence, w.starts_at, w.ends_at, w.used, w.overage, w.events
    FROM doc, jsonb_to_recordset(d->'new_windows') AS w(organization_id uuid, subscription_id uuid, meter text,
        cadence text, starts_at timestamptz, ends_at timestamptz, used numeric, overage numeric, events bigint)
    RETURNING 1),
-- "used = was" is the last guard: should anyone ever write without the lock, this finds no row and all is undone.
grown_windows AS (
    UPDATE subscription_usage_ledger usage SET used = w.used, overage = w.overage, events = w.events
    FROM doc, jsonb_to_recordset(d->'windows') AS w(id bigint, was numeric, used numeric, overage numeric,
        events bigint)
    WHERE usage.id = w.id AND usage.used = w.was
    RETURNING 1),
drained_grants AS (
    UPDATE marketplace_credit_grants g SET remaining = g.remaining - x.credits, consumed = g.consumed + x.credits
    FROM doc, jsonb_to_recordset(d->'grants') AS x(id uuid, credits numeric)
    WHERE g.id = x.id AND g.remaining >= x.credits
    RETURNING 1),
accounts AS (
    UPDATE marketplace_subscriptions a SET credit_balance = x.balance, entries = x.entries, told = x.told
    FROM doc, jsonb_to_recordset(d->'accounts') AS x(id uuid, was numeric, balance numeric, entries bigint,
        told smallint)
    WHERE a.subscription_id = x.id AND a.credit_balance = x.was
    RETURNING 1),
debits AS (
    INSERT INTO marketplace_credit_ledger (id, organization_id, subscription_id, sequence, kind, amount, balance_after,
        grant_id, event_id, actor, reason, booked_at)
    SELECT x.id, x.organization_id, x.subscription_id, x.sequence, 'debit', -x.credits, x.balance_after, x.grant_id,
        x.event_id, '', '', x.booked_at
    FROM doc, jsonb_to_recordset(d->'debits') AS x(id uuid, organization_id uuid, subscription_id uuid,
        sequence bigint, credits numeric, balance_after numeric, grant_id uuid, event_id uuid, booked_at timestamptz)
    RETURNING 1),
charges AS (
    INSERT INTO billing_usage_charges AS c (organization_id, subscription_id, billed_period_id, service_period_id,
        plan_id, meter, overage, credit_deficit)
    SELECT x.organization_id, x.subscription_id, x.billed_period_id, x.service_period_id, x.plan_id, x.meter,
        x.overage, x.credit_deficit
    FROM doc, jsonb_to_recordset(d->'charges') AS x(organization_id uuid, subscription_id uuid, billed_period_id uuid,
        service_period_id uuid, plan_id uuid, meter text, overage numeric, credit_deficit numeric)
    ON CONFLICT (organization_id, subscription_id, billed_period_id, service_period_id, plan_id, meter) DO UPDATE
        SET overage = c.overage + excluded.overage, credit_deficit = c.credit_deficit + excluded.credit_deficit
    RETURNING 1),
messages AS (
    INSERT INTO billing_outbox (id, organization_id, topic, payload, created_at)
    SELECT x.id, x.organization_id, x.topic, x.payload, x.created_at
    FROM doc, jsonb_to_recordset(d->'outbox') AS x(id uuid, organization_id uuid, topic text, payload jsonb,
        created_at timestamptz)
    RETURNING 1)
SELECT (SELECT count(*) FROM new_events), (SELECT count(*) FROM new_payloads), (SELECT count(*) FROM new_windows),
    (SELECT count(*) FROM grown_windows), (SELECT count(*) FROM drained_grants), (SELECT count(*) FROM accounts),
    (SELECT count(*) FROM debits), (SELECT count(*) FROM charges), (SELECT count(*) FROM messages)
"""

_PARTS = ("events", "payloads", "new_windows", "windows", "grants", "accounts", "debits", "charges", "outbox")
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
    document: dict[str, list[Any]] = {part: [] for part in _PARTS}
    for decider in deciders:
        _collect(decider, document)
    if not document["events"]:
        return
    (counts,) = statements.fetch_all(WRITE, [msgspec.json.encode(document).decode()])
    expected = tuple(len(document[part]) for part in _PARTS)
    if counts != expected:
        raise InvariantViolation(f"recording wrote {counts} rows of {_PARTS}, not {expected}: the lock was bypassed")
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


def _collect(decider: Decider, document: dict[str, list[Any]]) -> None:
    organization_id = decider.books.row.organization_id
    for offer, event, fingerprint in decider.accepted:
        document["events"].append(
            {
                **msgspec.structs.asdict(event),
                "organization_id": organization_id,
                "service": offer.service,
                "source": offer.source,
                "key": offer.key,
                "fingerprint": fingerprint,
                "guardrail_flags": offer.guardrail_flags,
            }
        )
        if offer.payload is not None:
            document["payloads"].append(
                {"event_id": event.id, "organization_id": organization_id, "payload": offer.payload}
            )
    _collect_windows(decider, organization_id, document)
    _collect_credits(decider, organization_id, document)
    for crossing in decider.crossings:
        fields = {
            key: plain(value) if isinstance(value, Decimal) else value
            for key, value in crossing._asdict().items()
            if key != "topic"
        }
        document["outbox"].append(
            {
                "id": new_id(),
                "organization_id": organization_id,
                "topic": crossing.topic,
                "payload": fields,
                "created_at": decider.now,
            }
        )


def _collect_windows(decider: Decider, organization_id: UUID, document: dict[str, list[Any]]) -> None:
    for window in decider.books.windows.values():
        grown = {"used": window.used, "overage": window.overage, "events": window.events}
        if window.row is not None and window.events != window.row.events:
            document["windows"].append({"id": window.row.id, "was": window.row.used, **grown})
        elif window.row is None and window.events:
            document["new_windows"].append(
                {**window.key._asdict(), "organization_id": organization_id, "ends_at": window.ends_at, **grown}
            )
    for key, charge in decider.books.charges.items():
        document["charges"].append(
            {
                **key._asdict(),
                "organization_id": organization_id,
                "overage": charge.overage,
                "credit_deficit": charge.credit_deficit,
            }
        )


def _collect_credits(decider: Decider, organization_id: UUID, document: dict[str, list[Any]]) -> None:
    for account in decider.books.accounts.values():
        if not account.debits and account.told == account.row.told:
            continue
        document["accounts"].append(
            {
                "id": account.row.id,
                "was": account.row.credit_balance,
                "balance": account.balance,
                "entries": account.entries,
                "told": account.told,
            }
        )
        for debit, debit_id in zip(account.debits, new_ids(len(account.debits) or 1), strict=False):
            document["debits"].append(
                {
                    "id": debit_id,
                    "organization_id": organization_id,
                    "subscription_id": debit.subscription_id,
                    "sequence": debit.sequence,
                    "credits": debit.credits,
                    "balance_after": debit.balance_after,
                    "grant_id": debit.grant_id,
                    "event_id": debit.event_id,
                    "booked_at": decider.now,
                }
            )
        document["grants"].extend({"id": grant_id, "credits": credits} for grant_id, credits in account.drained())
