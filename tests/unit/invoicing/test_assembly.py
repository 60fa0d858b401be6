"""Lines from the books: what is billed, in which order, and in which words."""

import uuid
from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal, localcontext
from itertools import pairwise
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from billing.invoicing.assembly import assemble, total_minor
from billing.invoicing.books import (
    BilledPart,
    Charge,
    Discount,
    Life,
    MeterLabel,
    OveragePrice,
    PeriodBooks,
    PlanStretch,
    PlanTerms,
    ServicePeriod,
)
from billing.invoicing.errors import AmountOutOfBounds, PriceMissing
from billing.kernel.errors import InvariantViolation
from billing.kernel.periods import Span
from billing.kernel.pricing import PricingModel, Tier

ONE = Decimal(1)


def day(month: int, number: int, hour: int = 0) -> datetime:
    return datetime(2026, month, number, hour, tzinfo=UTC)


def month(number: int, *, ends_at: datetime | None = None) -> ServicePeriod:
    return ServicePeriod(number, day(number, 1), ends_at or day(number + 1, 1), day(number + 1, 1))


TOKENS = MeterLabel("tokens", "Tokens", "token")
CASES = MeterLabel("cases", "Cases", "case")
TEAM = PlanTerms(
    id=uuid.uuid4(),
    code="team",
    version=2,
    name="Team",
    base_fee_minor=4900,
    credit_rate=Decimal("10"),
    overage={
        "tokens": OveragePrice("max_tokens", Decimal("15000000"), "billing_period", Decimal("0.5"), Decimal(1000000)),
        "cases": OveragePrice("max_cases", Decimal("10"), "billing_period", Decimal("2"), Decimal(1)),
    },
)
PRO = replace(TEAM, id=uuid.uuid4(), code="pro", version=1, name="Pro", base_fee_minor=9900)


def books(
    *charges: Charge, period: ServicePeriod | None = None, stretches: tuple[PlanStretch, ...] = (), **fields: object
) -> PeriodBooks:
    period = period or month(4)
    made = PeriodBooks(
        currency="USD",
        zone=ZoneInfo("UTC"),
        period=period,
        served=period.span,
        is_trial=False,
        stretches=stretches or (PlanStretch(TEAM, day(1, 1), None),),
        charges=charges,
    )
    return replace(made, **fields)  # type: ignore[arg-type]


def charge(
    overage: str = "0",
    deficit: str = "0",
    *,
    meter: MeterLabel = TOKENS,
    service: ServicePeriod | None = None,
    terms: PlanTerms = TEAM,
) -> Charge:
    return Charge(service or month(4), terms, meter, Decimal(overage), Decimal(deficit))


def test_a_whole_period_costs_the_whole_fee_in_one_line() -> None:
    (line,) = assemble(books())
    assert (line.plan_id, line.plan_code, line.plan_version, line.meter_id) == (TEAM.id, "team", 2, None)
    assert (line.charge, line.amount_minor, line.quantity, line.per) == ("base", 4900, ONE, ONE)
    assert line.description == "Team, base fee, 1 Apr 2026 – 30 Apr 2026"
    assert line.details == {
        "unit": "period",
        "seconds": str(30 * 86400),
        "of_seconds": str(30 * 86400),
        "plan": "team v2",
        "quantity": "1",
        "rate": "49",
        "per": "1",
        "unrounded": "49",
    }


def test_a_plan_change_shares_the_period_out_to_the_second() -> None:
    change = day(4, 11, 12)
    lines = assemble(books(stretches=(PlanStretch(TEAM, day(1, 1), change), PlanStretch(PRO, change, None))))
    assert [(line.plan_code, line.starts_at, line.ends_at) for line in lines] == [
        ("team", day(4, 1), change),
        ("pro", change, day(5, 1)),
    ]
    assert [line.quantity for line in lines] == [10.5 * 86400, 19.5 * 86400]
    # 49 × 10.5 ÷ 30 = 17.15; 99 × 19.5 ÷ 30 = 64.35
    assert [line.amount_minor for line in lines] == [1715, 6435]
    assert lines[0].description == "Team, base fee (part of a period), 1 Apr 2026 – 11 Apr 2026"
    for line in lines:
        assert line.details["of_seconds"] == str(30 * 86400)
        assert line.quantity * line.rate / line.per == Decimal(line.amount_minor) / 100


