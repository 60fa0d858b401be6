"""A tenant's life at random, with each decision foretold by a second judge and the books checked on the way.

The judge takes subscriptions, periods, plan spans and grants as the rows say, and everything else from its own list of
what was accepted and its own table of the plans. It shares no code with the product's decisions.
"""

import random
from collections import defaultdict
from collections.abc import Callable
from datetime import datetime, timedelta
from decimal import ROUND_HALF_EVEN, Decimal
from itertools import pairwise
from typing import NamedTuple
from zoneinfo import ZoneInfo

import pytest

from billing.accounts import actors
from billing.accounts.actors import Actor
from billing.invoicing import operations as invoicing
from billing.invoicing.errors import NothingToBill
from billing.kernel.errors import BillingError
from billing.lifecycle import adjust, cancel, change_plan, clock, onboard, pause, pending, usage
from billing.metering.offers import Offer, Outcome
from billing.models import (
    SERVED,
    CreditEntry,
    CreditGrant,
    Invoice,
    InvoiceLine,
    InvoiceStatus,
    MarketplaceSubscription,
    PlanSpan,
    Subscription,
    SubscriptionPeriod,
    UsageEvent,
    UsageWindow,
)
from billing.reporting.doctor import verify
from tests.support import catalogs, factories

pytestmark = pytest.mark.django_db
OPERATOR = actors.operator("test")
STEPS = 110
# Zones with clocks that move at midnight, by half an hour, or skip a day, each around such a time.
WALKS = [
    ("UTC", "2024-01-31 12:00"),
    ("America/Sao_Paulo", "2018-10-20 09:30"),
    ("Australia/Lord_Howe", "2024-03-01 13:15"),
    ("Pacific/Apia", "2011-11-30 10:00"),
    ("Asia/Beirut", "2024-02-29 22:30"),
    ("America/St_Johns", "2010-10-05 02:31"),
]

# By plan and meter: the limit and its window; a meter that is not there is not part of the plan.
DAY, WEEK, MONTH, LIFE, PERIOD = "day", "week", "month", "life", "period"
PLANS: dict[str, dict[str, tuple[int | None, str]]] = {
    "free": {"case_created": (3, LIFE), "api_call": (5, DAY)},
    "team": {
        "case_created": (500, LIFE),
        "evaluation_run": (100, MONTH),
        "document_generated": (None, LIFE),
        "api_call": (None, DAY),
        "tokens": (1000, PERIOD),
        "task_run": (5, WEEK),
    },
    "scale": {
        "case_created": (None, LIFE),
        "evaluation_run": (1000, MONTH),
        "document_generated": (None, LIFE),
        "tokens": (10000, PERIOD),
        "task_run": (50, WEEK),
    },
    "trial": {"case_created": (10, LIFE), "tokens": (100, PERIOD)},
    "yearly": {"case_created": (500, LIFE)},
    "hidden": {"case_created": (None, LIFE)},
}
CREDITS = {"tokens": Decimal("0.01"), "task_run": Decimal(1)}
METERS = ("case_created", "evaluation_run", "document_generated", "api_call", "tokens", "task_run", "free_form")


class Counted(NamedTuple):
    meter: str
    quantity: Decimal
    at: datetime
    period_id: object


class Verdict(NamedTuple):
    status: str
    code: str = ""
    overage: Decimal | None = None
    paid: Decimal | None = None
    period_id: object = None


