"""What an invoice is made from, as frozen values: the input and the output of ``assembly``. No Django."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from uuid import UUID
from zoneinfo import ZoneInfo

from billing.kernel.decimals import ZERO
from billing.kernel.periods import Span
from billing.kernel.pricing import PricingModel, Tier


@dataclass(frozen=True, slots=True)
class OveragePrice:
    """What a plan version asks for use beyond the included amount: ``rate`` major units per ``per`` units, by its
    ``model``. A tiered one has no rate of its own; its tiers count the units beyond the included ones."""

    entitlement: str
    included: Decimal
    cadence: str
    rate: Decimal | None
    per: Decimal
    model: PricingModel = PricingModel.PER_UNIT
    tiers: tuple[Tier, ...] = ()


@dataclass(frozen=True, slots=True)
class PlanTerms:
    """A plan version's prices in one currency. None is "no price", which is not a price of zero."""

    id: UUID
    code: str
    version: int
    name: str
    base_fee_minor: int | None
    credit_rate: Decimal | None
    overage: Mapping[str, OveragePrice]
    minimum_minor: int = 0
    # Whether the base fee of a period is due when the period begins, and not when it ends.
    in_advance: bool = False

    @property
    def label(self) -> str:
        return f"{self.code} v{self.version}"


@dataclass(frozen=True, slots=True)
class MeterLabel:
    code: str
    name: str
    unit: str


@dataclass(frozen=True, slots=True)
class ServicePeriod:
    """A link of the spine. ``nominal_ends_at`` is where it would have ended had nothing cut it short."""

    ordinal: int
    starts_at: datetime
    ends_at: datetime
    nominal_ends_at: datetime

    @property
    def span(self) -> Span:
        return Span(self.starts_at, self.ends_at)

    @property
    def nominal(self) -> Span:
        return Span(self.starts_at, self.nominal_ends_at)


@dataclass(frozen=True, slots=True)
class PlanStretch:
    """The plan version in force from ``starts_at`` to ``ends_at`` (None: still). While paused it costs nothing."""

    terms: PlanTerms
    starts_at: datetime
    ends_at: datetime | None
    is_paused: bool = False


@dataclass(frozen=True, slots=True)
class Charge:
    """Chargeable use of one meter under one plan version in one service period."""

    service: ServicePeriod
    terms: PlanTerms
    meter: MeterLabel
    overage: Decimal
    credit_deficit: Decimal


@dataclass(frozen=True, slots=True)
class BilledFee:
    """Which stretch a billed base fee is of, and for how many ``seconds`` of it: those given back are taken off."""

    starts_at: datetime
    ends_at: datetime
    rate: Decimal
    seconds: int
    of_seconds: int


@dataclass(frozen=True, slots=True)
class BilledPart:
    """What other issued invoices carry of one service period, summed by charge, plan version, meter and tier (0 where
    there is none), base fees by their stretch too. ``ordinal`` is the service period's."""

    ordinal: int
    charge: str
    plan_code: str
    plan_version: int
    meter: str | None
    tier: int
    quantity: Decimal
    amount_minor: int
    fee: BilledFee | None = None
    # How much of the quantity stands on invoices of the very period that is to be billed: use told after its end is
    # charged to it again where no later period can bill it.
    quantity_here: Decimal = ZERO
    # What credit notes took back of the amount: it is not given back a second time.
    credited_minor: int = 0


@dataclass(frozen=True, slots=True)
class Life:
    """A service period with what decides its fees: the part of it that was lived in, and the plans in force.

    ``is_invoiced`` says that the invoice of its own period is out.
    """

    service: ServicePeriod
    served: Span
    is_trial: bool
    stretches: tuple[PlanStretch, ...]
    is_invoiced: bool = False

    def within(self, stretch: PlanStretch) -> Span | None:
        """The part of the period that was lived on the stretch's plan, if any."""
        starts_at = max(self.served.starts_at, stretch.starts_at)
        ends_at = self.served.ends_at if stretch.ends_at is None else min(self.served.ends_at, stretch.ends_at)
        return Span(starts_at, ends_at) if ends_at > starts_at else None