def test_a_period_cut_short_is_billed_by_its_nominal_length() -> None:
    (line,) = assemble(books(period=month(4, ends_at=day(4, 16))))
    assert line.amount_minor == 2450
    assert (line.details["seconds"], line.details["of_seconds"]) == (str(15 * 86400), str(30 * 86400))


def test_parts_tile_in_seconds_and_each_is_rounded_on_its_own() -> None:
    thirds = (day(4, 1), day(4, 11), day(4, 21), day(5, 1))
    fee = replace(TEAM, base_fee_minor=100)
    stretches = tuple(PlanStretch(fee, start, end) for start, end in pairwise(thirds))
    lines = assemble(books(stretches=stretches))
    assert sum(int(line.details["seconds"]) for line in lines) == 30 * 86400
    assert [line.amount_minor for line in lines] == [33, 33, 33]
    # Documented: the rounded parts may differ from the whole by less than half a minor unit each.
    assert abs(total_minor(lines, "USD") - 100) <= len(lines) / 2


def test_a_fee_of_zero_has_a_line_and_no_price_has_none() -> None:
    (line,) = assemble(books(stretches=(PlanStretch(replace(TEAM, base_fee_minor=0), day(1, 1), None),)))
    assert (line.charge, line.amount_minor) == ("base", 0)
    with pytest.raises(PriceMissing):
        assemble(books(stretches=(PlanStretch(replace(TEAM, base_fee_minor=None), day(1, 1), None),)))


def test_plans_that_leave_a_hole_in_the_period_are_a_broken_invariant() -> None:
    with pytest.raises(InvariantViolation):
        assemble(books(stretches=(PlanStretch(TEAM, day(4, 2), None),)))
    with pytest.raises(InvariantViolation):
        assemble(books(stretches=(PlanStretch(TEAM, day(4, 1), None), PlanStretch(PRO, day(4, 20), None))))


def test_a_trial_costs_no_base_fee() -> None:
    trial = books(is_trial=True)
    assert assemble(trial) == ()
    assert not trial.is_billable
    used = books(charge("1", meter=CASES), is_trial=True)
    assert used.is_billable
    assert [line.charge for line in assemble(used)] == ["overage"]


def test_a_period_that_was_never_lived_in_has_no_lines() -> None:
    ended = books(served=Span(day(4, 1), day(4, 1)), stretches=(PlanStretch(TEAM, day(1, 1), day(4, 1)),))
    assert assemble(ended) == ()
    assert not ended.is_billable


def test_overage_lines_explain_their_amount() -> None:
    line = assemble(books(charge("3059974")))[1]
    assert (line.charge, line.meter_id, line.amount_minor) == ("overage", "tokens", 153)
    assert line.description == "Tokens beyond the included 15000000, 1 Apr 2026 – 30 Apr 2026"
    assert line.details == {
        "plan": "team v2",
        "entitlement": "max_tokens",
        "included": "15000000",
        "cadence": "billing_period",
        "unit": "token",
        "quantity": "3059974",
        "rate": "0.5",
        "per": "1000000",
        "unrounded": "1.529987",
    }


TIERED = (
    Tier(Decimal(1000), Decimal("0.50"), Decimal("1.00")),
    Tier(None, Decimal("0.30")),
)


def priced(model: PricingModel, tiers: tuple[Tier, ...] = (), *, rate: str | None = None, per: str = "1") -> PlanTerms:
    price = OveragePrice(
        "max_cases", Decimal(10), "daily", None if rate is None else Decimal(rate), Decimal(per), model, tiers
    )
    return replace(TEAM, overage={"cases": price})


