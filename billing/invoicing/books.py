"""What an invoice is made from, as frozen values: the input and the output of ``assembly``. No Django."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from uuid import UUID
from zoneinfo import ZoneInfo

from billing.kernel.periods import Span


@dataclass(frozen=True, slots=True)
class OveragePrice:
    """What a plan version asks for use beyond the included amount: ``rate`` major units per ``per`` units."""

    entitlement: str
    included: Decimal
    cadence: str
    rate: Decimal
    per: Decimal


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
    """The plan version in force from ``starts_at`` to ``ends_at`` (None: still)."""

    terms: PlanTerms
    starts_at: datetime
    ends_at: datetime | None


@dataclass(frozen=True, slots=True)
class Charge:
    """Chargeable use of one meter under one plan version in one service period."""

    service: ServicePeriod
    terms: PlanTerms
    meter: MeterLabel
    overage: Decimal
    credit_deficit: Decimal


@dataclass(frozen=True, slots=True)
class PeriodBooks:
    """All that the invoice of ``period`` is made from.

    ``charges`` are those that this period bills, late ones too. ``served`` is the part of the period in which the
    subscription lived: nothing of it if it was canceled in the instant of its renewal.
    """

    currency: str
    zone: ZoneInfo
    period: ServicePeriod
    served: Span
    is_trial: bool
    stretches: tuple[PlanStretch, ...]
    charges: tuple[Charge, ...]

    @property
    def is_billable(self) -> bool:
        """False for a trial, or a period never lived in, without chargeable use: these get no invoice."""
        has_base = not self.is_trial and self.served.ends_at > self.served.starts_at
        return has_base or any(charge.overage or charge.credit_deficit for charge in self.charges)


@dataclass(frozen=True, slots=True)
class LineDraft:
    """One line: ``amount_minor`` is ``quantity × rate ÷ per`` rounded once."""

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
