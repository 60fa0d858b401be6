"""Recording inside a caller's transaction, beside a held lock, beside a renewal, and in a process that is killed."""

import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from decimal import Decimal

import pytest
from django.db import connections, transaction
from django.utils import timezone

from billing import BillingService
from billing.accounts import actors
from billing.catalog import operations as catalog_operations
from billing.catalog import parsing
from billing.infra import locks
from billing.kernel.errors import Busy
from billing.lifecycle import cancel, change_plan, onboard, renew, usage
from billing.metering.offers import Offer
from billing.models import (
    CreditEntry,
    CreditGrant,
    Organization,
    PlanSpan,
    RefusalCount,
    Subscription,
    SubscriptionPeriod,
    UsageEvent,
    UsageWindow,
)
from billing.reporting.doctor import verify
from billing.subscriptions.transitions import IllegalTransition
from tests.support import factories

OPERATOR = actors.operator("test")
CATALOG = """
default_plan: small
events:
  job: [max_jobs]
  token: [tokens]
plans:
  small:
    name: Small
    price: {USD: "10.00"}
    credit_price: {USD: "1.00"}
    credit_allowance: "50"
    limits: {max_jobs: 5}
    entitlements:
      tokens: {limit: null, cadence: monthly, on_limit: overage, credits_per_unit: "1"}
  large:
    name: Large
    price: {USD: "20.00"}
    credit_price: {USD: "1.00"}
    credit_allowance: "100"
    limits: {max_jobs: 500}
    entitlements:
      tokens: {limit: null, cadence: monthly, on_limit: overage, credits_per_unit: "1"}
"""


def tenant(at: datetime | None = None) -> Organization:
    now = at or timezone.now()
    catalog_operations.sync(spec=parsing.load(CATALOG, name="test"), actor="test", now=now)
    organization = factories.organization()
    onboard.subscribe(organization=organization, plan_code="small", actor=OPERATOR, now=now)
    return organization


def in_threads(acts: list[Callable[[], object]]) -> list[object]:
    """Run all at once, each on a connection of its own."""
    start = threading.Barrier(len(acts))

    def run(act: Callable[[], object]) -> object:
        try:
            start.wait()
            return act()
        finally:
            connections.close_all()

    with ThreadPoolExecutor(len(acts)) as pool:
        return list(pool.map(run, acts))


class HostFailed(Exception):
    pass


@pytest.mark.usefixtures("real_db")
def test_a_callers_rollback_gives_the_quota_and_the_credits_back_and_keeps_the_count_of_refusals() -> None:
    organization = tenant()

    def host() -> None:
        for n in range(6):
            BillingService.enforce_quota(organization, "job", record_usage=True, idempotency_key=f"{n}")
        usage.record([Offer(organization, "token", Decimal(7), "t")], now=timezone.now())
        raise HostFailed

    with pytest.raises(HostFailed), transaction.atomic():
        host()
    assert not UsageEvent.objects.exists()
    assert not UsageWindow.objects.exists()
    assert CreditGrant.objects.get().remaining == 50
    assert RefusalCount.objects.get(note="billing:quota-exceeded:max_jobs").count == 1
    assert verify() == []
    # No key was consumed: the same ones count now.
    outcomes = usage.record([Offer(organization, "job", Decimal(1), f"{n}") for n in range(6)], now=timezone.now())
    assert [outcome.status for outcome in outcomes] == ["accepted"] * 5 + ["refused"]


@pytest.mark.usefixtures("real_db")
def test_a_rolled_back_savepoint_gives_back_only_its_own() -> None:
    organization = tenant()

    def host() -> None:
        usage.record([Offer(organization, "job", Decimal(4), "undone")], now=timezone.now())
        raise HostFailed

    with transaction.atomic():
        usage.record([Offer(organization, "job", Decimal(1), "kept")], now=timezone.now())
        with pytest.raises(HostFailed), transaction.atomic():
            host()
        (after,) = usage.record([Offer(organization, "job", Decimal(4), "after")], now=timezone.now())
    assert after.status == "accepted"
    assert UsageWindow.objects.get(meter="job", cadence="never").used == 5
    assert verify() == []


@pytest.mark.usefixtures("real_db")
def test_nobody_counts_beside_a_transaction_that_is_still_open() -> None:
    """Four of five are taken in an open transaction; the other writer waits, and gets what is really left."""
    organization = tenant()
    taken, waits = threading.Event(), threading.Event()

    def hold() -> str:
        with transaction.atomic():
            usage.record([Offer(organization, "job", Decimal(4), "held")], now=timezone.now())
            taken.set()
            waits.wait(5)
            time.sleep(0.3)
        return "committed"

    def other() -> str:
        taken.wait(5)
        waits.set()
        return usage.record([Offer(organization, "job", Decimal(2), "other")], now=timezone.now())[0].status

    assert in_threads([hold, other]) == ["committed", "refused"]
    assert verify() == []


