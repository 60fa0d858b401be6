"""Rounds of traffic and faults on one running system; after each everything runs again and nothing may be missing."""

from __future__ import annotations

import random
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from django.db import connections

from billing.models import OutboxEvent, ProviderInboxEvent, WebhookDelivery
from billing.reporting import doctor
from tests.faults import faults, journal, judging, traffic
from tests.faults.client import Crowd, Hand
from tests.faults.faults import Fault
from tests.faults.journal import Journal, Told
from tests.faults.ordeal import Beat
from tests.faults.points import Scene
from tests.faults.system import System
from tests.faults.telling import Deliveries
from tests.faults.traffic import Cast
from tests.support.receivers import Receiver

SWEEPS = ("deliver_due_webhooks", "process_due_provider_events", "seal_ledgers")
REPLAY_SECONDS_MAX = 60.0
# A worker that died with a lease keeps its endpoint from the others for a minute: that is not waited for in each round.
DRAIN_SECONDS_MAX = 6.0
LAST_DRAIN_SECONDS_MAX = 150.0
# Acked uses that are asked for once more, over HTTP, when everything is quiet.
READ_BACK = 20
FAULTS_PER_ROUND = 2


@dataclass
class Report:
    seed: int
    rounds: int = 0
    faults: Counter[str] = field(default_factory=Counter)
    attempts: int = 0
    acked: int = 0
    refused: int = 0
    unknown: int = 0
    slowest_seconds: float = 0.0
    delivered: int = 0
    repeated: int = 0
    revived: int = 0
    seconds: float = 0.0
    wrong: list[str] = field(default_factory=list)
    left_out: list[str] = field(default_factory=list)

    def count(self, *kinds: str) -> int:
        return sum(finding.partition(": ")[2].partition(":")[0] in kinds for finding in self.wrong)

    def text(self) -> str:
        return "\n".join([*self.wrong[:40], self.figures()])

    def figures(self) -> str:
        unresolved = self.count("unresolved")
        resolved = 100 if not self.unknown else 100 * (self.unknown - unresolved) / self.unknown
        counts = {kind: self.count(kind) for kind in ("lost", "doubled", "over", "under", "order", "doctor")}
        left_out = f"not possible here: {', '.join(self.left_out)}\n" if self.left_out else ""
        return (
            f"{left_out}seed {self.seed}: {self.rounds} rounds, {sum(self.faults.values())} faults of "
            f"{len(self.faults)} kinds, {self.attempts} requests sent, {self.acked} acked, {self.refused} refused, "
            f"{self.unknown} unknown, resolved {resolved:g} %, acked lost {counts['lost']}, duplicated "
            f"{counts['doubled']}, over-admitted {counts['over']}, under-admitted {counts['under']}, "
            f"{self.delivered} events delivered ({self.repeated} more than once), out of order {counts['order']}, "
            f"doctor {counts['doctor']}, slowest answer {self.slowest_seconds:.1f} s, {self.revived} programs started "
            f"again, wrong {len(self.wrong)}, {self.seconds:.0f} s"
        )


