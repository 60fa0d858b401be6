"""Running an import: check the file, then offer its uses in batches and keep the tally."""

from __future__ import annotations

import gc
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from itertools import islice
from pathlib import Path
from typing import Any, BinaryIO

from billing.accounts import queries as accounts_queries
from billing.catalog import queries as catalog_queries
from billing.cli import output, progress
from billing.kernel.decimals import ZERO, plain
from billing.kernel.errors import Busy, Invalid
from billing.metering import importing
from billing.metering.importing import Layout, Survey, Use
from billing.metering.offers import AHEAD_MAX, LATE_MAX, Offer, Outcome
from billing.models import Organization
from billing.reporting.representations import instant
from billing.service import BillingService

REFUSALS_SHOWN = 20
# A batch that found the books in use is offered again: it adds what it did not add the first time.
ATTEMPTS_MAX = 5


class MeterUndeclared(Invalid):
    """A column is mapped to an event that the catalog does not declare."""

    code = "meter_undeclared"


@dataclass(frozen=True, slots=True)
class Plan:
    """What to import, for whom. ``batch`` is how many uses one transaction holds."""

    file: Path
    organization: Organization
    layout: Layout
    source: str
    service: str
    batch: int


@dataclass(slots=True)
class MeterTally:
    uses: int = 0
    skipped: int = 0
    quantity: Decimal = ZERO
    accepted: int = 0
    accepted_quantity: Decimal = ZERO
    duplicates: int = 0
    refusals: Counter[str] = field(default_factory=Counter)


@dataclass(frozen=True, slots=True)
class Refused:
    line: int
    meter: str
    code: str
    message: str


@dataclass(slots=True)
class Report:
    """``seconds`` is how long counting took; ``warnings`` say what a dry run foresees."""

    plan: Plan
    survey: Survey
    is_dry_run: bool
    meters: dict[str, MeterTally]
    first_refused: list[Refused] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    seconds: float = 0.0

    @property
    def accepted(self) -> int:
        return sum(each.accepted for each in self.meters.values())

    @property
    def duplicates(self) -> int:
        return sum(each.duplicates for each in self.meters.values())

    @property
    def refused(self) -> int:
        return sum(each.refusals.total() for each in self.meters.values())

    def count(self, use: Use, outcome: Outcome) -> None:
        tally = self.meters[use.meter]
        if outcome.status == "accepted":
            tally.accepted += 1
            tally.accepted_quantity += use.quantity
        elif outcome.status == "duplicate":
            tally.duplicates += 1
        else:
            tally.refusals[outcome.code] += 1
            if len(self.first_refused) < REFUSALS_SHOWN:
                self.first_refused.append(Refused(use.line, use.meter, outcome.code, outcome.message))

    def as_dict(self) -> dict[str, Any]:
        return {
            "file": str(self.plan.file),
            "organization": str(self.plan.organization.id),
            "dry_run": self.is_dry_run,
            "rows": self.survey.rows,
            "uses": self.survey.uses,
            "accepted": self.accepted,
            "duplicates": self.duplicates,
            "refused": self.refused,
            "first_at": _instant_or_none(self.survey.first_at),
            "last_at": _instant_or_none(self.survey.last_at),
            "meters": [
                {
                    "meter": meter,
                    "column": column,
                    "uses": self.meters[meter].uses,
                    "skipped": self.meters[meter].skipped,
                    "quantity": plain(self.meters[meter].quantity),
                    "accepted": self.meters[meter].accepted,
                    "accepted_quantity": plain(self.meters[meter].accepted_quantity),
                    "duplicates": self.meters[meter].duplicates,
                    "refused": self.meters[meter].refusals.total(),
                    "refusals": dict(sorted(self.meters[meter].refusals.items())),
                }
                for column, meter in self.plan.layout.meters
            ],
            "first_refused": [
                {"line": each.line, "meter": each.meter, "code": each.code, "message": each.message}
                for each in self.first_refused
            ],
            "warnings": list(self.warnings),
        }

    def as_text(self) -> str:
        head = f"{self.plan.file}: {self.survey.rows:,} rows, {self.survey.uses:,} uses"
        if self.survey.first_at and self.survey.last_at:
            head += f" from {output.instant(self.survey.first_at)} to {output.instant(self.survey.last_at)}"
        if self.is_dry_run:
            columns: tuple[str, ...] = ("event", "uses", "quantity", "empty or zero")
            rows: Iterable[tuple[object, ...]] = (
                (meter, each.uses, each.quantity, each.skipped) for meter, each in self.meters.items()
            )
            end = "Dry run: nothing was counted."
        else:
            columns = ("event", "accepted", "quantity", "duplicates", "refused", "empty or zero")
            rows = (
                (m, each.accepted, each.accepted_quantity, each.duplicates, each.refusals.total(), each.skipped)
                for m, each in self.meters.items()
            )
            end = self._sum()
        table = output.table(columns, rows, right=columns[1:])
        return "\n".join([head, "", table, "", *self.warnings, *self._refusals(), end])

    def _sum(self) -> str:
        rate = f" in {self.seconds:.1f} s ({self.survey.uses / self.seconds:,.0f}/s)" if self.seconds else ""
        return f"{self.accepted:,} accepted, {self.duplicates:,} duplicates, {self.refused:,} refused{rate}"

    def _refusals(self) -> list[str]:
        codes = sum((each.refusals for each in self.meters.values()), Counter[str]())
        lines = [f"refused, {code}: {times:,}" for code, times in sorted(codes.items())]
        lines += [f"  line {each.line}, {each.meter}: {each.message}" for each in self.first_refused]
        if self.refused > len(self.first_refused):
            lines.append(f"  … and {self.refused - len(self.first_refused):,} more")
        return lines


