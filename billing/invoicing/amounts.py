"""Amounts that a person or a program names, in major units."""

from __future__ import annotations

from decimal import Decimal

from billing.invoicing.errors import SettlementInvalid
from billing.kernel import money


def read(amount: Decimal, currency: str, *, field: str = "amount") -> int:
    """``amount`` in minor units of ``currency``. Raises ``SettlementInvalid`` where it would have to be rounded."""
    try:
        return money.to_minor_exact(amount, currency)
    except ValueError as error:
        raise SettlementInvalid(f"{field.capitalize()} {error}.", field=field) from error
