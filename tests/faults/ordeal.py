"""Renewals, drafts and issues of many subscriptions through Celery workers that keep being killed.

The subscriptions began ten weeks ago and nobody swept since: two periods of each wait to be renewed, drafted and
issued. Two beats wake the sweeps at once. Meanwhile ``kill -9`` hits, at seeded random times, children of the worker's
pool and the worker itself.
"""

from __future__ import annotations

import contextlib
import os
import random
import signal
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from decimal import Decimal
from pathlib import Path

import redis
from celery import Celery
from django.utils import timezone

from billing.accounts import actors
from billing.catalog import operations as catalog
from billing.catalog import parsing
from billing.invoicing import queries as invoicing_queries
from billing.lifecycle import onboard, usage
from billing.metering.offers import Offer
from billing.models import CreditGrant, Invoice, Organization, OutboxEvent, Subscription, SubscriptionPeriod
from billing.notifications import dispatch
from billing.reporting import doctor
from billing.subscriptions import queries as subscriptions_queries
from billing_project.embedded.processes import Child
from billing_project.supervisor import jobs
from tests.support import invoice_sums

_USE = """
      calls_included:
        limit: 100
        cadence: billing_period
        on_limit: overage
        credits_per_unit: "0.01"
        overage_price: {USD: {rate: "0.25", per: 10}}"""
CATALOG = f"""
default_plan: behind
events:
  calls: [calls_included]
plans:
  behind:
    price: {{USD: "49.00"}}
    credit_price: {{USD: "1.00"}}
    credit_allowance: "10"
    entitlements: {_USE}
  ahead:
    price: {{USD: "29.00"}}
    base_fee: advance
    credit_price: {{USD: "1.00"}}
    credit_allowance: "5"
    entitlements: {_USE}
"""
OPERATOR = actors.operator("ordeal")
AGO = timedelta(days=70)
BEATS = 2
SWEEPS = ("renew_due", "draft_due_invoices", "issue_due_invoices")
DRAIN_SECONDS_MAX = 3600.0
# Periods of each subscription: two that ended, and the one that runs.
PERIODS = 3
REVIVAL_SECONDS_MAX = 60.0


@dataclass
class Report:
    """``killed`` counts by victim, ``interrupted`` how many of the kills came while work was waiting."""

    seed: int
    subscriptions: int
    killed: Counter[str] = field(default_factory=Counter)
    interrupted: int = 0
    invoices: int = 0
    grants: int = 0
    waiting_max: int = 0
    seconds: float = 0.0
    wrong: list[str] = field(default_factory=list)

    def text(self) -> str:
        kills = ", ".join(f"{count} of the {victim}" for victim, count in sorted(self.killed.items()))
        figures = (
            f"seed {self.seed}: {self.subscriptions} subscriptions, {sum(self.killed.values())} kills ({kills}), "
            f"{self.interrupted} of them amid work, {self.invoices} invoices, {self.grants} allowances, at most "
            f"{self.waiting_max} messages waiting, lost or doubled {len(self.wrong)}, {self.seconds:.0f} s"
        )
        return "\n".join([figures, *self.wrong[:20]])


