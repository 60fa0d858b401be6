"""Coupons: a share, or an amount, of all that a service period comes to, over any number of invoices."""

from collections.abc import Sequence
from dataclasses import replace
from decimal import Decimal

import pytest

from billing.invoicing.assembly import assemble, total_minor
from billing.invoicing.books import BilledPart, Discount, Life, LineDraft, PeriodBooks
from billing.invoicing.errors import AmountOutOfBounds
from billing.kernel.money import AMOUNT_MAX_MINOR
from billing.kernel.periods import Span
from tests.unit.invoicing.test_assembly import CASES, PRO, TEAM, books, charge, day, month
from tests.unit.invoicing.test_minimum import carried, on

ALONE = on((TEAM, day(1, 1), None))


def coupon(
    percent: str | None = None,
    amount: int | None = None,
    *,
    first: int = 4,
    last: int | None = None,
    name: str = "Spring",
) -> Discount:
    share = None if percent is None else Decimal(percent)
    return Discount("SPRING", name, share, amount, first, last, day(4, 1))


def off(made: PeriodBooks) -> list[LineDraft]:
    return [line for line in assemble(made) if line.charge == "discount"]


def made(*discounts: Discount, **fields: object) -> PeriodBooks:
    return books(discounts=discounts, stretches=ALONE, **fields)  # type: ignore[arg-type]


def amounts(lines: Sequence[LineDraft]) -> list[int]:
    return [line.amount_minor for line in lines]


def test_a_share_is_taken_off_fees_and_use_alike() -> None:
    spring = made(coupon("10"), charges=(charge("3", "0.2", meter=CASES),))
    (line,) = off(spring)
    # 49.00 and 6.00 and 2.00
    assert (line.amount_minor, line.quantity, line.rate, line.per) == (-570, -1, Decimal("5.7"), 1)
    assert line.description == "Spring, 10 per cent off, 1 Apr 2026 – 30 Apr 2026"
    assert (line.starts_at, line.ends_at) == (day(4, 1), day(5, 1))
    assert (line.plan_code, line.plan_id, line.meter_id) == ("team", TEAM.id, None)
    assert line.details == {
        "unit": "period",
        "coupon": "SPRING",
        "of": "57.00",
        "percent": "10",
        "plan": "team v2",
        "quantity": "-1",
        "rate": "5.7",
        "per": "1",
        "unrounded": "-5.7",
    }


@pytest.mark.parametrize(
    ("percent", "expected"),
    [("0.01", []), ("0.0102", []), ("0.0103", [-1]), ("0.0306", [-1]), ("0.0307", [-2]), ("100", [-4900])],
)
def test_a_share_is_rounded_once_half_to_even(percent: str, expected: list[int]) -> None:
    assert amounts(off(made(coupon(percent)))) == expected


def test_exactly_half_a_minor_unit_goes_to_the_even_neighbour() -> None:
    for fee, expected in ((5, []), (15, [-2]), (25, [-2]), (35, [-4])):
        stretches = on((replace(TEAM, base_fee_minor=fee), day(1, 1), None))
        assert amounts(off(books(discounts=(coupon("10"),), stretches=stretches))) == expected


def test_an_amount_is_taken_off_but_never_more_than_all() -> None:
    (line,) = off(made(coupon(amount=1000)))
    assert line.amount_minor == -1000
    assert line.description == "Spring, 10.00 USD off, 1 Apr 2026 – 30 Apr 2026"
    assert line.details["of"] == "49.00"
    assert "percent" not in line.details
    for amount, expected in ((4899, -4899), (4900, -4900), (4901, -4900), (999999, -4900)):
        lines = assemble(made(coupon(amount=amount)))
        assert amounts(lines) == [4900, expected]
        assert total_minor(lines, "USD") >= 0


def test_it_counts_from_its_first_period_to_its_last() -> None:
    for first, last, expected in ((4, 4, [-490]), (3, 5, [-490]), (5, None, []), (3, 3, []), (4, None, [-490])):
        assert amounts(off(made(coupon("10", first=first, last=last)))) == expected


def test_there_is_nothing_to_take_off_nothing() -> None:
    free = on((replace(TEAM, base_fee_minor=0), day(1, 1), None))
    for each in (coupon("10"), coupon(amount=500)):
        assert off(books(discounts=(each,), stretches=free)) == []
    assert off(made(coupon(amount=0))) == []


def test_the_next_periods_fee_in_advance_has_its_own() -> None:
    ahead = Life(month(5), month(5).span, False, on((replace(TEAM, in_advance=True), day(1, 1), None)))
    lines = off(made(coupon("10", first=5), ahead=ahead))
    assert [(line.amount_minor, line.starts_at) for line in lines] == [(-490, day(5, 1))]
    both = off(made(coupon("10"), ahead=ahead))
    assert [(line.amount_minor, line.starts_at) for line in both] == [(-490, day(4, 1)), (-490, day(5, 1))]


def late_in_april(*parts: BilledPart, overage: str = "5", **fields: object) -> PeriodBooks:
    """April's invoice with late use of March, of which ``parts`` are billed."""
    march = month(3)
    return made(
        coupon("10", first=3, last=3),
        charges=(charge(overage, meter=CASES, service=march),),
        late=(Life(march, march.span, False, ALONE, is_invoiced=True),),
        billed=parts,
        **fields,
    )


