"""Exact decimals: what is read is what was written, and nothing is rounded on the way."""

from decimal import Decimal, localcontext

import pytest
from hypothesis import given
from hypothesis import strategies as st

from billing.kernel.decimals import (
    EXACT,
    QUANTITY_MAX,
    RATE_PLACES,
    STORED_MAX,
    bounded,
    parse_decimal,
    plain,
    quantize,
)

FITTING = st.decimals(min_value=-QUANTITY_MAX, max_value=QUANTITY_MAX, allow_nan=False, allow_infinity=False, places=6)


@given(FITTING)
def test_writing_and_reading_gives_the_same_number(value: Decimal) -> None:
    text = plain(value)
    assert parse_decimal(text) == value
    assert "E" not in text
    assert "." not in text or not text.endswith(("0", "."))
    assert text != "-0"
    assert plain(parse_decimal(text)) == text


@given(FITTING, st.integers(0, 12))
def test_trailing_zeros_and_exponents_are_the_same_number(value: Decimal, zeros: int) -> None:
    padded = f"{value:f}" + ("" if "." in f"{value:f}" else ".") + "0" * (zeros or 1)
    assert plain(parse_decimal(padded)) == plain(value)
    assert plain(value.normalize()) == plain(value)


@pytest.mark.parametrize(
    "text",
    [
        "",
        " 1",
        "1 ",
        "+1",
        "1e3",
        "1E3",
        "1_0",
        "１",
        "٣",
        ".5",
        "1.",
        "1,5",
        "--1",
        "NaN",
        "Infinity",
        "0x1",
        "1\n",
        "\0",
        "-",
    ],
)
def test_anything_but_a_plain_decimal_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="plain decimal"):
        parse_decimal(text)


@given(st.text(max_size=12))
def test_text_is_a_number_or_a_value_error(text: str) -> None:
    try:
        value = parse_decimal(text)
    except ValueError:
        return
    assert text.isascii()
    assert Decimal(text) == value


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("0.0000001", "decimal places"),
        ("1000000000000.000001", "larger"),
        ("-1000000000001", "larger"),
        ("9" * 30, "larger"),
    ],
)
def test_what_does_not_fit_says_why(text: str, sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        parse_decimal(text)


@pytest.mark.parametrize("value", ["NaN", "sNaN", "Infinity", "-Infinity"])
def test_what_is_not_finite_is_refused(value: str) -> None:
    with pytest.raises(ValueError, match=r"^is not a finite number$"):
        bounded(Decimal(value))


@given(st.decimals(allow_nan=False, allow_infinity=False))
def test_what_is_bounded_is_unchanged_and_has_six_decimals(value: Decimal) -> None:
    try:
        result = bounded(value)
    except ValueError:
        return
    assert result == value
    assert result.as_tuple().exponent == -6


@given(st.decimals(min_value=-(10**9), max_value=10**9, places=9))
def test_rounding_is_to_the_nearest_and_of_two_to_the_even(value: Decimal) -> None:
    rounded = quantize(value)
    distance = abs(rounded - value)
    assert distance <= Decimal("0.0000005")
    if distance == Decimal("0.0000005"):
        assert int(rounded.scaleb(6)) % 2 == 0


@given(FITTING, FITTING)
def test_rounding_does_not_hang_on_the_callers_context(one: Decimal, other: Decimal) -> None:
    product = EXACT.multiply(one, other)
    with localcontext() as context:
        context.prec = 3
        assert quantize(product) == EXACT.quantize(product, Decimal("0.000001"))


def test_a_columns_largest_value_has_twenty_digits() -> None:
    assert len(STORED_MAX.as_tuple().digits) == 20


def test_rates_have_twelve_decimals_and_not_one_more() -> None:
    assert parse_decimal("0.000000000001", places=RATE_PLACES) == Decimal(1).scaleb(-12)
    assert bounded(Decimal("0.5"), places=RATE_PLACES).as_tuple().exponent == -12
    with pytest.raises(ValueError, match=r"^has more than 12 decimal places$"):
        parse_decimal("0.0000000000001", places=RATE_PLACES)


def test_the_largest_quantity_fits_and_says_so() -> None:
    assert bounded(QUANTITY_MAX) == QUANTITY_MAX
    assert bounded(-QUANTITY_MAX) == -QUANTITY_MAX
    with pytest.raises(ValueError, match=f"^is larger than {QUANTITY_MAX}$"):
        bounded(QUANTITY_MAX + 1)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("0", "0"),
        ("-0", "0"),
        ("-0.000", "0"),
        ("0E+3", "0"),
        ("0E-9", "0"),
        ("1E+3", "1000"),
        ("100", "100"),
        ("-100.50", "-100.5"),
        ("0.500000", "0.5"),
        ("1E-9", "0.000000001"),
    ],
)
def test_a_number_has_one_plain_form(value: str, text: str) -> None:
    assert plain(Decimal(value)) == text
