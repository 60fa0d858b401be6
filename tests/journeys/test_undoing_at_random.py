"""Grants, debits, reversals, voids and expiries at random: whatever the order, the sums hold.

A second book is kept beside: what is left of each use by a rule of its own, and what each grant was
given and lost.
"""

import random
from collections import defaultdict
from collections.abc import Callable
from datetime import datetime, timedelta
from decimal import Decimal
from uuid import UUID

import pytest
from django.db.models import Sum

from billing.accounts import actors
from billing.credits import sealing
from billing.invoicing import operations as invoicing
from billing.kernel.errors import BillingError
from billing.lifecycle import adjust, clock, onboard, reversal, usage, voiding
from billing.metering.offers import Offer
from billing.metering.reversing import ReversalExceedsEvent
from billing.models import (
    CreditEntry,
    CreditGrant,
    GrantKind,
    Invoice,
    InvoiceLine,
    InvoiceStatus,
    MarketplaceSubscription,
    UsageCharge,
    UsageEvent,
    UsageWindow,
)
from billing.reporting.doctor import verify
from tests.support import catalogs, factories

pytestmark = pytest.mark.django_db
OPERATOR = actors.operator("test")
START = factories.at("2024-01-31 12:00:00")
# Before anybody who does not pay is past due.
END = START + timedelta(days=40)
STEPS = 70