class Worker:
    """A Celery worker as ``make run`` starts it, started anew whenever it is gone."""

    def __init__(self, *, folder: Path, env: Mapping[str, str]) -> None:
        self._start: Callable[[], Child] = lambda: jobs.start_worker(log=folder / "worker.log", env=env, keep_open=())
        self.child = self._start()

    def children(self) -> list[int]:
        pid = self.child.popen.pid
        with contextlib.suppress(OSError):
            return [int(each) for each in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
        return []

    def kill_child(self, chance: random.Random) -> bool:
        children = self.children()
        if not children:
            return False
        with contextlib.suppress(ProcessLookupError):
            os.kill(chance.choice(children), signal.SIGKILL)
        return True

    def kill(self, chance: random.Random) -> None:
        os.kill(self.child.popen.pid, signal.SIGKILL)
        # Its children live on for a moment, in the middle of what they do.
        time.sleep(chance.uniform(0, 0.3))
        self.revive()

    def revive(self) -> None:
        self.child.end_leftovers()
        self.child = self._start()


class Beat:
    """Wakes ``sweeps`` every ``interval`` seconds, each several times over."""

    def __init__(
        self, broker_url: str, *, interval: float, sweeps: tuple[str, ...] = SWEEPS, beats: int = BEATS
    ) -> None:
        self._app = Celery(broker=broker_url, set_as_current=False)
        self._interval = interval
        self._sweeps = sweeps * beats
        self._next = 0.0

    def tick(self) -> None:
        if time.monotonic() >= self._next:
            self._next = time.monotonic() + self._interval
            for sweep in self._sweeps:
                self._app.send_task(f"billing.tasks.{sweep}")


def suffer(
    *, subscriptions: int, kills: int, seed: int, folder: Path, env: Mapping[str, str], pause: tuple[float, float]
) -> Report:
    """Run all of it on the database that Django is connected to and that ``env`` names. ``pause`` is the least and the
    most seconds from a kill, and from the worker's being up again, to the next kill."""
    chance = random.Random(seed)  # noqa: S311 - to be suffered again
    report = Report(seed, subscriptions)
    _settle(subscriptions, chance)
    began = time.monotonic()
    broker = redis.Redis.from_url(env["REDIS_URL"])
    beat = Beat(env["REDIS_URL"], interval=5 if subscriptions < 500 else 15)
    worker = Worker(folder=folder, env=env)
    try:
        while sum(report.killed.values()) < kills:
            _wait(chance.uniform(*pause), worker, beat, broker, report)
            busy = is_work_left()
            if chance.random() < 0.5 and worker.kill_child(chance):
                report.killed["pool"] += 1
            else:
                worker.kill(chance)
                report.killed["worker"] += 1
            report.interrupted += busy
        deadline = time.monotonic() + DRAIN_SECONDS_MAX
        while is_work_left():
            assert time.monotonic() < deadline, "the work is never done"
            _wait(0.5, worker, beat, broker, report)
    finally:
        worker.child.stop()
        broker.close()
    report.seconds = time.monotonic() - began
    report.wrong = list(_wrong())
    report.invoices = Invoice.objects.filter(issued_at__isnull=False).count()
    report.grants = CreditGrant.objects.count()
    return report


def is_work_left() -> bool:
    now = timezone.now()
    return bool(
        subscriptions_queries.list_due_organizations(now=now, limit=1)
        or next(invoicing_queries.iterate_due(now), None)
        or invoicing_queries.list_issue_due_organizations(now=now, limit=1)
    )


def _wait(seconds: float, worker: Worker, beat: Beat, broker: redis.Redis, report: Report) -> None:
    """So long with a worker that has children."""
    revival = time.monotonic() + REVIVAL_SECONDS_MAX
    while not worker.children():
        assert time.monotonic() < revival, worker.child.log_tail()
        time.sleep(0.05)
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        beat.tick()
        report.waiting_max = max(report.waiting_max, int(broker.llen("celery")))
        time.sleep(0.05)


def _settle(count: int, chance: random.Random) -> None:
    """Everybody comes aboard ten weeks ago, within a day, and most use something in their first period."""
    now = timezone.now() - AGO
    catalog.sync(spec=parsing.load(CATALOG, name="ordeal"), actor="ordeal", now=now)
    offers = []
    for number in range(count):
        slug = f"sufferer-{number}"
        organization = Organization.objects.create(slug=slug, name=slug, residency_region="eu", currency="USD")
        plan = "behind" if number % 2 else "ahead"
        started_at = now + timedelta(seconds=chance.randrange(86_400))
        onboard.subscribe(organization=organization, plan_code=plan, actor=OPERATOR, now=started_at)
        if chance.random() < 0.8:
            offers.append(Offer(organization, "calls", Decimal(chance.randrange(1, 2000)), "use"))
    for start in range(0, len(offers), 100):
        outcomes = usage.record(offers[start : start + 100], now=now + timedelta(days=20))
        assert all(outcome.status == "accepted" for outcome in outcomes)


def _wrong() -> Iterator[str]:
    """Everything that was lost or doubled."""
    yield from _miscounted("periods", PERIODS, SubscriptionPeriod.objects.values_list("subscription_id", flat=True))
    allowances = CreditGrant.objects.filter(kind="allowance").values_list("account_id", flat=True)
    yield from _miscounted("allowances", PERIODS, allowances)
    renewed = OutboxEvent.objects.filter(topic="subscription.renewed").values_list(
        "payload__subscription_id", flat=True
    )
    yield from _miscounted("messages of renewal", PERIODS - 1, renewed)
    invoices = Invoice.objects.exclude(status="void")
    yield from _miscounted(
        "cycle invoices", PERIODS - 1, invoices.filter(kind="cycle").values_list("subscription_id", flat=True)
    )
    billed = Counter(invoices.filter(kind="cycle").values_list("period_id", flat=True))
    yield from (f"period {period_id} has {count} invoices" for period_id, count in billed.items() if count > 1)
    if drafts := invoices.filter(issued_at__isnull=True).count():
        yield f"{drafts} invoices are not issued"
    issued = OutboxEvent.objects.filter(topic="invoice.issued").count()
    numbers = [number for number in invoices.values_list("number", flat=True) if number]
    if issued != len(numbers):
        yield f"{len(numbers)} invoices were told {issued} times"
    counted = sorted(int(number.rpartition("-")[2]) for number in numbers)
    if counted != list(range(1, len(counted) + 1)):
        yield "the numbers of invoices have gaps"
    # No beat of ours wakes the distribution of events.
    dispatch.distribute(now=timezone.now())
    yield from (f"doctor: {violation}" for violation in doctor.verify())
    yield from (f"sums: {discrepancy}" for discrepancy in invoice_sums.verify_totals())


def _miscounted(what: str, each: int, owners: Iterable[object]) -> Iterator[str]:
    counted = Counter(map(str, owners))
    for subscription_id in Subscription.objects.values_list("id", flat=True):
        if counted[str(subscription_id)] != each:
            yield f"subscription {subscription_id} has {counted[str(subscription_id)]} {what}, not {each}"
