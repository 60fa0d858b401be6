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
                WHERE :of(entry)
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
            WHERE :of(seal) AND (entry.id IS NULL OR (before.digest IS NULL AND seal.sequence > 1)
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
            "The credits that an event was paid with are the debits that name it, those that a reversal gives back are "
            "the ledger's reversals, and each names its event."
        ),
        hint="Find the debit without its event or the event without its debit: recording writes both or none.",
        sql="""
            SELECT coalesce(event.id, debit.event_id) AS event_id, event.credits_paid, debit.total AS debited
            FROM (
                SELECT event.id, event.credits_paid FROM marketplace_usage_events AS event
                WHERE :of(event) AND event.credits_paid <> 0
            ) AS event
            FULL JOIN (
                SELECT entry.event_id, -sum(entry.amount) AS total FROM marketplace_credit_ledger AS entry
                WHERE :of(entry) AND entry.kind IN ('debit', 'reversal') GROUP BY entry.event_id
            ) AS debit ON debit.event_id = event.id
            WHERE coalesce(event.credits_paid, 0) <> coalesce(debit.total, 0)
        """,
    ),
)
