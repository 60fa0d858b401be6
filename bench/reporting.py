"""The table at the end, and the same as JSON."""

from __future__ import annotations

import dataclasses
import os
import statistics
from collections.abc import Mapping, Sequence
from typing import Any

from bench.contests import Result
from bench.ratios import Ratio
from bench.stage import Scale

HEAD = ("measure", "median", "rounds", "goal", "moonshot", "verdict")


def cores() -> int:
    return len(os.sched_getaffinity(0))


def is_failed(results: Sequence[Result]) -> bool:
    return any(result.failure or any(ratio.is_failed for ratio in result.ratios()) for result in results)


def table(results: Sequence[Result]) -> str:
    """Ratios, then the figures that they are made of; both plain text in columns."""
    ratios = [_row(ratio) for result in results for ratio in result.ratios()]
    figures = [
        (result.contest.name, side, f"{statistics.median(values):,.4g} {result.contest.unit}")
        for result in results
        for side, values in result.figures.items()
        if values
    ]
    failures = [f"{result.contest.name}: {result.failure}" for result in results if result.failure]
    return "\n\n".join(
        part for part in (_columns([HEAD, *ratios]), _columns(figures), "\n".join(failures)) if part.strip()
    )


def document(results: Sequence[Result], scale: Scale, facts: Mapping[str, str]) -> dict[str, Any]:
    return {
        "facts": dict(facts),
        "scale": dataclasses.asdict(scale),
        "ratios": [
            {
                "name": ratio.name,
                "median": ratio.median,
                "rounds": list(ratio.rounds),
                "goal": ratio.goal.goal,
                "moonshot": ratio.goal.moonshot,
                "verdict": ratio.verdict.value,
            }
            for result in results
            for ratio in result.ratios()
        ],
        "figures": {result.contest.name: {"unit": result.contest.unit, **result.figures} for result in results},
        "failures": [f"{result.contest.name}: {result.failure}" for result in results if result.failure],
    }


def _row(ratio: Ratio) -> tuple[str, ...]:
    low, high = ratio.range
    sign = "≥" if ratio.goal.more_is_better else "≤"
    return (
        ratio.name,
        f"{ratio.median:.2f}",
        f"{low:.2f}–{high:.2f}",
        f"{sign} {ratio.goal.goal:.3g}",
        f"{sign} {ratio.goal.moonshot:.3g}",
        ratio.verdict.value,
    )


def _columns(rows: Sequence[Sequence[str]]) -> str:
    if not rows:
        return ""
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows
    )
