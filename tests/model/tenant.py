"""An organization as the rules have it: what it may do, and what it is answered. Knows nothing of the product.

Time, plans, credits and invoices are of the simulation's second calculator. Here is what that does not need, as it is
only told what was accepted: keys, limits, reservations, and every refusal.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from fractions import Fraction
from typing import NamedTuple

from tests.model.acts import ACCEPTED, Act, Answer, refused
from tests.simulation import almanac, calculator, credit
from tests.simulation.calculator import Life, Terms
from tests.simulation.credit import NEVER, Grant
from tests.simulation.log import Entry, Story
from tests.simulation.plans import Guard
from tests.simulation.spine import Subscription

LATE_MAX, AHEAD_MAX = timedelta(days=35), timedelta(minutes=5)
ILLEGAL = refused("illegal_transition")
Content = tuple[str, Fraction, datetime | None]


@dataclass
class Hold:
    """A reservation."""

    meter: str
    quantity: Fraction
    most: Fraction
    lasts: float
    at: datetime
    until: datetime
    subscription: int
    grants: list[Grant]
    status: str = "open"
    settled: Fraction | None = None
    is_late: bool = False


class Admitted(NamedTuple):
    """What is taken for a use, and from whom: ``shares`` of grants."""

    terms: Terms
    shares: list[tuple[Grant, Fraction]]


@dataclass
class Told:
    """Keys that were accepted, with what came with them."""

    uses: dict[str, Content] = field(default_factory=dict)
    holds: dict[str, Hold] = field(default_factory=dict)


class Tenant(Life):
    def __init__(self, *, zone: str, currency: str, began: datetime) -> None:
        super().__init__(Story("tenant", zone, currency, []))
        self.now = began
        self.told = Told()
        # What is billed again, and when, after an invoice was taken back, is not foretold.
        self.has_voided = False

    def answer(self, act: Act) -> Answer:
        does: Callable[[Act], Answer] = getattr(self, f"do_{act.name}")
        return does(act)

    # --- time ---

    def do_advance(self, act: Act) -> Answer:
        to = self.now + timedelta(seconds=act.seconds or 0)
        while (due := self._next_due()) is not None and due <= to:
            self.now = max(self.now, due)
            self._sweep(Entry(self.now, "sweep"))
        self.now = to
        return ACCEPTED

    def _next_due(self) -> datetime | None:
        found = [each.next_due() for each in self.subscriptions if each.is_live]
        found += [at for each in self.subscriptions for at, _, _ in calculator.due(each, NEVER)]
        return min(found, default=None)

    # --- subscriptions ---

    @property
    def last(self) -> Subscription | None:
        return self.subscriptions[-1] if self.subscriptions else None

    def do_subscribe(self, act: Act) -> Answer:
        if self.last is not None and self.last.is_live:
            return refused("subscription_exists")
        self._subscribe(Entry(self.now, "subscribe", plan=act.plan))
        return ACCEPTED

    def do_change(self, act: Act) -> Answer:
        assert self.last is not None
        if self.last.plan.code == act.plan:
            return ACCEPTED
        return self._in("change", ("trialing", "active"), act)

    def do_change_later(self, act: Act) -> Answer:
        return self._in("change_later", ("trialing", "active", "paused"), act)

    def do_cancel_later(self, act: Act) -> Answer:
        return self._in("cancel_later", ("trialing", "active", "paused"), act)

    def do_withdraw(self, act: Act) -> Answer:
        return self._in("withdraw", ("trialing", "active", "paused"), act)

    def do_cancel(self, act: Act) -> Answer:
        return self._in("cancel", ("trialing", "active", "paused"), act)

    def do_pause(self, act: Act) -> Answer:
        return self._in("pause", ("active",), act)

    def do_resume(self, act: Act) -> Answer:
        return self._in("resume", ("paused",), act)

    def _in(self, name: str, statuses: tuple[str, ...], act: Act) -> Answer:
        assert self.last is not None
        if self.last.status not in statuses:
            return ILLEGAL
        getattr(self, f"_{name}")(Entry(self.now, name, plan=act.plan))
        return ACCEPTED

    # --- credits ---

    def do_give(self, act: Act) -> Answer:
        until = None if act.seconds is None else self.now + timedelta(seconds=act.seconds)
        self._give(Entry(self.now, "give", quantity=act.quantity, until=until))
        return ACCEPTED

    def do_give_to_left(self, act: Act) -> Answer:
        """To the first subscription, which may have ended."""
        if len(self.subscriptions) == 1:
            return self.do_give(act)
        if self.last is not None and self.last.is_live:
            return refused("subscription_left")
        until = None if act.seconds is None else self.now + timedelta(seconds=act.seconds)
        self.subscriptions[0].grant(Fraction(act.quantity), self.now, until or NEVER, credit.ADJUSTMENT)
        return ACCEPTED

    def do_take(self, act: Act) -> Answer:
        assert self.last is not None
        _, short = credit.shares(self.last.grants, Fraction(act.quantity), self.now, self.now)
        if short:
            return refused("insufficient_credits")
        self._take(Entry(self.now, "take", quantity=act.quantity))
        return ACCEPTED

    # --- use ---

    def do_use(self, act: Act) -> Answer:
        at = None if act.seconds is None else self.now - timedelta(seconds=act.seconds)
        content = act.meter, Fraction(act.quantity), at
        known = self.told.uses.get(act.key)
        if known is not None:
            # The same instant has to be told again, not the same while ago.
            return Answer("duplicate") if known == content else Answer("conflict", "idempotency_conflict")
        answer = self._count(act.meter, act.quantity, at)
        if answer.status == "accepted":
            self.told.uses[act.key] = content
        return answer

    def do_repeat(self, act: Act) -> Answer:
        """A key once more, with the content that it came with or (``number``) another one."""
        if act.key not in self.told.uses:
            return refused("not_found")
        return Answer("conflict", "idempotency_conflict") if act.number else Answer("duplicate")

    def do_batch(self, act: Act) -> Answer:
        return Answer("batch", figures=tuple(self.do_use(each) for each in act.items))

    def _count(self, meter: str, quantity: str, at: datetime | None) -> Answer:
        admitted = self._judge(meter, Fraction(quantity), at)
        if isinstance(admitted, Answer):
            return admitted
        over, paid = self._use(Entry(self.now, "use", meter=meter, quantity=quantity, occurred_at=at))
        return Answer("accepted", figures=(over, paid))

    def _judge(self, meter: str, quantity: Fraction, said: datetime | None) -> Admitted | Answer:
        at = said or self.now
        if at < self.now - LATE_MAX:
            return refused("occurred_at_too_old")
        if at > self.now + AHEAD_MAX:
            return refused("occurred_at_in_future")
        terms = self.terms(at, self.now)
        if terms is None:
            return refused("subscription_missing")
        guard = terms.plan.meters.get(meter)
        if guard is None:
            return refused("feature_disabled")
        room = self._room(terms, meter, guard, at)
        if quantity > room and (terms.period.is_trial or not _is_priced(guard)):
            return refused("quota_exceeded")
        due = credit.millionths(min(quantity, room) * Fraction(guard.credits_per_unit))
        shares, short = credit.shares(terms.subscription.grants, due, terms.judged_at, self.now)
        if short and terms.period.is_trial:
            return refused("insufficient_credits")
        return Admitted(terms, shares)

    def _room(self, terms: Terms, meter: str, guard: Guard, at: datetime) -> Fraction:
        if guard.included is None:
            return Fraction(10**18)
        window = self._window(guard.cadence, at, terms.subscription, terms.period)
        taken = self._used[(meter, *window)] + self._reserved(meter, guard.cadence, window, self.now)
        return max(Fraction(0), Fraction(guard.included) - taken)

    def guard(self, meter: str) -> tuple[Fraction | None, Fraction, Fraction] | None:
        """Limit, use and what is reserved of a meter now; None where it is not served."""
        terms = self.terms(self.now, self.now)
        guard = None if terms is None else terms.plan.meters.get(meter)
        if terms is None or guard is None:
            return None
        window = self._window(guard.cadence, self.now, terms.subscription, terms.period)
        limit = None if guard.included is None else Fraction(guard.included)
        return limit, self._used[(meter, *window)], self._reserved(meter, guard.cadence, window, self.now)

    # --- reservations ---

    def _reserved(self, meter: str, cadence: str, window: tuple[object, ...], now: datetime) -> Fraction:
        return sum(
            (
                hold.quantity
                for hold in self.told.holds.values()
                if hold.status == "open" and hold.until > now and hold.meter == meter
                if self._window_of(hold, cadence) == window
            ),
            Fraction(0),
        )

    def _window_of(self, hold: Hold, cadence: str) -> tuple[object, ...] | None:
        if cadence != "billing_period":
            return cadence, *almanac.window(cadence, hold.at, self.zone)
        subscription = self.subscriptions[hold.subscription]
        period = next((each for each in subscription.periods if each.starts_at <= hold.at < each.ends_at), None)
        return None if period is None else self._window(cadence, hold.at, subscription, period)

    def do_reserve(self, act: Act) -> Answer:
        quantity, most, lasts = Fraction(act.quantity), Fraction(act.most), act.seconds or 0
        known = self.told.holds.get(act.key)
        if known is not None:
            is_same = (known.meter, known.quantity, known.most, known.lasts) == (act.meter, quantity, most, lasts)
            return Answer("duplicate") if is_same else Answer("conflict", "idempotency_conflict")
        admitted = self._judge(act.meter, quantity, None)
        if isinstance(admitted, Answer):
            return admitted
        until = self.now + timedelta(seconds=lasts)
        grants = [grant for grant, share in admitted.shares if share]
        for grant, share in admitted.shares:
            if share:
                grant.kept[act.key] = share, until
        number = admitted.terms.subscription.number
        self.told.holds[act.key] = Hold(act.meter, quantity, most, lasts, self.now, until, number, grants)
        return ACCEPTED

    def do_settle(self, act: Act) -> Answer:
        hold, quantity = self.told.holds.get(act.key), Fraction(act.quantity)
        if hold is None:
            return refused("not_found")
        if hold.status == "released":
            return refused("reservation_released")
        if hold.status == "settled":
            return Answer("duplicate") if hold.settled == quantity else refused("reservation_settled")
        if quantity > hold.most:
            return refused("reservation_exceeded")
        is_late = hold.until <= self.now
        # What it keeps is there for itself.
        kept = [(grant, grant.kept.pop(act.key)) for grant in hold.grants]
        hold.status = "settled"
        answer = self._count(hold.meter, act.quantity, None if is_late else hold.at)
        if answer.status == "accepted":
            hold.settled = quantity
            return answer._replace(figures=(*answer.figures, is_late))
        hold.status = "open"
        for grant, share in kept:
            grant.kept[act.key] = share
        return answer

    def do_release(self, act: Act) -> Answer:
        hold = self.told.holds.get(act.key)
        if hold is None:
            return refused("not_found")
        if hold.status == "settled":
            return refused("reservation_settled")
        hold.status = "released"
        for grant in hold.grants:
            grant.kept.pop(act.key, None)
        return ACCEPTED

    # --- invoices and events: which one is the product's to say ---

    def do_issue(self, act: Act) -> Answer:
        return ACCEPTED

    do_pay = do_void = do_distribute = do_issue

    def issued(self, subscription: int, kind: str, starts_at: datetime) -> None:
        """A draft was issued by hand."""
        of = self.subscriptions[subscription]
        period = next(each for each in of.periods if each.starts_at == starts_at)
        if not self.has_voided:
            self._issue(kind, of, period, self.now)


def _is_priced(guard: Guard) -> bool:
    return bool(guard.price) or guard.credits_per_unit != "0"
