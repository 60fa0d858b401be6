"""Credit notes in random parts against a second calculation, with fractions and without the product's code."""

from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from billing.invoicing.crediting import Creditable, credit
from billing.invoicing.errors import CreditExceedsInvoice, CreditExceedsLine, NothingToCredit, SettlementInvalid


@st.composite
def lines(draw: st.DrawFn) -> list[tuple[int, int, bool]]:
    """(amount, tax, tax included)"""
    found = []
    for _ in range(draw(st.integers(1, 4))):
        amount, rate = draw(st.integers(0, 10**9)), draw(st.integers(0, 100))
        included = draw(st.booleans())
        tax = round(Fraction(amount * rate, 100 + rate if included else 100))
        found.append((amount, tax, included))
    return found


@given(lines(), st.data())
@settings(max_examples=150, deadline=None)
def test_parts_add_up_to_the_whole_whatever_the_order(told: list[tuple[int, int, bool]], data: st.DataObject) -> None:
    total = sum(amount + (0 if included else tax) for amount, tax, included in told)
    gone: dict[int, tuple[int, int]] = dict.fromkeys(range(1, len(told) + 1), (0, 0))
    credited_total = 0

    def state() -> list[Creditable]:
        return [Creditable(position, *told[position - 1], *gone[position]) for position in gone]

    for _ in range(data.draw(st.integers(0, 5))):
        open_lines = [position for position in gone if told[position - 1][0] > gone[position][0]]
        if not open_lines:
            break
        position = data.draw(st.sampled_from(open_lines))
        left = told[position - 1][0] - gone[position][0]
        with pytest.raises(CreditExceedsLine):
            credit(state(), left_minor=total, wanted={position: left + 1})
        amount = data.draw(st.integers(1, left))
        (line,) = credit(state(), left_minor=total, wanted={position: amount})
        before, tax_before = gone[position]
        expected = round(Fraction(told[position - 1][1] * (before + amount), told[position - 1][0])) - tax_before
        assert (line.amount_minor, line.tax_minor) == (amount, expected)
        gone[position] = before + amount, tax_before + expected
        credited_total += line.net_minor + line.tax_minor
    if credited_total < total:
        rest = credit(state(), left_minor=total - credited_total)
        assert sum(line.net_minor + line.tax_minor for line in rest) == total - credited_total
        with pytest.raises(CreditExceedsInvoice):
            credit(state(), left_minor=total - credited_total - 1)
    else:
        with pytest.raises(NothingToCredit):
            credit(state(), left_minor=0)


def test_a_discount_is_credited_with_its_sign_only() -> None:
    told = [Creditable(1, 4900, 0, False), Creditable(2, -490, 0, False)]
    assert sum(line.amount_minor for line in credit(told, left_minor=4410)) == 4410
    with pytest.raises(CreditExceedsInvoice):
        credit(told, left_minor=4410, wanted={1: None})
    with pytest.raises(NothingToCredit):
        credit(told, left_minor=4410, wanted={2: None})
    for wrong in ({1: -1}, {2: 1}, {2: -491}, {1: 0}):
        with pytest.raises(CreditExceedsLine):
            credit(told, left_minor=4410, wanted=wrong)
    with pytest.raises(SettlementInvalid):
        credit(told, left_minor=4410, wanted={3: None})


def test_each_refusal_names_what_is_wrong() -> None:
    told = [Creditable(1, 4900, 0, False), Creditable(2, 0, 0, False), Creditable(4, 100, 0, False)]
    with pytest.raises(SettlementInvalid) as unknown:
        credit(told, left_minor=5000, wanted={7: None, 3: None, 1: None})
    assert (unknown.value.message, unknown.value.details) == ("The invoice has no line 3.", {"field": "lines"})
    with pytest.raises(CreditExceedsLine) as less:
        credit(told, left_minor=5000, wanted={4: 101})
    assert less.value.message == "Line 4 has less than that left to credit."
    assert less.value.details == {"position": 4, "field": "lines"}
    with pytest.raises(CreditExceedsLine):
        credit(told, left_minor=5000, wanted={2: None})
    with pytest.raises(NothingToCredit) as nothing:
        credit([], left_minor=5000)
    assert nothing.value.message == "These lines come to nothing that could be credited."
    with pytest.raises(CreditExceedsInvoice) as much:
        credit(told, left_minor=4999)
    assert much.value.message == "This is more than is left of the invoice."


def test_all_of_an_invoice_is_all_that_is_left_line_by_line() -> None:
    told = [
        Creditable(2, 1000, 200, False, credited_minor=400, credited_tax_minor=80),
        Creditable(1, 1200, 200, True),
        Creditable(3, 500, 100, False, credited_minor=500, credited_tax_minor=100),
    ]
    first, second = credit(told, left_minor=600 + 120 + 1200)
    assert (first.position, first.amount_minor, first.tax_minor) == (1, 1200, 200)
    assert (first.tax_included, first.net_minor) == (True, 1000)
    assert (second.position, second.amount_minor, second.tax_minor) == (2, 600, 120)
    assert (second.tax_included, second.net_minor) == (False, 600)


def test_one_minor_unit_can_be_credited() -> None:
    (line,) = credit([Creditable(1, 1, 0, False)], left_minor=1)
    assert line.amount_minor == 1


def test_the_tax_of_a_part_is_rounded_half_to_even() -> None:
    for amount, tax in ((1, 0), (3, 2), (5, 2), (7, 4)):
        (line,) = credit([Creditable(1, 100, 50, False)], left_minor=1000, wanted={1: amount})
        assert line.tax_minor == tax
