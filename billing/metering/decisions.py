"""Deciding one offer against the books: pure, in request order, no database and no clock."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime
from decimal import Decimal
from typing import NamedTuple
from uuid import UUID
from zoneinfo import ZoneInfo

from billing.catalog.compiled import CompiledPlan, MeteredGuard, MeterGuards
from billing.credits.allocation import Share, allocate
from billing.kernel.decimals import STORED_MAX, ZERO, plain
from billing.kernel.errors import InvariantViolation
from billing.kernel.guardrails import Rule
from billing.kernel.ids import new_ids
from billing.kernel.periods import Cadence, Span, calendar_window
from billing.metering import quotas
from billing.metering.books import (
    Account,
    Books,
    ChargeKey,
    Known,
    PeriodRow,
    SpanRow,
    SubscriptionRow,
    Window,
    billing_period_of,
    period_at,
    span_at,
)
from billing.metering.offers import (
    AHEAD_MAX,
    LATE_MAX,
    EventView,
    GuardReading,
    Offer,
    Outcome,
    Refusal,
    Standing,
)

SERVED = ("trialing", "active")
PAST_DUE = "past_due"
MISSING = "billing:subscription-missing"
# Their periods go on, so one that is missing is about to begin.
RENEWING = (*SERVED, PAST_DUE)
# Use of the time before a pause, an end or a payment that is missing may still be told.
JUDGED = (*RENEWING, "paused", "canceled", "expired")
# All are kept for every meter, whatever limits it: a plan chosen in the middle of a week finds the week's use.
CALENDAR = (Cadence.DAILY, Cadence.WEEKLY, Cadence.MONTHLY, Cadence.NEVER)


class Catalog(NamedTuple):
    """The two look-ups that a decision needs: the product of a declared meter, and a plan version's rules."""

    product_of: Mapping[str, str]
    plan: Callable[[UUID, str], CompiledPlan]


class RenewalDue(Exception):
    """The subscription is in service but its next period is not on the spine yet: renew, then decide again."""


class Crossing(NamedTuple):
    """A line that use reached: told to the outside once per window."""

    topic: str
    subscription_id: UUID
    meter: str
    entitlement: str
    percent: int
    used: Decimal
    limit: Decimal
    window_starts_at: datetime


class CreditCrossing(NamedTuple):
    """A line that credits fell to: told once until credits are added. ``filled`` is what there was when they were."""

    topic: str
    subscription_id: UUID
    spendable: Decimal
    filled: Decimal


class Terms(NamedTuple):
    """What an offer is judged by: an instant, the period and the plan of then, and the period that bills it."""

    judged_at: datetime
    period: PeriodRow
    span: SpanRow
    billed: PeriodRow


class Line(NamedTuple):
    guard: MeteredGuard
    window: Window


class Stretch(NamedTuple):
    """What offers of one meter are judged by for as long as nothing of it changes: from ``starts_at`` on, before
    ``ends_at``. A list of a thousand is mostly of one stretch."""

    starts_at: datetime
    ends_at: datetime
    subscription: SubscriptionRow
    account: Account
    terms: Terms
    guards: MeterGuards
    windows: Mapping[Cadence, Window]
    # The metered guards, each with the window that it looks at.
    lines: tuple[Line, ...]
    # The one of them that asks for credits or money: a plan has at most one per meter.
    priced: Line | None
    # In place of the instant itself, for use told ahead of a period that has not begun.
    judged_at: datetime | None = None


class Accepted(NamedTuple):
    """``fingerprint`` in hex."""

    offer: Offer
    event: EventView
    fingerprint: str
    stretch: Stretch


class Judged(NamedTuple):
    """What counting an offer takes: units ``over``, credits ``due``, and which grants pay how much of them."""

    stretch: Stretch
    shares: list[Share]
    over: Decimal
    due: Decimal
    paid: Decimal


class Held(NamedTuple):
    """The debit of an accepted event that waits: units beyond the limit and credits due, and the flags that ask so."""

    event: EventView
    flags: tuple[str, ...]
    over: Decimal
    due: Decimal