def test_lines_of_tiers_explain_themselves() -> None:
    terms = priced(PricingModel.GRADUATED, TIERED)
    _, first, flat, second = assemble(books(charge("1200", meter=CASES, terms=terms)))
    assert first.description == "Cases beyond the included 10, up to 1000, 1 Apr 2026 – 30 Apr 2026"
    assert flat.description == "Cases beyond the included 10, flat fee for up to 1000, 1 Apr 2026 – 30 Apr 2026"
    assert second.description == "Cases beyond the included 10, above 1000, 1 Apr 2026 – 30 Apr 2026"
    said = {"entitlement": "max_cases", "included": "10", "cadence": "daily", "plan": "team v2", "model": "graduated"}
    assert first.details == {
        **said, "unit": "case", "tier": "1", "above": "0", "up_to": "1000",
        "quantity": "1000", "rate": "0.5", "per": "1", "unrounded": "500",
    }  # fmt: skip
    assert flat.details == {
        **said, "unit": "tier", "tier": "1", "above": "0", "up_to": "1000",
        "quantity": "1", "rate": "1", "per": "1", "unrounded": "1",
    }  # fmt: skip
    assert second.details == {
        **said, "unit": "case", "tier": "2", "above": "1000", "up_to": "",
        "quantity": "200", "rate": "0.3", "per": "1", "unrounded": "60",
    }  # fmt: skip
    assert [(line.charge, line.amount_minor) for line in (first, flat, second)] == [
        ("overage", 50000),
        ("flat", 100),
        ("overage", 6000),
    ]


def test_a_package_says_how_many_were_started_in_all() -> None:
    terms = priced(PricingModel.PACKAGE, rate="2.00", per="25")
    (line,) = assemble(books(charge("26", meter=CASES, terms=terms)))[1:]
    assert (line.amount_minor, line.details["packages"], line.details["model"]) == (400, "2", "package")
    assert "tier" not in line.details
    assert line.description == "Cases beyond the included 10, in packages of 25, 1 Apr 2026 – 30 Apr 2026"
    billed = BilledPart(4, "overage", "team", 2, "cases", 0, Decimal(26), 400)
    (late,) = assemble(books(charge("30", meter=CASES, terms=terms), billed=(billed,)))[1:]
    assert (late.quantity, late.amount_minor, late.details["packages"]) == (30, 200, "3")
    assert (late.details["billed_quantity"], late.details["billed_amount"]) == ("26", "4.00")


def carried(charge: str, quantity: str, amount: int, **fields: Any) -> BilledPart:
    told: dict[str, Any] = {"ordinal": 4, "plan_code": "team", "plan_version": 2, "meter": "cases", "tier": 0} | fields
    return BilledPart(charge=charge, quantity=Decimal(quantity), amount_minor=amount, **told)


@pytest.mark.parametrize(
    "other", [{"ordinal": 3}, {"plan_code": "pro"}, {"plan_version": 1}, {"meter": "tokens"}, {"meter": None}]
)
def test_only_what_was_billed_of_the_same_use_counts(other: dict[str, Any]) -> None:
    half = carried("overage", "0.2", 40)
    (line,) = assemble(books(charge("0.304", meter=CASES), billed=(half,)))[1:]
    # 0.504 cases at two dollars are 1.008: 1.01, of which 0.40 were billed.
    assert (line.quantity, line.amount_minor) == (Decimal("0.304"), 61)
    (alone,) = assemble(books(charge("0.304", meter=CASES), billed=(replace(half, **other),)))[1:]
    assert (alone.amount_minor, alone.details.get("billed_amount")) == (61, None)
    (more,) = assemble(books(charge("0.303", meter=CASES), billed=(replace(half, **other),)))[1:]
    assert more.amount_minor == 61


def test_what_other_invoices_of_the_period_carry_of_its_use_is_taken_off() -> None:
    here = carried("overage", "3", 600, quantity_here=Decimal(2))
    (line,) = assemble(books(charge("5", meter=CASES), billed=(here,)))[1:]
    # Five were used, two of them billed to this period already, and one to another.
    assert (line.quantity, line.amount_minor) == (3, 600)
    assert assemble(books(charge("2", meter=CASES), billed=(here,)))[1:] == ()
    terms = priced(PricingModel.GRADUATED, TIERED)
    tiers = [
        carried("overage", "1000", 50000, tier=1, quantity_here=Decimal(1000)),
        carried("flat", "1", 100, tier=1, quantity_here=Decimal(1)),
        carried("overage", "100", 3000, tier=2, quantity_here=Decimal(100)),
    ]
    (line,) = assemble(books(charge("1105", meter=CASES, terms=terms), billed=tuple(tiers)))[1:]
    assert (line.quantity, line.amount_minor, line.details["tier"]) == (5, 150, "2")


