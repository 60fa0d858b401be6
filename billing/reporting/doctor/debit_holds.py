"""Debits that guardrails hold: none is made before it is cleared, and each is cleared or rejected once."""

from billing.reporting.doctor.invariant import Invariant

DEBIT_HOLDS = (
    Invariant(
        name="held-use-costs-nothing",
        sentence="A use whose debit is held, or was, costs nothing itself, and no more is held than it is of.",
        hint="The event or its hold was changed behind the triggers: restore them from a backup.",
        sql="""
            SELECT hold.event_id, hold.overage AS held_overage, hold.credits_due AS held_credits, event.quantity,
                event.overage, event.credits_due
            FROM usage_debit_holds AS hold
            LEFT JOIN marketplace_usage_events AS event ON event.id = hold.event_id
            WHERE :of(hold) AND NOT coalesce(
                event.organization_id = hold.organization_id AND event.subscription_id = hold.subscription_id
                AND event.reverses_id IS NULL AND event.clears_id IS NULL
                AND event.overage = 0 AND event.credits_due = 0 AND hold.overage <= event.quantity
                AND cardinality(hold.flags) > 0 AND hold.flags <@ event.guardrail_flags, FALSE)
        """,
    ),
    Invariant(
        name="held-debits-are-made-when-cleared",
        sentence="A held debit is booked if and only if it was cleared, beside its use, and as far as its use stood.",
        hint="The event that bears the debit and the row that says it was cleared are written together.",
        sql="""
            SELECT coalesce(debit.clears_id, cleared.hold_id) AS event_id, debit.id AS booked_id, cleared.state,
                debit.overage, hold.overage AS held_overage, debit.credits_due, hold.credits_due AS held_credits
            FROM (
                SELECT * FROM marketplace_usage_events AS event WHERE :of(event) AND event.clears_id IS NOT NULL
            ) AS debit
            FULL JOIN (
                SELECT * FROM usage_debit_resolutions AS resolution
                WHERE :of(resolution) AND resolution.state = 'cleared' AND resolution.booked_id IS NOT NULL
            ) AS cleared ON cleared.hold_id = debit.clears_id
            LEFT JOIN usage_debit_holds AS hold ON hold.event_id = debit.clears_id
            LEFT JOIN marketplace_usage_events AS original ON original.id = debit.clears_id
            WHERE NOT coalesce(
                cleared.booked_id = debit.id
                AND debit.overage <= hold.overage AND debit.credits_due <= hold.credits_due
                AND (cleared.quantity < original.quantity
                    OR (debit.overage, debit.credits_due) = (hold.overage, hold.credits_due))
                AND (original.subscription_id, original.meter, original.plan_id, original.period_id,
                    original.occurred_at) = (debit.subscription_id, debit.meter, debit.plan_id, debit.period_id,
                    debit.occurred_at), FALSE)
        """,
    ),
    Invariant(
        name="rejected-debits-are-reversed",
        sentence="Nothing is left of a use whose held debit was rejected, and where nothing is left none is held.",
        hint="Reject it again, or reverse what is left of the use.",
        sql="""
            SELECT hold.event_id, resolution.state, event.quantity + coalesce(back.quantity, 0) AS quantity_left
            FROM usage_debit_holds AS hold
            JOIN marketplace_usage_events AS event ON event.id = hold.event_id
            LEFT JOIN usage_debit_resolutions AS resolution ON resolution.hold_id = hold.event_id
            LEFT JOIN LATERAL (
                SELECT sum(counter.quantity) AS quantity FROM marketplace_usage_events AS counter
                WHERE counter.reverses_id = hold.event_id
            ) AS back ON TRUE
            WHERE :of(hold) AND (
                (resolution.state = 'rejected') IS TRUE AND event.quantity + coalesce(back.quantity, 0) <> 0
                OR resolution.state IS NULL AND event.quantity + coalesce(back.quantity, 0) = 0)
        """,
    ),
)