class Decider:
    """Decides a list of ``about`` so many offers of one organization, keeping the running state between them."""

    def __init__(self, books: Books, catalog: Catalog, now: datetime, *, low_percent: int = 0, about: int = 1) -> None:
        self.books = books
        self.catalog = catalog
        self.now = now
        self.low_percent = low_percent
        self.zone = ZoneInfo(books.row.zone)
        self._ids = new_ids(about)
        self.accepted: list[Accepted] = []
        self.held: list[Held] = []
        self.crossings: list[Crossing | CreditCrossing] = []
        # The last stretch of each meter.
        self._stretches: dict[str, Stretch] = {}

    def decide(self, offer: Offer, *, is_read: bool = True) -> Outcome:
        """Settle one offer. Raises ``RenewalDue``; every other no is a refused or conflicting ``Outcome``.

        An accepted one tells the guards as they then stand unless nobody reads that (``is_read``).
        """
        known = self.books.known.get((offer.source, offer.key))
        if known is not None:
            return self._repeat(offer, known)
        refusal = self._untimely(offer)
        if refusal is not None:
            return Outcome(offer, "refused", None, refusal)
        at = offer.occurred_at or self.now
        subscription = self.books.subscription_at(self.catalog.product_of[offer.meter], at)
        stretch = self._stretch(subscription, offer.meter, at) if subscription is not None else None
        if stretch is None:
            return Outcome(offer, "refused", None, _missing(subscription))
        return self._admit(offer, at, stretch, is_read=is_read)

    def read(self, meter: str, at: datetime) -> tuple[GuardReading, ...] | None:
        """All guards of ``meter`` as they stand; None where no subscription answers for it. Changes nothing."""
        standing = self.stand(meter, at)
        return None if standing is None else standing.guards

    def stand(self, meter: str, at: datetime) -> Standing | None:
        """What answers for ``meter`` at ``at``; None where no subscription does. Changes nothing."""
        subscription = self.books.subscription_at(self.catalog.product_of[meter], at)
        stretch = self._stretch(subscription, meter, at) if subscription is not None else None
        if stretch is None:
            return None
        plan_id = stretch.terms.span.plan_id
        return Standing(stretch.subscription.id, plan_id, self._readings(stretch))

    def _stretch(self, subscription: SubscriptionRow, meter: str, at: datetime) -> Stretch | None:
        """What ``at`` is judged by; None where nothing is owed an answer. Raises ``RenewalDue``."""
        last = self._stretches.get(meter)
        if last is not None and last.subscription is subscription and last.starts_at <= at < last.ends_at:
            return last
        terms = self._terms(subscription, at)
        if terms is None:
            return None
        guards = self._guards(terms.span, meter)
        windows = self._windows(subscription, meter, terms.period, at)
        account = self.books.accounts[subscription.id]
        lines = tuple(Line(guard, windows[guard.cadence]) for guard in guards.metered)
        priced = next((line for line in lines if line.guard is guards.priced), None)
        if terms.judged_at != at:
            # What it stands in is not where it lies, and that holds for no other instant.
            return Stretch(at, at, subscription, account, terms, guards, windows, lines, priced, terms.judged_at)
        # Days lie within weeks, months and life, so these change at no other instant.
        day, period, span = windows[Cadence.DAILY], terms.period, terms.span
        ends = (span.ends_at, subscription.ended_at, subscription.past_due_at)
        stretch = self._stretches[meter] = Stretch(
            max(day.key.starts_at, period.starts_at, span.starts_at, subscription.starts_at),
            min(day.ends_at, period.ends_at, *(end for end in ends if end is not None)),
            subscription,
            account,
            terms,
            guards,
            windows,
            lines,
            priced,
        )
        return stretch

    def _repeat(self, offer: Offer, known: Known) -> Outcome:
        if known.fingerprint == offer.fingerprint().hex():
            return Outcome(offer, "duplicate", known.event, None)
        message = f"The key {offer.key!r} was used for another event."
        return Outcome(offer, "conflict", None, Refusal("idempotency_conflict", "", message))

    def _untimely(self, offer: Offer) -> Refusal | None:
        if offer.meter not in self.catalog.product_of:
            return Refusal(
                "meter_undeclared", "billing:error:meter-undeclared", f"No event {offer.meter!r} is declared."
            )
        if offer.occurred_at is not None and offer.occurred_at < self.now - LATE_MAX:
            message = f"Use can be reported up to {LATE_MAX.days} days late."
            return Refusal("occurred_at_too_old", "billing:error:occurred-at-too-old", message)
        if offer.occurred_at is not None and offer.occurred_at > self.now + AHEAD_MAX:
            message = f"occurred_at is more than {AHEAD_MAX.seconds // 60} minutes ahead."
            return Refusal("occurred_at_in_future", "billing:error:occurred-at-in-future", message)
        return None

    def _terms(self, subscription: SubscriptionRow, at: datetime) -> Terms | None:
        """The period of ``at``, the plan then, and the period that bills it; None where nothing is owed an answer."""
        if subscription.status not in JUDGED:
            return None
        if subscription.past_due_at is not None and at >= subscription.past_due_at:
            return None
        period = period_at(subscription, at)
        if period is None and at > self.now and subscription.status in SERVED:
            # Told minutes ahead of the clock, and the period of then has not begun: it stands in the one that runs.
            at = self.now
            period = period_at(subscription, at)
        billed = billing_period_of(subscription, period) if period is not None else None
        if period is None or billed is None:
            if subscription.status in RENEWING:
                raise RenewalDue
            return None
        span = span_at(subscription, at)
        if span is None:
            raise InvariantViolation(f"subscription {subscription.id} has no plan at {at}")
        return None if span.is_paused else Terms(at, period, span, billed)

    def _guards(self, span: SpanRow, meter: str) -> MeterGuards:
        return self.catalog.plan(span.plan_id, span.content_digest).guards(meter)

    def _windows(
        self, subscription: SubscriptionRow, meter: str, period: PeriodRow, at: datetime
    ) -> dict[Cadence, Window]:
        windows = {}
        for cadence in Cadence:
            if cadence is Cadence.PERIOD:
                span = Span(period.starts_at, period.ends_at)
            else:
                span = calendar_window(cadence, at, self.zone)
            windows[cadence] = self.books.window(subscription.id, meter, cadence, span)
        return windows

    @staticmethod
    def _readings(stretch: Stretch) -> tuple[GuardReading, ...]:
        booleans = (
            GuardReading(guard.key, False, guard.enabled, None, ZERO, ZERO, "", None, None)
            for guard in stretch.guards.booleans
        )
        metered = (
            GuardReading(
                guard.key,
                True,
                True,
                guard.limit,
                window.taken,
                window.reserved,
                guard.cadence.value,
                window.key.starts_at,
                window.ends_at,
            )
            for guard, window in stretch.lines
        )
        return (*booleans, *metered)

    def reserve(self, offer: Offer) -> tuple[Outcome, Judged | None]:
        """Whether ``offer`` could be counted now, and what to keep for it. Changes nothing. Raises ``RenewalDue``."""
        refusal = self._untimely(offer)
        if refusal is not None:
            return Outcome(offer, "refused", None, refusal), None
        subscription = self.books.subscription_at(self.catalog.product_of[offer.meter], self.now)
        stretch = self._stretch(subscription, offer.meter, self.now) if subscription is not None else None
        if stretch is None:
            return Outcome(offer, "refused", None, _missing(subscription)), None
        judged = self._judge(offer, self.now, stretch)
        if isinstance(judged, Outcome):
            return judged, None
        return Outcome(offer, "accepted", None, None, self._readings(stretch)), judged

    def _admit(self, offer: Offer, at: datetime, stretch: Stretch, *, is_read: bool) -> Outcome:
        judged = self._judge(offer, at, stretch)
        if isinstance(judged, Outcome):
            return judged
        terms = stretch.terms
        over, due = judged.over, judged.due
        flags = offer.guardrail_flags
        is_held = bool(flags and (over or due)) and stretch.guards.rule(flags) is Rule.HOLD
        if is_held:
            judged = judged._replace(shares=[], over=ZERO, due=ZERO, paid=ZERO)
        event = EventView(
            id=next(self._ids),
            subscription_id=stretch.subscription.id,
            plan_id=terms.span.plan_id,
            period_id=terms.period.id,
            billed_period_id=terms.billed.id,
            meter=offer.meter,
            quantity=offer.quantity,
            overage=judged.over,
            credits_due=judged.due,
            credits_paid=judged.paid,
            occurred_at=at,
            recorded_at=self.now,
        )
        if is_held:
            asking = tuple(flag for flag in flags if stretch.guards.rule([flag]) is Rule.HOLD)
            self.held.append(Held(event, asking, over, due))
        self._book(offer, event, judged)
        readings = self._readings(stretch) if is_read else ()
        return Outcome(offer, "accepted", event, None, readings, bills_closed=terms.billed.closed_at is not None)

    def _judge(self, offer: Offer, at: datetime, stretch: Stretch) -> Judged | Outcome:
        """What counting ``offer`` takes, or its refusal. Changes nothing."""
        # A trial gives no credit: what would become overage is refused instead.
        blocks_all = stretch.terms.period.kind == "trial"
        refusal = _first_refusal(stretch, offer.quantity, blocks_all)
        if refusal is not None:
            return Outcome(offer, "refused", None, refusal, self._readings(stretch))
        over, due, priced = _price(stretch, offer.quantity)
        if offer.guardrail_flags and stretch.guards.rule(offer.guardrail_flags) is Rule.WAIVE:
            over, due = ZERO, ZERO
        if due > STORED_MAX:
            refusal = Refusal(
                "quantity_invalid",
                "billing:error:quantity-invalid",
                "The quantity costs more credits than can be counted.",
            )
            return Outcome(offer, "refused", None, refusal, self._readings(stretch))
        payable = stretch.account.payable(self.books.held_credits() if self.books.holds else {})
        shares, deficit = allocate(payable, credits=due, at=stretch.judged_at or at)
        if deficit and priced is not None and (blocks_all or priced.blocks):
            refusal = Refusal(
                "insufficient_credits",
                f"billing:quota-exceeded:{priced.key}",
                f"{priced.key}: {plain(due)} credits are needed and {plain(due - deficit)} are there.",
                priced.key,
                deficit,
            )
            return Outcome(offer, "refused", None, refusal, self._readings(stretch))
        return Judged(stretch, shares, over, due, due - deficit)

    def _book(self, offer: Offer, event: EventView, judged: Judged) -> None:
        stretch, shares, _, _, paid = judged
        quantity, overage = event.quantity, event.overage
        # What was taken back and is used again crosses no line anew.
        limited = [(guard, window, window.reached) for guard, window in stretch.lines if guard.limit is not None]
        for window in stretch.windows.values():
            window.add(quantity, overage)
        stretch.account.pay(shares, event.id)
        if event.overage or event.credit_deficit:
            charge = self.books.charge(
                ChargeKey(event.subscription_id, event.billed_period_id, event.period_id, event.plan_id, event.meter)
            )
            charge.overage += event.overage
            charge.credit_deficit += event.credit_deficit
        for guard, window, reached in limited:
            for percent in quotas.crossed(before=reached, after=window.taken, limit=guard.limit):
                self.crossings.append(
                    Crossing(
                        "quota.exhausted" if percent == 100 else "quota.threshold",
                        event.subscription_id,
                        event.meter,
                        guard.key,
                        percent,
                        window.taken,
                        guard.limit or ZERO,
                        window.key.starts_at,
                    )
                )
        if event.credits_due:
            self._notice(stretch.account, paid)
        fingerprint = offer.fingerprint().hex()
        accepted = Accepted(offer, event, fingerprint, stretch)
        self.books.known[offer.source, offer.key] = accepted
        self.accepted.append(accepted)

    def _notice(self, account: Account, paid: Decimal) -> None:
        """Tell of credits that got low or out, each once. By what could pay now: what use told late could not have
        says nothing of that."""
        account.quiet_for -= paid
        if account.quiet_for > ZERO:
            return
        row, spendable = account.row, account.spendable(self.now)
        # No less than this has to be paid until they are low.
        account.quiet_for = spendable - row.filled * self.low_percent / 100
        reached = quotas.notices(spendable=spendable, filled=row.filled, percent=self.low_percent)
        for notice in reached:
            if notice > account.told:
                account.told = notice
                topic = "credits.exhausted" if notice == quotas.EXHAUSTED else "credits.low"
                self.crossings.append(CreditCrossing(topic, row.id, spendable, row.filled))


