"""A catalog as plain, frozen values: what a file says, and also what the tables say of a stored plan version.

Lines are for messages only and take no part in equality. Amounts are integers of minor units; limits, credits and
``per`` have at most six decimals, rates at most twelve.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from decimal import Decimal
from typing import Literal

from billing.kernel.decimals import ZERO
from billing.kernel.guardrails import Rule
from billing.kernel.periods import Cadence, Interval
from billing.kernel.pricing import PricingModel, Tier

PRODUCT = "platform"


@dataclass(frozen=True, slots=True)
class MeterSpec:
    """An event of the ``events:`` map: ``guards`` are the entitlement keys that stand before it."""

    code: str
    guards: tuple[str, ...] = ()
    product: str = PRODUCT
    description: str = ""
    unit: str = "unit"
    line: int = field(default=0, compare=False)


@dataclass(frozen=True, slots=True)
class OveragePrice:
    """``rate`` major units of ``currency`` for each ``per`` units beyond the limit, by ``model``; a tiered one has no
    rate of its own. A percentage is a rate per 100 units."""

    currency: str
    rate: Decimal | None
    per: Decimal = Decimal(1)
    model: PricingModel = PricingModel.PER_UNIT
    tiers: tuple[Tier, ...] = ()
    line: int = field(default=0, compare=False)


@dataclass(frozen=True, slots=True)
class EntitlementSpec:
    """``enabled`` counts for a boolean; limit, cadence, on_limit, credits, prices and guardrails for a metered one.

    ``meters`` follow from the ``events:`` map. ``is_implied`` marks the denial of a guard that the plan does not list.
    """

    key: str
    kind: Literal["boolean", "metered"]
    meters: tuple[str, ...] = ()
    enabled: bool = True
    limit: Decimal | None = None
    cadence: Cadence = Cadence.NEVER
    on_limit: Literal["block", "overage"] = "block"
    credits_per_unit: Decimal = ZERO
    overage_prices: tuple[OveragePrice, ...] = ()
    guardrails: dict[str, Rule] = field(default_factory=dict)
    is_implied: bool = field(default=False, compare=False)
    line: int = field(default=0, compare=False)

    @property
    def is_metered(self) -> bool:
        return self.kind == "metered"

    @property
    def has_overage(self) -> bool:
        return self.on_limit == "overage"

    @property
    def is_priced(self) -> bool:
        return self.is_metered and (self.has_overage or self.credits_per_unit > 0)


@dataclass(frozen=True, slots=True)
class PriceSpec:
    """Base fee of one billing period in one currency, what one credit beyond the granted ones costs, and what fees and
    use of a period come to at least (0: no minimum)."""

    currency: str
    base_fee_minor: int
    credit_rate: Decimal | None = None
    minimum_minor: int = 0
    line: int = field(default=0, compare=False)


@dataclass(frozen=True, slots=True)
class FeatureSpec:
    key: str
    name: str
    value: bool | str = True
    group: str = ""


@dataclass(frozen=True, slots=True)
class Shelf:
    """How a plan stands in the shop. It is no term of the contract: a change here makes no new version."""

    is_on_sale: bool = True
    is_active: bool = True
    position: int = 0


@dataclass(frozen=True, slots=True)
class PlanSpec:
    """The terms of a plan. No ``prices`` at all means free of charge, in whatever currency."""

    code: str
    name: str
    product: str = PRODUCT
    description: str = ""
    billing_period: Interval = Interval.MONTH
    base_fee: Literal["arrears", "advance"] = "arrears"
    prices: tuple[PriceSpec, ...] = ()
    trial_days: int = 0
    trial_credits: Decimal = ZERO
    credit_allowance: Decimal = ZERO
    allowance_every: Literal["month", "period"] = "period"
    entitlements: tuple[EntitlementSpec, ...] = ()
    tagline: str = ""
    bundle: dict[str, str | bool | int] = field(default_factory=dict)
    sla_tier: str = ""
    sla_version: str = ""
    sla_terms: str = ""
    features: tuple[FeatureSpec, ...] = ()
    shelf: Shelf = field(default=Shelf(), compare=False)
    line: int = field(default=0, compare=False)

    @property
    def currencies(self) -> tuple[str, ...]:
        return tuple(price.currency for price in self.prices)

    def find_entitlement(self, key: str) -> EntitlementSpec | None:
        return next((entitlement for entitlement in self.entitlements if entitlement.key == key), None)


@dataclass(frozen=True, slots=True)
class CatalogSpec:
    """A whole catalog that passed every check."""

    file: str
    default_plan: str
    plans: tuple[PlanSpec, ...]
    meters: tuple[MeterSpec, ...]

    def plan(self, code: str) -> PlanSpec:
        return next(plan for plan in self.plans if plan.code == code)
