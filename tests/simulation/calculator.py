"""Every invoice of an organization from the log of what was done to it: the rules of the documentation, once more.

* A sweep does what fell due, then issues the invoice of each period that ended a day ago or earlier. From then on use
  of that period goes to the next period that is open, or to a final invoice where none will come any more.
* A use is split where its guard's limit lies in the window of its instant, in the order in which uses were told. Units
  inside cost credits, as far as grants pay; units beyond cost money.
* A start and a change of plan in the middle of a period ask for the fees in advance at once, unless they come to
  nothing or less.
* Tax is rounded for each line. Contained in prices, net is the amount over one and the rate; the rest is the tax.
"""

from __future__ import annotations

import copy
from collections import defaultdict
from dataclasses import replace
from datetime import datetime, timedelta
from fractions import Fraction
from itertools import chain
from typing import NamedTuple
from zoneinfo import ZoneInfo

from tests.simulation import almanac, credit
from tests.simulation.credit import ADJUSTMENT, NEVER
from tests.simulation.invoice import Discount, Invoice, Ledger
from tests.simulation.log import Bill, Entry, Line, Story
from tests.simulation.plans import COUPONS, Plan, on_sale
from tests.simulation.spine import Owed, Period, Span, Subscription

GRACE = timedelta(hours=24)
SERVED = ("trialing", "active")


class Terms(NamedTuple):
    """What a use is judged by."""

    subscription: Subscription
    judged_at: datetime
    period: Period
    plan: Plan


