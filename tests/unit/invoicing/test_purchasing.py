"""The line of an order of credits."""

from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal

import pytest

from billing.invoicing import purchasing
from billing.invoicing.errors import AmountOutOfBounds, PriceMissing
from billing.invoicing.tax import TaxTerms
from tests.unit.invoicing.test_assembly import TEAM

AT = datetime(2026, 4, 3, 9, 30, tzinfo=UTC)
UNTAXED = TaxTerms()


def test_credits_cost_their_rate_and_the_line_says_how() -> None:
    line = purchasing.line(
        credits=Decimal("12.5"),
        terms=replace(TEAM, credit_rate=Decimal("0.333")),
        currency="USD",
        at=AT,
        taxed=TaxTerms("exclusive", Decimal(20), "VAT"),
    )
    assert (line.charge, line.description) == ("purchase", "Team, prepaid credits")
    assert (line.plan_id, line.plan_code, line.plan_version, line.meter_id) == (TEAM.id, "team", 2, None)
    assert (line.starts_at, line.ends_at) == (AT, AT)
    assert (line.quantity, line.rate, line.per) == (Decimal("12.5"), Decimal("0.333"), 1)
    # 4.1625, to the even neighbour.
    assert (line.amount_minor, line.tax_minor, line.tax_rate, line.tax_included) == (416, 83, 20, False)
    assert line.details == {
        "unit": "credit",
        "plan": "team v2",
        "quantity": "12.5",
        "rate": "0.333",
        "per": "1",
        "unrounded": "4.1625",
        "tax_treatment": "exclusive",
        "tax_label": "VAT",
    }


def test_the_amount_is_in_the_minor_unit_of_the_currency() -> None:
    for currency, minor in (("JPY", 25), ("USD", 2500), ("KWD", 25000)):
        line = purchasing.line(credits=Decimal("2.5"), terms=TEAM, currency=currency, at=AT, taxed=UNTAXED)
        assert (line.amount_minor, line.tax_minor) == (minor, 0)
        assert "tax_treatment" not in line.details


def test_a_plan_that_sells_no_credits_is_named() -> None:
    with pytest.raises(PriceMissing) as caught:
        purchasing.line(credits=Decimal(1), terms=replace(TEAM, credit_rate=None), currency="EUR", at=AT, taxed=UNTAXED)
    assert caught.value.message == "Plan team v2 has no price for a credit in EUR."
    assert caught.value.details == {"plan": "team v2"}


def test_no_order_is_larger_than_an_invoice() -> None:
    with pytest.raises(AmountOutOfBounds):
        purchasing.line(credits=Decimal(10**12), terms=TEAM, currency="USD", at=AT, taxed=UNTAXED)


def test_a_long_name_is_cut() -> None:
    line = purchasing.line(
        credits=Decimal(1), terms=replace(TEAM, name="T" * 101), currency="USD", at=AT, taxed=UNTAXED
    )
    assert line.description == "T" * 99 + "…, prepaid credits"
