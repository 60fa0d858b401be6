"""What a request costs as the books grow: each size next to the smallest, over copies of one database."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping

from bench.contests import Claim, Contest, Side
from bench.growing import grow
from bench.loading import Request, run
from bench.measures.http import CONNECTIONS, USE
from bench.ratios import Goal
from bench.stage import PRODUCT, Stage

SMALLEST = 10_000
GOAL = Goal(1.5, 1.1, more_is_better=False)


@contextlib.contextmanager
def growth(stage: Stage) -> Iterator[list[Contest]]:
    """An event, a check, a page of the ledger, a draft's calculation and the dashboard, at each size."""
    key, cookie = stage.key, stage.visitor
    with contextlib.ExitStack() as servers:
        sizes = [size for size in (SMALLEST, 100_000, 1_000_000, 10_000_000) if size <= stage.scale.events]
        addresses = {
            size: servers.enter_context(stage.web(PRODUCT, database=grow(stage, events=size))) for size in sizes
        }
        subscription = stage.subscription("load")
        yield [
            _contest(stage, name, request, addresses)
            for name, request in {
                "event": Request("POST", "/api/billing/usage", USE, key, stage.scale.organizations),
                "event of the grown organization": Request("POST", "/api/billing/usage", USE, key),
                "check": Request(
                    "POST",
                    "/api/billing/organizations/load/quotas/check",
                    '{"entitlement": "lookups_per_month", "quantity": "1"}',
                    key,
                ),
                "ledger page": Request(
                    "GET", f"/api/billing/subscriptions/{subscription}/credits/ledger?limit=50", key=key
                ),
                "draft": Request("GET", f"/api/billing/subscriptions/{subscription}/invoices/preview", key=key),
                "dashboard": Request("GET", "/dashboard/load/", cookie=cookie),
                "dashboard, use by day": Request("GET", "/dashboard/load/usage/", cookie=cookie),
            }.items()
        ]


def _contest(stage: Stage, name: str, request: Request, addresses: Mapping[int, str]) -> Contest:
    def rate(address: str) -> Side:
        return lambda: run(address, request, connections=CONNECTIONS, seconds=stage.scale.seconds)[1].rate

    small = f"{SMALLEST:,}"
    return Contest(
        f"{name} as the books grow",
        "requests/s",
        {f"{size:,}": rate(address) for size, address in addresses.items()},
        [
            Claim(f"{name}: cost at {size:,} events / at {small}", small, f"{size:,}", GOAL)
            for size in addresses
            if size != SMALLEST
        ],
    )
