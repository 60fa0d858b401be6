"""Subscriptions over time, a second time: periods, plans in force, and what time alone brings about.

* Periods follow one another from the anchor. A trial comes first, once per organization.
* Another plan of the same rhythm goes on within the period; one of another rhythm begins a period of its own.
* Paused time is on the plan, and neither serves nor costs; periods go on.
* An allowance is granted when its stretch begins, a period or a month of it, and lapses when that ends.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from datetime import datetime
from fractions import Fraction
from typing import NamedTuple
from zoneinfo import ZoneInfo

from tests.simulation import almanac, credit
from tests.simulation.credit import ALLOWANCE, NEVER, Grant
from tests.simulation.plans import Plan

LIVE = ("trialing", "active", "paused")


class Stretch(NamedTuple):
    """A half-open stretch of time."""

    starts_at: datetime
    ends_at: datetime


class Owed(NamedTuple):
    """Use of one meter on one plan in one period, to be billed: units over the limit and credits that were short."""

    period: int
    plan: str
    version: int
    meter: str


@dataclass
class Period:
    number: int
    is_trial: bool
    starts_at: datetime
    ends_at: datetime
    nominal_ends_at: datetime
    closed_at: datetime | None = None
    # What its own invoice, or a later one, is still to bear.
    over: dict[Owed, Fraction] = field(default_factory=lambda: defaultdict(Fraction))
    short: dict[Owed, Fraction] = field(default_factory=lambda: defaultdict(Fraction))


@dataclass
class Span:
    plan: Plan
    starts_at: datetime
    ends_at: datetime | None
    is_paused: bool


@dataclass
class Subscription:
    number: int
    zone: ZoneInfo
    plan: Plan
    status: str
    starts_at: datetime
    anchor: datetime
    periods: list[Period] = field(default_factory=list)
    spans: list[Span] = field(default_factory=list)
    grants: list[Grant] = field(default_factory=list)
    pending: Plan | None = None
    leaves: bool = False
    ended_at: datetime | None = None
    # The last instant at which time brought something about, and the next, as long as nobody does anything.
    seen_at: datetime | None = None
    quiet_until: datetime | None = None
    # Of the periods, those before it are closed.
    open_from: int = 0
    # Invoices of the middle of a period, and the final one: from when on they are due, by the period's number.
    changes: dict[int, datetime] = field(default_factory=dict)
    finals: dict[int, datetime] = field(default_factory=dict)
    # Allowances of the subscriptions before, and when each of these ended.
    former: list[tuple[Grant, datetime]] = field(default_factory=list)

    @property
    def is_live(self) -> bool:
        return self.status in LIVE

    @property
    def is_regular(self) -> bool:
        return bool(self.periods) and not self.periods[-1].is_trial

    # --- time ---

    def advance(self, to: datetime) -> None:
        if self.quiet_until is not None and to < self.quiet_until:
            return
        while self.is_live and (due := self.next_due()) <= to:
            self._arrive(due)
        self.quiet_until = self.next_due() if self.is_live else NEVER

    def number_at(self, at: datetime) -> int:
        """The ordinal of the running period, a trial counting as the one that follows it."""
        return max(1, next((each.number for each in self.periods if each.starts_at <= at < each.ends_at), 1))

    def after(self, period: Period) -> Period | None:
        place = self.periods.index(period) + 1
        return self.periods[place] if place < len(self.periods) else None

    def open_periods(self) -> list[Period]:
        while self.open_from < len(self.periods) and self.periods[self.open_from].closed_at is not None:
            self.open_from += 1
        return [each for each in self.periods[self.open_from :] if each.closed_at is None]

    def next_due(self) -> datetime:
        seen = self.seen_at or self.starts_at
        return min(
            [self.periods[-1].ends_at]
            + ([each.starts_at for each in self.stretches() if each.starts_at > seen] if self.is_regular else [])
        )

    def _arrive(self, at: datetime) -> None:
        self.seen_at = at
        credit.lapse((each for each in self.grants if each.ends_at <= at), at)
        if self.periods[-1].ends_at <= at:
            if self.leaves:
                self.end(at)
                return
            self._turn(at)
        if self.status == "active":
            self.grant_stretch(at)

    def _turn(self, at: datetime) -> None:
        if self.pending is not None:
            if self.pending.interval != self.plan.interval:
                self.anchor = at
            self.switch(self.pending, at, is_paused=self.status == "paused")
        if self.status == "trialing":
            self.status = "active"
        self.add_period(at)

    def add_period(self, at: datetime) -> None:
        ends_at = almanac.next_boundary(self.anchor, self.zone, self.plan.interval, at)
        number = self.periods[-1].number + 1 if self.periods else 1
        self.periods.append(Period(number, False, at, ends_at, ends_at))

    # --- plans ---

    def switch(self, plan: Plan, at: datetime, *, is_paused: bool = False) -> None:
        self.spans[-1].ends_at = at
        self.spans.append(Span(plan, at, None, is_paused))
        self.plan, self.pending = plan, None

    def change(self, plan: Plan, at: datetime) -> None:
        if plan == self.plan:
            return
        if self.status == "trialing":
            self.switch(plan, at)
        elif _rhythm(plan) == _rhythm(self.plan):
            self._top_up(plan, at)
            self.switch(plan, at)
        else:
            ahead = credit.overdrawn(
                [*((each, at) for each in self.allowances() if each.ends_at > at), *self._former(at)]
            )
            credit.lapse(self.allowances())
            self.switch(plan, at)
            self.anchor = at
            self._restart(at)
            self.seen_at = at
            self.grant_stretch(at, less=ahead)

    def _restart(self, at: datetime) -> None:
        last = self.periods[-1]
        if last.starts_at == at:
            # Of a length of nothing it would not be one: it goes on, to another end.
            last.ends_at = last.nominal_ends_at = almanac.next_boundary(self.anchor, self.zone, self.plan.interval, at)
        else:
            self.cut(at)
            self.add_period(at)

    def cut(self, at: datetime) -> None:
        last = self.periods[-1]
        if last.starts_at < at < last.ends_at:
            last.ends_at = at

    def end(self, at: datetime, status: str = "canceled") -> None:
        self.cut(at)
        self.spans[-1].ends_at = at
        self.status, self.ended_at = status, at
        self.pending, self.leaves = None, False

    # --- allowances ---

    def allowances(self) -> list[Grant]:
        return [each for each in self.grants if each.is_allowance]

    def stretches(self) -> list[Stretch]:
        """The parts of the last period that get one allowance each."""
        last = self.periods[-1]
        if self.plan.allowance_every == "period":
            return [Stretch(last.starts_at, last.ends_at)]
        bounds, at = [last.starts_at], last.starts_at
        while (at := almanac.next_boundary(self.anchor, self.zone, "month", at)) < last.ends_at:
            bounds.append(at)
        return [Stretch(*each) for each in zip(bounds, [*bounds[1:], last.ends_at], strict=True)]

    def stretch_at(self, at: datetime) -> Stretch | None:
        if not self.is_regular:
            return None
        return next((each for each in self.stretches() if each.starts_at <= at < each.ends_at), None)

    def grant_stretch(self, at: datetime, less: Fraction = Fraction(0)) -> None:
        stretch = self.stretch_at(at)
        credits = max(Fraction(0), Fraction(self.plan.allowance) - less)
        if stretch is not None and credits:
            self.grant(credits, *stretch)

    def grant_rest(self, at: datetime) -> None:
        """After a pause: what is left of a stretch that was granted nothing."""
        stretch = self.stretch_at(at)
        if stretch is None or self._granted_in(stretch):
            return
        credits = credit.top_up(Fraction(0), Fraction(self.plan.allowance), *stretch, at)
        if credits:
            self.grant(credits, at, stretch.ends_at)

    def grant(self, credits: Fraction, starts_at: datetime, ends_at: datetime, priority: int = ALLOWANCE) -> None:
        number = 1 + max((each.number for each in self.grants), default=-1)
        self.grants.append(Grant(number, priority, starts_at, ends_at, credits, credits))

    def _granted_in(self, stretch: Stretch) -> list[Grant]:
        return [each for each in self.allowances() if stretch.starts_at <= each.starts_at < stretch.ends_at]

    def _former(self, at: datetime) -> list[tuple[Grant, datetime]]:
        return [(grant, ended_at) for grant, ended_at in self.former if grant.ends_at > at]

    def former_overdrawn(self, at: datetime) -> Fraction:
        return credit.overdrawn(self._former(at))

    def _top_up(self, plan: Plan, at: datetime) -> None:
        stretch = self.stretch_at(at)
        assert stretch is not None
        held = [
            each
            for each in self.spans
            if each.starts_at < stretch.ends_at
            and (each.ends_at is None or each.ends_at > stretch.starts_at or each.starts_at >= stretch.starts_at)
        ]
        highest = max(Fraction(each.plan.allowance) for each in held)
        credits = credit.top_up(highest, Fraction(plan.allowance), *stretch, at)
        if credits:
            credits = max(Fraction(0), credits - self._still_owed(stretch, held))
        if credits:
            self.grant(credits, at, stretch.ends_at)

    def _still_owed(self, stretch: Stretch, held: list[Span]) -> Fraction:
        """What was paid ahead of time before the stretch, less what its own grants were short of for it."""
        begun = stretch.starts_at
        before = [(each, begun) for each in self.allowances() if each.starts_at < begun < each.ends_at]
        before += self._former(begun)
        if not before:
            return Fraction(0)
        whole, highest = Fraction(0), Fraction(0)
        for span in held:
            allowance = Fraction(span.plan.allowance)
            whole += credit.top_up(highest, allowance, *stretch, max(span.starts_at, begun))
            highest = max(highest, allowance)
        withheld = whole - sum(each.granted for each in self._granted_in(stretch))
        return max(Fraction(0), credit.overdrawn(before) - withheld)


def _rhythm(plan: Plan) -> tuple[str, str]:
    return plan.interval, "" if plan.interval == "month" else plan.allowance_every
