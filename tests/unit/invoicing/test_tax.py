"""Tax per line against the second calculator, in currencies of nought, two and three digits."""

from dataclasses import replace
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from billing.invoicing import tax
from billing.invoicing.assembly import assemble
from billing.invoicing.tax import TaxTerms
from billing.kernel.money import format_minor
from tests.support import second_calculator as second
from tests.unit.invoicing.test_assembly import books


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


def test_a_line_bears_its_tax_and_says_which() -> None:
    lines = assemble(books())
    taxed = tax.levied(lines, TaxTerms("exclusive", Decimal("7.7"), "MWST"))
    assert [replace(line, tax_rate=Decimal("7.7"), tax_minor=377) for line in lines] == [
        replace(line, details=lines[0].details) for line in taxed
    ]
    assert taxed[0].details == {**lines[0].details, "tax_treatment": "exclusive", "tax_label": "MWST"}
    assert (taxed[0].net_minor, taxed[0].amount_minor) == (4900, 4900)


def test_a_tax_that_is_contained_leaves_a_net_amount() -> None:
    (line,) = tax.levied(assemble(books()), TaxTerms("inclusive", Decimal(20), "VAT"))
    assert (line.amount_minor, line.tax_minor, line.net_minor, line.tax_included) == (4900, 817, 4083, True)
    assert line.details["tax_treatment"] == "inclusive"


def test_no_treatment_leaves_no_trace() -> None:
    lines = assemble(books())
    assert tax.levied(iter(lines), TaxTerms()) == lines


def test_a_rate_of_zero_is_said_all_the_same() -> None:
    (line,) = tax.levied(assemble(books()), TaxTerms("reverse_charge", label="Reverse charge"))
    assert (line.tax_minor, line.tax_rate, line.tax_included) == (0, 0, False)
    assert line.details["tax_label"] == "Reverse charge"
