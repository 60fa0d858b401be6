"""Prices: quantity times rate, exact to the last digit, then one rounding to the currency's minor unit."""

from __future__ import annotations

from decimal import Decimal

from billing.invoicing.errors import AmountOutOfBounds
from billing.kernel import money
from billing.kernel.decimals import EXACT


def per_unit(quantity: Decimal, *, rate: Decimal, per: Decimal) -> Decimal:
    """``quantity × rate ÷ per`` in major units, not rounded to money.

    The product is exact. A quotient that never ends is cut at 80 digits, some forty beyond where it could still turn
    a rounding to money.
    """
    return EXACT.divide(EXACT.multiply(quantity, rate), per)


def settle(quantity: Decimal, *, rate: Decimal, per: Decimal, currency: str) -> int:
    """The amount of a line in minor units: its one rounding, half to even. Raises ``AmountOutOfBounds``."""
    return bounded(money.to_minor(per_unit(quantity, rate=rate, per=per), currency), currency)


def bounded(amount_minor: int, currency: str) -> int:
    if abs(amount_minor) > money.AMOUNT_MAX_MINOR:
        raise AmountOutOfBounds(
            f"{money.format_minor(amount_minor, currency)} {currency} is more than one invoice may carry."
        )
    return amount_minor
