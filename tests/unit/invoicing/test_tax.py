"""Tax per line against the second calculator, in currencies of nought, two and three digits."""

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from billing.invoicing import tax
from billing.kernel.money import format_minor
from tests.support import second_calculator as second


@given(
    st.sampled_from(["JPY", "USD", "KWD"]),
    st.integers(-(10**13), 10**13),
    st.integers(1, 100_000).map(lambda thousandths: Decimal(thousandths).scaleb(-3)),
    st.booleans(),
)
def test_a_line_is_taxed_as_by_the_second_calculator(currency: str, minor: int, rate: Decimal, included: bool) -> None:
    found = tax.tax_minor(minor, rate=rate, included=included)
    net = minor - found if included else minor
    expected = second.tax(format_minor(minor, currency), currency=currency, rate=str(rate), included=included)
    assert (format_minor(net, currency), format_minor(found, currency)) == expected
    if included:
        assert net + found == minor


@pytest.mark.parametrize(
    ("amount", "rate", "included", "expected"),
    [
        (4900, "20", False, 980),
        (4900, "20", True, 817),
        (50, "5", False, 2),
        (150, "5", False, 8),
        (30, "5", False, 2),
        (10, "5", False, 0),
        (-50, "5", False, -2),
        (4900, "7.7", False, 377),
        (1, "100", True, 1),
        (3, "100", True, 1),
        (0, "20", True, 0),
    ],
)
def test_halves_go_to_the_even_neighbour(amount: int, rate: str, included: bool, expected: int) -> None:
    assert tax.tax_minor(amount, rate=Decimal(rate), included=included) == expected
