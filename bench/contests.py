"""Sides that run in turns, round after round, and what their figures are to each other."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from bench.ratios import Goal, Ratio, ratio_of
from billing_project.embedded.processes import StartError


class Spoiled(Exception):
    """A figure that would mean nothing: requests were refused, the books disagree, the sides did different work."""


# Runs one side once; returns its figure (a rate, or seconds).
Side = Callable[[], float]


@dataclass(frozen=True, slots=True)
class Claim:
    """``above`` divided by ``below``, named sides of a contest, against a goal."""

    name: str
    above: str
    below: str
    goal: Goal


@dataclass(frozen=True, slots=True)
class Contest:
    """``unit`` is what the sides' figures are in. ``check`` runs after each round and raises where the books are not
    as they must be."""

    name: str
    unit: str
    sides: Mapping[str, Side]
    claims: Sequence[Claim]
    check: Callable[[], None] = lambda: None


@dataclass
class Result:
    contest: Contest
    figures: dict[str, list[float]] = field(default_factory=dict)
    failure: str = ""

    def ratios(self) -> list[Ratio]:
        """None where the contest did not come to its end."""
        if self.failure:
            return []
        return [
            ratio_of(claim.name, claim.goal, self.figures[claim.above], self.figures[claim.below])
            for claim in self.contest.claims
        ]


def hold(contest: Contest, *, rounds: int, tell: Callable[[str], None]) -> Result:
    """All rounds of ``contest``; each starts with another side, so that no side always runs on a warmer machine. A
    spoiled one is given up, and the result says why."""
    result = Result(contest, {name: [] for name in contest.sides})
    names = list(contest.sides)
    for number in range(rounds):
        first = number % len(names)
        try:
            for name in names[first:] + names[:first]:
                figure = contest.sides[name]()
                result.figures[name].append(figure)
                tell(f"{contest.name}, round {number + 1}: {name} {figure:,.4g} {contest.unit}")
            contest.check()
        except (Spoiled, StartError) as failure:
            result.failure = str(failure)
            break
    return result
