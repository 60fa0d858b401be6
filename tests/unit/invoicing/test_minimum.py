"""The minimum charge: what fees and use miss to it, shared out as the base fee is, and given back to late use."""

from dataclasses import replace
from datetime import datetime
from decimal import Decimal

import pytest

from billing.invoicing.assembly import assemble, total_minor
from billing.invoicing.books import BilledPart, Life, LineDraft, PeriodBooks, PlanStretch
from billing.invoicing.errors import AmountOutOfBounds
from billing.kernel.money import AMOUNT_MAX_MINOR
from billing.kernel.periods import Span
from tests.unit.invoicing.test_assembly import CASES, PRO, TEAM, books, charge, day, month

# 49.00 and 60.00; a case beyond the limit costs 2.00, a credit 10.00.
PLAN = replace(TEAM, minimum_minor=6000)
DEAR = replace(PRO, minimum_minor=12000)


def on(*stretches: tuple[object, datetime, datetime | None]) -> tuple[PlanStretch, ...]:
    return tuple(PlanStretch(terms, start, end) for terms, start, end in stretches)  # type: ignore[arg-type]


def minimum_lines(made: PeriodBooks) -> list[LineDraft]:
    return [line for line in assemble(made) if line.charge == "minimum"]


ALONE = on((PLAN, day(1, 1), None))


@pytest.mark.parametrize(
    ("overage", "deficit", "missing"),
    [
        ("0", "0", 1100),
        ("5", "0", 100),
        ("5.495", "0", 1),
        ("5.5", "0", 0),
        ("5.505", "0", 0),
        ("0", "1.1", 0),
        ("3", "0.5", 0),
        ("3", "0.49", 10),
    ],
)
def test_fees_and_use_are_brought_up_to_the_minimum(overage: str, deficit: str, missing: int) -> None:
    made = books(charge(overage, deficit, meter=CASES, terms=PLAN), stretches=ALONE)
    assert [(line.amount_minor, line.quantity) for line in minimum_lines(made)] == ([(missing, 1)] if missing else [])
    assert total_minor(assemble(made), "USD") >= 6000


def test_the_line_explains_itself() -> None:
    (line,) = minimum_lines(books(charge("3", meter=CASES, terms=PLAN), stretches=ALONE))
    assert line.description == "Team, minimum charge of 60.00 USD, 1 Apr 2026 – 30 Apr 2026"
    assert (line.quantity, line.rate, line.per, line.amount_minor) == (1, Decimal(5), 1, 500)
    assert line.details == {
        "unit": "period",
        "minimum": "60.00",
        "reached": "55.00",
        "seconds": str(30 * 86400),
        "of_seconds": str(30 * 86400),
        "plan": "team v2",
        "quantity": "1",
        "rate": "5",
        "per": "1",
        "unrounded": "5",
    }


def test_a_period_cut_short_owes_its_share() -> None:
    half = month(4, ends_at=day(4, 16))
    (line,) = minimum_lines(books(period=half, stretches=ALONE))
    # 30.00 of minimum, 24.50 of fee.
    assert line.amount_minor == 550
    served = books(served=Span(day(4, 1), day(4, 16)), stretches=ALONE)
    assert [each.amount_minor for each in minimum_lines(served)] == [550]


def test_a_plan_change_shares_it_out_and_all_plans_fill_it_together() -> None:
    change = day(4, 11)
    both = on((PLAN, day(1, 1), change), (DEAR, change, None))
    # A third of 60 and two of 120 are 100.00; the fees are 16.33 and 66.00.
    (line,) = minimum_lines(books(stretches=both))
    assert (line.amount_minor, line.plan_code) == (10000 - 1633 - 6600, "pro")
    assert (line.starts_at, line.ends_at) == (day(4, 1), day(5, 1))
    assert minimum_lines(books(charge("9", meter=CASES, terms=PLAN), stretches=both)) == []
    # One plan without a minimum: the other's share remains, and the fee of both fills it.
    one = on((TEAM, day(1, 1), change), (DEAR, change, None))
    assert minimum_lines(books(stretches=one)) == []
    away = on((PLAN, day(1, 1), change), (replace(PRO, base_fee_minor=0), change, None))
    assert [(each.amount_minor, each.plan_code) for each in minimum_lines(books(stretches=away))] == [(367, "team")]


