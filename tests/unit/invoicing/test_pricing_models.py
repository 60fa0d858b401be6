"""Pricing models: what a quantity costs at and around every bound, and that parts add up to the whole."""

from decimal import Decimal
from fractions import Fraction
from itertools import accumulate
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from billing.invoicing import rating
from billing.invoicing.books import OveragePrice
from billing.invoicing.errors import AmountOutOfBounds
from billing.invoicing.rating import Billed, Due, Part
from billing.kernel.errors import InvariantViolation
from billing.kernel.money import AMOUNT_MAX_MINOR
from billing.kernel.pricing import PricingModel, Tier, tiers_of
from tests.support import second_calculator as second
from tests.support.prices import prices

ZERO = Decimal(0)
TIERS = (Tier(Decimal(1000), Decimal("0.50")), Tier(Decimal(5000), Decimal("0.40")), Tier(None, Decimal("0.30")))
WITH_FLATS = (
    Tier(Decimal(1000), Decimal("0.50"), Decimal("1.00")),
    Tier(Decimal(5000), ZERO, Decimal("25.00")),
    Tier(None, Decimal("0.30")),
)


def price(
    model: PricingModel, *, tiers: tuple[Tier, ...] = (), rate: str | None = None, per: str = "1"
) -> OveragePrice:
    return OveragePrice("max_units", ZERO, "never", None if rate is None else Decimal(rate), Decimal(per), model, tiers)


def lines(priced: OveragePrice, quantity: str, currency: str = "USD") -> list[tuple[int, str, Decimal, int]]:
    return [
        (due.part.tier, due.part.charge, due.quantity, due.amount_minor)
        for due in rating.due(priced, Decimal(quantity), billed={}, currency=currency)
    ]


def total(priced: OveragePrice, quantity: str | Decimal, currency: str = "USD") -> int:
    due = rating.due(priced, Decimal(quantity), billed={}, currency=currency)
    return sum(each.amount_minor for each in due)


@pytest.mark.parametrize(
    ("quantity", "expected"),
    [
        ("0.000001", [(1, "overage", Decimal("0.000001"), 0)]),
        ("1", [(1, "overage", 1, 50)]),
        ("999", [(1, "overage", 999, 49950)]),
        ("1000", [(1, "overage", 1000, 50000)]),
        ("1000.5", [(1, "overage", 1000, 50000), (2, "overage", Decimal("0.5"), 20)]),
        ("1001", [(1, "overage", 1000, 50000), (2, "overage", 1, 40)]),
        ("4999", [(1, "overage", 1000, 50000), (2, "overage", 3999, 159960)]),
        ("5000", [(1, "overage", 1000, 50000), (2, "overage", 4000, 160000)]),
        ("5001", [(1, "overage", 1000, 50000), (2, "overage", 4000, 160000), (3, "overage", 1, 30)]),
    ],
)
def test_graduated_prices_each_tiers_units_at_its_own_rate(quantity: str, expected: list[Any]) -> None:
    assert lines(price(PricingModel.GRADUATED, tiers=TIERS), quantity) == expected


@pytest.mark.parametrize(
    ("quantity", "expected"),
    [
        ("1000", [(1, "overage", 1000, 50000), (1, "flat", 1, 100)]),
        (
            "1000.000001",
            [
                (1, "overage", 1000, 50000),
                (1, "flat", 1, 100),
                (2, "overage", Decimal("0.000001"), 0),
                (2, "flat", 1, 2500),
            ],
        ),
        (
            "5001",
            [
                (1, "overage", 1000, 50000),
                (1, "flat", 1, 100),
                (2, "overage", 4000, 0),
                (2, "flat", 1, 2500),
                (3, "overage", 1, 30),
            ],
        ),
    ],
)
def test_graduated_adds_the_flat_fee_of_each_tier_that_is_reached(quantity: str, expected: list[Any]) -> None:
    assert lines(price(PricingModel.GRADUATED, tiers=WITH_FLATS), quantity) == expected