class Life:
    """An organization as the rules have it. ``bills`` are its issued invoices, in the order of issue."""

    def __init__(self, story: Story) -> None:
        self.zone = ZoneInfo(story.zone)
        self.currency = story.currency
        self.subscriptions: list[Subscription] = []
        self.bills: list[Bill] = []
        self.events = 0
        self._plans = on_sale(False)
        self._treatment, self._rate = "none", Fraction(0)
        self._had_trial = False
        # Units told by meter and window, whichever subscription they were used under.
        self._used: dict[tuple[object, ...], Fraction] = defaultdict(Fraction)
        self._ledgers: dict[int, Ledger] = defaultdict(Ledger)
        self._discounts: dict[int, list[Discount]] = defaultdict(list)
        for entry in story.entries:
            getattr(self, f"_{entry.act}")(entry)

    # --- what is done ---

    def _sweep(self, entry: Entry) -> None:
        for subscription in self.subscriptions:
            subscription.advance(entry.at)
        waiting = [
            (at, kind, subscription, period)
            for subscription in self.subscriptions
            for at, kind, period in due(subscription, entry.at)
        ]
        for _, kind, subscription, period in sorted(waiting, key=lambda each: each[:2]):
            self._issue(kind, subscription, period, entry.at)

    def _catalog(self, entry: Entry) -> None:
        self._plans = on_sale(True)

    def _tax(self, entry: Entry) -> None:
        self._treatment, self._rate = entry.treatment, Fraction(entry.rate)

    def _subscribe(self, entry: Entry) -> None:
        plan = self._plans[entry.plan]
        starts_at = max([almanac.whole_second(entry.at), *(each.ended_at or NEVER for each in self.subscriptions)])
        new = Subscription(len(self.subscriptions), self.zone, plan, "active", starts_at, starts_at)
        new.spans.append(Span(plan, starts_at, None, False))
        for old in self.subscriptions:
            credit.lapse((each for each in old.grants if each.ends_at <= entry.at), entry.at)
            new.former += [(each, old.ended_at or NEVER) for each in old.allowances()]
            new.grants += [each for each in old.grants if not each.is_allowance]
            old.grants = old.allowances()
        self.subscriptions.append(new)
        if plan.trial_days and not self._had_trial:
            self._had_trial = True
            new.status = "trialing"
            new.anchor = almanac.days_later(starts_at, self.zone, plan.trial_days)
            new.periods.append(Period(0, True, starts_at, new.anchor, new.anchor))
            if Fraction(plan.trial_credits):
                new.grant(Fraction(plan.trial_credits), starts_at, new.anchor)
        else:
            new.add_period(starts_at)
            new.grant_stretch(starts_at, less=new.former_overdrawn(starts_at))
            self._ask_in_advance(new, starts_at)

    def _live(self, entry: Entry) -> Subscription:
        live = self.subscriptions[-1]
        live.advance(entry.at)
        live.quiet_until = None
        return live

    def _arrive(self, entry: Entry) -> None:
        self._live(entry)

    def _change(self, entry: Entry) -> None:
        live, plan = self._live(entry), self._plans[entry.plan]
        if plan != live.plan:
            live.change(plan, almanac.whole_second(entry.at))
            self._ask_in_advance(live, entry.at)

    def _change_later(self, entry: Entry) -> None:
        live, plan = self._live(entry), self._plans[entry.plan]
        live.pending, live.leaves = (None if plan == live.plan else plan), False

    def _cancel_later(self, entry: Entry) -> None:
        live = self._live(entry)
        live.pending, live.leaves = None, True

    def _withdraw(self, entry: Entry) -> None:
        live = self._live(entry)
        live.pending, live.leaves = None, False

    def _cancel(self, entry: Entry) -> None:
        live = self._live(entry)
        credit.lapse(live.allowances())
        live.end(almanac.whole_second(entry.at))

    def _pause(self, entry: Entry) -> None:
        live = self._live(entry)
        pending, at = live.pending, almanac.whole_second(entry.at)
        live.switch(live.plan, at, is_paused=True)
        live.pending, live.status = pending, "paused"

    def _resume(self, entry: Entry) -> None:
        live = self._live(entry)
        pending, at = live.pending, almanac.whole_second(entry.at)
        live.switch(live.plan, at)
        live.pending, live.status = pending, "active"
        live.grant_rest(at)

    def _give(self, entry: Entry) -> None:
        self.subscriptions[-1].grant(Fraction(entry.quantity), entry.at, entry.until or NEVER, ADJUSTMENT)

    def _take(self, entry: Entry) -> None:
        credit.pay(self.subscriptions[-1].grants, Fraction(entry.quantity), entry.at, entry.at, is_use=False)

    def _coupon(self, entry: Entry) -> None:
        live = self._live(entry)
        coupon = next(each for each in COUPONS if each.code == entry.plan)
        if any(each.coupon is coupon for each in chain.from_iterable(self._discounts.values())):
            # Had once for ever: asked for again, it goes on as it was.
            return
        since = live.number_at(entry.at)
        until = None if coupon.periods is None else since + coupon.periods - 1
        self._discounts[live.number].append(Discount(coupon, since, until))

    def _no_coupon(self, entry: Entry) -> None:
        live = self._live(entry)
        discount = self._discounts[live.number][-1]
        discount.until = max(discount.since, live.number_at(entry.at))

    # --- use ---

    def terms(self, at: datetime, now: datetime) -> Terms | None:
        """What use of ``at``, told ``now``, is judged by; None where nobody is served then."""
        subscription = next(
            (
                each
                for each in self.subscriptions
                if each.starts_at <= at and (each.ended_at is None or at < each.ended_at)
            ),
            None,
        )
        if subscription is None:
            return None
        judged_at, period = at, _holding(subscription.periods, at)
        if period is None and at > now and subscription.status in SERVED:
            judged_at, period = now, _holding(subscription.periods, now)
        if period is None:
            return None
        span = next(
            each
            for each in subscription.spans
            if each.starts_at <= judged_at and (each.ends_at is None or judged_at < each.ends_at)
        )
        return None if span.is_paused else Terms(subscription, judged_at, period, span.plan)

    def _reserved(self, meter: str, cadence: str, window: tuple[object, ...], now: datetime) -> Fraction:
        """Units that reservations keep of a window: nobody reserves anything here."""
        return Fraction(0)

    def _use(self, entry: Entry) -> tuple[Fraction, Fraction]:
        """Returns the units over the limit and the credits that were paid."""
        self.events += 1
        at = entry.occurred_at or entry.at
        terms = self.terms(at, entry.at)
        assert terms is not None
        subscription, judged_at, period, plan = terms
        quantity, over, due, short = Fraction(entry.quantity), Fraction(0), Fraction(0), Fraction(0)
        guard = plan.meters[entry.meter]
        if guard.price or guard.credits_per_unit != "0":
            window = self._window(guard.cadence, at, subscription, period)
            if guard.included is not None:
                taken = self._used[(entry.meter, *window)]
                taken += self._reserved(entry.meter, guard.cadence, window, entry.at)
                over = quantity - min(quantity, max(Fraction(0), Fraction(guard.included) - taken))
            due = credit.millionths((quantity - over) * Fraction(guard.credits_per_unit))
            short = credit.pay(subscription.grants, due, judged_at, entry.at)
        for cadence in ("daily", "weekly", "monthly", "never", "billing_period"):
            self._used[(entry.meter, *self._window(cadence, at, subscription, period))] += quantity
        if over or short:
            bearer = next((each for each in subscription.open_periods() if each.number >= period.number), None)
            if bearer is None:
                bearer = subscription.periods[-1]
                subscription.finals.setdefault(bearer.number, entry.at + GRACE)
            owed = Owed(period.number, plan.code, plan.version, entry.meter)
            bearer.over[owed] += over
            bearer.short[owed] += short
        return over, due - short

    def _window(self, cadence: str, at: datetime, subscription: Subscription, period: Period) -> tuple[object, ...]:
        if cadence == "billing_period":
            return cadence, subscription.number, period.starts_at
        return cadence, *almanac.window(cadence, at, self.zone)

    # --- invoices ---

    def _ask_in_advance(self, subscription: Subscription, at: datetime) -> None:
        period = subscription.periods[-1]
        # As if it were issued now, to see whether there is anything to ask for.
        asked = self._invoice("change", subscription, period, copy.deepcopy(self._ledgers[subscription.number]))
        if sum(line.amount for line in asked.lines) > 0:
            subscription.changes.setdefault(period.number, at)

    def _invoice(self, kind: str, subscription: Subscription, period: Period, ledger: Ledger) -> Invoice:
        return Invoice(kind, self.currency, subscription, period, ledger, self._discounts[subscription.number])

    def _issue(self, kind: str, subscription: Subscription, period: Period, at: datetime) -> None:
        ledger = self._ledgers[subscription.number]
        if kind == "cycle":
            period.closed_at = at
        else:
            del (subscription.changes if kind == "change" else subscription.finals)[period.number]
        draft = self._invoice(kind, subscription, period, copy.deepcopy(ledger) if kind == "change" else ledger)
        if kind == "change":
            if sum(line.amount for line in draft.lines) <= 0:
                return
            self._ledgers[subscription.number] = draft.ledger
        if not draft.lines:
            return
        lines = tuple(sorted(self._taxed(line) for line in draft.lines))
        tax = sum(line.tax for line in lines)
        subtotal = sum(line.amount for line in lines) - (tax if self._treatment == "inclusive" else 0)
        self.bills.append(Bill(subscription.number, kind, period.starts_at, lines, subtotal, tax, subtotal + tax))

    def _taxed(self, line: Line) -> Line:
        rate = self._rate / 100
        if self._treatment == "inclusive":
            return replace(line, tax=line.amount - round(line.amount / (1 + rate)))
        return replace(line, tax=round(line.amount * rate)) if self._treatment == "exclusive" else line