def test_shares_are_added_before_the_one_rounding() -> None:
    third = replace(TEAM, base_fee_minor=0, minimum_minor=100)
    thirds = on((third, day(1, 1), day(4, 11)), (third, day(4, 11), day(4, 21)), (third, day(4, 21), None))
    assert [line.amount_minor for line in minimum_lines(books(stretches=thirds))] == [100]


def test_a_pause_and_a_trial_owe_none() -> None:
    paused = (PlanStretch(PLAN, day(1, 1), day(4, 16)), PlanStretch(PLAN, day(4, 16), None, is_paused=True))
    assert [line.amount_minor for line in minimum_lines(books(stretches=paused))] == [550]
    assert minimum_lines(books(charge("1", meter=CASES, terms=PLAN), stretches=ALONE, is_trial=True)) == []
    never = books(served=Span(day(4, 1), day(4, 1)), stretches=on((PLAN, day(1, 1), day(4, 1))))
    assert minimum_lines(never) == []


def test_late_use_of_another_period_does_not_fill_it() -> None:
    late = charge("100", meter=CASES, terms=PLAN, service=month(3))
    assert [line.amount_minor for line in minimum_lines(books(late, stretches=ALONE))] == [1100]


def carried(lines: list[LineDraft] | tuple[LineDraft, ...], ordinal: int) -> tuple[BilledPart, ...]:
    return tuple(
        BilledPart(
            ordinal,
            line.charge,
            line.plan_code,
            line.plan_version,
            line.meter_id,
            int(line.details.get("tier", "0")),
            line.quantity,
            line.amount_minor,
        )
        for line in lines
    )


@pytest.mark.parametrize(
    ("late", "given_back"), [("1", -200), ("5.495", -1099), ("5.5", -1100), ("5.505", -1100), ("50", -1100)]
)
def test_late_use_fills_the_minimum_that_was_billed(late: str, given_back: int) -> None:
    march = month(3)
    first = assemble(books(period=march, stretches=ALONE))
    april = books(
        charge(late, meter=CASES, terms=PLAN, service=march),
        stretches=on((TEAM, day(4, 1), None)),
        late=(Life(march, march.span, False, ALONE, is_invoiced=True),),
        billed=carried(first, 3),
    )
    (line,) = minimum_lines(april)
    assert (line.amount_minor, line.quantity, line.starts_at) == (given_back, -1, day(3, 1))
    assert line.quantity * line.rate == Decimal(given_back) / 100
    assert line.description == (
        "Team, minimum charge of 60.00 USD, given back, reported late, 1 Mar 2026 – 31 Mar 2026"
    )
    used = sum(each.amount_minor for each in assemble(april) if each.charge == "overage")
    assert total_minor(first, "USD") + used + given_back == max(6000, 4900 + used)
    assert (line.details["billed_quantity"], line.details["billed_amount"]) == ("1", "11.00")


def test_late_use_of_a_period_that_has_no_invoice_out_leaves_the_minimum_to_it() -> None:
    march = month(3)
    april = books(
        charge("1", meter=CASES, terms=PLAN, service=march),
        stretches=on((TEAM, day(4, 1), None)),
        late=(Life(march, march.span, False, ALONE),),
    )
    assert minimum_lines(april) == []
    # Drafted anew, March counts what April's invoice carries of it.
    again = books(
        period=march,
        stretches=ALONE,
        billed=carried([each for each in assemble(april) if each.starts_at < day(4, 1)], 3),
    )
    assert [line.amount_minor for line in minimum_lines(again)] == [900]


def test_amounts_are_in_the_minor_unit_of_the_currency() -> None:
    for currency, amount, rate in (("JPY", 1100, Decimal(1100)), ("KWD", 1100, Decimal("1.1"))):
        (line,) = minimum_lines(books(stretches=ALONE, currency=currency))
        assert (line.amount_minor, line.rate) == (amount, rate)


def test_a_minimum_beyond_what_an_invoice_may_carry_is_refused() -> None:
    absurd = replace(PLAN, minimum_minor=AMOUNT_MAX_MINOR + 1, base_fee_minor=0)
    with pytest.raises(AmountOutOfBounds) as caught:
        minimum_lines(books(stretches=on((absurd, day(1, 1), None))))
    assert caught.value.message == "90000000000.01 USD is more than one invoice may carry."
    most = replace(absurd, minimum_minor=AMOUNT_MAX_MINOR)
    assert minimum_lines(books(stretches=on((most, day(1, 1), None))))[0].amount_minor == AMOUNT_MAX_MINOR
