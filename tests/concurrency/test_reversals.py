"""Reversals in races: with each other, with recording, and with the issue of the invoice."""

import random
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal
from functools import partial
from threading import Barrier
from typing import TypeVar
from uuid import UUID

import pytest
from django.db import connections
from django.db.models import Sum

from billing.accounts import actors
from billing.invoicing import operations as invoicing
from billing.kernel.errors import Busy
from billing.lifecycle import adjust, clock, onboard, reversal, usage
from billing.metering.offers import Offer
from billing.metering.reversing import ReversalExceedsEvent
from billing.models import (
    CreditGrant,
    GrantKind,
    Invoice,
    InvoiceLine,
    InvoiceStatus,
    Organization,
    UsageCharge,
    UsageEvent,
    UsageWindow,
)
from billing.reporting.doctor import verify
from tests.support import catalogs, factories

START = factories.at("2026-03-01")
OPERATOR = actors.operator("test")
THREADS = 8
T = TypeVar("T")


@pytest.fixture
def organization(real_db: str) -> Organization:
    catalogs.sync()
    organization = factories.sandbox(clock_at=START)
    subscription = onboard.subscribe(organization=organization, plan_code="team", actor=OPERATOR, now=START)
    adjust.adjust(
        subscription=subscription, credits=Decimal(3), actor=OPERATOR, reason="x", now=START, kind=GrantKind.PURCHASE
    )
    return organization


def record(organization: Organization, quantity: int, key: str) -> UUID:
    for _ in range(20):
        try:
            (outcome,) = usage.record([Offer(organization, "tokens", Decimal(quantity), key)], now=START)
        except Busy:
            continue
        assert outcome.event is not None, outcome
        return outcome.event.id
    raise AssertionError("busy for ever")


def reverse(event_id: UUID, quantity: Decimal, key: str) -> Decimal:
    """What was taken back: all of ``quantity`` or nothing."""
    for _ in range(20):
        try:
            undone = reversal.reverse(
                event_id=event_id, quantity=quantity, key=key, actor=OPERATOR, reason="race", now=START
            )
        except Busy:
            continue
        except ReversalExceedsEvent:
            return Decimal(0)
        return -undone.event.quantity
    raise AssertionError("busy for ever")


def at_once(*acts: Callable[[], T]) -> list[T]:
    barrier = Barrier(len(acts))

    def run(act: Callable[[], T]) -> T:
        try:
            barrier.wait()
            return act()
        finally:
            connections.close_all()

    with ThreadPoolExecutor(len(acts)) as pool:
        return [future.result() for future in [pool.submit(run, act) for act in acts]]


@pytest.mark.parametrize("seed", range(3))
def test_parts_of_one_event_from_many_threads_come_to_no_more_than_it(organization: Organization, seed: int) -> None:
    dice = random.Random(seed)  # noqa: S311 - a race to be run again
    event_id = record(organization, 1500, "use")
    parts = [[Decimal(dice.randrange(1, 400_000_000)).scaleb(-6) for _ in range(3)] for _ in range(THREADS)]

    def worker(number: int) -> Decimal:
        return sum((reverse(event_id, part, f"{number}-{n}") for n, part in enumerate(parts[number])), Decimal(0))

    taken = sum(at_once(*(partial(worker, number) for number in range(THREADS))), Decimal(0))
    assert taken <= 1500
    left = UsageEvent.objects.aggregate(Sum("quantity"))["quantity__sum"]
    assert left == 1500 - taken
    assert {window.used for window in UsageWindow.objects.all()} == {left}
    if left:
        reverse(event_id, left, "rest")
    assert {window.used for window in UsageWindow.objects.all()} == {0}
    assert UsageCharge.objects.aggregate(Sum("overage"))["overage__sum"] == 0
    assert sum(grant.remaining for grant in CreditGrant.objects.all()) == 13
    assert verify() == []


def test_one_key_from_many_threads_is_carried_out_once(organization: Organization) -> None:
    event_id = record(organization, 100, "use")
    assert set(at_once(*[partial(reverse, event_id, Decimal(30), "key")] * THREADS)) == {Decimal(30)}
    assert UsageEvent.objects.count() == 2
    assert verify() == []


@pytest.mark.parametrize("seed", range(4))
def test_reversing_while_others_record_and_the_invoice_is_issued(organization: Organization, seed: int) -> None:
    dice = random.Random(seed)  # noqa: S311 - a race to be run again
    events = [(record(organization, quantity, f"first-{quantity}"), quantity) for quantity in (900, 700, 500)]
    clock.advance(organization=organization, to=factories.at("2026-04-01 01:00:00"), actor=OPERATOR)
    organization.refresh_from_db()
    draft = Invoice.objects.get(status=InvoiceStatus.DRAFT)

    def issue() -> object:
        return invoicing.issue(invoice=draft, actor=OPERATOR, now=factories.at("2026-04-01 01:00:00"))

    def undo(number: int) -> object:
        event_id, quantity = events[number]
        return [reverse(event_id, Decimal(dice.randrange(1, quantity)), f"undo-{number}-{n}") for n in range(2)]

    def tell(number: int) -> object:
        late = Offer(organization, "tokens", Decimal(50), f"late-{number}", occurred_at=factories.at("2026-03-20"))
        return usage.record([late], now=START)

    acts: list[Callable[[], object]] = [issue]
    acts += [partial(act, number) for act in (undo, tell) for number in range(3)]
    dice.shuffle(acts)
    at_once(*acts)
    assert verify() == []
    clock.advance(organization=organization, to=factories.at("2026-05-03"), actor=OPERATOR)
    assert verify() == []
    assert not Invoice.objects.filter(status=InvoiceStatus.DRAFT).exists()
    over = UsageEvent.objects.aggregate(Sum("overage"))["overage__sum"]
    billed = InvoiceLine.objects.filter(charge="overage").aggregate(Sum("quantity"), Sum("amount_minor"))
    assert (billed["quantity__sum"] or 0) == over
    # 0.50 for a hundred; settled over all invoices as one quantity.
    assert abs((billed["amount_minor__sum"] or 0) - over / 2) <= Decimal("0.5")
