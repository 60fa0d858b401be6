"""Ten thousand invoices of five lines, next to other ways of writing them, each in a copy of the same database."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator

import psycopg
from psycopg import sql

from bench.contests import Claim, Contest, Spoiled
from bench.ratios import Goal
from bench.stage import REFERENCES, Stage

COPY = "bench_drafts"
# The ways that are the product's own.
PRODUCT = ("workers", "one worker")
LINES = 5
_OURS = "SELECT count(*), (SELECT count(*) FROM marketplace_invoice_lines), sum(total_minor) FROM marketplace_invoices"
_THEIRS = (
    "SELECT count(*), (SELECT count(*) FROM references_draftedline), sum(total_minor) FROM references_draftedinvoice"
)


class DraftsDiffer(Spoiled):
    """A way to draft did not write what the others wrote."""


@contextlib.contextmanager
def drafting(stage: Stage) -> Iterator[list[Contest]]:
    _ = stage.key
    expected: list[tuple[object, ...]] = []

    def draft(way: str) -> float:
        with _copied(stage) as url:
            environment = stage.servers.environment(settings=REFERENCES, database=COPY)
            told = json.loads(stage.servers.python("bench.inprocess", "drafts", way, environment=environment))
            with psycopg.connect(url) as connection:
                found = connection.execute(_OURS if way in PRODUCT else _THEIRS).fetchone() or ()
        expected.append(found)
        if found != expected[0] or found[1] != LINES * told["invoices"] or not told["invoices"]:
            raise DraftsDiffer(
                f"{way}: {told['invoices']} invoices, (invoices, lines, total) {found}, not {expected[0]}"
            )
        return float(told["invoices"] / told["seconds"])

    yield [
        Contest(
            "drafting",
            "invoices/s",
            {
                "product, two workers": lambda: draft("workers"),
                "product, one worker": lambda: draft("one worker"),
                "naive ORM": lambda: draft("naive"),
                "bulk_create": lambda: draft("bulk"),
                "one statement": lambda: draft("statement"),
            },
            [
                *_claims("drafting", "product, two workers"),
                # The others have one process, too, and the second core is PostgreSQL's.
                *_claims("drafting by one worker", "product, one worker"),
            ],
        )
    ]


def _claims(what: str, side: str) -> list[Claim]:
    return [
        Claim(f"{what} / naive ORM", side, "naive ORM", Goal(25, 45)),
        Claim(f"{what} / bulk_create", side, "bulk_create", Goal(2, 3.5)),
        Claim(f"{what} / one statement", side, "one statement", Goal(0.5, 0.85)),
    ]


@contextlib.contextmanager
def _copied(stage: Stage) -> Iterator[str]:
    """A copy of the filled database, for one run."""
    yield stage.copy_database(COPY)
    with psycopg.connect(stage.servers.database.superuser_url, autocommit=True) as connection:
        connection.execute(sql.SQL("DROP DATABASE {}").format(sql.Identifier(COPY)))