def due(subscription: Subscription, now: datetime) -> list[tuple[datetime, str, Period]]:
    """What of a subscription is issued by ``now``: from when on, as what, and of which period."""
    found = [
        (period.ends_at + GRACE, "cycle", period)
        for period in subscription.open_periods()
        if period.ends_at + GRACE <= now and _is_billed(subscription, period)
    ]
    for kind, waiting in (("change", subscription.changes), ("final", subscription.finals)):
        found += [(at, kind, _numbered(subscription, number)) for number, at in waiting.items() if at <= now]
    return found


def _is_billed(subscription: Subscription, period: Period) -> bool:
    """A trial has an invoice only where the fee of what it led to is due in advance."""
    if period.is_trial:
        return subscription.after(period) is not None and any(
            span.plan.in_advance
            for span in subscription.spans
            if span.starts_at <= period.ends_at and (span.ends_at is None or span.ends_at > period.ends_at)
        )
    return min(period.ends_at, subscription.ended_at or period.ends_at) > period.starts_at


def _holding(periods: list[Period], at: datetime) -> Period | None:
    return next((each for each in reversed(periods) if each.starts_at <= at < each.ends_at), None)


def _numbered(subscription: Subscription, number: int) -> Period:
    return subscription.periods[number - subscription.periods[0].number]
