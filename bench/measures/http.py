"""What a request costs: events, checks and batches over HTTP, next to views that do nothing."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from bench.contests import Claim, Contest, Side
from bench.loading import Load, Request, run
from bench.ratios import Goal
from bench.stage import BARE, PRODUCT, REFERENCES, Stage
from bench.sums import Books

USE = '{"organization": "@ORG", "meter": "calls", "quantity": "1", "idempotency_key": "@KEY"}'
SIX_FIELDS = (
    '{"organization": "@ORG", "meter": "calls", "quantity": "1", "idempotency_key": "@KEY", "source": "api", '
    '"occurred_at": "2026-01-01T00:00:00Z"}'
)
CONNECTIONS = 16
CROWD = 64


class Recorder:
    """Loads that record, and the books that they must leave."""

    def __init__(self, stage: Stage, address: str, books: Books) -> None:
        self._address, self._books = address, books
        self._seconds = stage.scale.seconds

    def load(self, request: Request, *, connections: int = CONNECTIONS) -> Load:
        events = request.batch or 1
        warmed, found = run(self._address, request, connections=connections, seconds=self._seconds)
        self._books.told += (warmed.answers + found.answers) * events
        self._books.asked += (warmed.sent + found.sent) * events
        return found


@contextlib.contextmanager
def single(stage: Stage) -> Iterator[list[Contest]]:
    """One event a request, over so many organizations or all to one, and the share of what surrounds it."""
    scale = stage.scale
    event = Request("POST", "/api/billing/usage", USE, stage.key, scale.organizations)
    hot = Request("POST", "/api/billing/usage", USE, stage.key)
    six = Request("POST", "/empty-post", SIX_FIELDS, organizations=scale.organizations)
    naive = Request("POST", "/naive", USE, stage.key, scale.organizations)
    with stage.web(PRODUCT) as product, stage.web(REFERENCES) as references, stage.web(BARE) as bare:
        books = stage.books()
        ours, without = Recorder(stage, product, books), Recorder(stage, bare, books)
        tails: list[Load] = []

        def record() -> float:
            tails.append(ours.load(event))
            return tails[-1].rate

        def serialize() -> float:
            return run(references, six, connections=CONNECTIONS, seconds=scale.seconds)[1].rate

        yield [
            Contest(
                "single event",
                "requests/s",
                {
                    "product": record,
                    "empty DRF POST with serializer": serialize,
                    "naive DRF + ORM": lambda: (
                        run(references, naive, connections=CONNECTIONS, seconds=scale.seconds)[1].rate
                    ),
                    "product without middleware and logs": lambda: without.load(event).rate,
                    "p99 (s)": lambda: tails[-1].p99,
                    "median (s)": lambda: tails[-1].median,
                },
                [
                    Claim("single event / empty DRF POST", "product", "empty DRF POST with serializer", Goal(0.9, 1.2)),
                    Claim("single event / naive DRF + ORM", "product", "naive DRF + ORM", Goal(7, 9)),
                    Claim("p99 / median of a single event", "p99 (s)", "median (s)", Goal(3, 2, more_is_better=False)),
                    Claim(
                        "share of middleware, metrics and logs: time with / without",
                        "product without middleware and logs",
                        "product",
                        Goal(1 / 0.75, 1 / 0.9, more_is_better=False),
                    ),
                ],
                books.check,
            ),
            Contest(
                "hot organization",
                "requests/s",
                {
                    "one organization, 64 connections": lambda: ours.load(hot, connections=CROWD).rate,
                    "all organizations, 64 connections": lambda: ours.load(event, connections=CROWD).rate,
                },
                [
                    Claim(
                        "one hot organization / all of them",
                        "one organization, 64 connections",
                        "all organizations, 64 connections",
                        Goal(0.9, 0.95),
                    )
                ],
                books.check,
            ),
        ]


@contextlib.contextmanager
def checks(stage: Stage) -> Iterator[list[Contest]]:
    """A quota check next to a view that answers ``{}``."""
    scale = stage.scale
    check = Request(
        "POST",
        "/api/billing/organizations/@ORG/quotas/check",
        '{"entitlement": "lookups_per_month", "quantity": "1"}',
        stage.key,
        scale.organizations,
    )
    empty = Request("GET", "/empty-get")
    with stage.web(PRODUCT) as product, stage.web(REFERENCES) as references:
        yield [
            Contest(
                "quota check",
                "requests/s",
                {
                    "product": lambda: run(product, check, connections=CONNECTIONS, seconds=scale.seconds)[1].rate,
                    "empty DRF GET": lambda: (
                        run(references, empty, connections=CONNECTIONS, seconds=scale.seconds)[1].rate
                    ),
                },
                [Claim("quota check / empty DRF GET", "product", "empty DRF GET", Goal(1.0, 1.3))],
            )
        ]


@contextlib.contextmanager
def shop(stage: Stage) -> Iterator[list[Contest]]:
    """Storefront and plan list next to the same by REST framework and a queryset in a template."""
    scale = stage.scale
    pages = (("storefront", "/", "/shop"), ("plan list", "/api/billing/plans", "/plans"))
    _ = stage.key
    with stage.web(PRODUCT) as product, stage.web(REFERENCES) as references:

        def side(address: str, path: str) -> Side:
            return lambda: run(address, Request("GET", path), connections=CONNECTIONS, seconds=scale.seconds)[1].rate

        yield [
            Contest(
                name,
                "requests/s",
                {"product": side(product, ours), "prefetch": side(references, theirs)},
                [Claim(f"{name} / with prefetch", "product", "prefetch", Goal(10, 20))],
            )
            for name, ours, theirs in pages
        ]