def test_what_a_credit_note_took_back_of_use_is_not_given_back_again() -> None:
    billed = carried("overage", "5", 1000, credited_minor=300)
    (line,) = assemble(books(charge("-5", meter=CASES), billed=(billed,)))[1:]
    assert (line.quantity, line.amount_minor) == (-5, -700)
    credits = carried("credits", "5", 5000, meter=None, credited_minor=1000)
    (line,) = assemble(books(charge("0", "-5"), billed=(credits,)))[1:]
    assert (line.quantity, line.amount_minor) == (-5, -4000)


def test_a_flat_fee_that_was_billed_is_not_asked_again() -> None:
    terms = priced(PricingModel.GRADUATED, TIERED)
    billed = (carried("overage", "10", 500, tier=1), carried("flat", "1", 100, tier=1))
    (line,) = assemble(books(charge("10", meter=CASES, terms=terms), billed=billed))[1:]
    assert (line.charge, line.quantity, line.amount_minor) == ("overage", 10, 500)


def test_credits_are_priced_over_all_invoices_of_their_period() -> None:
    cheap = replace(TEAM, credit_rate=Decimal("0.004"))
    used = charge("0", "2", terms=cheap)
    (line,) = assemble(books(used, billed=(carried("credits", "1", 0, meter=None),)))[1:]
    # Three credits are 0.012, a cent; one alone was nothing.
    assert (line.quantity, line.amount_minor, line.description) == (
        2,
        1,
        "Team, credits beyond the granted ones, 1 Apr 2026 – 30 Apr 2026",
    )
    assert line.details == {
        "unit": "credit",
        "plan": "team v2",
        "quantity": "2",
        "rate": "0.004",
        "per": "1",
        "unrounded": "0.012",
        "billed_quantity": "1",
        "billed_amount": "0.00",
    }
    here = carried("credits", "1", 0, meter=None, quantity_here=Decimal(2))
    assert assemble(books(used, billed=(here,)))[1:] == ()
    for other in ({"ordinal": 3}, {"plan_code": "pro"}, {"plan_version": 1}, {"charge": "overage"}):
        (alone,) = assemble(books(used, billed=(replace(here, **other),)))[1:]
        assert (alone.quantity, alone.amount_minor) == (2, 1)
        assert "billed_amount" not in alone.details


def test_late_credits_say_so() -> None:
    (line,) = assemble(books(charge("0", "1", service=month(3))))[1:]
    assert line.description == "Team, credits beyond the granted ones, reported late, 1 Mar 2026 – 31 Mar 2026"


def test_use_without_a_price_is_named() -> None:
    with pytest.raises(PriceMissing) as caught:
        assemble(books(charge("1", meter=MeterLabel("calls", "Calls", "call"))))
    assert caught.value.message == "Plan team v2 has no price in USD for calls beyond its limit."
    assert caught.value.details == {"plan": "team v2", "meter": "calls"}
    with pytest.raises(PriceMissing) as caught:
        assemble(books(charge("0", "1", terms=replace(TEAM, credit_rate=None))))
    assert caught.value.message == "Plan team v2 has no price for a credit in USD."
    assert caught.value.details == {"plan": "team v2"}


def test_a_quotient_that_never_ends_is_shown_to_twelve_places() -> None:
    third = replace(TEAM, overage={"cases": replace(TEAM.overage["cases"], rate=Decimal(1), per=Decimal(3))})
    line = assemble(books(charge("1", meter=CASES, terms=third)))[1]
    assert line.details["unrounded"] == "0.333333333333"


def test_use_within_the_limit_has_no_line() -> None:
    assert [line.charge for line in assemble(books(charge("0", "0")))] == ["base"]
    assert [line.charge for line in assemble(books(charge("0.000001", "0")))] == ["base", "overage"]


def test_credits_of_all_meters_make_one_line_per_plan_and_period() -> None:
    lines = assemble(books(charge("0", "0.1"), charge("0", "0.25", meter=CASES), charge("0", "1", terms=PRO)))
    assert [(line.plan_code, line.quantity, line.amount_minor) for line in lines if line.charge == "credits"] == [
        ("pro", ONE, 1000),
        ("team", Decimal("0.35"), 350),
    ]


