"""Real connections, real transactions: a limit is met exactly, whoever races for it."""

import threading
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from decimal import Decimal
from typing import Any, TypeVar

import pytest
from django.db import connections
from django.utils import timezone

from billing import BillingService
from billing.accounts import actors
from billing.catalog import operations as catalog_operations
from billing.catalog import parsing
from billing.invoicing import operations as invoicing
from billing.kernel.errors import Busy
from billing.lifecycle import cancel, change_plan, clock, onboard, usage
from billing.metering.offers import Offer, Outcome
from billing.models import (
    CreditEntry,
    Invoice,
    MarketplaceSubscription,
    Organization,
    Subscription,
    UsageCharge,
    UsageEvent,
    UsageWindow,
)
from billing.reporting.doctor import verify
from tests.support import factories

OPERATOR = actors.operator("test")
CATALOG = """
default_plan: limited
events:
  job: [max_jobs]
  token: [tokens]
plans:
  limited:
    name: Limited
    price: {USD: "10.00"}
    credit_price: {USD: "1.00"}
    credit_allowance: "300"
    limits: {max_jobs: 500}
    entitlements:
      tokens:
        limit: 400
        cadence: billing_period
        on_limit: overage
        credits_per_unit: "1"
        overage_price: {USD: {rate: "0.10"}}
  larger:
    name: Larger
    price: {USD: "20.00"}
    credit_price: {USD: "1.00"}
    limits: {max_jobs: 600}
"""


def tenant(**fields: Any) -> Organization:
    now = timezone.now()
    catalog_operations.sync(spec=parsing.load(CATALOG, name="test"), actor="test", now=now)
    organization = factories.organization(**fields)
    at = organization.clock_at or now
    onboard.subscribe(organization=organization, plan_code="limited", actor=OPERATOR, now=at)
    return organization


Result = TypeVar("Result")


def in_threads(count: int, act: Callable[[int], Result]) -> list[Result]:
    """Run ``act(n)`` in ``count`` threads that start together, each on a connection of its own."""
    start = threading.Barrier(count)

    def run(number: int) -> Result:
        try:
            start.wait()
            return act(number)
        finally:
            connections.close_all()

    with ThreadPoolExecutor(count) as pool:
        return list(pool.map(run, range(count)))


def patiently(act: Callable[[], Result]) -> Result:
    """On a machine under load a lock may take longer than its time-out: a caller tries again."""
    while True:
        try:
            return act()
        except Busy:
            continue


def record_one(offer: Offer) -> Outcome:
    return patiently(lambda: usage.record([offer], now=timezone.now()))[0]


@pytest.mark.usefixtures("real_db")
def test_32_connections_and_1600_offers_against_500_admit_exactly_500() -> None:
    organization = tenant()

    def offer(key: str) -> str:
        # Busy is an outcome here, and what ``patiently`` does for the others.
        while True:
            outcome = BillingService.enforce_quota(organization, "job", record_usage=True, idempotency_key=key)
            if outcome.code != "busy":
                return "yes" if outcome.allowed else "/".join(outcome.notes)

    def act(number: int) -> Counter[str]:
        return Counter(offer(f"{number}-{n}") for n in range(50))

    answers = sum(in_threads(32, act), Counter[str]())
    assert answers == {"yes": 500, "billing:quota-exceeded:max_jobs": 1100}
    assert UsageEvent.objects.count() == 500
    assert UsageWindow.objects.get(cadence="never").used == 500
    assert verify() == []


@pytest.mark.usefixtures("real_db")
def test_32_twins_of_one_key_are_counted_once() -> None:
    organization = tenant()

    def act(_: int) -> str:
        return record_one(Offer(organization, "job", Decimal(1), "same")).status

    assert Counter(in_threads(32, act)) == {"accepted": 1, "duplicate": 31}
    assert UsageWindow.objects.get(cadence="never").used == 1


