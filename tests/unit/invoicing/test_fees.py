"""Fees in advance: billed before they are lived, and set right by what then happens, to the second."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest

from billing.invoicing import fees, rating
from billing.invoicing.assembly import assemble
from billing.invoicing.books import BilledFee, BilledPart, Life, LineDraft, PeriodBooks, PlanStretch, PlanTerms
from billing.invoicing.errors import PriceMissing
from billing.kernel.errors import InvariantViolation
from billing.kernel.periods import Span
from tests.unit.invoicing.test_assembly import CASES, PRO, TEAM, books, charge, day, month

ADVANCE = replace(TEAM, in_advance=True)
DEAR = replace(PRO, in_advance=True)
PLANS = {(terms.code, terms.version): terms for terms in (ADVANCE, DEAR)}
APRIL, MAY = day(4, 1), day(5, 1)
APRIL_SECONDS = 30 * 86400


def fee_billed(
    amount_minor: int,
    *,
    terms: PlanTerms = ADVANCE,
    starts_at: datetime = APRIL,
    ends_at: datetime = MAY,
    rate: str = "49",
    ordinal: int = 4,
    of_seconds: int = APRIL_SECONDS,
    credited_minor: int = 0,
) -> BilledPart:
    """What an invoice has carried of a base fee, for all of its stretch."""
    seconds = int((ends_at - starts_at).total_seconds())
    fee = BilledFee(starts_at, ends_at, Decimal(rate), seconds, of_seconds)
    identity = (ordinal, "base", terms.code, terms.version, None, 0)
    return BilledPart(*identity, Decimal(1), amount_minor, fee=fee, credited_minor=credited_minor)


WHOLE = fee_billed(4900)


def on(*stretches: tuple[PlanTerms, datetime, datetime | None]) -> tuple[PlanStretch, ...]:
    return tuple(PlanStretch(terms, start, end) for terms, start, end in stretches)


ALONE = on((ADVANCE, day(1, 1), None))


def made(*billed: BilledPart, stretches: tuple[PlanStretch, ...] = ALONE, **fields: object) -> PeriodBooks:
    return books(stretches=stretches, billed=billed, plans=PLANS, **fields)  # type: ignore[arg-type]


def life(number: int, stretches: tuple[PlanStretch, ...] = ALONE) -> Life:
    return Life(month(number), month(number).span, False, stretches)


def base(lines: Sequence[LineDraft]) -> list[LineDraft]:
    return [line for line in lines if line.charge == "base"]


def told(lines: Sequence[LineDraft]) -> list[tuple[str, int]]:
    return [(line.description, line.amount_minor) for line in lines]


def test_the_next_periods_fee_is_on_this_ones_invoice() -> None:
    lines = assemble(made(WHOLE, ahead=life(5)))
    assert told(lines) == [("Team, base fee, 1 May 2026 – 31 May 2026", 4900)]
    assert (lines[0].starts_at, lines[0].ends_at) == (day(5, 1), day(6, 1))


def test_a_plan_in_arrears_is_not_asked_for_ahead() -> None:
    ahead = life(5, on((TEAM, day(1, 1), day(5, 11)), (DEAR, day(5, 11), None)))
    lines = assemble(made(WHOLE, ahead=ahead))
    assert [(line.plan_code, line.starts_at, line.amount_minor) for line in lines] == [
        ("pro", day(5, 11), round(9900 * 21 / 31))
    ]
    assert made(WHOLE, ahead=ahead).is_billable


def test_both_fees_stand_on_the_invoice_of_a_change_to_advance() -> None:
    arrears = on((TEAM, day(1, 1), day(5, 1)))
    lines = assemble(made(stretches=arrears, ahead=life(5, on((ADVANCE, day(5, 1), None)))))
    assert [(line.starts_at.month, line.amount_minor) for line in lines] == [(4, 4900), (5, 4900)]


def test_an_invoice_of_what_is_due_now_leaves_arrears_use_and_minimum_alone() -> None:
    asking = replace(TEAM, minimum_minor=9000)
    stretches = on((asking, day(1, 1), day(4, 11)), (DEAR, day(4, 11), None))
    lines = assemble(made(stretches=stretches, only_advance=True, is_cycle=False))
    assert [(line.plan_code, line.amount_minor) for line in lines] == [("pro", 6600)]


def test_what_was_billed_in_advance_is_not_billed_again() -> None:
    (line,) = assemble(made(WHOLE))
    assert (line.charge, line.amount_minor, line.quantity, line.rate, line.per) == ("base", 0, 0, 49, 1)
    assert line.description == "Team, base fee (billed in advance), 1 Apr 2026 – 30 Apr 2026"
    assert (line.starts_at, line.ends_at) == (day(4, 1), day(5, 1))
    assert line.details == {
        "unit": "period",
        "seconds": "0",
        "of_seconds": str(APRIL_SECONDS),
        "plan": "team v2",
        "quantity": "0",
        "rate": "49",
        "per": "1",
        "unrounded": "0",
    }


def test_an_invoice_that_says_something_does_not_say_that_nothing_is_asked() -> None:
    lines = assemble(made(WHOLE, charges=(charge("2", meter=CASES, terms=ADVANCE),)))
    assert [line.charge for line in lines] == ["overage"]
    assert assemble(made(WHOLE, is_cycle=False)) == ()
    assert assemble(made(WHOLE, only_advance=True)) == ()


def test_the_line_that_says_so_names_the_last_plan() -> None:
    change = day(4, 11)
    both = on((ADVANCE, day(1, 1), change), (DEAR, change, None))
    parts = (
        fee_billed(1633, ends_at=change),
        fee_billed(6600, terms=DEAR, starts_at=change, rate="99"),
    )
    (line,) = assemble(made(*parts, stretches=both))
    assert (line.plan_code, line.starts_at, line.amount_minor) == ("pro", change, 0)
    assert line.rate == 99
    gone = on((ADVANCE, day(1, 1), None), (DEAR, day(5, 1), None))
    (line,) = assemble(made(WHOLE, stretches=gone))
    assert line.plan_code == "team"


def test_a_trial_and_a_period_never_lived_in_need_no_such_line() -> None:
    assert assemble(made(is_trial=True)) == ()
    never = made(served=Span(day(4, 1), day(4, 1)), stretches=on((ADVANCE, day(1, 1), day(4, 1))))
    assert assemble(never) == ()


def test_time_that_was_paid_and_not_lived_is_given_back() -> None:
    change = day(4, 11)
    lines = assemble(made(WHOLE, stretches=on((ADVANCE, day(1, 1), change), (DEAR, change, None))))
    back, more = lines
    assert told(lines) == [
        ("Team, base fee, time not used, 11 Apr 2026 – 30 Apr 2026", 1633 - 4900),
        ("Pro, base fee (part of a period), 11 Apr 2026 – 30 Apr 2026", 6600),
    ]
    assert (back.quantity, back.rate, back.per) == (-20 * 86400, 49, APRIL_SECONDS)
    assert (back.starts_at, back.ends_at) == (day(4, 1), day(5, 1))
    assert (back.details["seconds"], back.details["of_seconds"]) == (str(-20 * 86400), str(APRIL_SECONDS))
    assert back.details["unit"] == more.details["unit"] == "second"
    assert (back.details["billed_quantity"], back.details["billed_amount"]) == (str(APRIL_SECONDS), "49.00")
    # 49 × 10 ÷ 30 less 49, before the rounding of what is owed.
    assert back.details["unrounded"] == "-32.666666666667"


def test_time_that_was_lived_and_not_paid_is_asked_for() -> None:
    part = fee_billed(1633, ends_at=day(4, 11))
    (line,) = base(assemble(made(part)))
    assert told([line]) == [("Team, base fee, more time, 11 Apr 2026 – 30 Apr 2026", 4900 - 1633)]
    assert (line.quantity, line.details["seconds"]) == (20 * 86400, str(20 * 86400))
    assert (line.starts_at, line.ends_at) == (day(4, 1), day(5, 1))


def test_a_stretch_that_never_came_about_is_given_back_whole() -> None:
    change = day(4, 11)
    billed = fee_billed(6600, terms=DEAR, starts_at=change, rate="99")
    (line,) = base(assemble(made(WHOLE, billed)))
    assert told([line]) == [("Pro, base fee, time not used, 11 Apr 2026 – 30 Apr 2026", -6600)]
    assert (line.plan_id, line.quantity) == (DEAR.id, -20 * 86400)
    assert (line.starts_at, line.ends_at) == (change, day(5, 1))


def test_what_never_came_about_is_given_back_in_the_order_of_plans_and_time() -> None:
    billed = [
        fee_billed(100, terms=terms, starts_at=start, ends_at=start + timedelta(days=1), rate="1")
        for terms, start in ((DEAR, day(4, 3)), (ADVANCE, day(4, 9)), (ADVANCE, day(4, 2)))
    ]
    lines = base(assemble(made(WHOLE, *billed)))
    assert [(line.plan_code, line.starts_at.day) for line in lines] == [("pro", 3), ("team", 2), ("team", 9)]


def test_a_period_that_was_never_lived_in_gives_its_fee_back() -> None:
    never = made(WHOLE, served=Span(day(4, 1), day(4, 1)), stretches=on((ADVANCE, day(1, 1), day(4, 1))))
    assert [line.amount_minor for line in assemble(never)] == [-4900]
    assert never.is_billable
    lived = replace(never, billed=(replace(WHOLE, ordinal=3),))
    assert not lived.is_billable
    nothing = replace(never, billed=(replace(WHOLE, fee=replace(WHOLE.fee, seconds=0)),))  # type: ignore[type-var]
    assert not nothing.is_billable


def test_what_a_credit_note_took_back_is_not_given_back_again() -> None:
    never = made(served=Span(day(4, 1), day(4, 1)), stretches=on((ADVANCE, day(1, 1), day(4, 1))))
    for credited, expected in ((0, -4900), (900, -4000), (4900, 0), (6000, 0), (-5, -4900)):
        (line,) = assemble(replace(never, billed=(replace(WHOLE, credited_minor=credited),)))
        assert line.amount_minor == expected


def test_another_price_or_length_is_another_fee() -> None:
    # Billed as a whole of 31 days, at 48.00: neither is the fee that is owed.
    longer = fee_billed(4742, of_seconds=31 * 86400)
    cheaper = fee_billed(4800, rate="48")
    for billed, amount in ((longer, -4742), (cheaper, -4800)):
        assert sorted(line.amount_minor for line in base(assemble(made(billed)))) == [amount, 4900]


def test_fees_of_other_periods_are_not_this_ones() -> None:
    (line,) = base(assemble(made(fee_billed(4900, ordinal=3))))
    assert line.amount_minor == 4900
    assert line.description == "Team, base fee, 1 Apr 2026 – 30 Apr 2026"


def test_what_is_no_fee_is_no_fee() -> None:
    overage = BilledPart(4, "overage", "team", 2, "cases", 0, Decimal(3), 600)
    (line,) = base(assemble(made(overage)))
    assert line.amount_minor == 4900


def test_a_pause_costs_nothing_and_says_so() -> None:
    change = day(4, 11)
    stretches = (*on((ADVANCE, day(1, 1), change)), PlanStretch(ADVANCE, change, None, is_paused=True))
    lines = assemble(made(stretches=stretches))
    assert told(lines) == [
        ("Team, base fee (part of a period), 1 Apr 2026 – 10 Apr 2026", 1633),
        ("Team, paused (part of a period), 11 Apr 2026 – 30 Apr 2026", 0),
    ]


def test_the_fee_of_a_trial_is_neither_asked_nor_set_right() -> None:
    assert assemble(made(WHOLE, is_trial=True)) == ()


def test_a_plan_without_a_price_is_refused_with_its_name() -> None:
    unpriced = replace(ADVANCE, base_fee_minor=None)
    with pytest.raises(PriceMissing) as caught:
        assemble(made(stretches=on((unpriced, day(1, 1), None))))
    assert caught.value.message == "Plan team v2 has no base fee in USD."
    assert caught.value.details == {"plan": "team v2"}


def test_a_hole_between_plans_is_told_in_seconds() -> None:
    with pytest.raises(InvariantViolation) as caught:
        assemble(made(stretches=on((ADVANCE, day(4, 2), None))))
    assert str(caught.value) == f"plans cover {29 * 86400} of {30 * 86400} s of a period"
    # A period to come may yet get its plans.
    assert assemble(made(stretches=on((ADVANCE, day(4, 2), None)), only_advance=True)) != ()


def test_stretches_are_billed_in_order_of_time() -> None:
    change = day(4, 11)
    stretches = on((DEAR, change, None), (ADVANCE, day(1, 1), change))
    assert [line.plan_code for line in assemble(made(stretches=stretches))] == ["team", "pro"]


def test_a_stretch_outside_of_the_period_costs_nothing() -> None:
    stretches = on((DEAR, day(1, 1), day(2, 1)), (ADVANCE, day(2, 1), day(5, 1)), (DEAR, day(5, 1), None))
    assert [line.plan_code for line in assemble(made(stretches=stretches))] == ["team"]


def test_an_amount_that_was_billed_otherwise_is_set_right() -> None:
    (line,) = base(assemble(made(fee_billed(4899))))
    assert (line.amount_minor, line.quantity) == (1, 0)
    assert line.description.startswith("Team, base fee, more time")
    assert (line.details["seconds"], line.starts_at, line.ends_at) == ("0", day(4, 1), day(5, 1))


def test_every_fee_is_of_the_base_and_says_the_time_that_it_is_of() -> None:
    change = day(4, 11)
    both = made(WHOLE, stretches=on((ADVANCE, day(1, 1), change), (DEAR, change, None)))
    back, more = fees.fees(both, both.life, only_advance=False)
    assert (back.span, back.said) == (Span(day(4, 1), day(5, 1)), Span(change, day(5, 1)))
    assert (more.span, more.said) == (Span(change, day(5, 1)),) * 2
    (nothing,) = fees.nothing_more(made(WHOLE))
    assert (nothing.span, nothing.said) == (Span(day(4, 1), day(5, 1)),) * 2
    assert {fee.due.part.charge for fee in (back, more)} == {"overage"}
    assert nothing.due.part == (0, "base")
    assert nothing.due.billed == rating.NOTHING


@pytest.mark.parametrize(
    ("fields", "is_billable"),
    [
        ({}, True),
        ({"is_trial": True}, False),
        ({"served": Span(APRIL, APRIL)}, False),
        ({"is_trial": True, "charges": (charge("1"),)}, True),
        ({"is_trial": True, "charges": (charge("0", "1"),)}, True),
        ({"is_trial": True, "charges": (charge("0", "0"),)}, False),
        ({"is_trial": True, "ahead": life(5)}, True),
        ({"is_trial": True, "ahead": life(5, on((TEAM, day(1, 1), None)))}, False),
        ({"is_trial": True, "ahead": life(5, on((TEAM, day(1, 1), MAY), (DEAR, MAY, None)))}, True),
        ({"is_trial": True, "billed": (WHOLE,)}, True),
        ({"is_trial": True, "billed": (fee_billed(4900, ordinal=3),)}, False),
        ({"is_trial": True, "billed": (replace(WHOLE, fee=None),)}, False),
    ],
)
def test_which_periods_get_an_invoice(fields: dict[str, Any], is_billable: bool) -> None:
    assert books(stretches=ALONE, plans=PLANS, **fields).is_billable is is_billable