def preview(plan: Plan) -> Report:
    """Check the file and say what is in it. Counts nothing."""
    report = _begin(plan, is_dry_run=True)
    now = accounts_queries.now_for(plan.organization)
    if report.survey.first_at and report.survey.first_at < now - LATE_MAX:
        report.warnings.append(f"Uses before {output.instant(now - LATE_MAX)} would be refused: they are too old.")
    if report.survey.last_at and report.survey.last_at > now + AHEAD_MAX:
        report.warnings.append(f"Uses after {output.instant(now + AHEAD_MAX)} would be refused: they lie ahead.")
    return report


def run(plan: Plan) -> Report:
    """Check the file, then count its uses batch by batch, each batch whole or not at all.

    Raises ``FileInvalid`` with nothing counted, ``MeterUndeclared``, or ``Busy``; what was counted by then stays, and
    another run adds the rest.
    """
    report = _begin(plan, is_dry_run=False)
    # What the program is made of is never garbage: a collection then costs what reading left behind, no more.
    gc.freeze()
    began = time.perf_counter()
    with plan.file.open("rb") as stream, progress.bar("Counting", report.survey.uses) as advance:
        uses = importing.iterate_uses(stream, plan.layout, is_ordered=report.survey.is_ordered)
        for batch, offers in _batches(uses, plan):
            for use, outcome in zip(batch, _record(offers), strict=True):
                report.count(use, outcome)
            advance(len(batch))
    report.seconds = time.perf_counter() - began
    return report


def _begin(plan: Plan, *, is_dry_run: bool) -> Report:
    declared = catalog_queries.products_by_meter()
    for _, meter in plan.layout.meters:
        if meter not in declared:
            raise MeterUndeclared(f"The catalog declares no event {meter!r}.", field="map")
    with plan.file.open("rb") as stream, progress.bar("Checking", plan.file.stat().st_size) as advance:
        survey = importing.survey(_Watched(stream, advance) if sys.stderr.isatty() else stream, plan.layout)
    tallies = {
        meter: MeterTally(uses=each.uses, skipped=each.skipped, quantity=each.quantity)
        for meter, each in survey.meters.items()
    }
    return Report(plan, survey, is_dry_run, tallies)


def _record(offers: list[Offer]) -> list[Outcome]:
    for attempt in range(1, ATTEMPTS_MAX + 1):
        try:
            return BillingService.record_usage(offers)
        except Busy:
            if attempt == ATTEMPTS_MAX:
                raise
            time.sleep(0.2 * attempt)
    raise AssertionError("the last attempt returns or raises")


def _batches(uses: Iterator[Use], plan: Plan) -> Iterator[tuple[list[Use], list[Offer]]]:
    while batch := list(islice(uses, plan.batch)):
        offers = [
            Offer(plan.organization, use.meter, use.quantity, use.key, plan.source, use.occurred_at, plan.service)
            for use in batch
        ]
        yield batch, offers


class _Watched:
    """A file that tells how much of it was read."""

    def __init__(self, stream: BinaryIO, advance: Callable[[int], None]) -> None:
        self._stream = stream
        self._advance = advance

    def readline(self, size: int, /) -> bytes:
        line = self._stream.readline(size)
        self._advance(len(line))
        return line


def _instant_or_none(at: datetime | None) -> str | None:
    return None if at is None else instant(at)