def test_late_use_is_named_with_its_own_period_after_this_periods() -> None:
    lines = assemble(
        books(
            charge("2", meter=CASES, service=month(3)),
            charge("1", "1", meter=CASES),
            charge("3", "2", meter=CASES, service=month(2)),
        )
    )
    assert [(line.charge, line.starts_at.month, int(line.quantity)) for line in lines] == [
        ("base", 4, 1),
        ("overage", 4, 1),
        ("overage", 2, 3),
        ("overage", 3, 2),
        ("credits", 4, 1),
        ("credits", 2, 2),
    ]
    assert lines[2].description == "Cases beyond the included 10, reported late, 1 Feb 2026 – 28 Feb 2026"


def test_the_order_in_which_the_books_were_read_does_not_matter() -> None:
    charges = (
        charge("2", meter=CASES),
        charge("1", "1"),
        charge("3", "1", meter=CASES, service=month(2)),
        charge("3", terms=PRO),
    )
    assert assemble(books(*charges)) == assemble(books(*reversed(charges)))


def test_use_without_a_price_is_refused() -> None:
    with pytest.raises(PriceMissing):
        assemble(books(charge("1", meter=MeterLabel("unknown", "Unknown", "unit"))))
    with pytest.raises(PriceMissing):
        assemble(books(charge("0", "1", terms=replace(TEAM, credit_rate=None))))


def test_days_are_the_organizations() -> None:
    period = ServicePeriod(4, day(3, 31, 22), day(4, 30, 22), day(4, 30, 22))  # midnights of Berlin in summer
    in_berlin = books(period=period, served=period.span, zone=ZoneInfo("Europe/Berlin"))
    assert assemble(in_berlin)[0].description.endswith("1 Apr 2026 – 30 Apr 2026")
    assert assemble(replace(in_berlin, zone=ZoneInfo("UTC")))[0].description.endswith("31 Mar 2026 – 30 Apr 2026")


def test_a_total_out_of_bounds_is_refused() -> None:
    lines = assemble(books(charge("4000000000", meter=CASES)))
    total_minor(lines, "USD")
    with pytest.raises(AmountOutOfBounds):
        total_minor(lines * 12, "USD")


def test_long_names_fit_the_line() -> None:
    wordy = replace(TEAM, name="T" * 120)
    lines = assemble(
        books(
            charge("1", "1", meter=MeterLabel("cases", "M" * 200, "case"), terms=wordy, service=month(3)),
            stretches=(PlanStretch(wordy, day(1, 1), None),),
        )
    )
    assert len(lines) == 3
    assert all(len(line.description) <= 300 for line in lines)


def test_of_plans_that_need_no_credits_nothing_is_said_and_of_the_others_it_is() -> None:
    lines = assemble(books(charge("0", "0", terms=PRO), charge("0", "1"), charge("0", "0", service=month(3))))
    assert [(line.charge, line.plan_code) for line in lines] == [("base", "team"), ("credits", "team")]


def test_lines_do_not_hang_on_the_callers_context() -> None:
    much = books(charge("4000000000.000001", meter=CASES), charge("1", "0.333333"))
    expected = assemble(much)
    with localcontext() as context:
        context.prec = 20
        assert assemble(much) == expected


def test_late_periods_come_in_their_order_whatever_is_missing_to_them() -> None:
    asking = replace(TEAM, minimum_minor=6000)
    stretches = (PlanStretch(asking, day(1, 1), None),)
    late = tuple(Life(month(each), month(each).span, False, stretches, is_invoiced=True) for each in (3, 1, 2))
    half = Discount("HALF", "Half", Decimal(50), None, 1, None, day(1, 1))
    lines = assemble(books(stretches=stretches, late=late, discounts=(half,)))
    found = [(line.charge, line.starts_at.month) for line in lines if line.charge != "base"]
    assert found == [
        ("minimum", 4), ("minimum", 1), ("minimum", 2), ("minimum", 3),
        ("discount", 4), ("discount", 1), ("discount", 2), ("discount", 3),
    ]  # fmt: skip
