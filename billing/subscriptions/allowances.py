"""When a plan grants its credit allowance: pure."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from decimal import Decimal
from itertools import pairwise
from typing import NamedTuple
from zoneinfo import ZoneInfo

from billing.kernel.decimals import EXACT, ZERO, quantize
from billing.kernel.periods import Interval, Span, boundary


def spans(period: Span, *, anchor_at: datetime, zone: ZoneInfo, every: str) -> list[Span]:
    """The stretches of ``period`` that get one allowance each: the period itself, or its months from the anchor.

    A month that the period's end cuts short ends with the period.
    """
    if every == "period":
        return [period]
    starts = [period.starts_at]
    index = 1
    while (at := boundary(anchor_at, zone=zone, interval=Interval.MONTH, index=index)) < period.ends_at:
        if at > period.starts_at:
            starts.append(at)
        index += 1
    return [Span(start, end) for start, end in pairwise([*starts, period.ends_at])]


def top_up(*, already: Decimal, allowance: Decimal, span: Span, at: datetime) -> Decimal:
    """Credits that an upgrade at ``at`` adds: what the new plan's allowance has over the highest one already granted
    for ``span``, for the part of it that is left. Six decimals, half to even; never negative."""
    more = max(ZERO, allowance - already)
    left = max(0, int((span.ends_at - at).total_seconds()))
    return quantize(EXACT.divide(more * left, Decimal(span.seconds)))


def total(steps: Iterable[tuple[datetime, Decimal]], *, span: Span) -> Decimal:
    """All that a stretch grants over ``steps`` (from when which allowance; the first may have begun before it)."""
    highest, granted = ZERO, ZERO
    for at, allowance in steps:
        granted += top_up(already=highest, allowance=allowance, span=span, at=max(at, span.starts_at))
        highest = max(highest, allowance)
    return granted


class Granted(NamedTuple):
    """An allowance of which a stretch is cut short: what was granted for ``span`` and how much of it is consumed."""

    span: Span
    granted: Decimal
    consumed: Decimal


def overdrawn(cut_short: Iterable[tuple[Granted, datetime]]) -> Decimal:
    """Credits consumed beyond the share of time that passed, over allowances each ended at its instant.

    It comes off the next allowance: whoever leaves and returns gets what the time on board adds up to, so that going
    round in circles grants nothing.
    """
    total = ZERO
    for allowance, ended_at in cut_short:
        passed = max(0, int((ended_at - allowance.span.starts_at).total_seconds()))
        earned = EXACT.divide(allowance.granted * passed, Decimal(max(1, allowance.span.seconds)))
        total += allowance.consumed - earned
    return quantize(max(ZERO, total))
