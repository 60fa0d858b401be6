"""A plan version in the form that decisions read: frozen, pure, small.

Built once per process and plan version (``queries.compiled_plan``), because a subscribed version never changes.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from decimal import Decimal
from typing import NamedTuple
from uuid import UUID

from billing.kernel import guardrails
from billing.kernel.guardrails import Rule
from billing.kernel.periods import Cadence
from billing.kernel.pricing import PricingModel, Tier


class Price(NamedTuple):
    """``rate`` major units of the currency for each ``per`` units, by ``model``; a tiered one has no rate."""

    rate: Decimal | None
    per: Decimal
    model: PricingModel = PricingModel.PER_UNIT
    tiers: tuple[Tier, ...] = ()


class BooleanGuard(NamedTuple):
    key: str
    enabled: bool


@dataclass(frozen=True, slots=True)
class MeteredGuard:
    """A limit on one meter: ``limit`` None is unlimited, 0 is none. ``prices`` by currency are for units beyond it."""

    entitlement_id: UUID
    key: str
    limit: Decimal | None
    cadence: Cadence
    blocks: bool
    credits_per_unit: Decimal
    prices: dict[str, Price] = field(default_factory=dict)
    guardrails: dict[str, Rule] = field(default_factory=dict)

    @property
    def is_priced(self) -> bool:
        return not self.blocks or self.credits_per_unit > 0


@dataclass(frozen=True, slots=True)
class MeterGuards:
    """All that a use of one meter has to pass. Booleans are asked first, then limits in catalog order."""

    booleans: tuple[BooleanGuard, ...] = ()
    metered: tuple[MeteredGuard, ...] = ()

    @property
    def priced(self) -> MeteredGuard | None:
        """The one guard that charges credits or money; the catalog's rules allow at most one per meter and plan."""
        return next((guard for guard in self.metered if guard.is_priced), None)

    def rule(self, flags: Iterable[str]) -> Rule:
        """What becomes of the debit of a use that bears ``flags``."""
        priced = self.priced
        return Rule.ANNOTATE if priced is None else guardrails.decide(flags, priced.guardrails)


UNGUARDED = MeterGuards()


@dataclass(frozen=True, slots=True)
class CompiledPlan:
    """``meters_by_key``: the meters that an entitlement guards; one for a metered one, any number for a boolean."""

    id: UUID
    code: str
    version: int
    product: str
    credit_rates: dict[str, Decimal]
    guards_by_meter: dict[str, MeterGuards]
    meters_by_key: dict[str, tuple[str, ...]]
    booleans: dict[str, bool]

    def guards(self, meter: str) -> MeterGuards:
        """Guards of ``meter``; a declared meter that the plan does not guard is counted and unlimited."""
        return self.guards_by_meter.get(meter, UNGUARDED)
