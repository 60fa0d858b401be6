"""Use: windows and charges are sums of events, and each event stands where it says."""

from billing.reporting.doctor.invariant import Invariant

USAGE = (
    Invariant(
        name="lifetime-windows-equal-events",
        sentence="A lifetime window holds all events of its subscription and meter, and every event is in one.",
        hint="Events are the evidence: set the window to their sums.",
        # The days of a life are held to events hourly, and to the life.
        is_whole_only=True,
        sql="""
            SELECT coalesce(usage.subscription_id, counted.subscription_id) AS subscription_id,
                coalesce(usage.meter, counted.meter) AS meter, usage.used, counted.used AS events_used,
                usage.overage, counted.overage AS events_overage, usage.events, counted.events AS events_counted
            FROM (
                SELECT * FROM subscription_usage_ledger AS usage WHERE :of(usage) AND usage.cadence = 'never'
            ) AS usage
            FULL JOIN (
                SELECT event.subscription_id, event.meter, sum(event.quantity) AS used, sum(event.overage) AS overage,
                    count(*) AS events
                FROM marketplace_usage_events AS event WHERE :of(event) GROUP BY event.subscription_id, event.meter
            ) AS counted ON counted.subscription_id = usage.subscription_id AND counted.meter = usage.meter
            WHERE (usage.used, usage.overage, usage.events)
                IS DISTINCT FROM (counted.used, counted.overage, counted.events)
        """,
    ),
    Invariant(
        name="period-windows-equal-events",
        sentence="A billing-period window holds all events of its period and meter, and every event is in one.",
        hint="Events are the evidence: set the window to their sums.",
        sql="""
            SELECT coalesce(usage.subscription_id, counted.subscription_id) AS subscription_id,
                coalesce(usage.meter, counted.meter) AS meter,
                coalesce(usage.starts_at, counted.starts_at) AS starts_at,
                usage.ends_at, counted.ends_at AS period_ends_at, usage.used, counted.used AS events_used,
                usage.overage, counted.overage AS events_overage, usage.events, counted.events AS events_counted
            FROM (
                SELECT * FROM subscription_usage_ledger AS usage WHERE :of(usage) AND usage.cadence = 'billing_period'
                    AND :open(usage)
            ) AS usage
            FULL JOIN (
                SELECT period.subscription_id, summed.meter, period.starts_at, period.ends_at, summed.used,
                    summed.overage, summed.events
                FROM (
                    SELECT event.period_id, event.meter, sum(event.quantity) AS used, sum(event.overage) AS overage,
                        count(*) AS events
                    FROM :events(event) WHERE :of(event) GROUP BY event.period_id, event.meter
                ) AS summed
                JOIN subscription_periods AS period ON period.id = summed.period_id AND :open(period)
            ) AS counted ON counted.subscription_id = usage.subscription_id AND counted.meter = usage.meter
                AND counted.starts_at = usage.starts_at
            WHERE (usage.ends_at, usage.used, usage.overage, usage.events)
                IS DISTINCT FROM (counted.ends_at, counted.used, counted.overage, counted.events)
        """,
    ),
    Invariant(
        name="calendar-windows-equal-events",
        sentence="A daily, weekly or monthly window holds the events between its bounds.",
        hint="Events are the evidence: set the window to their sums.",
        # Comparing every event with every window of its meter would be quadratic. So events are first summed by quarter
        # hour (bounds of windows are local midnights, and no zone of our time is off by less), and these sums meet the
        # windows by bucket of UTC time, which makes a hash join: a local day, week or month reaches into two or three.
        sql="""
            WITH kept AS (
                SELECT usage.*, CASE usage.cadence WHEN 'monthly' THEN 'month' WHEN 'weekly' THEN 'week' ELSE 'day' END
                        AS grain
                FROM subscription_usage_ledger AS usage
                WHERE :of(usage) AND usage.cadence IN ('daily', 'weekly', 'monthly') AND :open(usage)
            ), slots AS MATERIALIZED (
                SELECT event.subscription_id, event.meter,
                    date_bin('15 minutes', event.occurred_at, '2000-01-01 00:00:00+00') AS at,
                    sum(event.quantity) AS used, sum(event.overage) AS overage, count(*) AS events
                FROM :events(event) WHERE :of(event)
                GROUP BY 1, 2, 3
            ), keyed AS MATERIALIZED (
                SELECT slots.*, grains.grain, date_trunc(grains.grain, slots.at, 'UTC') AT TIME ZONE 'UTC' AS bucket
                FROM (SELECT DISTINCT grain FROM kept) AS grains CROSS JOIN slots
            ), counted AS (
                SELECT kept.id, sum(keyed.used) AS used, sum(keyed.overage) AS overage,
                    sum(keyed.events)::bigint AS events
                FROM kept
                CROSS JOIN LATERAL generate_series(
                    date_trunc(kept.grain, kept.starts_at, 'UTC') AT TIME ZONE 'UTC',
                    (kept.ends_at - interval '1 microsecond') AT TIME ZONE 'UTC',
                    ('1 ' || kept.grain)::interval
                ) AS reached (bucket)
                JOIN keyed ON keyed.subscription_id = kept.subscription_id AND keyed.meter = kept.meter
                    AND keyed.grain = kept.grain AND keyed.bucket = reached.bucket
                    AND keyed.at >= kept.starts_at AND keyed.at < kept.ends_at
                GROUP BY kept.id
            )
            SELECT kept.id, kept.subscription_id, kept.meter, kept.cadence, kept.starts_at, kept.used,
                counted.used AS events_used, kept.overage, counted.overage AS events_overage, kept.events,
                counted.events AS events_counted
            FROM kept LEFT JOIN counted ON counted.id = kept.id
            WHERE (kept.used, kept.overage, kept.events)
                IS DISTINCT FROM (counted.used, counted.overage, counted.events)
        """,
    ),
    Invariant(
        name="months-make-up-the-life",
        sentence="The monthly windows of a subscription and meter add up to its lifetime window.",
        hint="An event is missing from its month: find it by comparing events and windows month by month.",
        sql="""
            SELECT usage.subscription_id, usage.meter,
                sum(usage.used) FILTER (WHERE usage.cadence = 'never') AS lifetime_used,
                sum(usage.used) FILTER (WHERE usage.cadence = 'monthly') AS months_used
            FROM subscription_usage_ledger AS usage
            WHERE :of(usage) AND usage.cadence IN ('never', 'monthly')
            GROUP BY usage.subscription_id, usage.meter
            HAVING (sum(usage.used) FILTER (WHERE usage.cadence = 'never'),
                    sum(usage.overage) FILTER (WHERE usage.cadence = 'never'),
                    sum(usage.events) FILTER (WHERE usage.cadence = 'never'))
                IS DISTINCT FROM
                   (sum(usage.used) FILTER (WHERE usage.cadence = 'monthly'),
                    sum(usage.overage) FILTER (WHERE usage.cadence = 'monthly'),
                    sum(usage.events) FILTER (WHERE usage.cadence = 'monthly'))
        """,
    ),
    Invariant(
        name="days-make-up-the-life",
        sentence="The daily windows of a subscription and meter add up to its lifetime window.",
        hint="An event is missing from its day: find it by comparing events and windows day by day.",
        sql="""
            SELECT usage.subscription_id, usage.meter,
                sum(usage.used) FILTER (WHERE usage.cadence = 'never') AS lifetime_used,
                sum(usage.used) FILTER (WHERE usage.cadence = 'daily') AS days_used
            FROM subscription_usage_ledger AS usage
            WHERE :of(usage) AND usage.cadence IN ('never', 'daily')
            GROUP BY usage.subscription_id, usage.meter
            HAVING (sum(usage.used) FILTER (WHERE usage.cadence = 'never'),
                    sum(usage.overage) FILTER (WHERE usage.cadence = 'never'),
                    sum(usage.events) FILTER (WHERE usage.cadence = 'never'))
                IS DISTINCT FROM
                   (sum(usage.used) FILTER (WHERE usage.cadence = 'daily'),
                    sum(usage.overage) FILTER (WHERE usage.cadence = 'daily'),
                    sum(usage.events) FILTER (WHERE usage.cadence = 'daily'))
        """,
    ),
    Invariant(
        name="charges-equal-events",
        sentence="A usage charge is what its events went over their limits and short of credits.",
        hint="Events are the evidence: set the charge to their sums, unless its period is invoiced already.",
        sql="""
            SELECT coalesce(charge.billed_period_id, summed.billed_period_id) AS billed_period_id,
                coalesce(charge.service_period_id, summed.period_id) AS service_period_id,
                coalesce(charge.plan_id, summed.plan_id) AS plan_id, coalesce(charge.meter, summed.meter) AS meter,
                charge.overage, summed.overage AS events_overage, charge.credit_deficit,
                summed.deficit AS events_deficit
            FROM (
                SELECT charge.* FROM billing_usage_charges AS charge
                JOIN subscription_periods AS period ON period.id = charge.service_period_id AND :open(period)
                WHERE :of(charge)
            ) AS charge
            FULL JOIN (
                SELECT event.subscription_id, event.billed_period_id, event.period_id, event.plan_id, event.meter,
                    sum(event.overage) AS overage, sum(event.credits_due - event.credits_paid) AS deficit
                FROM :events(event)
                JOIN subscription_periods AS period ON period.id = event.period_id AND :open(period)
                WHERE :of(event) AND (event.overage <> 0 OR event.credits_due <> event.credits_paid)
                GROUP BY event.subscription_id, event.billed_period_id, event.period_id, event.plan_id, event.meter
            ) AS summed ON summed.subscription_id = charge.subscription_id
                AND summed.billed_period_id = charge.billed_period_id AND summed.period_id = charge.service_period_id
                AND summed.plan_id = charge.plan_id AND summed.meter = charge.meter
            WHERE coalesce(charge.overage, 0) <> coalesce(summed.overage, 0)
                OR coalesce(charge.credit_deficit, 0) <> coalesce(summed.deficit, 0)
        """,
    ),
    Invariant(
        name="events-split-sanely",
        sentence=(
            "An event's overage is part of its quantity, and it was not paid with more credits than it cost; of a "
            "reversal all that holds below zero; what clears another's debit has a cost and no quantity."
        ),
        hint="The split is settled at admission and never again: the row was changed behind the triggers.",
        sql="""
            SELECT event.id, event.meter, event.quantity, event.overage, event.credits_due, event.credits_paid
            FROM :events(event)
            CROSS JOIN LATERAL (SELECT CASE WHEN event.reverses_id IS NULL THEN 1 ELSE -1 END AS sign) AS kind
            WHERE :of(event) AND NOT (
                CASE WHEN event.clears_id IS NULL
                    THEN sign * event.quantity > 0 AND sign * event.overage BETWEEN 0 AND sign * event.quantity
                    ELSE event.reverses_id IS NULL AND event.quantity = 0 AND event.overage >= 0 END
                AND sign * event.credits_paid BETWEEN 0 AND sign * event.credits_due)
        """,
    ),
    Invariant(
        name="events-stand-in-their-periods",
        sentence="An event lies in its period and is billed by that one or a later one of the same subscription.",
        hint="The event names rows that are not its own: it was changed behind the triggers, or its period was.",
        # Use may be reported minutes ahead of the clock, and a cancellation cuts its period at the full second before.
        sql="""
            SELECT event.id, event.subscription_id, event.period_id, event.billed_period_id, event.occurred_at
            FROM :events(event)
            LEFT JOIN subscription_periods AS period ON period.id = event.period_id
            LEFT JOIN subscription_periods AS billed ON billed.id = event.billed_period_id
            WHERE :of(event) AND NOT coalesce(
                period.subscription_id = event.subscription_id AND billed.subscription_id = event.subscription_id
                AND period.organization_id = event.organization_id
                AND billed.ordinal >= period.ordinal
                AND event.occurred_at >= period.starts_at
                AND date_trunc('second', least(event.occurred_at, event.recorded_at)) <= period.ends_at, FALSE)
        """,
    ),
    Invariant(
        name="events-were-on-their-plan",
        sentence="An event was judged by the plan version that its subscription was on at that instant.",
        hint="Compare the subscription's plan spans with the event's plan.",
        sql="""
            SELECT event.id, event.subscription_id, event.plan_id, event.occurred_at
            FROM :events(event)
            WHERE :of(event) AND NOT EXISTS (
                SELECT FROM subscription_plan_spans AS span
                WHERE span.subscription_id = event.subscription_id AND span.plan_id = event.plan_id
                    AND span.starts_at <= event.occurred_at
                    AND (span.ends_at IS NULL
                        OR date_trunc('second', least(event.occurred_at, event.recorded_at)) <= span.ends_at))
        """,
    ),
)
