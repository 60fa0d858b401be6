"""Databases of different ages: copies of the filled one, with so many events more."""

from __future__ import annotations

import psycopg

from bench.stage import Stage

# A tenth of it in the one organization whose pages are asked for, the rest over all others; each event with the debit
# of a thousandth credit that it costs, at the instant of its organization's first use.
_ORIGINALS = """
CREATE TEMPORARY TABLE originals AS
SELECT event.*, organization.slug = 'load' AS is_grown, account.credit_balance, account.entries,
    (SELECT id FROM marketplace_credit_grants WHERE subscription_id = event.subscription_id LIMIT 1) AS grant_id,
    row_number() OVER (PARTITION BY organization.slug = 'load' ORDER BY organization.id) - 1 AS place
FROM marketplace_usage_events event JOIN organizations organization ON organization.id = event.organization_id
JOIN marketplace_subscriptions account ON account.subscription_id = event.subscription_id
WHERE event.meter = 'reads' AND organization.slug LIKE 'load%'
"""
_EVENTS = """
INSERT INTO marketplace_usage_events (id, organization_id, subscription_id, period_id, billed_period_id, plan_id, meter,
    service, source, key, fingerprint, quantity, overage, credits_due, credits_paid, guardrail_flags, occurred_at,
    recorded_at)
SELECT {id}, original.organization_id, original.subscription_id, original.period_id, original.billed_period_id,
    original.plan_id, 'calls', '', 'grown', 'g' || n, sha256(n::text::bytea), 1, 0, 0.001, 0.001, '{{}}',
    original.occurred_at, original.recorded_at
FROM generate_series(1, %(events)s) n
JOIN originals original ON original.is_grown = (n %% 10 = 0)
    AND original.place = CASE WHEN n %% 10 = 0 THEN 0 ELSE n %% %(others)s END
"""
_DEBITS = """
INSERT INTO marketplace_credit_ledger (id, organization_id, subscription_id, sequence, kind, amount, balance_after,
    grant_id, event_id, actor, reason, booked_at)
SELECT {id}, original.organization_id, original.subscription_id, original.entries + counted.place, 'debit', -0.001,
    original.credit_balance - 0.001 * counted.place, original.grant_id, counted.id, '', '', counted.recorded_at
FROM (
    SELECT event.*, row_number() OVER (PARTITION BY event.subscription_id ORDER BY event.id) AS place
    FROM marketplace_usage_events event WHERE event.source = 'grown') counted
JOIN originals original ON original.subscription_id = counted.subscription_id
"""
_GROWN = """
CREATE TEMPORARY TABLE grown AS
SELECT subscription_id, count(*) AS events FROM marketplace_usage_events WHERE source = 'grown' GROUP BY 1
"""
_ACCOUNTS = """
UPDATE marketplace_subscriptions account
SET credit_balance = credit_balance - 0.001 * grown.events, entries = entries + grown.events
FROM grown WHERE grown.subscription_id = account.subscription_id
"""
_GRANTS = """
UPDATE marketplace_credit_grants credit SET remaining = remaining - 0.001 * grown.events,
    consumed = consumed + 0.001 * grown.events
FROM grown, originals original
WHERE original.subscription_id = grown.subscription_id AND credit.id = original.grant_id
"""
# As the windows of another meter's use at the same instant.
_WINDOWS = """
INSERT INTO subscription_usage_ledger (organization_id, subscription_id, meter, cadence, starts_at, ends_at, used,
    overage, events)
SELECT usage.organization_id, usage.subscription_id, 'calls', usage.cadence, usage.starts_at, usage.ends_at,
    grown.events, 0, grown.events
FROM subscription_usage_ledger usage JOIN grown ON grown.subscription_id = usage.subscription_id
WHERE usage.meter = 'reads'
"""


def grow(stage: Stage, *, events: int) -> str:
    """A database with ``events`` events more than the filled one, each paid by credits. Returns its name."""
    name = f"grown_{events}"
    url = stage.copy_database(name)
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("SET synchronous_commit = off")
        # In order of time where the server can make such ids, as the product's own are.
        has_ordered = connection.execute("SELECT to_regproc('uuidv7') IS NOT NULL").fetchone() == (True,)
        made = "uuidv7()" if has_ordered else "gen_random_uuid()"
        connection.execute(_ORIGINALS)
        connection.execute(
            _EVENTS.format(id=made).encode(), {"events": events, "others": max(1, stage.scale.organizations)}
        )
        connection.execute(_DEBITS.format(id=made).encode())
        for statement in (_GROWN, _ACCOUNTS, _GRANTS, _WINDOWS):
            connection.execute(statement.encode())
        connection.execute("VACUUM ANALYZE")
    return name
