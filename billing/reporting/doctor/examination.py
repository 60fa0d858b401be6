"""Asking the books all questions."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import islice
from time import monotonic
from typing import Any

from django.db import connection
from django.utils import timezone

from billing.accounts import actors
from billing.accounts.actors import Act, Actor
from billing.infra import audit, logs
from billing.models import InvariantResult, Organization
from billing.reporting.doctor.collecting import COLLECTING
from billing.reporting.doctor.credits import CREDITS
from billing.reporting.doctor.debit_holds import DEBIT_HOLDS
from billing.reporting.doctor.documents import DOCUMENTS
from billing.reporting.doctor.facts import FACTS
from billing.reporting.doctor.invariant import TURNS, Check, Invariant, Scope
from billing.reporting.doctor.invoices import INVOICES
from billing.reporting.doctor.limits import LIMITS
from billing.reporting.doctor.providers import PROVIDERS
from billing.reporting.doctor.purchases import PURCHASES
from billing.reporting.doctor.reversals import REVERSALS
from billing.reporting.doctor.settlement import SETTLEMENT
from billing.reporting.doctor.subscriptions import SUBSCRIPTIONS
from billing.reporting.doctor.upkeep import UPKEEP
from billing.reporting.doctor.usage import USAGE

INVARIANTS: tuple[Invariant | Check, ...] = (
    *SUBSCRIPTIONS,
    *USAGE,
    *LIMITS,
    *REVERSALS,
    *DEBIT_HOLDS,
    *CREDITS,
    *INVOICES,
    *DOCUMENTS,
    *SETTLEMENT,
    *PURCHASES,
    *COLLECTING,
    *PROVIDERS,
    *UPKEEP,
    *FACTS,
)
# More than a person will read; a broken sum over a large installation must not fill the memory.
ROWS_MAX = 1000
# Rows that are kept of each for whoever looks at it later.
ROWS_KEPT = 20


@dataclass(frozen=True, slots=True)
class Violation:
    """An invariant that does not hold, with the rows that break it (at most ``ROWS_MAX``), column by column as text."""

    name: str
    sentence: str
    hint: str
    rows: tuple[Mapping[str, str], ...]

    def as_dict(self) -> dict[str, Any]:
        return {
            "name": self.name,
            "sentence": self.sentence,
            "hint": self.hint,
            "rows": [dict(row) for row in self.rows],
        }


def verify(*, organization: Organization | None = None) -> list[Violation]:
    """Check every invariant over all books, or over one organization's. Empty when all is well. Writes nothing."""
    scope = Scope(organization.id if organization else None)
    return [
        _violation(invariant, rows)
        for invariant in INVARIANTS
        if organization is None or not invariant.is_global
        if (rows := broken(invariant, scope))
    ]


def run(*, actor: Actor, is_whole: bool = True) -> list[Violation]:
    """``verify`` all books and keep the outcome: a row of each invariant for the metrics and the desk, and one in the
    audit log.

    Not ``is_whole``: what is open, and of what is sealed the digests whose turn it is, so that each has one in a day.
    An invariant that was broken when last asked whole is asked so again: what is sealed does not mend by being left
    out. Raises ``NotAllowed`` where ``actor`` may not verify.
    """
    actors.require(actor, Act.VERIFY, None)
    now = timezone.now()
    unsound = set(InvariantResult.objects.filter(violations__gt=0).values_list("name", flat=True))
    violations, results = [], []
    for invariant in INVARIANTS:
        asked_whole = is_whole or invariant.name in unsound
        if invariant.is_whole_only and not asked_whole:
            continue
        started = monotonic()
        rows = broken(invariant, Scope(is_whole=asked_whole, turn=now.hour % TURNS))
        results.append(
            InvariantResult(
                name=invariant.name,
                verified_at=timezone.now(),
                is_whole=asked_whole,
                violations=len(rows),
                rows=[dict(row) for row in rows[:ROWS_KEPT]],
                duration_ms=round((monotonic() - started) * 1000),
            )
        )
        if rows:
            violations.append(_violation(invariant, rows))
    _keep(results, actor=actor, is_whole=is_whole)
    for violation in violations:
        logs.event(
            "invariant.violated",
            level=logging.ERROR,
            invariant=violation.name,
            sentence=violation.sentence,
            rows=len(violation.rows),
            first=violation.rows[0],
        )
    return violations


def _keep(results: list[InvariantResult], *, actor: Actor, is_whole: bool) -> None:
    columns = ["verified_at", "is_whole", "violations", "rows", "duration_ms"]
    InvariantResult.objects.bulk_create(results, update_conflicts=True, unique_fields=["name"], update_fields=columns)
    # What is not asked any more says nothing any more.
    InvariantResult.objects.exclude(name__in=[invariant.name for invariant in INVARIANTS]).delete()
    audit.record(
        actor=actor.name,
        act="books.verify",
        object_type="books",
        object_id="all",
        organization_id=None,
        details={
            "violations": {result.name: result.violations for result in results},
            "scope": "whole" if is_whole else "open",
        },
    )


def broken(invariant: Invariant | Check, scope: Scope) -> tuple[Mapping[str, str], ...]:
    """The rows that break it (at most ``ROWS_MAX``), in plain text."""
    if isinstance(invariant, Check):
        found = [{name: str(value) for name, value in row.items()} for row in islice(invariant.find(), ROWS_MAX)]
        return tuple(found)
    with connection.cursor() as cursor:
        cursor.execute(invariant.query(scope), scope.parameters)
        names = [column.name for column in cursor.description]
        return tuple(
            {name: str(value) for name, value in zip(names, row, strict=True) if value is not None}
            for row in cursor.fetchmany(ROWS_MAX)
        )


def _violation(invariant: Invariant | Check, rows: tuple[Mapping[str, str], ...]) -> Violation:
    return Violation(invariant.name, invariant.sentence, invariant.hint, rows)
