"""Asking the books all questions."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from django.db import connection

from billing.accounts import actors
from billing.accounts.actors import Act, Actor
from billing.infra import audit, logs
from billing.models import Organization
from billing.reporting.doctor.collecting import COLLECTING
from billing.reporting.doctor.credits import CREDITS
from billing.reporting.doctor.debit_holds import DEBIT_HOLDS
from billing.reporting.doctor.invariant import Invariant
from billing.reporting.doctor.invoices import INVOICES
from billing.reporting.doctor.providers import PROVIDERS
from billing.reporting.doctor.reversals import REVERSALS
from billing.reporting.doctor.settlement import SETTLEMENT
from billing.reporting.doctor.subscriptions import SUBSCRIPTIONS
from billing.reporting.doctor.usage import USAGE

INVARIANTS: tuple[Invariant, ...] = (
    *SUBSCRIPTIONS,
    *USAGE,
    *REVERSALS,
    *DEBIT_HOLDS,
    *CREDITS,
    *INVOICES,
    *SETTLEMENT,
    *COLLECTING,
    *PROVIDERS,
)
# More than a person will read; a broken sum over a large installation must not fill the memory.
ROWS_MAX = 1000


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
    return [
        Violation(invariant.name, invariant.sentence, invariant.hint, rows)
        for invariant in INVARIANTS
        if organization is None or not invariant.is_global
        if (rows := _broken(invariant, organization))
    ]


def run(*, actor: Actor) -> list[Violation]:
    """``verify`` all books and leave the outcome where the metrics read it: a row in the audit log.

    Raises ``NotAllowed`` where ``actor`` may not verify.
    """
    actors.require(actor, Act.VERIFY, None)
    violations = verify()
    counts = dict.fromkeys((invariant.name for invariant in INVARIANTS), 0)
    counts |= {violation.name: len(violation.rows) for violation in violations}
    audit.record(
        actor=actor.name,
        act="books.verify",
        object_type="books",
        object_id="all",
        organization_id=None,
        details={"violations": counts},
    )
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


def _broken(invariant: Invariant, organization: Organization | None) -> tuple[Mapping[str, str], ...]:
    organization_id = organization.id if organization else None
    with connection.cursor() as cursor:
        cursor.execute(invariant.query(organization_id), {"organization_id": organization_id})
        names = [column.name for column in cursor.description]
        return tuple(
            {name: str(value) for name, value in zip(names, row, strict=True) if value is not None}
            for row in cursor.fetchmany(ROWS_MAX)
        )