@pytest.mark.usefixtures("real_db")
def test_overlapping_lists_neither_deadlock_nor_count_twice() -> None:
    organizations = [tenant() for _ in range(4)]

    def act(number: int) -> int:
        turned = organizations if number % 2 else organizations[::-1]
        offers = [Offer(organization, "token", Decimal(1), f"{n}") for n in range(30) for organization in turned]
        outcomes = patiently(lambda: usage.record(offers, now=timezone.now()))
        return sum(o.status == "accepted" for o in outcomes)

    assert sum(in_threads(12, act)) == 120
    assert verify() == []


@pytest.mark.usefixtures("real_db")
def test_credits_are_paid_once_whoever_spends_them() -> None:
    organization = tenant()

    def act(number: int) -> None:
        for n in range(20):
            offer = Offer(organization, "token", Decimal(1), f"{number}-{n}")
            record_one(offer)

    in_threads(25, act)
    account = MarketplaceSubscription.objects.get()
    charge = UsageCharge.objects.get()
    assert (account.credit_balance, charge.credit_deficit, charge.overage) == (0, 100, 100)
    assert CreditEntry.objects.filter(kind="debit").count() == 300
    assert verify() == []


@pytest.mark.usefixtures("real_db")
def test_32_sign_ups_give_one_subscription() -> None:
    organization = tenant()
    cancel.cancel_now(subscription=Subscription.objects.get(), actor=OPERATOR, now=timezone.now())

    def act(_: int) -> str:
        try:
            patiently(
                lambda: onboard.subscribe(
                    organization=organization, plan_code="limited", actor=OPERATOR, now=timezone.now()
                )
            )
        except onboard.SubscriptionExists:
            return "exists"
        return "subscribed"

    assert Counter(in_threads(32, act)) == {"subscribed": 1, "exists": 31}


@pytest.mark.usefixtures("real_db")
def test_a_plan_change_racing_with_use_overshoots_neither_limit() -> None:
    organization = tenant()
    subscription = Subscription.objects.get()

    def act(number: int) -> int:
        if number == 0:
            patiently(
                lambda: change_plan.change_now(
                    subscription=subscription, plan_code="larger", actor=OPERATOR, now=timezone.now()
                )
            )
            return 0
        offers = (Offer(organization, "job", Decimal(1), f"{number}-{n}") for n in range(50))
        return sum(record_one(offer).status == "accepted" for offer in offers)

    assert sum(in_threads(16, act)) == 600
    assert verify() == []


@pytest.mark.usefixtures("real_db")
@pytest.mark.parametrize("seed", range(12))
def test_an_event_racing_the_issue_of_its_invoice_is_on_exactly_one_invoice(seed: int) -> None:
    began = factories.at("2026-01-01")
    organization = tenant(is_sandbox=True, clock_at=began)
    subscription = Subscription.objects.get()
    clock.advance(organization=organization, to=factories.at("2026-02-01") + timedelta(hours=1), actor=OPERATOR)
    now = organization.clock_at
    assert now is not None
    january = Invoice.objects.get()
    at = factories.at("2026-01-15") + timedelta(seconds=seed)

    def act(number: int) -> object:
        if number == seed % 8:
            return patiently(lambda: invoicing.issue(invoice=january, actor=OPERATOR, now=now))
        return record_one(Offer(organization, "token", Decimal(100), f"{number}", occurred_at=at)).status

    in_threads(8, act)
    clock.advance(organization=organization, to=factories.at("2026-03-01") + timedelta(hours=1), actor=OPERATOR)
    february = Invoice.objects.exclude(id=january.id).get()
    invoicing.issue(invoice=february, actor=OPERATOR, now=factories.at("2026-03-02"))
    billed = [
        line.quantity
        for invoice in Invoice.objects.filter(subscription=subscription)
        for line in invoice.lines.filter(charge="overage")
    ]
    # 700 tokens of which 400 are included, whichever invoice they stand on.
    assert sum(billed) == 300
    assert verify() == []
