"""Amounts that somebody names: exact in the currency, or refused with the field that they stand in."""

from decimal import Decimal

import pytest

from billing.invoicing import amounts
from billing.invoicing.errors import SettlementInvalid


def test_an_amount_is_read_in_minor_units() -> None:
    for currency, minor in (("JPY", 12), ("USD", 1200), ("KWD", 12000)):
        assert amounts.read(Decimal("12.0"), currency) == minor
    assert amounts.read(Decimal("-0.01"), "USD") == -1


@pytest.mark.parametrize(("field", "begins"), [("amount", "Amount"), ("minimum_charge", "Minimum_charge")])
def test_nothing_is_rounded(field: str, begins: str) -> None:
    with pytest.raises(SettlementInvalid) as caught:
        amounts.read(Decimal("12.005"), "USD", field=field)
    assert caught.value.message == f"{begins} has more decimals than USD has minor units (2)."
    assert caught.value.details == {"field": field}


def test_the_field_is_the_amount_unless_it_is_named() -> None:
    with pytest.raises(SettlementInvalid) as caught:
        amounts.read(Decimal("0.5"), "JPY")
    assert caught.value.details == {"field": "amount"}
