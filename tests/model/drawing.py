"""The next act, drawn from a seed and from what the model knows: most of them make sense, some do not."""

from __future__ import annotations

import random
from datetime import timedelta

from tests.model.acts import Act
from tests.model.tenant import Tenant
from tests.simulation import plans

DAY, HOUR = 86400.0, 3600.0
LIFECYCLE = ("change", "change_later", "cancel_later", "withdraw", "cancel", "pause", "resume")
MOSTS = {"scans": 30, "exports": 9, "runs": 25}


class Draw:
    def __init__(self, chance: random.Random) -> None:
        self.chance = chance
        self._has_moved = True
        # Some only ever pay their invoices; of the others some are taken back.
        self._voids = chance.random() < 0.25

    def next(self, tenant: Tenant) -> Act:
        act = self._act(tenant)
        if act.name == "advance":
            self._has_moved = True
        elif act.name in (*LIFECYCLE, "subscribe"):
            # What began within this second is not ended in it.
            if not self._has_moved:
                self._has_moved = True
                return Act("advance", seconds=self.chance.uniform(1, 90))
            self._has_moved = False
        return act

    def _act(self, tenant: Tenant) -> Act:
        last = tenant.last
        if last is None or (not last.is_live and self.chance.random() < 0.5):
            return Act("subscribe", plan=self._plan())
        if last.status == "paused" and self.chance.random() < 0.15:
            return Act("resume")
        weights = {
            "use": 34,
            "batch": 4,
            "repeat": 4,
            "reserve": 9,
            "settle": 9,
            "release": 3,
            "advance": 16,
            "subscribe": 1,
            "change": 4,
            "change_later": 2,
            "cancel_later": 1,
            "withdraw": 1,
            "cancel": 1,
            "pause": 1.5,
            "resume": 0.5,
            "give": 3,
            "give_to_left": 0.5,
            "take": 2,
            "issue": 1.5,
            "pay": 2,
            "void": 1 if self._voids else 0,
            "distribute": 1,
        }
        (name,) = self.chance.choices(list(weights), list(weights.values()))
        return getattr(self, f"_{name}", self._plain)(name, tenant)

    def _plain(self, name: str, tenant: Tenant) -> Act:
        plan = self._plan() if name in ("subscribe", "change", "change_later") else ""
        return Act(name, plan=plan, number=self.chance.randrange(1000))

    def _advance(self, name: str, tenant: Tenant) -> Act:
        most = self.chance.choice((60, HOUR, HOUR, 12 * HOUR, 12 * HOUR, 3 * DAY, 9 * DAY, 40 * DAY))
        return Act(name, seconds=round(self.chance.uniform(1, most), 6))

    def _give(self, name: str, tenant: Tenant) -> Act:
        until = round(self.chance.uniform(1, 30 * DAY), 6) if self.chance.random() < 0.6 else None
        return Act(name, quantity=self._quantity(12), seconds=until)

    _give_to_left = _give

    def _take(self, name: str, tenant: Tenant) -> Act:
        return Act(name, quantity=self._quantity(12))

    def _use(self, name: str, tenant: Tenant) -> Act:
        meter = self._meter(tenant)
        kind = self.chance.random()
        ago = None
        if kind < 0.25:
            ago = self.chance.uniform(0, self.chance.choice((HOUR, 3 * DAY, 37 * DAY)))
        elif kind < 0.33:
            ago = -self.chance.uniform(0, 330)
        return Act(
            name,
            meter=meter,
            quantity=self._amount(tenant, meter),
            key=f"use-{self.chance.randrange(10**6)}",
            seconds=None if ago is None else round(ago, 6),
        )

    def _batch(self, name: str, tenant: Tenant) -> Act:
        items = [self._use("use", tenant) for _ in range(self.chance.randrange(2, 6))]
        if self.chance.random() < 0.3:
            items.append(self.chance.choice(items))
        return Act(name, items=tuple(items))

    def _repeat(self, name: str, tenant: Tenant) -> Act:
        return Act(name, key=self._one(list(tenant.told.uses)), number=self.chance.randrange(2))

    def _reserve(self, name: str, tenant: Tenant) -> Act:
        meter = self._meter(tenant)
        quantity = self._amount(tenant, meter)
        if self.chance.random() < 0.1 and tenant.told.holds:
            key = self._one(list(tenant.told.holds))
            known = tenant.told.holds[key]
            if self.chance.random() < 0.7:
                quantity, most, lasts = str(float(known.quantity)), str(float(known.most)), known.lasts
                return Act(name, meter=known.meter, quantity=quantity, most=most, key=key, seconds=lasts)
            return Act(name, meter=meter, quantity=quantity, most=quantity, key=key, seconds=60)
        most = quantity if self.chance.random() < 0.6 else str(int(float(quantity)) * 2 + 1)
        lasts = float(self.chance.choice((60, 900, 900, 6 * 3600, 24 * 3600)))
        return Act(
            name, meter=meter, quantity=quantity, most=most, key=f"hold-{self.chance.randrange(10**6)}", seconds=lasts
        )

    def _settle(self, name: str, tenant: Tenant) -> Act:
        holds = tenant.told.holds
        open_ones = [key for key, hold in holds.items() if hold.status == "open" and hold.until > tenant.now]
        recent = [key for key, hold in holds.items() if hold.at > tenant.now - timedelta(days=2)]
        key = self._one(self.chance.choice((open_ones, open_ones, recent)) or list(holds))
        if key not in holds:
            return Act("settle", quantity="1", key="none")
        most = float(holds[key].most)
        quantity = self.chance.choice((float(holds[key].quantity), most, most * self.chance.random(), most + 1))
        settled = holds[key].settled
        if settled is not None and self.chance.random() < 0.5:
            quantity = float(settled)
        return Act(name, quantity=f"{max(0.000001, quantity):.6f}", key=key)

    def _release(self, name: str, tenant: Tenant) -> Act:
        return Act(name, key=self._one(list(tenant.told.holds)[-4:]) or "none")

    def _one(self, keys: list[str]) -> str:
        return self.chance.choice(keys) if keys else "none"

    def _plan(self) -> str:
        # Limits that block are those of a free plan and of trials.
        blocking = ("free", "starter", "quarterly_plus")
        return self.chance.choice(blocking if self.chance.random() < 0.3 else plans.CODES)

    def _meter(self, tenant: Tenant) -> str:
        if tenant.last is not None and self.chance.random() < 0.85:
            return self.chance.choice(list(tenant.last.plan.meters))
        return self.chance.choice(plans.METERS)

    def _amount(self, tenant: Tenant, meter: str) -> str:
        """Around the limit as often as anywhere."""
        guard = tenant.guard(meter)
        if guard is not None and guard[0] is not None and self.chance.random() < 0.35:
            left = float(guard[0] - guard[1] - guard[2]) + self.chance.choice((0, 0, 1, -1, 0.000001, -0.000001))
            if left > 0:
                return f"{left:.6f}"
        return self._quantity(MOSTS.get(meter, 400))

    def _quantity(self, most: int) -> str:
        if self.chance.random() < 0.6:
            return str(self.chance.randrange(1, most + 1))
        return f"{self.chance.uniform(0.000001, most):.6f}"
