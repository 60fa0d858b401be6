"""How a quantity turns into money: the pricing models, and the tiers that two of them have.

``rate`` and ``flat`` are in major units of a currency; a rate is for each ``per`` units.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum
from typing import Any

from billing.kernel.decimals import ZERO, plain


class PricingModel(StrEnum):
    """``GRADUATED``: each tier's units at its own rate. ``VOLUME``: all units at the rate of the tier that the total
    falls in. ``PACKAGE``: a price for each started ``per`` units. ``PERCENTAGE``: a share of a metered amount of money.
    """

    PER_UNIT = "per_unit"
    GRADUATED = "graduated"
    VOLUME = "volume"
    PACKAGE = "package"
    PERCENTAGE = "percentage"

    @property
    def is_tiered(self) -> bool:
        return self in (PricingModel.GRADUATED, PricingModel.VOLUME)


@dataclass(frozen=True, slots=True)
class Tier:
    """Units up to and including ``up_to``, above those of the tier before; None is open-ended. ``flat`` falls due once
    the tier is reached."""

    up_to: Decimal | None
    rate: Decimal
    flat: Decimal = ZERO

    def as_dict(self) -> dict[str, str | None]:
        return {
            "up_to": None if self.up_to is None else plain(self.up_to),
            "rate": plain(self.rate),
            "flat": plain(self.flat),
        }


def tiers_of(stored: Iterable[Mapping[str, Any]]) -> tuple[Tier, ...]:
    """Tiers as ``Tier.as_dict`` wrote them."""
    return tuple(
        Tier(
            None if each["up_to"] is None else Decimal(each["up_to"]),
            Decimal(each["rate"]),
            Decimal(each["flat"]),
        )
        for each in stored
    )