def test_late_use_gets_the_share_of_its_own_period() -> None:
    first = assemble(made(coupon("10", first=3, last=3), period=month(3)))
    (line,) = off(late_in_april(*carried(first, 3)))
    assert (line.amount_minor, line.starts_at, line.ends_at) == (-100, day(3, 1), day(4, 1))
    assert line.description == "Spring, 10 per cent off, reported late, 1 Mar 2026 – 31 Mar 2026"
    assert (line.details["of"], line.details["billed_quantity"], line.details["billed_amount"]) == (
        "59.00",
        "-1",
        "-4.90",
    )


def test_parts_of_a_period_come_to_the_share_of_the_whole() -> None:
    # 10 per cent of 49.05 is 4.90, of 49.15 4.92: each invoice adds what is missing to the rounded whole.
    first = assemble(made(coupon("10", first=3, last=3), period=month(3)))
    second = assemble(late_in_april(*carried(first, 3), overage="0.025"))
    in_march = [line for line in second if line.starts_at < day(4, 1)]
    assert amounts(in_march) == [5]
    parts = carried([*first, *in_march], 3)
    summed: dict[str, BilledPart] = {}
    for part in parts:
        before = summed.get(part.charge)
        summed[part.charge] = (
            part
            if before is None
            else replace(
                part, quantity=part.quantity + before.quantity, amount_minor=part.amount_minor + before.amount_minor
            )
        )
    third = assemble(late_in_april(*summed.values(), overage="0.05"))
    assert amounts([line for line in third if line.starts_at < day(4, 1)]) == [10, -2]


def test_a_discount_that_has_become_smaller_is_taken_back() -> None:
    billed = (
        BilledPart(4, "overage", "team", 2, "cases", 0, Decimal(5), 1000),
        BilledPart(4, "discount", "team", 2, None, 0, Decimal(-1), -1000),
    )
    (line,) = off(made(coupon("10"), billed=billed))
    # 10 per cent of 49.00 and 10.00 is 5.90, and 10.00 were taken off.
    assert (line.amount_minor, line.quantity, line.rate) == (410, 1, Decimal("4.1"))
    assert line.description == "Spring, 10 per cent off, taken back, 1 Apr 2026 – 30 Apr 2026"
    assert line.details["unrounded"] == "4.1"
    (least,) = off(made(coupon("10"), billed=(billed[0], replace(billed[1], amount_minor=-591))))
    assert (least.amount_minor, least.quantity) == (1, 1)
    assert ", taken back" in least.description


def test_what_other_periods_come_to_is_theirs() -> None:
    other = BilledPart(3, "base", "team", 2, None, 0, Decimal(1), 100000)
    assert amounts(off(made(coupon("10"), billed=(other,)))) == [-490]


def test_several_share_what_there_is_each_of_the_whole() -> None:
    lines = off(made(coupon("10"), coupon("50", name="Loyal")))
    assert [(line.description.partition(",")[0], line.amount_minor) for line in lines] == [
        ("Spring", -490),
        ("Loyal", -2450),
    ]


def test_it_stands_under_the_last_plan_of_the_period() -> None:
    change = day(4, 11)
    both = on((PRO, change, None), (TEAM, day(1, 1), change))
    (line,) = off(books(discounts=(coupon("10"),), stretches=both))
    assert line.plan_code == "pro"


def test_a_period_never_lived_in_bears_it_under_the_plan_that_it_gives_back() -> None:
    given_back = (
        BilledPart(4, "discount", "team", 2, None, 0, Decimal(-1), -490),
        BilledPart(4, "base", "pro", 1, None, 0, Decimal(1), 0),
    )
    never = books(
        discounts=(coupon("10"),),
        stretches=ALONE,
        served=Span(day(4, 1), day(4, 1)),
        billed=given_back,
        plans={("team", 2): TEAM, ("pro", 1): PRO},
    )
    gone = replace(never, stretches=())
    (line,) = off(gone)
    assert (line.plan_code, line.amount_minor) == ("team", 490)
    # No instant of it was lived, so it names the period that it is of.
    assert (line.starts_at, line.ends_at) == (day(4, 1), day(5, 1))
    assert line.description == "Spring, 10 per cent off, taken back, 1 Apr 2026 – 30 Apr 2026"


def test_a_part_that_was_lived_is_what_its_line_is_of() -> None:
    (line,) = off(made(coupon("10"), served=Span(day(4, 1), day(4, 16))))
    assert (line.starts_at, line.ends_at, line.amount_minor) == (day(4, 1), day(4, 16), -245)


def test_one_minor_unit_is_the_least_there_is_to_take_off() -> None:
    for fee, expected in ((0, []), (1, [-1])):
        stretches = on((replace(TEAM, base_fee_minor=fee), day(1, 1), None))
        for each in (coupon("100"), coupon(amount=1)):
            assert amounts(off(books(discounts=(each,), stretches=stretches))) == expected


def test_what_was_given_back_has_no_discount() -> None:
    back = BilledPart(4, "overage", "team", 2, "cases", 0, Decimal(-30), -6000)
    assert off(made(coupon("10"), billed=(back,))) == []


def test_a_discount_beyond_what_an_invoice_may_carry_is_refused() -> None:
    most = replace(TEAM, base_fee_minor=AMOUNT_MAX_MINOR)
    change = day(4, 16)
    stretches = on((most, day(1, 1), change), (most, change, None))
    billed = BilledPart(4, "overage", "team", 2, "cases", 0, Decimal(1), 100)
    assert amounts(off(books(discounts=(coupon("100"),), stretches=stretches))) == [-AMOUNT_MAX_MINOR]
    with pytest.raises(AmountOutOfBounds) as caught:
        assemble(books(discounts=(coupon("100"),), stretches=stretches, billed=(billed,)))
    assert caught.value.message == "-90000000001.00 USD is more than one invoice may carry."