class Life:
    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)  # noqa: S311 - a life to be lived again
        catalogs.sync()
        self.organization = factories.sandbox(clock_at=START)
        self.subscription = onboard.subscribe(
            organization=self.organization, plan_code="team", actor=OPERATOR, now=START
        )
        self.left: dict[UUID, Decimal] = {}
        self.voided: set[UUID] = set()

    @property
    def now(self) -> datetime:
        assert self.organization.clock_at is not None
        return self.organization.clock_at

    def step(self) -> None:
        acts: list[tuple[int, Callable[[], object]]] = [
            (10, self.use),
            (10, self.reverse),
            (3, self.give),
            (2, self.void),
            (3, self.advance),
            (1, self.issue),
            (1, sealing.seal),
        ]
        (act,) = self.random.choices([act for _, act in acts], [weight for weight, _ in acts])
        act()

    def amount(self, most: int) -> Decimal:
        whole = Decimal(self.random.randrange(1, most + 1))
        return whole if self.random.random() < 0.5 else Decimal(self.random.randrange(1, most * 10**6)).scaleb(-6)

    def use(self) -> None:
        meter, most = self.random.choice([("tokens", 700), ("tokens", 700), ("task_run", 3), ("case_created", 9)])
        back = timedelta(seconds=self.random.uniform(0, (self.now - START).total_seconds()))
        at = self.now - back if self.random.random() < 0.4 else None
        offer = Offer(self.organization, meter, self.amount(most), str(self.random.random()), occurred_at=at)
        (outcome,) = usage.record([offer], now=self.now)
        if outcome.event is not None:
            self.left[outcome.event.id] = outcome.event.quantity

    def reverse(self) -> None:
        if not self.left:
            return
        event_id = self.random.choice(sorted(self.left))
        left = self.left[event_id]
        quantity = self.random.choice([None, left, left / 3, left + Decimal("0.000001")])
        if quantity is not None:
            quantity = quantity.quantize(Decimal("0.000001")) or Decimal("0.000001")
        event = UsageEvent.objects.get(id=event_id)
        before = UsageEvent.objects.filter(reverses=event).aggregate(Sum("overage"))["overage__sum"] or Decimal(0)
        act = {"event_id": event_id, "actor": OPERATOR, "reason": "at random", "now": self.now}
        if not left or (quantity or 0) > left:
            with pytest.raises(ReversalExceedsEvent):
                reversal.reverse(quantity=quantity, **act)  # type: ignore[arg-type]
            return
        undone = reversal.reverse(quantity=quantity, **act)  # type: ignore[arg-type]
        back = left if quantity is None else quantity
        assert (-undone.event.quantity, undone.is_left) == (back, left - back)
        assert -undone.event.overage == min(back, event.overage + before)
        self.left[event_id] = left - back

    def give(self) -> None:
        kind = self.random.choice([GrantKind.PROMOTION, GrantKind.PURCHASE])
        until = self.now + timedelta(days=self.random.randrange(1, 20)) if kind is GrantKind.PROMOTION else None
        adjust.adjust(
            subscription=self.subscription,
            credits=self.amount(6),
            actor=OPERATOR,
            reason="at random",
            now=self.now,
            kind=kind,
            expires_at=until,
        )

    def void(self) -> None:
        grants = list(CreditGrant.objects.filter(account_id=self.subscription.id, remaining__gt=0).order_by("id"))
        if not grants:
            return
        grant = self.random.choice(grants)
        if grant.expires_at is not None and grant.expires_at <= self.now:
            with pytest.raises(BillingError):
                voiding.void(grant=grant, actor=OPERATOR, reason="at random", now=self.now)
            return
        voiding.void(grant=grant, actor=OPERATOR, reason="at random", now=self.now)
        self.voided.add(grant.id)

    def advance(self) -> None:
        to = min(END, self.now + timedelta(hours=self.random.randrange(1, 150)))
        if to > self.now:
            clock.advance(organization=self.organization, to=to, actor=OPERATOR)

    def issue(self) -> None:
        draft = Invoice.objects.filter(subscription=self.subscription, status=InvoiceStatus.DRAFT).first()
        if draft is not None:
            invoicing.issue(invoice=draft, actor=OPERATOR, now=self.now)

    def check(self) -> None:
        assert verify(organization=self.organization) == []
        self.check_credits()
        self.check_use()

    def check_credits(self) -> None:
        account = MarketplaceSubscription.objects.get(pk=self.subscription.pk)
        grants = list(CreditGrant.objects.filter(account=account))
        moved: dict[tuple[UUID, str], Decimal] = defaultdict(Decimal)
        for entry in CreditEntry.objects.filter(account=account):
            moved[entry.grant_id, entry.kind] += entry.amount
        assert account.credit_balance == sum(moved.values()) == sum(grant.remaining for grant in grants)
        for grant in grants:
            assert grant.granted == grant.consumed + grant.expired + grant.voided + grant.remaining
            assert grant.consumed == -moved[grant.id, "debit"] - moved[grant.id, "reversal"] >= 0
            assert (grant.expired, grant.voided) == (-moved[grant.id, "expiry"], -moved[grant.id, "void"])
            assert not (grant.id in self.voided and grant.remaining)
        paid = UsageEvent.objects.filter(subscription=self.subscription).aggregate(Sum("credits_paid"))
        assert sum((grant.consumed for grant in grants), Decimal(0)) == (paid["credits_paid__sum"] or 0)

    def check_use(self) -> None:
        events = list(UsageEvent.objects.filter(subscription=self.subscription))
        left: dict[str, Decimal] = defaultdict(Decimal)
        over: dict[tuple[object, ...], Decimal] = defaultdict(Decimal)
        for event in events:
            over[event.billed_period_id, event.period_id, event.meter_id] += event.overage
            if event.reverses_id is None:
                left[event.meter_id] += self.left[event.id]
        for window in UsageWindow.objects.filter(subscription=self.subscription, cadence="never"):
            assert window.used == left[window.meter_id] >= window.overage >= 0
            assert window.events == sum(event.meter_id == window.meter_id for event in events)
        charged: dict[tuple[object, ...], Decimal] = defaultdict(Decimal)
        for charge in UsageCharge.objects.filter(subscription=self.subscription):
            charged[charge.billed_period_id, charge.service_period_id, charge.meter_id] += charge.overage
        assert {key: units for key, units in over.items() if units} == {
            key: units for key, units in charged.items() if units
        }

    def settle(self) -> None:
        """Take back all that is left: nothing is used, nothing is owed for use, and no credits are consumed."""
        for event_id, left in self.left.items():
            if left:
                reversal.reverse(event_id=event_id, actor=OPERATOR, reason="all of it", now=self.now)
                self.left[event_id] = Decimal(0)
        self.check()
        assert {window.used for window in UsageWindow.objects.all()} <= {0}
        assert {grant.consumed for grant in CreditGrant.objects.all()} == {0}
        clock.advance(organization=self.organization, to=START + timedelta(days=63), actor=OPERATOR)
        billed = InvoiceLine.objects.filter(charge__in=("overage", "flat", "credits"))
        sums = billed.filter(invoice__period__ordinal__lte=2).exclude(invoice__status="draft")
        assert {row["amount"] for row in sums.values("charge").annotate(amount=Sum("amount_minor"))} <= {0}
        sealing.seal()
        assert verify() == []


@pytest.mark.parametrize("seed", range(8))
def test_sums_hold_whatever_is_undone(seed: int) -> None:
    life = Life(seed)
    for number in range(STEPS):
        life.step()
        if number % 10 == 9:
            life.check_credits()
            life.check_use()
    life.check()
    life.settle()