class Walk:
    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)  # noqa: S311 - a walk to be walked again
        zone, began = WALKS[seed % len(WALKS)]
        catalogs.sync()
        self.organization = factories.sandbox(clock_at=factories.at(began), zone=zone)
        self.zone = ZoneInfo(zone)
        self.counted: list[Counted] = []
        self.offered: dict[str, Offer] = {}
        self.accepted: set[str] = set()
        self.codes: dict[str, int] = defaultdict(int)

    @property
    def now(self) -> datetime:
        assert self.organization.clock_at is not None
        return self.organization.clock_at

    def actor(self) -> Actor:
        own = Actor("key:own", organization_id=self.organization.id, scopes=actors.ORGANIZATION_KEY_ACTS)
        return self.random.choice([OPERATOR, own])

    def step(self) -> None:
        acts: list[tuple[int, Callable[[], object]]] = [
            (50, self.use),
            (14, self.advance),
            (8, self.subscribe),
            (8, self.change),
            (4, self.leave),
            (3, self.schedule),
            (2, self.pause_or_resume),
            (5, self.adjust),
            (6, self.issue),
        ]
        (act,) = self.random.choices([act for _, act in acts], [weight for weight, _ in acts])
        if self.random.random() < 0.6 and Subscription.objects.filter(ended_at=None, status__in=SERVED).first() is None:
            act = self.come_aboard
        try:
            act()
        except BillingError as refusal:
            self.codes[refusal.code] += 1

    def live(self) -> Subscription | None:
        return Subscription.objects.filter(organization=self.organization, ended_at=None).first()

    def advance(self) -> None:
        by = self.random.choice([timedelta(seconds=1), timedelta(hours=7), timedelta(days=2), timedelta(days=20)])
        clock.advance(organization=self.organization, to=self.now + by * self.random.uniform(0.5, 2), actor=OPERATOR)

    def subscribe(self) -> None:
        backwards = timedelta(days=self.random.randrange(40)) if self.random.random() < 0.2 else None
        onboard.subscribe(
            organization=self.organization,
            plan_code=self.random.choice(["free", "team", *PLANS]),
            actor=self.actor(),
            now=self.now,
            starts_at=self.now - backwards if backwards is not None else None,
        )

    def come_aboard(self) -> None:
        subscription = self.live()
        if subscription is None:
            self.subscribe()
        elif subscription.status == "incomplete":
            onboard.activate(subscription=subscription, actor=self.actor(), now=self.now)
        elif subscription.status == "paused":
            pause.resume(subscription=subscription, actor=OPERATOR, now=self.now)

    def change(self) -> None:
        subscription = self.live()
        if subscription is None:
            return
        plan = self.random.choice(list(PLANS))
        change_plan.change_now(subscription=subscription, plan_code=plan, actor=self.actor(), now=self.now)

    def leave(self) -> None:
        if (subscription := self.live()) is not None:
            cancel.cancel_now(subscription=subscription, actor=self.actor(), now=self.now)
            if self.random.random() < 0.5:
                self.subscribe()

    def schedule(self) -> None:
        if (subscription := self.live()) is None:
            return
        if self.random.random() < 0.5:
            pending.cancel_at_period_end(subscription=subscription, actor=self.actor(), now=self.now)
        else:
            plan = self.random.choice(list(PLANS))
            pending.change_at_period_end(subscription=subscription, plan_code=plan, actor=self.actor(), now=self.now)

    def pause_or_resume(self) -> None:
        if (subscription := self.live()) is not None:
            act = pause.resume if subscription.status == "paused" else pause.pause
            act(subscription=subscription, actor=OPERATOR, now=self.now)

    def adjust(self) -> None:
        subscriptions = list(Subscription.objects.filter(organization=self.organization))
        if subscriptions:
            adjust.adjust(
                subscription=self.random.choice(subscriptions),
                credits=Decimal(self.random.randrange(-3_000_000, 9_000_000)).scaleb(-6),
                actor=OPERATOR,
                reason="a walk",
                now=self.now,
                expires_at=None,
            )

    def issue(self) -> None:
        draft = Invoice.objects.filter(organization=self.organization, status=InvoiceStatus.DRAFT).first()
        if draft is not None:
            invoicing.issue(invoice=draft, actor=OPERATOR, now=self.now)

    def use(self) -> None:
        offers = [self.offer() for _ in range(self.random.choice([1, 1, 2, 5]))]
        # What is paid in credits comes alone: the judge reads the grants before the call.
        if any(offer.meter in CREDITS for offer in offers):
            offers = offers[:1]
        if len({offer.key for offer in offers}) < len(offers):
            offers = offers[:1]
        counted_before = list(self.counted)
        verdicts = []
        for offer in offers:
            verdict = self.judge(offer)
            verdicts.append(verdict)
            if verdict.status == "accepted":
                self.counted.append(
                    Counted(offer.meter, offer.quantity, offer.occurred_at or self.now, verdict.period_id)
                )
        outcomes = usage.record(offers, now=self.now)
        for offer, verdict, outcome in zip(offers, verdicts, outcomes, strict=True):
            assert self.as_verdict(outcome, verdict) == verdict, (offer, outcome, counted_before[-5:])
            self.codes[outcome.code or outcome.status] += 1
            if outcome.status == "accepted":
                self.offered[offer.key] = offer
                self.accepted.add(offer.key)

    def offer(self) -> Offer:
        if self.accepted and self.random.random() < 0.1:
            known = self.offered[self.random.choice(sorted(self.accepted))]
            quantity = known.quantity if self.random.random() < 0.7 else known.quantity + 1
            return Offer(self.organization, known.meter, quantity, known.key, occurred_at=known.occurred_at)
        kind = self.random.random()
        at: datetime | None = None
        if kind < 0.3:
            at = self.now - timedelta(seconds=self.random.uniform(0, 36 * 86400))
        elif kind < 0.4:
            at = self.now + timedelta(seconds=self.random.uniform(0, 330))
        meter = self.random.choice(METERS)
        most = 2000 if meter == "tokens" else 4
        quantity = Decimal(self.random.randrange(1, most * 1_000_000)).scaleb(-6)
        if self.random.random() < 0.7:
            quantity = Decimal(self.random.randrange(1, most + 1))
        return Offer(self.organization, meter, quantity, f"{len(self.offered)}-{self.random.random()}", occurred_at=at)

    def judge(self, offer: Offer) -> Verdict:
        if offer.key in self.accepted:
            known = self.offered[offer.key]
            if (known.meter, known.quantity, known.occurred_at) == (offer.meter, offer.quantity, offer.occurred_at):
                return Verdict("duplicate")
            return Verdict("conflict", "idempotency_conflict")
        at = offer.occurred_at or self.now
        if at < self.now - timedelta(days=35):
            return Verdict("refused", "occurred_at_too_old")
        if at > self.now + timedelta(minutes=5):
            return Verdict("refused", "occurred_at_in_future")
        missing = Verdict("refused", "subscription_missing")
        mine = [
            each
            for each in Subscription.objects.filter(organization=self.organization)
            if each.starts_at <= at and (each.ended_at is None or at < each.ended_at)
        ]
        assert len(mine) <= 1, mine
        if not mine or mine[0].status == "incomplete":
            return missing
        if mine[0].past_due_at is not None and at >= mine[0].past_due_at:
            return Verdict("refused", "subscription_past_due")
        periods = list(SubscriptionPeriod.objects.filter(subscription=mine[0]).order_by("ordinal"))
        judged_at = self.now if mine[0].ended_at is None and at >= periods[-1].ends_at else at
        here = [each for each in periods if each.starts_at <= judged_at < each.ends_at]
        # Where all periods are closed the subscription has ended, and a final invoice bills what is still told.
        if not here:
            return missing
        (span,) = [
            each
            for each in PlanSpan.objects.select_related("plan").filter(subscription=mine[0])
            if each.starts_at <= judged_at and (each.ends_at is None or judged_at < each.ends_at)
        ]
        if span.is_paused:
            return missing
        return self.weigh(offer, mine[0], here[0], span.plan.code, at, judged_at)

    def weigh(
        self,
        offer: Offer,
        subscription: Subscription,
        period: SubscriptionPeriod,
        plan: str,
        at: datetime,
        judged_at: datetime,
    ) -> Verdict:
        meter, quantity = offer.meter, offer.quantity
        if meter == "free_form":
            return Verdict("accepted", "", Decimal(0), Decimal(0), period.id)
        if meter not in PLANS[plan]:
            return Verdict("refused", "feature_disabled")
        limit, window = PLANS[plan][meter]
        taken = sum(
            (
                each.quantity
                for each in self.counted
                if each.meter == meter and self.is_same(window, each, at, period.id)
            ),
            Decimal(0),
        )
        is_trial = period.kind == "trial"
        room = quantity if limit is None else max(Decimal(0), limit - taken)
        if quantity > room and (meter != "tokens" or is_trial):
            return Verdict("refused", "quota_exceeded")
        inside = min(quantity, room)
        due = (inside * CREDITS.get(meter, Decimal(0))).quantize(Decimal("0.000001"), ROUND_HALF_EVEN)
        there = sum(
            (
                grant.remaining
                for grant in CreditGrant.objects.filter(account_id=subscription.id)
                if grant.starts_at <= judged_at and (grant.expires_at is None or judged_at < grant.expires_at)
            ),
            Decimal(0),
        )
        if due > there and (meter == "task_run" or is_trial):
            return Verdict("refused", "insufficient_credits")
        return Verdict("accepted", "", quantity - inside, min(due, there), period.id)

    def is_same(self, window: str, other: Counted, at: datetime, period_id: object) -> bool:
        if window == PERIOD:
            return other.period_id == period_id
        if window == LIFE:
            return True
        return self.place(window, other.at) == self.place(window, at)

    def place(self, window: str, at: datetime) -> tuple[int, ...]:
        day = at.astimezone(self.zone).date()
        if self.zone.key == "America/St_Johns" and (at + timedelta(hours=1)).astimezone(self.zone).date() == day:
            # In the hour that brought yesterday back, the new day has begun.
            earlier = (at - timedelta(hours=1)).astimezone(self.zone).date()
            day = max(day, earlier)
        if window == DAY:
            return day.year, day.month, day.day
        if window == WEEK:
            return tuple(day.isocalendar())[:2]
        return day.year, day.month

    @staticmethod
    def as_verdict(outcome: Outcome, verdict: Verdict) -> Verdict:
        event = outcome.event
        if outcome.status != "accepted" or event is None:
            return Verdict(outcome.status, outcome.code)
        return Verdict(outcome.status, outcome.code, event.overage, event.credits_paid, event.period_id)

    def check(self) -> None:
        assert verify(organization=self.organization) == []
        self.check_windows()
        self.check_credits()

    def check_windows(self) -> None:
        """Every window again, from the judge's list and its own calendar."""
        totals: dict[tuple[object, ...], Decimal] = defaultdict(Decimal)
        for each in self.counted:
            totals[each.meter, "never"] += each.quantity
            totals[each.meter, "monthly", *self.place(MONTH, each.at)] += each.quantity
            totals[each.meter, "billing_period", each.period_id] += each.quantity
        stored: dict[tuple[object, ...], Decimal] = defaultdict(Decimal)
        starts = {
            (period.subscription_id, period.starts_at): period.id
            for period in SubscriptionPeriod.objects.filter(organization=self.organization)
        }
        for window in UsageWindow.objects.filter(organization=self.organization):
            if window.cadence == "never":
                stored[window.meter_id, "never"] += window.used
            elif window.cadence == "monthly":
                stored[window.meter_id, "monthly", *self.place(MONTH, window.starts_at)] += window.used
            elif window.cadence == "billing_period":
                period_id = starts[window.subscription_id, window.starts_at]
                stored[window.meter_id, "billing_period", period_id] += window.used
        assert stored == totals
        assert UsageEvent.objects.filter(organization=self.organization).count() == len(self.counted)

    def check_credits(self) -> None:
        remaining: dict[object, Decimal] = defaultdict(Decimal)
        for grant in CreditGrant.objects.filter(organization=self.organization):
            assert grant.granted == grant.consumed + grant.expired + grant.voided + grant.remaining
            remaining[grant.account_id] += grant.remaining
        entries: dict[object, Decimal] = defaultdict(Decimal)
        for entry in CreditEntry.objects.filter(organization=self.organization):
            entries[entry.account_id] += entry.amount
        for account in MarketplaceSubscription.objects.filter(organization=self.organization):
            assert account.credit_balance == entries[account.pk] == remaining[account.pk]

    def settle(self) -> None:
        """Leave, and issue an invoice for every period there was."""
        if (subscription := self.live()) is not None:
            cancel.cancel_now(subscription=subscription, actor=OPERATOR, now=self.now)
        clock.advance(organization=self.organization, to=self.now + timedelta(days=400), actor=OPERATOR)
        for period in SubscriptionPeriod.objects.filter(organization=self.organization).order_by("starts_at"):
            try:
                invoice = invoicing.draft(subscription=period.subscription, actor=OPERATOR, now=self.now, period=period)
            except NothingToBill:
                continue
            invoicing.issue(invoice=invoice, actor=OPERATOR, now=self.now)

    def check_invoices(self) -> None:
        """Every unit over a limit and every credit short is on exactly one invoice, and no time is billed twice."""
        events = UsageEvent.objects.filter(organization=self.organization)
        lines = list(InvoiceLine.objects.filter(organization=self.organization).select_related("invoice"))
        billed: dict[tuple[object, ...], Decimal] = defaultdict(Decimal)
        for line in lines:
            if line.charge != "base":
                billed[line.invoice.subscription_id, line.charge] += line.quantity
        due: dict[tuple[object, ...], Decimal] = defaultdict(Decimal)
        for event in events:
            due[event.subscription_id, "overage"] += event.overage
            due[event.subscription_id, "credits"] += event.credits_due - event.credits_paid
        assert {key: sum_ for key, sum_ in billed.items() if sum_} == {key: sum_ for key, sum_ in due.items() if sum_}
        base = sorted((line.starts_at, line.ends_at) for line in lines if line.charge == "base")
        assert all(one[1] <= other[0] for one, other in pairwise(base))


@pytest.mark.parametrize("seed", range(12))
def test_a_life_at_random_is_decided_as_foretold_and_adds_up(seed: int) -> None:
    walk = Walk(seed)
    for number in range(STEPS):
        walk.step()
        if number % 40 == 39:
            walk.check()
    walk.settle()
    walk.check()
    walk.check_invoices()
