"""One run in one database, and what to say of it."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from django.test import override_settings

from tests.simulation import comparing
from tests.simulation.almanac import DAY
from tests.simulation.comparing import Findings
from tests.simulation.driving import Town
from tests.simulation.lives import Resident

TOLD_MAX = 30
YEAR = 365


@dataclass
class Report:
    seed: int
    residents: int
    days: int
    findings: Findings
    refused: Counter[str]
    seconds: float

    def totals(self) -> dict[str, int]:
        found = self.findings
        return {
            "subscriptions": found.subscriptions,
            "invoices": found.invoices,
            "lines": found.lines,
            "events": found.events,
            "differences": len(found.differences),
            "gaps and overlaps": len(found.untiled),
            "complaints of the doctor": len(found.unwell),
        }

    def figures(self) -> str:
        told = ", ".join(f"{count} {name}" for name, count in self.totals().items())
        return f"seed {self.seed}, {self.residents} organizations, {self.days} days: {told}; {self.seconds:.0f} s"

    def text(self) -> str:
        """The figures, what was refused on the way, and the first that is wrong with each resident."""
        found = self.findings
        refused = ", ".join(f"{code} {count}" for code, count in sorted(self.refused.items()))
        wrong = [*found.differences, *found.untiled, *found.unwell]
        firsts = {each.partition(":")[0]: each for each in reversed(wrong)}
        return "\n".join([self.figures(), f"refused: {refused}", *sorted(firsts.values())[:TOLD_MAX]])


def play(
    people: list[Resident], *, seed: int, first_day: datetime, days: int, tell: Callable[[str], object] = str
) -> Report:
    """Let ``people`` live for ``days`` in the database that Django is connected to. ``tell`` hears of every year."""
    began = time.monotonic()
    town = Town(people, seed=seed, later_catalog_on=first_day + days * 2 // 5 * DAY)
    # Nobody is there to look at invoices that are far above the ones before.
    with override_settings(BILLING_JUMP_FACTOR=10**9):
        for lived in range(0, days, YEAR):
            town.live(first_day + lived * DAY, min(YEAR, days - lived))
            tell(f"{town.days} of {days} days lived after {time.monotonic() - began:.0f} s")
        town.settle(first_day + days * DAY + 2 * DAY)
    return Report(seed, len(people), days, comparing.examine(town), town.refused, time.monotonic() - began)