@pytest.mark.parametrize(
    ("quantity", "expected"),
    [
        ("999", [(1, "overage", 999, 49950)]),
        ("1000", [(1, "overage", 1000, 50000)]),
        # One unit more, and all of them are cheaper.
        ("1001", [(2, "overage", 1001, 40040)]),
        ("5000", [(2, "overage", 5000, 200000)]),
        ("5001", [(3, "overage", 5001, 150030)]),
    ],
)
def test_volume_prices_all_units_at_the_rate_of_the_tier_of_the_sum(quantity: str, expected: list[Any]) -> None:
    assert lines(price(PricingModel.VOLUME, tiers=TIERS), quantity) == expected


def test_volume_has_the_flat_fee_of_one_tier_only() -> None:
    assert lines(price(PricingModel.VOLUME, tiers=WITH_FLATS), "1000") == [
        (1, "overage", 1000, 50000),
        (1, "flat", 1, 100),
    ]
    assert lines(price(PricingModel.VOLUME, tiers=WITH_FLATS), "1001") == [
        (2, "overage", 1001, 0),
        (2, "flat", 1, 2500),
    ]


@pytest.mark.parametrize(
    ("quantity", "amount"),
    [
        ("0.000001", 2250),
        ("24", 2250),
        ("25", 2250),
        ("25.000001", 4500),
        ("26", 4500),
        ("50", 4500),
        ("51", 6750),
    ],
)
def test_a_started_package_is_paid_whole(quantity: str, amount: int) -> None:
    assert total(price(PricingModel.PACKAGE, rate="22.50", per="25"), quantity) == amount


def test_packages_of_a_fraction_of_a_unit() -> None:
    tenth = price(PricingModel.PACKAGE, rate="1", per="0.1")
    assert [total(tenth, quantity) for quantity in ("0.1", "0.100001", "0.3")] == [100, 200, 300]


@pytest.mark.parametrize(
    ("currency", "money", "amount"),
    # 2.5 per cent: 25.0025, then exactly half a minor unit beside an even and an odd one.
    [
        ("USD", "1000.10", 2500),
        ("USD", "0.20", 0),
        ("USD", "0.60", 2),
        ("JPY", "100", 2),
        ("JPY", "140", 4),
        ("KWD", "1", 25),
    ],
)
def test_a_percentage_is_a_share_of_money(currency: str, money: str, amount: int) -> None:
    assert total(price(PricingModel.PERCENTAGE, rate="2.5", per="100"), money, currency) == amount


@pytest.mark.parametrize(("currency", "amount"), [("JPY", 367), ("USD", 36670), ("KWD", 366700)])
def test_each_line_is_rounded_in_the_minor_unit_of_its_currency(currency: str, amount: int) -> None:
    third = (Tier(Decimal(1000), Decimal("0.3333")), Tier(None, Decimal("0.3340")))
    # 333.3 and 33.4: 333 + 33 yen, where one rounding of the sum were 367.
    expected = 366 if currency == "JPY" else amount
    assert total(price(PricingModel.GRADUATED, tiers=third), "1100", currency) == expected


def test_rates_are_for_per_units_in_every_tier() -> None:
    per_million = price(PricingModel.GRADUATED, tiers=TIERS, per="1000000")
    assert total(per_million, "5000") == 0
    big = (Tier(Decimal(10**9), Decimal("0.35")), Tier(None, Decimal("0.28")))
    assert total(price(PricingModel.GRADUATED, tiers=big, per="1000000"), "1500000000") == 35000 + 14000


def test_nothing_costs_nothing_and_a_price_without_a_rate_is_a_broken_invariant() -> None:
    assert rating.portions(price(PricingModel.GRADUATED, tiers=WITH_FLATS), ZERO) == ()
    with pytest.raises(InvariantViolation):
        rating.portions(price(PricingModel.PACKAGE), Decimal(1))
    with pytest.raises(AmountOutOfBounds):
        total(price(PricingModel.PACKAGE, rate="1000000000000", per="1"), "1000000")


def test_tiers_are_read_as_they_were_written() -> None:
    assert tiers_of([tier.as_dict() for tier in WITH_FLATS]) == WITH_FLATS


