"""People with a subscription: when they do what, and what they use. Everything comes from a seed."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

from tests.simulation import almanac, plans
from tests.simulation.log import Entry, Story

# Clocks that change at midnight, by half an hour, around Ramadan or never, and one that skipped a day.
ZONES = (
    "UTC",
    "Europe/Berlin",
    "America/New_York",
    "America/Los_Angeles",
    "America/Sao_Paulo",
    "America/St_Johns",
    "Asia/Kathmandu",
    "Asia/Tokyo",
    "Australia/Lord_Howe",
    "Pacific/Apia",
    "Asia/Beirut",
    "Africa/Casablanca",
)
# The second of the day that an anchor has in its zone: midnight, hours that clocks skip or repeat, its last second.
TIMES_OF_DAY = (0, 2 * 3600 + 1800, 3600 + 60, 30, 23 * 3600 + 1800, 86_399, 12 * 3600, None)
TREATMENTS = (("none", "0"), ("exclusive", "19"), ("exclusive", "7.725"), ("inclusive", "20"), ("inclusive", "8.875"))
LATE_MAX = timedelta(days=34)
AHEAD_MAX = timedelta(minutes=4)


@dataclass
class Resident:
    """One organization. ``acts_at`` is when it next does something, ``tense`` how far apart that is in days."""

    number: int
    random: random.Random
    zone: ZoneInfo
    currency: str
    first_plan: str
    acts_at: datetime
    tense: float
    uses_per_day: float
    entries: list[Entry] = field(default_factory=list)

    @property
    def name(self) -> str:
        return f"resident-{self.number}"

    def story(self) -> Story:
        return Story(self.name, self.zone.key, self.currency, self.entries)

    def treatment(self) -> tuple[str, str]:
        return self.random.choice(TREATMENTS)

    def next_act(self, status: str | None, at: datetime) -> Entry:
        """What it does at ``at``, given its subscription's status (None: it has none), and when it does the next."""
        entry = self._act(status, at)
        wait = {"cancel": 15, "pause": 25}.get(entry.act, self.tense)
        self.acts_at = at + timedelta(seconds=60) + self.random.expovariate(1 / wait) * almanac.DAY
        return entry

    def _act(self, status: str | None, at: datetime) -> Entry:
        if status is None:
            plan, self.first_plan = self.first_plan or self._plan(), ""
            return Entry(at, "subscribe", plan=plan)
        weights = {
            "change": (30 if status in ("active", "trialing") else 0),
            "change_later": 14,
            "cancel_later": 4,
            "cancel": 5,
            "withdraw": 5,
            "pause": (9 if status == "active" else 0),
            "resume": (80 if status == "paused" else 0),
            "give": 6,
            "take": 3,
            "tax": 2,
            "coupon": 6,
            "no_coupon": 2,
        }
        (act,) = self.random.choices(list(weights), list(weights.values()))
        if act in ("change", "change_later"):
            return Entry(at, act, plan=self._plan())
        if act == "coupon":
            return Entry(at, act, plan=self.random.choice(plans.COUPONS).code)
        if act == "tax":
            treatment, rate = self.treatment()
            return Entry(at, act, treatment=treatment, rate=rate)
        if act in ("give", "take"):
            until = at + self.random.uniform(1, 90) * almanac.DAY
            credits = self.random.randrange(1, 20_000_000) / 1_000_000
            expires = act == "give" and self.random.random() < 0.6
            return Entry(at, act, quantity=f"{credits:.6f}", until=until if expires else None)
        return Entry(at, act)

    def _plan(self) -> str:
        return self.random.choice(plans.CODES)

    def uses(self, now: datetime) -> Iterator[Entry]:
        """What it tells of its use today, at ``now``."""
        if self.random.random() >= self.uses_per_day:
            return
        for _ in range(self.random.choice((1, 1, 1, 2, 3))):
            meter = self.random.choice(plans.METERS)
            most = {"scans": 30, "exports": 9, "runs": 25}.get(meter, 1500)
            whole = self.random.random() < 0.7
            quantity = str(self.random.randrange(1, most)) if whole else f"{self.random.uniform(0.001, most):.6f}"
            yield Entry(now, "use", meter=meter, quantity=quantity, occurred_at=self._occurred_at(now))

    def _occurred_at(self, now: datetime) -> datetime | None:
        kind = self.random.random()
        if kind < 0.5:
            return None
        if kind < 0.75:
            return now - self.random.random() * 3 * almanac.DAY
        return now - self.random.random() * LATE_MAX if kind < 0.95 else now + self.random.random() * AHEAD_MAX


def settle(*, seed: int, count: int, first_day: datetime) -> list[Resident]:
    """``count`` residents who come within two months, on every day of a month and some on 29 February where there is
    one, in every zone, currency and plan."""
    return [_resident(seed, number, first_day) for number in range(count)]


def _resident(seed: int, number: int, first_day: datetime) -> Resident:
    chance = random.Random(f"{seed}/{number}")  # noqa: S311 - a life to be lived again
    zone = ZoneInfo(ZONES[number % len(ZONES)])
    # Anchors 1 to 31 in the first month; strides that share no factor, so that all pairs of things come about.
    month = first_day.replace(day=1)
    wall = datetime(month.year, month.month, number % 31 + 1, tzinfo=UTC).replace(tzinfo=None)
    if number >= 31 and number % 23 == 5:
        leap = first_day.year + (-first_day.year) % 4
        wall = datetime(leap, 2, 29, tzinfo=UTC).replace(tzinfo=None)
    second = TIMES_OF_DAY[number // 5 % len(TIMES_OF_DAY)]
    wall += timedelta(seconds=chance.randrange(86_400) if second is None else second)
    code = plans.CODES[number // 2 % len(plans.CODES)]
    return Resident(
        number=number,
        random=chance,
        zone=zone,
        currency=plans.CURRENCIES[number % 3],
        first_plan=code,
        acts_at=almanac.instant(wall, zone) + timedelta(microseconds=chance.randrange(1_000_000)),
        tense=chance.choice((40, 120, 120, 400)),
        uses_per_day=chance.choice((0.02, 0.08, 0.15)),
    )
