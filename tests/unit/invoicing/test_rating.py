"""Amounts: exact, then rounded once, half to even, at the currency's own minor unit."""

from decimal import Decimal

import pytest

from billing.invoicing import rating
from billing.invoicing.errors import AmountOutOfBounds
from billing.kernel.money import AMOUNT_MAX_MINOR


def settle(quantity: str, rate: str, per: str = "1", currency: str = "USD") -> int:
    return rating.settle(Decimal(quantity), rate=Decimal(rate), per=Decimal(per), currency=currency)


@pytest.mark.parametrize(
    ("quantity", "currency", "minor"),
    [
        # Just under, at and just over half a minor unit, beside an even and beside an odd one.
        ("0.124999", "USD", 12),
        ("0.125", "USD", 12),
        ("0.125001", "USD", 13),
        ("0.134999", "USD", 13),
        ("0.135", "USD", 14),
        ("0.135001", "USD", 14),
        ("2.5", "JPY", 2),
        ("3.5", "JPY", 4),
        ("3.499999", "JPY", 3),
        ("0.0025", "KWD", 2),
        ("0.0035", "KWD", 4),
        ("0.002501", "KWD", 3),
    ],
)
def test_it_rounds_half_to_even_in_the_minor_unit_of_the_currency(quantity: str, currency: str, minor: int) -> None:
    assert settle(quantity, "1", currency=currency) == minor


def test_it_rounds_half_to_even_of_what_a_division_leaves() -> None:
    assert settle("1", "0.25", per="100") == 0  # a quarter of a cent
    assert settle("2", "0.25", per="100") == 0  # exactly half a cent, zero is even
    assert settle("6", "0.25", per="100") == 2  # exactly one and a half
    assert settle("1000000", "1", per="3") == 33333333
    assert settle("2000000", "1", per="3") == 66666667


def test_it_is_exact_where_doubles_and_28_digits_are_not() -> None:
    assert rating.per_unit(Decimal("123456789012.123456"), rate=Decimal("987654321.123456789012"), per=Decimal(1)) == (
        Decimal("121932631139850631457.022101417488265472")
    )
    # 50000000000.005000000000000002: cut to Decimal's usual 28 digits it were a tie, and round down to even.
    assert settle("0.000003", "16666666666668333.333333333334") == 5000000000001


def test_the_hour_of_real_traffic() -> None:
    assert settle("3059974", "0.50", per="1000000") == 153
    assert settle("45896", "2.00", per="1000000") == 9
    assert settle("0.1", "10.00") == 100


def test_it_refuses_an_amount_beyond_what_settled_money_may_be() -> None:
    most = str(AMOUNT_MAX_MINOR // 100)
    assert settle(most, "1") == AMOUNT_MAX_MINOR
    with pytest.raises(AmountOutOfBounds):
        settle(most, "1.000000000001")
    with pytest.raises(AmountOutOfBounds) as caught:
        settle(most, "-1.000000000001")
    assert caught.value.message == "-90000000000.09 USD is more than one invoice may carry."
