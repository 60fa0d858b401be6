"""The lines of one invoice, a second time.

* A base fee is shared out by seconds of the period's full length. A fee in advance is billed with the invoice of the
  period before, or in the middle of a period by one of its own; each stretch on a plan comes, over all invoices, to its
  fee for the seconds that it lasted, rounded once.
* A line is rounded once, half to even. What late use costs is what the whole of its period then costs, rounded, less
  what was billed of it.
* A minimum is shared out by seconds over the plans that ask for one, summed, and rounded once; fees, use and credits
  that were short count towards it.
* A coupon takes its share, or amount, off all that a period comes to over all invoices, but never more than that.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from datetime import datetime
from fractions import Fraction
from typing import NamedTuple

from tests.simulation import almanac
from tests.simulation.log import Line
from tests.simulation.plans import LATER, SOLD, Coupon
from tests.simulation.spine import Period, Span, Subscription
from tests.support.second_calculator import MINOR_DIGITS, price

TERMS = {(each.code, each.version): each for each in (*SOLD, *LATER)}


class Part(NamedTuple):
    """A portion of what a period comes to, that lines of several invoices may bill."""

    period: int
    charge: str
    plan: str
    version: int
    meter: str
    tier: int


class FeeOf(NamedTuple):
    """A stretch on a plan, of a period with so many seconds."""

    period: int
    plan: str
    version: int
    starts_at: datetime
    fee: Fraction
    whole: int


@dataclass
class FeeBilled:
    seconds: int
    amount: int
    ends_at: datetime


@dataclass
class Discount:
    """From which period to which (None: all that follow)."""

    coupon: Coupon
    since: int
    until: int | None


@dataclass
class Ledger:
    """What issued invoices of a subscription carry."""

    units: dict[Part, Fraction] = field(default_factory=lambda: defaultdict(Fraction))
    billed: dict[Part, int] = field(default_factory=lambda: defaultdict(int))
    fees: dict[FeeOf, FeeBilled] = field(default_factory=dict)

    def sum(self, period: int, *charges: str) -> int:
        return sum(amount for part, amount in self.billed.items() if part.period == period and part.charge in charges)


class Invoice:
    """Written into the ledger as it is made."""

    def __init__(
        self,
        kind: str,
        currency: str,
        subscription: Subscription,
        period: Period,
        ledger: Ledger,
        discounts: list[Discount],
    ) -> None:
        self.currency = currency
        self.subscription = subscription
        self.ledger = ledger
        self.lines: list[Line] = []
        late = sorted({owed.period for owed in (*period.over, *period.short)} - {period.number})
        following = subscription.after(period) if kind == "cycle" else None
        self._fees(period, only_advance=kind == "change")
        if following is not None:
            self._fees(following, only_advance=True)
        if kind != "change":
            self._overage(period)
            self._credits(period)
            for each in (period, *map(self._numbered, late)):
                self._minimum(each)
            if kind == "cycle" and not self.lines:
                self._nothing_more(period)
            period.over.clear()
            period.short.clear()
        touched = [period, *([] if following is None else [following])]
        touched += [] if kind == "change" else map(self._numbered, late)
        for each in touched:
            for discount in discounts:
                self._discount(each, discount)

    def _fees(self, period: Period, *, only_advance: bool) -> None:
        if period.is_trial:
            return
        whole = almanac.seconds(period.starts_at, period.nominal_ends_at)
        gone = {fee_of: before for fee_of, before in self.ledger.fees.items() if fee_of.period == period.number}
        for span, starts_at, ends_at in self._stretches(period):
            fee = Fraction(0) if span.is_paused else Fraction(span.plan.fee.get(self.currency, "0"))
            fee_of = FeeOf(period.number, span.plan.code, span.plan.version, starts_at, fee, whole)
            before = gone.pop(fee_of, None)
            if span.plan.in_advance or not only_advance:
                self._fee(fee_of, before, ends_at)
        for fee_of, before in gone.items():
            self._fee(fee_of, before, fee_of.starts_at)

    def _fee(self, fee_of: FeeOf, before: FeeBilled | None, ends_at: datetime) -> None:
        seconds = almanac.seconds(fee_of.starts_at, ends_at)
        amount = self._settle(fee_of.fee * seconds / fee_of.whole)
        more, due, shown = seconds, amount, ends_at
        if before is not None:
            more, due, shown = seconds - before.seconds, amount - before.amount, max(ends_at, before.ends_at)
            if not more and not due:
                return
        part = Part(fee_of.period, "base", fee_of.plan, fee_of.version, "", 0)
        self._add(part, fee_of.starts_at, shown, Fraction(more, fee_of.whole), due)
        self.ledger.fees[fee_of] = FeeBilled(seconds, amount, shown)

    def _nothing_more(self, period: Period) -> None:
        if not period.is_trial:
            span, starts_at, ends_at = self._stretches(period)[-1]
            self._add(_part(period, "base", span), starts_at, ends_at, Fraction(0), 0)

    def _overage(self, period: Period) -> None:
        for owed, quantity in period.over.items():
            if not quantity:
                continue
            service = self._numbered(owed.period)
            model = TERMS[owed.plan, owed.version].meters[owed.meter].price[self.currency]
            units = self.ledger.units
            told = Part(owed.period, "told", *owed[1:], 0)
            units[told] += quantity
            whole = price((model.rate, model.per) if model.name == "per_unit" else model, units[told])
            new = {Part(owed.period, charge, *owed[1:], tier): each for (tier, charge), each in whole.items()}
            old = {part for part in units if part[:1] + part[2:5] == owed and part.charge in ("overage", "flat")}
            for part in sorted({*new, *old}):
                now, money = new.get(part, (Fraction(0), Fraction(0)))
                amount = self._settle(money) - self.ledger.billed[part]
                if now != units[part] or amount:
                    self._add(part, service.starts_at, service.ends_at, now - units[part], amount)
                units[part] = now

    def _credits(self, period: Period) -> None:
        short: dict[tuple[int, str, int], Fraction] = defaultdict(Fraction)
        for owed, credits in period.short.items():
            short[owed[:3]] += credits
        for (number, code, version), credits in short.items():
            if credits:
                service, part = self._numbered(number), Part(number, "credits", code, version, "", 0)
                self.ledger.units[part] += credits
                rate = Fraction(TERMS[code, version].credit_price[self.currency])
                amount = self._settle(self.ledger.units[part] * rate) - self.ledger.billed[part]
                self._add(part, service.starts_at, service.ends_at, credits, amount)

    def _minimum(self, period: Period) -> None:
        asking = [each for each in self._stretches(period) if each[0].plan.minimum and not each[0].is_paused]
        if period.is_trial or not asking:
            return
        whole = almanac.seconds(period.starts_at, period.nominal_ends_at)
        shares = (Fraction(each[0].plan.minimum[self.currency]) * almanac.seconds(*each[1:]) for each in asking)
        wanted = self._settle(sum(shares, Fraction(0)) / whole)
        reached = self.ledger.sum(period.number, "base", "overage", "flat", "credits")
        amount = max(0, wanted - reached) - self.ledger.sum(period.number, "minimum")
        if amount:
            part = _part(period, "minimum", asking[-1][0])
            self._add(part, period.starts_at, self._served(period), Fraction(1 if amount > 0 else -1), amount)

    def _discount(self, period: Period, discount: Discount) -> None:
        if period.number < discount.since or (discount.until is not None and period.number > discount.until):
            return
        costs = max(0, self.ledger.sum(period.number, "base", "overage", "flat", "credits", "minimum"))
        coupon = discount.coupon
        if coupon.percent is None:
            off = min(self._settle(Fraction(coupon.amount or "0")), costs)
        else:
            off = round(costs * Fraction(coupon.percent) / 100)
        amount = -off - self.ledger.sum(period.number, "discount")
        if amount:
            last = [
                each for each in self.subscription.spans if each.starts_at < period.ends_at and _touches(each, period)
            ]
            part = _part(period, "discount", last[-1])
            self._add(part, period.starts_at, self._served(period), Fraction(1 if amount > 0 else -1), amount)

    def _served(self, period: Period) -> datetime:
        return min(period.ends_at, self.subscription.ended_at or period.ends_at)

    def _stretches(self, period: Period) -> list[tuple[Span, datetime, datetime]]:
        """The plans in force and from when to when, within what was lived of the period."""
        until = self._served(period)
        found = [
            (span, max(period.starts_at, span.starts_at), until if span.ends_at is None else min(until, span.ends_at))
            for span in self.subscription.spans
        ]
        return [each for each in found if each[1] < each[2]]

    def _numbered(self, number: int) -> Period:
        return self.subscription.periods[number - self.subscription.periods[0].number]

    def _add(self, part: Part, starts_at: datetime, ends_at: datetime, quantity: Fraction, amount: int) -> None:
        self.ledger.billed[part] += amount
        self.lines.append(Line(*part[1:], starts_at, ends_at, quantity, amount, 0))

    def _settle(self, amount: Fraction) -> int:
        # round() of a Fraction is exact and goes half to even.
        return round(amount * Fraction(10) ** MINOR_DIGITS[self.currency])


def _part(period: Period, charge: str, span: Span) -> Part:
    return Part(period.number, charge, span.plan.code, span.plan.version, "", 0)


def _touches(span: Span, period: Period) -> bool:
    return span.ends_at is None or span.ends_at > period.starts_at
