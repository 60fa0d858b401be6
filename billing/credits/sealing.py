"""Sealing the credit ledger: each entry's digest covers the digest before it, so that no row can be edited, removed,
inserted or swapped afterwards without the chain breaking there. Nobody waits for it: entries never change once they
are committed, so they can be sealed later, twice, or by two workers, with one outcome.
"""

from __future__ import annotations

from django.db import connection

# Entries of one account that one run seals at most; the next run goes on.
ENTRIES_MAX = 10_000

_SEAL = """
    WITH RECURSIVE heads AS (
        SELECT account.organization_id, account.subscription_id, coalesce(sealed.sequence, 0) AS sequence,
            coalesce(sealed.digest, billing_ledger_origin(account.subscription_id)) AS digest
        FROM marketplace_subscriptions AS account
        LEFT JOIN LATERAL (
            SELECT seal.sequence, seal.digest FROM marketplace_credit_seals AS seal
            WHERE seal.organization_id = account.organization_id AND seal.subscription_id = account.subscription_id
            ORDER BY seal.sequence DESC LIMIT 1
        ) AS sealed ON TRUE
        WHERE account.entries > coalesce(sealed.sequence, 0)
        ORDER BY account.organization_id, account.subscription_id
        LIMIT %(accounts)s
    ), chain AS (
        SELECT organization_id, subscription_id, sequence, digest, 0 AS depth FROM heads
        UNION ALL
        SELECT entry.organization_id, entry.subscription_id, entry.sequence,
            billing_ledger_digest(chain.digest, entry), chain.depth + 1
        FROM chain JOIN marketplace_credit_ledger AS entry
            ON entry.organization_id = chain.organization_id AND entry.subscription_id = chain.subscription_id
            AND entry.sequence = chain.sequence + 1
        WHERE chain.depth < %(entries)s
    )
    INSERT INTO marketplace_credit_seals (organization_id, subscription_id, sequence, digest)
    SELECT organization_id, subscription_id, sequence, digest FROM chain WHERE depth > 0
    ORDER BY organization_id, subscription_id, sequence
    ON CONFLICT (organization_id, subscription_id, sequence) DO NOTHING
"""


def seal(*, accounts_max: int = 1000) -> int:
    """Seal what is not sealed yet, of so many accounts. Returns the number of entries sealed; 0 when all are."""
    with connection.cursor() as cursor:
        cursor.execute(_SEAL, {"accounts": accounts_max, "entries": ENTRIES_MAX})
        return int(cursor.rowcount)