@pytest.mark.usefixtures("real_db")
def test_books_that_are_held_too_long_are_busy_and_nothing_is_written() -> None:
    organization = tenant()
    held, done = threading.Event(), threading.Event()

    def hold() -> None:
        with transaction.atomic():
            locks.lock_organization(organization.id)
            held.set()
            done.wait(10)

    def ask() -> tuple[object, ...]:
        held.wait(5)
        began = time.monotonic()
        outcome = BillingService.enforce_quota(organization, "job", record_usage=True, idempotency_key="k")
        waited = time.monotonic() - began
        with pytest.raises(Busy), transaction.atomic():
            usage.record([Offer(organization, "job", Decimal(1), "k")], now=timezone.now())
        done.set()
        return outcome.allowed, outcome.notes, 1.5 < waited < 4

    assert in_threads([hold, ask])[1] == (False, ("billing:error:busy",), True)
    assert not UsageEvent.objects.exists()
    assert BillingService.enforce_quota(organization, "job", record_usage=True, idempotency_key="k").allowed


@pytest.mark.usefixtures("real_db")
@pytest.mark.parametrize("seed", range(3))
def test_renewals_late_twice_and_at_once_with_recording_leave_one_spine(seed: int) -> None:
    """Three periods behind: sweeps and writers meet the same renewals, each with a now of its own."""
    choose = random.Random(seed)  # noqa: S311 - a race to be run again
    now = timezone.now()
    organization = tenant(now - timedelta(days=95))

    def sweep() -> str:
        renew.renew_due(organization_id=organization.id, now=now)
        return "swept"

    def write(n: int) -> str:
        late = timedelta(days=choose.choice([0, 0, 1, 20, 34]))
        offer = Offer(organization, "token", Decimal(1), f"{n}", occurred_at=now - late if late else None)
        return usage.record([offer], now=now)[0].status

    acts: list[Callable[[], object]] = [sweep, sweep, *(lambda n=n: write(n) for n in range(10))]
    choose.shuffle(acts)
    assert Counter(in_threads(acts)) == {"swept": 2, "accepted": 10}
    assert SubscriptionPeriod.objects.count() == 4
    assert CreditGrant.objects.count() == 4
    assert CreditEntry.objects.filter(kind="expiry").count() == 3
    assert verify() == []


@pytest.mark.usefixtures("real_db")
def test_changes_cancellations_and_use_at_once_contradict_nothing() -> None:
    organization = tenant(timezone.now() - timedelta(seconds=5))
    subscription = Subscription.objects.get()

    def change(n: int) -> str:
        plan = "large" if n % 2 else "small"
        try:
            # As a request does: now is taken first and waits with it.
            now = timezone.now() - timedelta(milliseconds=300 * n)
            change_plan.change_now(subscription=subscription, plan_code=plan, actor=OPERATOR, now=now)
        except IllegalTransition:
            return "ended"
        return "changed"

    def leave() -> str:
        time.sleep(0.05)
        now = timezone.now() - timedelta(seconds=1)
        cancel.cancel_now(subscription=subscription, actor=OPERATOR, now=now)
        onboard.subscribe(organization=organization, plan_code="small", actor=OPERATOR, now=now)
        return "returned"

    def write(n: int) -> str:
        for turn in range(5):
            usage.record([Offer(organization, "token", Decimal(1), f"{n}-{turn}")], now=timezone.now())
        return "wrote"

    acts: list[Callable[[], object]] = [
        leave,
        *(lambda n=n: change(n) for n in range(6)),
        *(lambda n=n: write(n) for n in range(5)),
    ]
    answers = Counter(in_threads(acts))
    assert answers["returned"] == 1
    assert answers["wrote"] == 5
    assert answers["changed"] + answers["ended"] == 6
    assert PlanSpan.objects.filter(ends_at=None).count() == 1
    assert verify() == []


WRITER = """
import os, sys
import django
django.setup()
from decimal import Decimal
from django.utils import timezone
from billing.lifecycle import usage
from billing.metering.offers import Offer
from billing.models import Organization
organization = Organization.objects.get()
print("ready", flush=True)
for turn in range(int(sys.argv[1]), 100_000):
    offers = [Offer(organization, "token", Decimal("0.5"), f"{turn}-{n}") for n in range(20)]
    usage.record(offers, now=timezone.now())
    print(turn, flush=True)
"""


def test_a_writer_killed_in_the_middle_loses_nothing_it_was_told_and_counts_nothing_twice(real_db: str) -> None:
    tenant()
    env = os.environ | {"DATABASE_URL": real_db, "DJANGO_SETTINGS_MODULE": "billing_project.settings.test"}
    told = -1
    for wait in (0.31, 0.17):
        # Each starts again with the last list that it was told of, and the one after may or may not have been counted.
        writer = subprocess.Popen(
            [sys.executable, "-c", WRITER, str(max(told, 0))], env=env, stdout=subprocess.PIPE, text=True
        )
        assert writer.stdout is not None
        assert writer.stdout.readline() == "ready\n"
        time.sleep(wait)
        writer.send_signal(signal.SIGKILL)
        lines = writer.communicate()[0].split()
        told = max([told, *(int(line) for line in lines)])
    assert told >= 0
    events = UsageEvent.objects.count()
    assert events % 20 == 0
    assert told + 1 <= events // 20 <= told + 2
    window = UsageWindow.objects.get(meter="token", cadence="never")
    assert (window.used, window.events) == (events * Decimal("0.5"), events)
    assert verify() == []
