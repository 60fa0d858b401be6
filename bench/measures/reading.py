"""Pages of a long ledger: the first, and one five million entries further down."""

from __future__ import annotations

import base64
import contextlib
from collections.abc import Iterator

import psycopg

from bench.contests import Claim, Contest
from bench.loading import Request, run
from bench.ratios import Goal
from bench.stage import PRODUCT, Stage

_MORE = """
INSERT INTO marketplace_credit_ledger
    (id, organization_id, subscription_id, sequence, kind, amount, balance_after, grant_id, event_id, actor, reason,
     booked_at)
SELECT gen_random_uuid(), account.organization_id, account.subscription_id, n,
       CASE n %% 2 WHEN 0 THEN 'debit' ELSE 'reversal' END, CASE n %% 2 WHEN 0 THEN -1 ELSE 1 END,
       CASE n %% 2 WHEN 0 THEN account.credit_balance ELSE account.credit_balance + 1 END,
       (SELECT id FROM marketplace_credit_grants WHERE subscription_id = account.subscription_id LIMIT 1),
       NULL, 'bench', '', now()
FROM marketplace_subscriptions account, generate_series(1001, 1000 + %s) n
WHERE account.subscription_id = %s
"""


@contextlib.contextmanager
def ledger(stage: Stage) -> Iterator[list[Contest]]:
    scale, key = stage.scale, stage.key
    subscription = stage.subscription("load-1")
    with psycopg.connect(stage.database_url, autocommit=True) as connection:
        last = connection.execute(
            "SELECT max(sequence) FROM marketplace_credit_ledger WHERE subscription_id = %s", [subscription]
        ).fetchone()
        if (last or (0,))[0] < scale.entries:
            connection.execute(_MORE, [scale.entries, subscription])
            connection.execute("VACUUM ANALYZE marketplace_credit_ledger")
    target = f"/api/billing/subscriptions/{subscription}/credits/ledger?limit=50"
    cursor = base64.urlsafe_b64encode(b"[1100]").decode()

    with stage.web(PRODUCT) as product:

        def seconds(path: str) -> float:
            return run(product, Request("GET", path, key=key), connections=4, seconds=scale.seconds)[1].median

        yield [
            Contest(
                "ledger page",
                "s",
                {
                    f"{scale.entries:,} entries down": lambda: seconds(f"{target}&cursor={cursor}"),
                    "first": lambda: seconds(target),
                },
                [
                    Claim(
                        f"ledger page {scale.entries:,} entries down / first page",
                        f"{scale.entries:,} entries down",
                        "first",
                        Goal(1.2, 1.05, more_is_better=False),
                    )
                ],
            )
        ]
