"""Credits: the balance, the ledger and the grants tell the same story."""

from billing.reporting.doctor.invariant import Invariant

CREDITS = (
    Invariant(
        name="credit-balance-is-ledger",
        sentence="An account's balance is the sum of its ledger entries, and it counts as many as there are.",
        hint="The ledger is the evidence: correct the balance by an entry that names what went wrong.",
        sql="""
            SELECT account.subscription_id, account.credit_balance, coalesce(ledger.total, 0) AS ledger_total,
                account.entries, coalesce(ledger.entries, 0) AS ledger_entries
            FROM marketplace_subscriptions AS account
            LEFT JOIN (
                SELECT entry.subscription_id, sum(entry.amount) AS total, count(*) AS entries
                FROM marketplace_credit_ledger AS entry WHERE :of(entry) GROUP BY entry.subscription_id
            ) AS ledger ON ledger.subscription_id = account.subscription_id
            WHERE :of(account)
                AND (account.credit_balance <> coalesce(ledger.total, 0)
                    OR account.entries <> coalesce(ledger.entries, 0))
        """,
    ),
    Invariant(
        name="credit-balance-is-grants",
        sentence="An account's balance is what remains of its grants.",
        hint="Compare each grant's movements in the ledger with its columns; the ledger is right.",
        sql="""
            SELECT account.subscription_id, account.credit_balance, coalesce(granted.remaining, 0) AS remaining
            FROM marketplace_subscriptions AS account
            LEFT JOIN (
                SELECT credit.subscription_id, sum(credit.remaining) AS remaining
                FROM marketplace_credit_grants AS credit WHERE :of(credit) GROUP BY credit.subscription_id
            ) AS granted ON granted.subscription_id = account.subscription_id
            WHERE :of(account) AND account.credit_balance <> coalesce(granted.remaining, 0)
        """,
    ),
    Invariant(
        name="ledger-follows",
        sentence="Ledger entries are numbered from 1 without a gap, and each balance follows from the one before.",
        hint="An entry was removed, inserted or changed behind the triggers: restore it from a backup.",
        sql="""
            SELECT id, subscription_id, sequence, amount, balance_after, before + amount AS balance_expected
            FROM (
                SELECT entry.id, entry.subscription_id, entry.sequence, entry.amount, entry.balance_after,
                    lag(entry.balance_after, 1, 0::numeric) OVER ledger AS before, row_number() OVER ledger AS place
                FROM marketplace_credit_ledger AS entry
                WHERE :of(entry) AND :turn(entry.subscription_id)
                WINDOW ledger AS (PARTITION BY entry.organization_id, entry.subscription_id ORDER BY entry.sequence)
            ) AS followed
            WHERE sequence <> place OR balance_after <> before + amount
        """,
    ),
    Invariant(
        name="ledger-chain-whole",
        sentence="Every sealed ledger entry is there, unchanged and in its place: the hash chain holds.",
        hint="An entry was edited, removed, inserted or swapped after it was sealed: restore it from a backup.",
        sql="""
            SELECT seal.subscription_id, seal.sequence, entry.id AS entry_id
            FROM marketplace_credit_seals AS seal
            LEFT JOIN marketplace_credit_seals AS before ON before.organization_id = seal.organization_id
                AND before.subscription_id = seal.subscription_id AND before.sequence = seal.sequence - 1
            LEFT JOIN marketplace_credit_ledger AS entry ON entry.organization_id = seal.organization_id
                AND entry.subscription_id = seal.subscription_id AND entry.sequence = seal.sequence
            WHERE :of(seal) AND :turn(seal.subscription_id) AND (
                entry.id IS NULL OR (before.digest IS NULL AND seal.sequence > 1)
                OR seal.digest <> billing_ledger_digest(
                    coalesce(before.digest, billing_ledger_origin(seal.subscription_id)), entry))
        """,
    ),
    Invariant(
        name="grants-equal-movements",
        sentence="What a grant gave, paid, lost by expiry and has left is what the ledger says of it.",
        hint="The ledger is the evidence: set the grant's columns to what its movements say.",
        sql="""
            SELECT credit.id, credit.subscription_id, credit.granted, credit.consumed, credit.expired, credit.voided,
                credit.remaining, moved.total AS ledger_remaining, moved.consumed AS ledger_consumed
            FROM marketplace_credit_grants AS credit
            LEFT JOIN (
                SELECT entry.grant_id, sum(entry.amount) AS total,
                    sum(entry.amount) FILTER (WHERE entry.kind IN ('grant', 'adjustment') AND entry.amount > 0)
                        AS granted,
                    -sum(entry.amount) FILTER (WHERE entry.kind IN ('debit', 'reversal')) AS consumed,
                    -sum(entry.amount) FILTER (WHERE entry.kind = 'expiry') AS expired,
                    -sum(entry.amount) FILTER (
                        WHERE entry.kind = 'void' OR (entry.kind = 'adjustment' AND entry.amount < 0)) AS voided
                FROM marketplace_credit_ledger AS entry WHERE :of(entry) GROUP BY entry.grant_id
            ) AS moved ON moved.grant_id = credit.id
            WHERE :of(credit) AND (
                credit.granted <> credit.consumed + credit.expired + credit.voided + credit.remaining
                OR credit.remaining <> coalesce(moved.total, 0)
                OR credit.granted <> coalesce(moved.granted, 0)
                OR credit.consumed <> coalesce(moved.consumed, 0)
                OR credit.expired <> coalesce(moved.expired, 0)
                OR credit.voided <> coalesce(moved.voided, 0))
        """,
    ),
    Invariant(
        name="debits-pay-events",
        sentence=(
            "The credits that an event was paid with are the debits that name it, and those that a reversal gives back "
            "are the ledger's reversals."
        ),
        hint="Find the debit without its event or the event without its debit: recording writes both or none.",
        sql="""
            SELECT event.id AS event_id, event.credits_paid, debit.total AS debited
            FROM :events(event)
            LEFT JOIN (
                SELECT entry.event_id, -sum(entry.amount) AS total FROM marketplace_credit_ledger AS entry
                WHERE :of(entry) AND entry.kind IN ('debit', 'reversal') GROUP BY entry.event_id
            ) AS debit ON debit.event_id = event.id
            WHERE :of(event) AND event.credits_paid <> coalesce(debit.total, 0)
        """,
    ),
    Invariant(
        name="credit-movements-name-their-cause",
        sentence=(
            "Every movement of credits says who made it and why: a debit or its reversal by the event, an expiry by a "
            "grant whose time is over or whose subscription ended, a void by a voided grant, all others by a reason."
        ),
        hint="Find out what moved the credits, and book them back by an adjustment that says so.",
        sql="""
            SELECT entry.id, entry.subscription_id, entry.sequence, entry.kind, entry.amount, entry.grant_id,
                entry.event_id, entry.actor, entry.reason
            FROM marketplace_credit_ledger AS entry
            LEFT JOIN marketplace_credit_grants AS credit ON credit.id = entry.grant_id
            LEFT JOIN marketplace_usage_events AS event ON event.id = entry.event_id
            WHERE :of(entry) AND :turn(entry.subscription_id) AND NOT coalesce(
                credit.organization_id = entry.organization_id AND CASE
                    WHEN entry.kind IN ('debit', 'reversal') THEN event.organization_id = entry.organization_id
                        AND (entry.amount > 0) = (event.reverses_id IS NOT NULL)
                    WHEN entry.kind = 'void' THEN credit.voided_at IS NOT NULL
                    WHEN entry.kind = 'expiry' THEN entry.actor <> '' AND entry.reason <> ''
                        AND (credit.expires_at IS NOT NULL OR credit.kind = 'allowance')
                    ELSE entry.actor <> '' AND entry.reason <> '' END, FALSE)
        """,
    ),
    Invariant(
        name="lapsed-credits-are-booked",
        sentence=(
            "What was left of a grant when its time was over is booked as expired before the subscription's next "
            "period begins, and an allowance with the end of its subscription, but for what a reservation keeps."
        ),
        hint="Let the subscription's renewals run; where they ran, take the credits by an adjustment that says so.",
        sql="""
            SELECT credit.id, credit.subscription_id, credit.kind, credit.expires_at, credit.remaining
            FROM marketplace_credit_grants AS credit
            JOIN organization_subscriptions AS subscription ON subscription.id = credit.subscription_id
            LEFT JOIN LATERAL (
                -- The last period that a renewal began: one begun by a change that cut the period before says nothing.
                SELECT period.starts_at FROM subscription_periods AS period
                JOIN subscription_periods AS before ON before.subscription_id = period.subscription_id
                    AND before.ends_at = period.prev_end AND before.ends_at = before.nominal_ends_at
                WHERE period.subscription_id = credit.subscription_id ORDER BY period.ordinal DESC LIMIT 1
            ) AS lived ON TRUE
            WHERE :of(credit) AND credit.is_open AND (credit.expires_at <= lived.starts_at
                    OR subscription.ended_at IS NOT NULL AND credit.kind = 'allowance')
                AND NOT EXISTS (
                    SELECT FROM usage_reservation_credits AS kept
                    JOIN usage_reservations AS reservation ON reservation.id = kept.reservation_id
                    WHERE kept.grant_id = credit.id
                        AND reservation.expires_at > coalesce(subscription.ended_at, lived.starts_at))
        """,
    ),
)