def bill(priced: OveragePrice, parts: list[Decimal], currency: str) -> list[tuple[Due, ...]]:
    """One invoice after the other, each knowing what those before it carry."""
    carried: dict[Part, Billed] = {}
    invoices = []
    for part in parts:
        due = rating.due(priced, part, billed=carried, currency=currency)
        for each in due:
            before = carried.get(each.part, rating.NOTHING)
            carried[each.part] = Billed(before.quantity + each.quantity, before.amount_minor + each.amount_minor)
        invoices.append(due)
    return invoices


quantities = st.lists(
    st.integers(1, 4_000_000_000).map(lambda units: Decimal(units).scaleb(-6)), min_size=1, max_size=5
)


@given(prices(), quantities, st.sampled_from(("JPY", "USD", "KWD")))
@settings(max_examples=300, deadline=None)
def test_parts_add_up_to_the_whole_to_the_minor_unit(priced: Any, parts: list[Decimal], currency: str) -> None:
    product, told = priced
    invoices = bill(product, parts, currency)
    for number, part in enumerate(parts):
        # Units on each invoice are those that it charges, whatever tiers they move between.
        assert sum((due.quantity for due in invoices[number] if due.part.charge == "overage"), ZERO) == part
    for so_far, quantity in enumerate(accumulate(parts), start=1):
        billed = sum(due.amount_minor for invoice in invoices[:so_far] for due in invoice)
        assert billed == total(product, quantity, currency) == second.settled(told, Fraction(quantity), currency)


signed = st.lists(
    st.integers(-4_000_000_000, 4_000_000_000).filter(bool).map(lambda units: Decimal(units).scaleb(-6)),
    min_size=1,
    max_size=6,
)


@given(prices(), signed, st.sampled_from(("JPY", "USD", "KWD")))
@settings(max_examples=300, deadline=None)
def test_parts_that_are_taken_back_leave_the_price_of_what_is_left(
    priced: Any, parts: list[Decimal], currency: str
) -> None:
    product, told = priced
    invoices = bill(product, parts, currency)
    for number, part in enumerate(parts):
        assert sum((due.quantity for due in invoices[number] if due.part.charge == "overage"), ZERO) == part
    for so_far, quantity in enumerate(accumulate(parts), start=1):
        billed = sum(due.amount_minor for invoice in invoices[:so_far] for due in invoice)
        # Taken back before it was billed: no money yet, and what is billed later is less by it.
        left = max(ZERO, quantity)
        assert billed == total(product, left, currency) == second.settled(told, Fraction(left), currency)


def test_all_that_is_taken_back_gives_the_money_back_line_by_line() -> None:
    per_unit = price(PricingModel.PER_UNIT, rate="0.5")
    _, back = bill(per_unit, [Decimal(7), Decimal(-7)], "USD")
    assert [(due.part, due.quantity, due.rate, due.amount_minor) for due in back] == [
        ((0, "overage"), -7, Decimal("0.5"), -350)
    ]
    graduated = price(PricingModel.GRADUATED, tiers=WITH_FLATS)
    _, back = bill(graduated, [Decimal(1100), Decimal(-1100)], "USD")
    assert [(due.part, due.quantity, due.amount_minor) for due in back] == [
        ((1, "overage"), -1000, -50000),
        ((1, "flat"), -1, -100),
        ((2, "overage"), -100, 0),
        ((2, "flat"), -1, -2500),
    ]


@given(st.integers(0, 6_000_000_000), st.integers(0, 6_000_000_000))
@settings(max_examples=200, deadline=None)
def test_graduated_without_flat_fees_is_monotone_and_continuous(one: int, other: int) -> None:
    low, high = sorted(Decimal(units).scaleb(-6) for units in (one, other))
    graduated = price(PricingModel.GRADUATED, tiers=TIERS)
    costs = [sum((part.amount for part in rating.portions(graduated, units)), ZERO) for units in (low, high)]
    assert ZERO <= costs[1] - costs[0] <= (high - low) * Decimal("0.50")


