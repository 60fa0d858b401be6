"""Reversals: use is taken back from where it stands, once, and what it was paid with goes back where it came from."""

from billing.reporting.doctor.invariant import Invariant

REVERSALS = (
    Invariant(
        name="reversals-stand-with-their-events",
        sentence="A reversal names a use of the same subscription, meter, plan, period and instant.",
        hint="The reversal names rows that are not its event's: it was changed behind the triggers.",
        sql="""
            SELECT event.id, event.reverses_id, event.subscription_id, event.meter, event.occurred_at
            FROM marketplace_usage_events AS event
            LEFT JOIN marketplace_usage_events AS original ON original.id = event.reverses_id
            LEFT JOIN subscription_periods AS billed ON billed.id = event.billed_period_id
            LEFT JOIN subscription_periods AS billed_first ON billed_first.id = original.billed_period_id
            WHERE :of(event) AND event.reverses_id IS NOT NULL AND (
                original.reverses_id IS NOT NULL
                OR (original.organization_id, original.subscription_id, original.meter, original.plan_id,
                    original.period_id, original.occurred_at)
                    IS DISTINCT FROM (event.organization_id, event.subscription_id, event.meter, event.plan_id,
                    event.period_id, event.occurred_at)
                -- Given back before it is asked for, it would be given back for nothing.
                OR (billed.ordinal >= billed_first.ordinal) IS NOT TRUE)
        """,
    ),
    Invariant(
        name="reversals-within-events",
        sentence="The reversals of a use take back no more of it than there was: units, overage, credits due and paid.",
        hint="Record again what was taken back too much.",
        sql="""
            SELECT original.id, original.quantity, -back.quantity AS quantity_back, cost.overage,
                -back.overage AS overage_back, cost.due AS credits_due, -back.due AS credits_due_back,
                cost.paid AS credits_paid, -back.paid AS credits_paid_back
            FROM (
                SELECT event.reverses_id, sum(event.quantity) AS quantity, sum(event.overage) AS overage,
                    sum(event.credits_due) AS due, sum(event.credits_paid) AS paid
                FROM marketplace_usage_events AS event
                WHERE :of(event) AND event.reverses_id IS NOT NULL GROUP BY event.reverses_id
            ) AS back
            JOIN marketplace_usage_events AS original ON original.id = back.reverses_id
            -- Where a guardrail held its debit, another event bears what it cost.
            LEFT JOIN marketplace_usage_events AS debit ON debit.clears_id = original.id
            CROSS JOIN LATERAL (
                SELECT original.overage + coalesce(debit.overage, 0) AS overage,
                    original.credits_due + coalesce(debit.credits_due, 0) AS due,
                    original.credits_paid + coalesce(debit.credits_paid, 0) AS paid
            ) AS cost
            WHERE original.quantity + back.quantity < 0 OR cost.overage + back.overage < 0
                OR cost.due + back.due < 0 OR cost.paid + back.paid < 0
                OR cost.due - cost.paid + back.due - back.paid < 0
                OR original.quantity - cost.overage + back.quantity - back.overage < 0
        """,
    ),
    Invariant(
        name="reversals-repay-payers",
        sentence="A grant gets back no more of a use than it paid for it.",
        hint="Book the difference by an adjustment that names the grants.",
        sql="""
            WITH back AS (
                SELECT event.reverses_id, entry.grant_id, sum(entry.amount) AS amount
                FROM marketplace_usage_events AS event
                JOIN marketplace_credit_ledger AS entry ON entry.event_id = event.id AND entry.kind = 'reversal'
                WHERE :of(event) AND :of(entry) AND event.reverses_id IS NOT NULL
                GROUP BY event.reverses_id, entry.grant_id
            ), paid AS (
                SELECT coalesce(payer.clears_id, payer.id) AS event_id, entry.grant_id, -sum(entry.amount) AS amount
                FROM marketplace_usage_events AS payer
                JOIN marketplace_credit_ledger AS entry ON entry.event_id = payer.id AND entry.kind = 'debit'
                WHERE :of(payer) AND :of(entry) AND (payer.id IN (SELECT reverses_id FROM back)
                    OR payer.clears_id IN (SELECT reverses_id FROM back))
                GROUP BY 1, entry.grant_id
            )
            SELECT back.reverses_id AS event_id, back.grant_id, back.amount AS returned, paid.amount AS paid
            FROM back LEFT JOIN paid ON paid.event_id = back.reverses_id AND paid.grant_id = back.grant_id
            WHERE back.amount > coalesce(paid.amount, 0)
        """,
    ),
    Invariant(
        name="voided-grants-stay-void",
        sentence="A voided grant has nothing left.",
        hint="Void what was given to it since, by an entry that says so.",
        sql="""
            SELECT credit.id, credit.subscription_id, credit.voided_at, credit.remaining
            FROM marketplace_credit_grants AS credit
            WHERE :of(credit) AND credit.voided_at IS NOT NULL AND credit.remaining <> 0
        """,
    ),
)