def past_due() -> Refusal:
    """To whoever knows the first note alone it is what it always was: nobody is served."""
    return Refusal(
        "subscription_past_due",
        MISSING,
        "The subscription is past due: an invoice is unpaid.",
        detail_note="billing:subscription-past-due",
    )


def _missing(subscription: SubscriptionRow | None) -> Refusal:
    if subscription is not None and subscription.status == PAST_DUE:
        return past_due()
    return Refusal("subscription_missing", MISSING, "No subscription in service covers this use.")


def _first_refusal(stretch: Stretch, quantity: Decimal, blocks_all: bool) -> Refusal | None:
    for guard in stretch.guards.booleans:
        if not guard.enabled:
            message = f"The plan does not include {guard.key}."
            return Refusal("feature_disabled", f"billing:feature-disabled:{guard.key}", message, guard.key)
    for metered, window in stretch.lines:
        if not (metered.blocks or blocks_all):
            continue
        limit = metered.limit
        if limit is not None and not quotas.fits(taken=window.committed, quantity=quantity, limit=limit):
            reserved = f", {plain(window.reserved)} reserved" if window.reserved else ""
            asked = f"{plain(quantity)} more were asked for"
            counts = f"{plain(window.taken)} of {plain(limit)} are used{reserved} and {asked}"
            message = f"{metered.key}: {counts}."
            return Refusal("quota_exceeded", f"billing:quota-exceeded:{metered.key}", message, metered.key)
    return None


def _price(stretch: Stretch, quantity: Decimal) -> tuple[Decimal, Decimal, MeteredGuard | None]:
    """Units over, credits due, and the guard that prices them."""
    if stretch.priced is None:
        return ZERO, ZERO, None
    priced, window = stretch.priced
    if priced.blocks:
        return ZERO, quotas.credits_for(quantity, priced.credits_per_unit), priced
    inside, over = quotas.split(taken=window.committed, quantity=quantity, limit=priced.limit)
    return over, quotas.credits_for(inside, priced.credits_per_unit), priced
