"""Reserve, work, settle: from many threads, never over the limit and nothing stuck."""

import random
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any, TypeVar

import pytest
from django.db import connections
from django.db.models import Sum
from django.utils import timezone

from billing.kernel.errors import Busy
from billing.lifecycle import reservations, usage
from billing.metering import reserving
from billing.metering.offers import Offer
from billing.models import Organization, UsageEvent, UsageReservation, UsageWindow
from billing.reporting.doctor import verify
from tests.concurrency.test_exact_quota import tenant

LIMIT = Decimal(500)
THREADS = 32
Answer = TypeVar("Answer")


@pytest.mark.usefixtures("real_db")
@pytest.mark.parametrize("seed", range(3))
def test_reservations_and_use_share_one_limit(seed: int) -> None:
    """Each thread reserves more than it needs, uses beside it, settles less or more, releases, or dies with it."""
    acme = tenant()
    start = threading.Barrier(THREADS)

    def work(number: int) -> None:
        chance = random.Random(f"{seed} {number}")  # noqa: S311 - a load, not a secret
        start.wait()
        try:
            for step in range(8):
                name, amount = f"{number}.{step}", Decimal(chance.randint(1, 8))
                what = chance.random()
                if what < 0.3:
                    persist(usage.record, [Offer(acme, "job", amount, name)], now=timezone.now())
                    continue
                lasting = timedelta(milliseconds=30) if what < 0.4 else timedelta(minutes=5)
                reserved = persist(
                    reservations.reserve,
                    offer=Offer(acme, "job", amount, name),
                    quantity_max=amount + 4,
                    expires_in=lasting,
                    now=timezone.now(),
                )
                held = reserved.reservation
                if held is None:
                    continue
                if what < 0.9:
                    took = max(Decimal(1), amount + chance.randint(-5, 4))
                    settled = persist(reservations.settle, reservation=held, quantity=took, now=timezone.now())
                    if settled.outcome.refusal is not None:
                        persist(reserving.release, reservation=held, now=timezone.now())
                elif what < 0.97:
                    persist(reserving.release, reservation=held, now=timezone.now())
        finally:
            connections.close_all()

    with ThreadPoolExecutor(THREADS) as pool:
        list(pool.map(work, range(THREADS)))
    used = UsageEvent.objects.aggregate(sum=Sum("quantity"))["sum"]
    assert 0 < used <= LIMIT
    life = UsageWindow.objects.get(meter="job", cadence="never")
    assert life.used == used
    settled = UsageReservation.objects.filter(status="settled")
    events = {str(row.id): row.settled_quantity for row in settled}
    assert events == dict(UsageEvent.objects.filter(source="reservation").values_list("key", "quantity"))
    # What the dead kept comes back by itself, and the limit is met to the unit.
    later = timezone.now() + timedelta(minutes=10)
    rest = LIMIT - used
    assert try_to_use(acme, rest + Decimal("0.000001"), later) == "refused"
    if rest:
        assert try_to_use(acme, rest, later) == "accepted"
    assert verify() == []


def try_to_use(acme: Organization, quantity: Decimal, now: datetime) -> str:
    (outcome,) = usage.record([Offer(acme, "job", quantity, f"rest {quantity}")], now=now)
    return outcome.status


def persist(act: Callable[..., Answer], *given: Any, **named: Any) -> Answer:
    """Under load the lock may take longer than its two seconds: then again, as a caller would."""
    while True:
        try:
            return act(*given, **named)
        except Busy:
            continue
