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