@dataclass(frozen=True, slots=True)
class Discount:
    """Per cent off, or an amount off, what each service period from ``from_ordinal`` to ``until_ordinal`` (None: all
    that follow) comes to before tax. Never more than that."""

    code: str
    name: str
    percent: Decimal | None
    amount_minor: int | None
    from_ordinal: int
    until_ordinal: int | None
    redeemed_at: datetime

    def covers(self, ordinal: int) -> bool:
        return self.from_ordinal <= ordinal and (self.until_ordinal is None or ordinal <= self.until_ordinal)


@dataclass(frozen=True, slots=True)
class PeriodBooks:
    """All that the invoice of ``period`` is made from.

    ``charges`` are those that this period bills, late ones too; ``late`` are the periods of the late ones, and
    ``billed`` what other issued invoices carry of these periods and of this one. ``served`` is the part of the period
    in which the subscription lived: nothing of it if it was canceled in the instant of its renewal. ``ahead`` is the
    period that follows, as far as it is known: fees in advance are billed for it. ``only_advance`` makes an invoice of
    nothing but the fees that are due now for the running period. ``plans`` are all versions ever in force, by code and
    version.
    """

    currency: str
    zone: ZoneInfo
    period: ServicePeriod
    served: Span
    is_trial: bool
    stretches: tuple[PlanStretch, ...]
    charges: tuple[Charge, ...]
    late: tuple[Life, ...] = ()
    billed: tuple[BilledPart, ...] = ()
    ahead: Life | None = None
    only_advance: bool = False
    # Every other kind of invoice exists for what it asks; a period's own says so where nothing is asked.
    is_cycle: bool = True
    discounts: tuple[Discount, ...] = ()
    plans: Mapping[tuple[str, int], PlanTerms] = field(default_factory=dict)

    @property
    def life(self) -> Life:
        return Life(self.period, self.served, self.is_trial, self.stretches)

    @property
    def is_billable(self) -> bool:
        """False for a trial, or a period never lived in, without chargeable use, a fee in advance for what follows, or
        one of its own to give back: these get no invoice."""
        has_base = not self.is_trial and self.served.ends_at > self.served.starts_at
        is_ahead = self.ahead is not None and any(stretch.terms.in_advance for stretch in self.ahead.stretches)
        gives_back = any(part.fee and part.fee.seconds and part.ordinal == self.period.ordinal for part in self.billed)
        has_use = any(charge.overage or charge.credit_deficit for charge in self.charges)
        return has_base or is_ahead or gives_back or has_use


@dataclass(frozen=True, slots=True)
class LineDraft:
    """One line: ``amount_minor`` is ``quantity × rate ÷ per`` rounded once, less what was billed before of late use
    (whose line may differ from that product by a minor unit), and with started packages counted whole. ``tax_minor``
    is on top of it or, where ``tax_included``, a part of it."""

    charge: str
    description: str
    plan_id: UUID
    plan_code: str
    plan_version: int
    meter_id: str | None
    starts_at: datetime
    ends_at: datetime
    quantity: Decimal
    rate: Decimal
    per: Decimal
    amount_minor: int
    details: Mapping[str, str]
    tax_rate: Decimal = ZERO
    tax_included: bool = False
    tax_minor: int = 0

    @property
    def net_minor(self) -> int:
        return self.amount_minor - (self.tax_minor if self.tax_included else 0)


# What a line says beside its details, as drafts and stored lines call it alike.
LINE_SAYS = (
    "charge",
    "description",
    "plan_id",
    "meter_id",
    "starts_at",
    "ends_at",
    "quantity",
    "rate",
    "per",
    "amount_minor",
    "tax_rate",
    "tax_included",
    "tax_minor",
)
