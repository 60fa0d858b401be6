"""Money: minor units of every currency, one rounding, and shares that add up."""

from decimal import ROUND_UP, Decimal, localcontext
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from billing.kernel import money
from billing.kernel.decimals import EXACT

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


def test_the_minor_units_are_those_of_iso_4217() -> None:
    none, three = ("JPY", "KRW", "ISK", "VND", "XAF", "CLP"), ("KWD", "BHD", "TND", "JOD", "OMR", "IQD", "LYD")
    assert [money.exponent(code) for code in (*none, *three)] == [0] * len(none) + [3] * len(three)
    others = money.EXPONENTS.keys() - {
        "BIF",
        "DJF",
        "GNF",
        "KMF",
        "PYG",
        "RWF",
        "UGX",
        "UYI",
        "VUV",
        "XOF",
        "XPF",
        *none,
    }
    assert {money.exponent(code) for code in others - set(three)} == {2}
    assert {"USD", "EUR", "GBP", "CHF", "INR", "BRL", "HUF", "MGA", "MRU"} <= others


@given(st.decimals(min_value=-(10**9), max_value=10**9, places=12))
def test_settling_does_not_hang_on_the_callers_context(amount: Decimal) -> None:
    expected = money.to_minor(amount, "USD")
    with localcontext() as context:
        context.prec, context.rounding = 3, ROUND_UP
        assert money.to_minor(amount, "USD") == expected
        assert Decimal(money.format_minor(expected, "USD")) == Decimal(expected).scaleb(-2, EXACT)


@pytest.mark.parametrize(("currency", "digits"), [("JPY", 0), ("USD", 2), ("KWD", 3)])
def test_what_would_be_rounded_says_how_many_decimals_there_are(currency: str, digits: int) -> None:
    with pytest.raises(ValueError, match=rf"^has more decimals than {currency} has minor units \({digits}\)$"):
        money.to_minor_exact(Decimal("0.0005"), currency)