def test_a_tier_that_is_full_has_no_late_line() -> None:
    graduated = price(PricingModel.GRADUATED, tiers=WITH_FLATS)
    first, second_part, third = bill(graduated, [Decimal(600), Decimal(500), Decimal(100)], "USD")
    assert [(due.part, due.quantity, due.amount_minor) for due in first] == [
        ((1, "overage"), 600, 30000),
        ((1, "flat"), 1, 100),
    ]
    assert [(due.part, due.quantity, due.amount_minor) for due in second_part] == [
        ((1, "overage"), 400, 20000),
        ((2, "overage"), 100, 0),
        ((2, "flat"), 1, 2500),
    ]
    assert [(due.part, due.quantity, due.amount_minor) for due in third] == [((2, "overage"), 100, 0)]


def test_late_use_may_lift_all_units_into_a_cheaper_tier() -> None:
    cheaper = (Tier(Decimal(1000), Decimal("0.50"), Decimal("9.00")), Tier(None, Decimal("0.30")))
    _, late = bill(price(PricingModel.VOLUME, tiers=cheaper), [Decimal(900), Decimal(200)], "USD")
    assert [(due.part, due.quantity, due.rate, due.amount_minor) for due in late] == [
        ((1, "overage"), -900, Decimal("0.50"), -45000),
        ((1, "flat"), -1, 9, -900),
        ((2, "overage"), 1100, Decimal("0.30"), 33000),
    ]


def test_a_package_once_started_is_not_paid_again() -> None:
    invoices = bill(price(PricingModel.PACKAGE, rate="10", per="100"), [Decimal(150), Decimal(50), Decimal(1)], "USD")
    assert [[due.amount_minor for due in invoice] for invoice in invoices] == [[2000], [0], [1000]]


def test_halves_of_a_cent_are_not_lost_between_invoices() -> None:
    # Three times 0.005: each alone would round to nothing.
    invoices = bill(price(PricingModel.PER_UNIT, rate="0.005"), [Decimal(1)] * 3, "USD")
    assert [invoice[0].amount_minor for invoice in invoices] == [0, 1, 1]
    assert invoices[2][0].billed == Billed(Decimal(2), 1)
    assert invoices[2][0].unrounded == Decimal("0.005")


def test_packages_are_counted_as_they_are_started() -> None:
    found = [rating.packages(Decimal(units), per=Decimal(25)) for units in ("-30", "-1", "0", "0.000001", "25", "26")]
    assert found == [0, 0, 0, 1, 1, 2]


def test_a_price_without_a_rate_is_named() -> None:
    with pytest.raises(InvariantViolation) as caught:
        rating.portions(price(PricingModel.PACKAGE), Decimal(1))
    assert str(caught.value) == "a package price has no rate"


def test_what_is_given_back_of_a_tier_is_its_units_and_then_its_flat_fee() -> None:
    graduated = price(PricingModel.GRADUATED, tiers=WITH_FLATS)
    billed = {
        Part(2, "flat"): Billed(Decimal(1), 2500),
        Part(1, "flat"): Billed(Decimal(1), 100),
        Part(2, "overage"): Billed(Decimal(100), 0),
        Part(1, "overage"): Billed(Decimal(1000), 50000),
    }
    back = rating.due(graduated, Decimal(-1100), billed=billed, currency="USD")
    assert [due.part for due in back] == [(1, "overage"), (1, "flat"), (2, "overage"), (2, "flat")]


def test_units_taken_back_before_they_are_billed_wait_in_the_first_tier_without_money() -> None:
    for model, tiers, tier in ((PricingModel.GRADUATED, WITH_FLATS, 1), (PricingModel.PER_UNIT, (), 0)):
        (found,) = rating.portions(price(model, tiers=tiers, rate=None if tiers else "0.5"), Decimal(-3))
        assert (found.part, found.quantity, found.rate, found.amount) == ((tier, "overage"), -3, Decimal("0.5"), 0)


def test_a_correction_beyond_what_an_invoice_may_carry_is_refused() -> None:
    most = Billed(Decimal(-1), -AMOUNT_MAX_MINOR)
    (whole,) = rating.linear(Decimal(1), rate=Decimal(1), per=Decimal(1))
    with pytest.raises(AmountOutOfBounds) as caught:
        rating.less(whole, most, currency="USD")
    assert caught.value.message == "90000000001.00 USD is more than one invoice may carry."
