"""Credits, a second time: who is granted what, and which grants pay.

* The smaller priority pays first (allowances 10, adjustments 30), then the earlier expiry, then the older.
* An upgrade adds what its allowance has over the highest of the running stretch, for the seconds that are left of it.
* What an allowance paid beyond the share of the time that passed, when its stretch was cut short, comes off the next.
* Credits have six decimals, rounded half to even.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from fractions import Fraction

from tests.simulation.almanac import seconds

ALLOWANCE, ADJUSTMENT = 10, 30
NEVER = datetime(9999, 1, 1, tzinfo=UTC)


@dataclass
class Grant:
    number: int
    priority: int
    starts_at: datetime
    ends_at: datetime
    granted: Fraction
    left: Fraction
    paid: Fraction = Fraction(0)
    # What reservations keep of it, by their keys, and until when.
    kept: dict[str, tuple[Fraction, datetime]] = field(default_factory=dict)

    @property
    def is_allowance(self) -> bool:
        return self.priority == ALLOWANCE

    def kept_at(self, now: datetime) -> Fraction:
        return sum((credits for credits, until in self.kept.values() if until > now), Fraction(0))


def millionths(credits: Fraction) -> Fraction:
    return Fraction(round(credits * 10**6), 10**6)


def shares(
    grants: Iterable[Grant], due: Fraction, at: datetime, now: datetime
) -> tuple[list[tuple[Grant, Fraction]], Fraction]:
    """Who pays ``due`` of what can be spent at ``at`` and is not kept ``now``, and what nobody pays."""
    found = []
    for grant in sorted(grants, key=lambda each: (each.priority, each.ends_at, each.starts_at, each.number)):
        if grant.starts_at <= at < grant.ends_at:
            share = min(max(Fraction(0), grant.left - grant.kept_at(now)), due)
            found.append((grant, share))
            due -= share
    return found, due


def pay(grants: Iterable[Grant], due: Fraction, at: datetime, now: datetime, *, is_use: bool = True) -> Fraction:
    """Take ``due`` from what can be spent at ``at``; returns what nobody pays."""
    found, short = shares(grants, due, at, now)
    for grant, share in found:
        grant.left -= share
        grant.paid += share if is_use else 0
    return short


def spendable(grants: Iterable[Grant], at: datetime) -> Fraction:
    return sum((each.left for each in grants if each.starts_at <= at < each.ends_at), Fraction(0))


def lapse(grants: Iterable[Grant], at: datetime | None = None) -> None:
    """Make what is left worthless, but for what is kept ``at`` that instant, if one is named."""
    for grant in grants:
        grant.left = min(grant.left, Fraction(0) if at is None else grant.kept_at(at))


def top_up(already: Fraction, allowance: Fraction, starts_at: datetime, ends_at: datetime, at: datetime) -> Fraction:
    more = max(Fraction(0), allowance - already)
    return millionths(more * max(0, seconds(at, ends_at)) / seconds(starts_at, ends_at))


def overdrawn(cut_short: Iterable[tuple[Grant, datetime]]) -> Fraction:
    """Over allowances and when each was cut short: paid beyond the share of time that passed."""
    ahead = Fraction(0)
    for grant, ended_at in cut_short:
        passed = max(0, seconds(grant.starts_at, ended_at))
        ahead += grant.paid - grant.granted * passed / max(1, seconds(grant.starts_at, grant.ends_at))
    return millionths(max(Fraction(0), ahead))
