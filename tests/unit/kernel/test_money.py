"""Money: minor units of every currency, one rounding, and shares that add up."""

from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from billing.kernel import money

CURRENCIES = st.sampled_from(sorted(money.EXPONENTS))
MINOR = st.integers(-money.AMOUNT_MAX_MINOR, money.AMOUNT_MAX_MINOR)


@given(MINOR, CURRENCIES)
def test_minor_units_survive_the_wire(minor: int, currency: str) -> None:
    text = money.format_minor(minor, currency)
    assert money.to_minor_exact(Decimal(text), currency) == minor
    digits = text.partition(".")[2]
    assert len(digits) == money.exponent(currency)
    assert "E" not in text


@pytest.mark.parametrize(
    ("minor", "currency", "text"),
    [(5162, "USD", "51.62"), (-5, "USD", "-0.05"), (0, "USD", "0.00"), (5162, "JPY", "5162"), (5162, "KWD", "5.162")],
)
def test_the_minor_unit_is_the_currencys_own(minor: int, currency: str, text: str) -> None:
    assert money.format_minor(minor, currency) == text


@given(st.decimals(min_value=-(10**9), max_value=10**9, places=12), CURRENCIES)
def test_settling_rounds_once_to_the_nearest_and_of_two_to_the_even(amount: Decimal, currency: str) -> None:
    exact = Fraction(amount) * 10 ** money.exponent(currency)
    # Python rounds fractions half to even too, and shares no code with us.
    assert money.to_minor(amount, currency) == round(exact)


@given(st.decimals(min_value=-(10**6), max_value=10**6, places=4), CURRENCIES)
def test_an_amount_that_a_person_wrote_is_never_rounded(amount: Decimal, currency: str) -> None:
    try:
        minor = money.to_minor_exact(amount, currency)
    except ValueError:
        assert (Fraction(amount) * 10 ** money.exponent(currency)).denominator != 1
    else:
        assert Fraction(minor, 10 ** money.exponent(currency)) == Fraction(amount)


def test_an_unknown_currency_is_no_currency() -> None:
    assert not money.is_currency("XXX")
    with pytest.raises(KeyError):
        money.exponent("XXX")