@dataclass
class Run:
    """One running system, and all that was told of it so far."""

    system: System
    receiver: Receiver
    folder: Path
    seed: int
    faults: Sequence[Fault]
    scale: float = 1.0
    pace_seconds: float = 0.03
    say: Callable[[str], object] = lambda _: None

    def __post_init__(self) -> None:
        self.report = Report(self.seed)
        possible = faults.possible(self.system)
        self.report.left_out = [each.name for each in faults.FAULTS if each not in possible]
        self._platform_key = traffic.open_catalog()
        self._deliveries = Deliveries(self.receiver)
        self._beat = Beat(self.system.valkey.url, interval=0.5, sweeps=SWEEPS, beats=1)
        # Rounds of which workers are not done with everything yet.
        self._late: list[tuple[str, Cast, dict[str, Told]]] = []

    def rounds(self, numbers: Sequence[int]) -> Report:
        began = time.monotonic()
        for number in numbers:
            self._round(number)
        self._settle(LAST_DRAIN_SECONDS_MAX, is_over=True)
        self.report.delivered, self.report.repeated = self._deliveries.count, self._deliveries.repeated
        self.report.revived = self.system.revived
        self.report.seconds = time.monotonic() - began
        return self.report

    def _round(self, number: int) -> None:
        began, name = time.monotonic(), f"round {number}"
        chance = random.Random(f"{self.seed}-{number}")  # noqa: S311 - to be suffered again
        cast = traffic.gather(number, platform_key=self._platform_key, receiver_url=self._receiver_url)
        book = Journal(self.folder / f"round-{number}.jsonl")
        scene = Scene(self.system, cast.organizations, self.receiver, chance)
        chosen = drawn(self.faults, self.seed, number)

        def make_hand() -> Hand:
            return Hand(self.system.url, book, cast.keys)

        acts = traffic.acts_of(cast, chance, scale=self.scale)
        crowd = Crowd(acts, make_hand=make_hand, seed=chance.randrange(2**32), pace_seconds=self.pace_seconds)
        for index, fault in enumerate(chosen):
            # Spread over the round, the first never before something was sent.
            self._wait_until(crowd, (index + chance.uniform(0.1, 0.8)) / len(chosen))
            fault.act(scene)
            self.report.faults[fault.name] += 1
        crowd.join(self.system.tend)
        self.system.recover()
        connections.close_all()
        open_ones = len(judging.unknown(journal.read(book.path)))
        self._finish(cast, book, make_hand(), chance)
        book.close()
        told = journal.read(book.path)
        found = judging.judge(cast, told)
        self._late.append((name, cast, told))
        late = self._settle(DRAIN_SECONDS_MAX, is_over=False)
        found += [f"doctor: {violation}" for violation in doctor.verify()]
        self._note(name, told, found)
        self.say(
            f"{name}: {', '.join(fault.name for fault in chosen)}: {book.attempts} requests, "
            f"{open_ones} asked again in the quiet, {late} deliveries late, {len(found)} wrong, "
            f"{time.monotonic() - began:.0f} s"
        )
        for each in found:
            self.say(f"  {each}")

    @property
    def _receiver_url(self) -> str:
        return f"http://127.0.0.1:{self.receiver.port}"

    def _wait_until(self, crowd: Crowd, progress: float) -> None:
        while crowd.is_working and crowd.progress < progress:
            self.system.wait(0.02)

    def _finish(self, cast: Cast, book: Journal, hand: Hand, chance: random.Random) -> None:
        """In the quiet: what is unknown once more, what is open settled, what is left used up, and some read back."""
        try:
            for each in judging.unknown(journal.read(book.path)):
                hand.insist(each.request, seconds=REPLAY_SECONDS_MAX)
            reserve = cast.tenants["reserve"]
            told = journal.read(book.path)
            for key, reservation_id in judging.open_reservations(reserve, told).items():
                request = traffic.settle(reserve, told[key].request, reservation_id, 1)
                hand.insist(request, seconds=REPLAY_SECONDS_MAX)
            told = journal.read(book.path)
            for kind in judging.FILLED:
                tenant = cast.tenants[kind]
                room = judging.room_of(tenant, told)
                for name, quantity in (("rest", room), ("more", 1)):
                    if quantity > 0:
                        hand.insist(traffic.use(tenant, f"{tenant.slug}:{name}", quantity), seconds=REPLAY_SECONDS_MAX)
            acked = [each for each in told.values() if each.request.kind == "use" and each.acked]
            for each in chance.sample(acked, min(READ_BACK, len(acked))):
                hand.insist(each.request, seconds=REPLAY_SECONDS_MAX)
        finally:
            hand.close()

    def _settle(self, seconds: float, *, is_over: bool) -> int:
        """Let workers finish, for so long, and judge what they are done with; returns how many deliveries they are not.

        What is late is judged after a later round, and in the end.
        """
        deadline = time.monotonic() + seconds
        while (left := self._left()) and time.monotonic() < deadline:
            self._beat.tick()
            self.system.wait(0.1)
        tenants = [tenant for _, cast, _ in self._late for tenant in cast.tenants.values()]
        missing = self._deliveries.missing(tenants)
        is_done = is_over or not left
        found = list(self._deliveries.judge(tenants, is_over=is_done))
        if is_done:
            for name, cast, told in self._late:
                found += [f"{name}: {each}" for each in judging.told_by_provider(cast, told)]
            self._late.clear()
        self.report.wrong += [each if each.startswith("round") else f"telling: {each}" for each in found]
        for each in found:
            self.say(f"  {each}")
        return missing

    def _left(self) -> int:
        """What waits for workers: provider's events, events to be distributed, and messages to be sent."""
        return (
            ProviderInboxEvent.objects.filter(status="waiting").count()
            + OutboxEvent.objects.filter(processed_at=None).count()
            + WebhookDelivery.objects.filter(status="pending").count()
        )

    def _note(self, name: str, told: dict[str, Told], found: list[str]) -> None:
        report = self.report
        report.rounds += 1
        report.attempts += sum(len(each.answers) for each in told.values())
        report.acked += sum(bool(each.acked) for each in told.values())
        report.refused += sum(each.last is not None and not each.acked for each in told.values())
        report.unknown += sum(not all(answer.is_known for answer in each.answers) for each in told.values())
        slowest = max((answer.seconds for each in told.values() for answer in each.answers), default=0.0)
        report.slowest_seconds = max(report.slowest_seconds, slowest)
        report.wrong += [f"{name}: {each}" for each in found]


def drawn(of: Sequence[Fault], seed: int, number: int) -> list[Fault]:
    """The faults of a round: all have their turn before any has its second, and others at random come beside them."""
    turn, place = divmod(number, len(of))
    deck = random.Random(f"{seed}-{turn}").sample(list(of), len(of))  # noqa: S311
    others = random.Random(f"{seed}-{number}-others")  # noqa: S311
    return [deck[place], *others.choices(of, k=FAULTS_PER_ROUND - 1)]


def keep(folder: Path, to: str) -> None:
    """Copy the journals and logs of a run to where they can be read."""
    target = Path(to)
    target.mkdir(parents=True, exist_ok=True)
    for path in [*folder.glob("*.jsonl"), *folder.rglob("*.log")]:
        (target / path.name).write_bytes(path.read_bytes())
