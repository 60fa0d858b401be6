"""Short proofs that a bug in the code is run through: each returns what it found wrong; nothing, of sound code."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from decimal import Decimal

from django.db import connections, transaction
from django.utils import timezone

from billing.catalog import operations as catalog_operations
from billing.catalog import parsing
from billing.invoicing import operations as invoicing_operations
from billing.kernel.errors import Busy, InvariantViolation
from billing.kernel.ids import new_id
from billing.lifecycle import onboard, reversal, usage
from billing.metering.offers import Offer
from billing.models import Invoice, Subscription, UsageEvent
from billing.reporting import doctor
from tests.planted import books
from tests.support import factories

THREADS, OFFERS, LIMIT = 8, 12, 40
CATALOG = f"""
default_plan: limited
events: {{job: [max_jobs], token: [tokens]}}
plans:
  limited:
    price: {{USD: "10.00"}}
    credit_price: {{USD: "1.00"}}
    credit_allowance: "30"
    limits: {{max_jobs: {LIMIT}}}
    entitlements:
      tokens:
        limit: 20
        cadence: billing_period
        on_limit: overage
        credits_per_unit: "1"
        overage_price: {{USD: {{rate: "0.10"}}}}
"""
Proof = Callable[[], list[str]]


def findings(proof: Proof) -> list[str]:
    """What a proof finds; what the product itself notices counts as found."""
    try:
        return proof()
    except InvariantViolation as violation:
        return [f"the product: {violation}", *the_doctor()]


def the_doctor() -> list[str]:
    return [f"doctor: {violation.name}" for violation in doctor.verify()]


def subscribed(at: datetime, **fields: object) -> Subscription:
    catalog_operations.sync(spec=parsing.load(CATALOG, name="planted"), actor="test", now=at)
    organization = factories.organization(**fields)
    return onboard.subscribe(organization=organization, plan_code="limited", actor=books.OPERATOR, now=at)


def race_for_a_limit() -> list[str]:
    """Many connections against one limit, each offer sent twice, as by a client whose first answer was lost."""
    now = timezone.now()
    organization = subscribed(now).organization
    start, failures = threading.Barrier(THREADS), []

    def send(offer: Offer) -> None:
        for _ in range(2):
            try:
                usage.record([offer], now=timezone.now())
            except Busy:
                pass
            except Exception as error:
                failures.append(f"race: {type(error).__name__}")

    def act(number: int) -> None:
        start.wait()
        try:
            for step in range(OFFERS):
                send(Offer(organization, "job", Decimal(1), f"{number}.{step}"))
        finally:
            connections.close_all()

    with ThreadPoolExecutor(THREADS) as pool:
        list(pool.map(act, range(THREADS)))
    admitted = UsageEvent.objects.filter(meter="job").count()
    wrong = [f"race: {admitted} of {LIMIT} admitted"] if admitted > LIMIT else []
    return [*sorted(set(failures)), *wrong, *the_doctor()]


def repeated_requests() -> list[str]:
    """Each use is told twice under one key: it counts once."""
    now = timezone.now()
    organization = subscribed(now).organization
    keys = [f"k{number}" for number in range(5)]
    for key in keys * 2:
        usage.record([Offer(organization, "token", Decimal(1), key)], now=now)
    counted = UsageEvent.objects.count()
    return [f"client: {counted} events of {len(keys)} uses"] * (counted != len(keys)) + the_doctor()


def a_life() -> list[str]:
    """Some months with everything that happens in them, by the operations of the product."""
    books.make_plans()
    books.make_books()
    return the_doctor()


def months_with_credits() -> list[str]:
    """Credits that run out, overage, a reversal, and periods that turn while credits are left."""
    at = books.START
    subscription = subscribed(at, is_sandbox=True, clock_at=at)
    organization = subscription.organization
    events = []
    for days, quantity in ((1, 15), (10, 10), (40, 2), (75, 31)):
        now = books.live_until(organization, at + timedelta(days=days))
        (outcome,) = usage.record([Offer(organization, "token", Decimal(quantity), new_id().hex)], now=now)
        assert outcome.event is not None
        events.append(outcome.event)
    reversal.reverse(event_id=events[-1].id, actor=books.OPERATOR, reason="a mistake", now=now)
    return the_doctor()


def an_issue_that_is_given_up() -> list[str]:
    """A draft that somebody stops at the last moment, after which the next one is issued."""
    at = books.START
    subscription = subscribed(at, is_sandbox=True, clock_at=at)
    now = books.live_until(subscription.organization, at + timedelta(days=70))
    for invoice in Invoice.objects.filter(subscription=subscription, status="draft").order_by("starts_at"):
        try_in_vain(invoice, now)
        invoicing_operations.issue(invoice=invoice, actor=books.OPERATOR, now=now)
    return the_doctor()


class GivenUp(Exception):
    pass


def try_in_vain(invoice: Invoice, now: datetime) -> None:
    try:
        with transaction.atomic():
            invoicing_operations.issue(invoice=invoice, actor=books.OPERATOR, now=now)
            raise GivenUp
    except GivenUp:
        return
