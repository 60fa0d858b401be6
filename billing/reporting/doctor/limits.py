"""Limits: nothing was admitted that they refuse."""

from billing.reporting.doctor.invariant import Invariant

LIMITS = (
    Invariant(
        name="no-limit-overshot",
        sentence="No use was admitted that went over a limit which blocks, with all that its window held at the time.",
        hint="A guard was lost: look for what wrote beside the one recording path. Reverse what was too much.",
        # Windows that stand, or once stood, over a limit of a plan they were on are few: a change to a smaller plan.
        # Only in those are events counted one after the other. They came in the order of their identifiers'
        # milliseconds; within one, the order of a list is not known. So where a window knows one limit, all of a
        # millisecond count; where it knows several, of that millisecond only the event itself.
        sql="""
            WITH guard AS (
                SELECT entitlement.plan_id, entitlement.key, meter.code AS meter, entitlement.cadence,
                    entitlement.on_limit, entitlement."limit" AS most
                FROM billing_plan_entitlements AS entitlement
                CROSS JOIN LATERAL unnest(entitlement.meters) AS meter (code)
                WHERE entitlement.kind = 'metered' AND entitlement."limit" IS NOT NULL
            ), stretch AS (
                SELECT usage.organization_id, usage.meter, usage.cadence, usage.starts_at,
                    CASE usage.cadence WHEN 'billing_period' THEN usage.subscription_id END AS own,
                    max(usage.ends_at) AS ends_at, greatest(sum(usage.used), max(usage.peak)) AS most,
                    array_agg(usage.subscription_id) AS subscriptions
                FROM subscription_usage_ledger AS usage
                WHERE :of(usage) AND (:open(usage) OR usage.cadence = 'never')
                GROUP BY 1, 2, 3, 4, 5
            ), suspect AS MATERIALIZED (
                SELECT stretch.* FROM stretch
                WHERE EXISTS (
                    SELECT FROM subscription_plan_spans AS span
                    JOIN guard ON guard.plan_id = span.plan_id
                    WHERE span.subscription_id = ANY (stretch.subscriptions) AND guard.meter = stretch.meter
                        AND guard.cadence = stretch.cadence AND guard.most < stretch.most
                        -- A trial gives no credit: what would be billed is refused there.
                        AND (guard.on_limit = 'block' OR EXISTS (
                            SELECT FROM subscription_periods AS period
                            WHERE period.subscription_id = span.subscription_id AND period.kind = 'trial'
                                AND period.starts_at < stretch.ends_at AND period.ends_at > stretch.starts_at)))
            ), told AS (
                SELECT suspect.meter, suspect.cadence, suspect.starts_at, suspect.own, event.id, event.plan_id,
                    event.subscription_id, event.quantity, event.organization_id, event.reverses_id, event.clears_id,
                    period.kind AS period_kind, substr(event.id::text, 1, 13) AS instant
                FROM suspect
                CROSS JOIN LATERAL unnest(suspect.subscriptions) AS held (subscription_id)
                JOIN marketplace_usage_events AS event ON event.subscription_id = held.subscription_id
                    AND event.meter = suspect.meter AND event.occurred_at >= suspect.starts_at
                    AND event.occurred_at < suspect.ends_at
                LEFT JOIN subscription_periods AS period ON period.id = event.period_id
                WHERE suspect.own IS NULL OR period.starts_at = suspect.starts_at
            ), counted AS (
                SELECT told.*, sum(told.quantity) OVER earlier AS with_its_instant,
                    sum(told.quantity) OVER its_instant AS of_its_instant
                FROM told
                WINDOW earlier AS (
                    PARTITION BY told.organization_id, told.meter, told.cadence, told.starts_at, told.own
                    ORDER BY told.instant RANGE UNBOUNDED PRECEDING
                ), its_instant AS (
                    PARTITION BY told.organization_id, told.meter, told.cadence, told.starts_at, told.own, told.instant
                )
            ), judged AS (
                SELECT counted.*, guard.key, guard.most,
                    min(guard.most) OVER alike <> max(guard.most) OVER alike AS several
                FROM counted
                JOIN guard ON guard.plan_id = counted.plan_id AND guard.meter = counted.meter
                    AND guard.cadence = counted.cadence
                WHERE counted.reverses_id IS NULL AND counted.clears_id IS NULL
                    AND (guard.on_limit = 'block' OR counted.period_kind = 'trial')
                WINDOW alike AS (
                    PARTITION BY counted.organization_id, counted.meter, counted.cadence, counted.starts_at,
                        counted.own)
            )
            SELECT judged.id AS event_id, judged.subscription_id, judged.meter, judged.cadence, judged.starts_at,
                judged.key, judged.most AS "limit", judged.with_its_instant AS used
            FROM judged
            WHERE judged.most < judged.with_its_instant
                - CASE WHEN judged.several THEN judged.of_its_instant - judged.quantity ELSE 0 END
        """,
    ),
    Invariant(
        name="reservations-are-settled-once",
        sentence="A settled reservation is the one event that it names, of the quantity that it was settled with.",
        hint="Find the event by the reservation's id, which is its key, and reverse what is too much.",
        sql="""
            SELECT coalesce(reservation.id::text, event.key) AS reservation_id, reservation.status,
                reservation.settled_quantity, event.id AS event_id, event.quantity
            FROM (
                SELECT * FROM usage_reservations AS reservation
                WHERE :of(reservation) AND reservation.event_id IS NOT NULL
            ) AS reservation
            LEFT JOIN marketplace_usage_events AS event ON event.id = reservation.event_id
            WHERE NOT coalesce(event.source = 'reservation' AND event.key = reservation.id::text
                AND event.organization_id = reservation.organization_id
                AND event.meter = reservation.meter AND event.quantity = reservation.settled_quantity
                AND event.quantity <= reservation.quantity_max, FALSE)
        """,
    ),
)
