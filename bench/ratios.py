"""Ratios of sides that ran in turns: a median over rounds, its range, and whether it can be believed. Pure."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

# Rounds that differ by more than this factor tell of the machine's neighbours, and not of us.
SPREAD_MAX = 2.0


class Verdict(StrEnum):
    MOONSHOT = "moonshot"
    MET = "met"
    MISSED = "missed"
    MISSING = "missing"


@dataclass(frozen=True, slots=True)
class Goal:
    """What a measure is held to: at least ``goal`` where more is better, else at most."""

    goal: float
    moonshot: float
    more_is_better: bool = True

    def reached(self, value: float, bound: float) -> bool:
        return value >= bound if self.more_is_better else value <= bound


@dataclass(frozen=True, slots=True)
class Ratio:
    """The ratios of all rounds of one measure, in the order in which they ran."""

    name: str
    goal: Goal
    rounds: tuple[float, ...]

    @property
    def median(self) -> float:
        return statistics.median(self.rounds)

    @property
    def range(self) -> tuple[float, float]:
        return min(self.rounds), max(self.rounds)

    @property
    def verdict(self) -> Verdict:
        low, high = self.range
        if low <= 0 or high / low > SPREAD_MAX:
            return Verdict.MISSING
        if self.goal.reached(self.median, self.goal.moonshot):
            return Verdict.MOONSHOT
        return Verdict.MET if self.goal.reached(self.median, self.goal.goal) else Verdict.MISSED

    @property
    def is_failed(self) -> bool:
        return self.verdict in (Verdict.MISSED, Verdict.MISSING)


def ratio_of(name: str, goal: Goal, above: Sequence[float], below: Sequence[float]) -> Ratio:
    """Round by round ``above`` divided by ``below``. Raises ``ValueError`` where they are not equally many or none."""
    if not above:
        raise ValueError("A ratio needs at least one round.")
    return Ratio(name, goal, tuple(one / other for one, other in zip(above, below, strict=True)))
