"""A past period's use by another version's limits and prices."""

from dataclasses import replace
from decimal import Decimal
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from billing.catalog.compiled import BooleanGuard, CompiledPlan, MeteredGuard, MeterGuards, Price
from billing.invoicing import rerating
from billing.invoicing.errors import AmountOutOfBounds, PriceMissing
from billing.invoicing.rerating import PeriodUse, Rated, Terms, WindowUse
from billing.kernel.periods import Cadence, Interval
from billing.kernel.pricing import PricingModel, Tier

D = Decimal
NOBODY = UUID(int=0)


def guard(
    limit: str | None,
    *,
    cadence: Cadence = Cadence.PERIOD,
    blocks: bool = False,
    credits: str = "0",
    rate: str = "0.50",
) -> MeteredGuard:
    price = {} if limit is None or blocks else {"USD": Price(D(rate), D(1))}
    return MeteredGuard(NOBODY, "tokens_in", None if limit is None else D(limit), cadence, blocks, D(credits), price)


def terms(
    *guards: MeteredGuard,
    fee: int = 1000,
    minimum: int = 0,
    interval: Interval = Interval.MONTH,
    allowance: str = "0",
    off: bool = False,
) -> Terms:
    booleans = (BooleanGuard("tokens_on", False),) if off else ()
    plan = CompiledPlan(
        NOBODY, "team", 2, "platform", {"USD": D(10)}, {"tokens": MeterGuards(booleans, guards)}, {}, {}
    )
    return Terms(plan, "USD", fee, minimum, interval, D(allowance), interval)


def used(total: str, *windows: tuple[str, str], cadence: Cadence = Cadence.MONTHLY, bought: str = "0") -> PeriodUse:
    found = {("tokens", cadence): tuple(WindowUse(D(before), D(within)) for before, within in windows)}
    return PeriodUse({"tokens": D(total)}, found, D(bought))


def rated(asked: Terms, use: PeriodUse, interval: Interval = Interval.MONTH) -> Rated:
    return rerating.rate(asked, use, interval=interval)


@pytest.mark.parametrize(("total", "over", "minor"), [("99", None, 0), ("100", None, 0), ("101", "1", 50)])
def test_units_beyond_the_limit_are_billed(total: str, over: str | None, minor: int) -> None:
    found = rated(terms(guard("100")), used(total))
    assert (found.overage, found.use_minor) == ({} if over is None else {"tokens": D(over)}, minor)
    assert found.total_minor == 1000 + minor


@pytest.mark.parametrize(("total", "refused"), [("100", {}), ("101", {"tokens_in": D(1)})])
def test_what_a_blocking_limit_refuses_costs_nothing_and_is_told(total: str, refused: dict[str, Decimal]) -> None:
    found = rated(terms(guard("100", blocks=True)), used(total))
    assert (found.refused, found.use_minor) == (refused, 0)


def test_a_feature_that_is_off_refuses_all_of_it() -> None:
    found = rated(terms(guard("100"), off=True), used("150"))
    assert (found.refused, found.overage, found.use_minor) == ({"tokens_on": D(150)}, {}, 0)


@pytest.mark.parametrize(("windows", "over"), [
    ((("0", "50"), ("0", "60")), "0"),  # two months, each inside
    ((("90", "20"), ("0", "130")), "40"),
    ((("100", "20"),), "20"),
    ((("150", "20"),), "20"),  # what was beyond before is not billed again
    ((("99", "1"),), "0"),
])  # fmt: skip
def test_each_window_has_its_own_limit_and_what_was_before_takes_its_part(
    windows: tuple[tuple[str, str], ...], over: str
) -> None:
    total = str(sum(D(within) for _, within in windows))
    found = rated(terms(guard("100", cadence=Cadence.MONTHLY)), used(total, *windows))
    assert found.overage.get("tokens", D(0)) == D(over)


def test_credits_beyond_allowance_and_bought_ones_are_billed_at_the_plan_s_price() -> None:
    asked = terms(guard("1000", credits="0.01"), allowance="4")
    assert rated(asked, used("500", bought="1")).use_minor == 0
    assert rated(asked, used("600", bought="1")).use_minor == 1000
    # Beyond the limit money is asked, and never credits too.
    found = rated(asked, used("1001", bought="6"))
    assert (found.credits_due, found.use_minor) == (10, 50)


def test_credits_of_a_blocking_limit_are_refused_and_never_billed() -> None:
    found = rated(terms(guard("1000", blocks=True, credits="0.01"), allowance="4"), used("600"))
    assert (found.use_minor, found.credits_refused) == (0, 2)


def test_the_minimum_fills_what_fee_and_use_leave() -> None:
    asked = terms(guard("100"), minimum=2000)
    assert [rated(asked, used(total)).minimum_minor for total in ("0", "110", "119", "120", "121")] == [
        1000, 500, 50, 0, 0,
    ]  # fmt: skip


def test_another_rhythm_is_shared_out_by_months() -> None:
    yearly = terms(guard("1200"), fee=49000, interval=Interval.YEAR, allowance="120")
    found = rated(yearly, used("101"))
    assert (found.base_minor, found.overage) == (4083, {"tokens": D(1)})
    quarter = rated(terms(guard("100"), fee=1000), used("301"), Interval.QUARTER)
    assert (quarter.base_minor, quarter.overage) == (3000, {"tokens": D(1)})
    assert rerating.allowance_in(Interval.MONTH, allowance=D(120), every=Interval.YEAR) == 10
    assert rerating.allowance_in(Interval.YEAR, allowance=D(5), every=Interval.MONTH) == 60


def test_a_price_that_is_missing_is_no_price_of_zero() -> None:
    without = guard("100")
    without.prices.clear()
    with pytest.raises(PriceMissing):
        rated(terms(without), used("101"))
    assert rated(terms(without), used("100")).use_minor == 0


def test_unguarded_use_is_free() -> None:
    plan = CompiledPlan(NOBODY, "team", 2, "platform", {}, {}, {}, {})
    asked = Terms(plan, "USD", 0, 0, Interval.MONTH, D(0), Interval.MONTH)
    assert rated(asked, used("1000000")).total_minor == 0


@given(st.lists(st.tuples(st.integers(0, 300), st.integers(0, 300)), min_size=1, max_size=5), st.integers(0, 300))
def test_a_higher_limit_never_costs_more_and_units_add_up(windows: list[tuple[int, int]], limit: int) -> None:
    total = str(sum(within for _, within in windows))
    use = used(total, *((str(before), str(within)) for before, within in windows))
    lower, higher = (rated(terms(guard(str(each), cadence=Cadence.MONTHLY)), use) for each in (limit, limit + 1))
    assert higher.total_minor <= lower.total_minor
    # Unit by unit, as recording would have taken them.
    over = sum(max(0, min(within, before + within - limit)) for before, within in windows)
    assert lower.overage.get("tokens", D(0)) == over


def test_a_feature_that_is_on_and_a_limit_of_none_refuse_nothing() -> None:
    plan = CompiledPlan(
        NOBODY,
        "team",
        2,
        "platform",
        {},
        {"tokens": MeterGuards((BooleanGuard("tokens_on", True),), (guard(None, credits="0.5"),))},
        {},
        {},
    )
    found = rated(Terms(plan, "USD", 0, 0, Interval.MONTH, D(5), Interval.MONTH), used("10"))
    assert (found.refused, found.overage, found.credits_due, found.total_minor) == ({}, {}, 5, 0)


def test_credits_that_have_no_price_are_named_with_their_plan() -> None:
    unpriced = terms(guard("1000", credits="1"))
    unpriced.plan.credit_rates.clear()
    with pytest.raises(PriceMissing) as caught:
        rated(unpriced, used("1"))
    assert caught.value.message == "Plan team v2 has no price for a credit in USD."
    assert caught.value.details == {"plan": "team v2"}
    assert rated(unpriced, used("0")).use_minor == 0


def test_units_that_have_no_price_are_named_with_plan_and_meter() -> None:
    without = guard("100")
    without.prices.clear()
    with pytest.raises(PriceMissing) as caught:
        rated(terms(without), used("101"))
    assert caught.value.message == "Plan team v2 has no price in USD for tokens beyond its limit."
    assert caught.value.details == {"plan": "team v2", "meter": "tokens"}


def test_of_several_refusals_the_one_of_most_units_is_told() -> None:
    plan = terms(guard("100", blocks=True), replace(guard("90", blocks=True), key="second")).plan
    asked = Terms(plan, "USD", 0, 0, Interval.MONTH, D(0), Interval.MONTH)
    assert rated(asked, used("150")).refused == {"second": D(60)}


def test_units_that_a_blocking_limit_refuses_would_have_been_the_ones_beyond() -> None:
    both = terms(guard("120", blocks=True), replace(guard("100", credits="0.1"), key="sold"), allowance="10")
    found = rated(both, used("150"))
    assert (found.refused, found.overage, found.credits_due, found.use_minor) == (
        {"tokens_in": D(30)},
        {"tokens": D(20)},
        10,
        1000,
    )


def test_a_package_is_billed_by_its_model_and_its_lines_are_rounded_each() -> None:
    tiers = (Tier(D(3), D("0.005")), Tier(None, D("0.005")))
    graduated = replace(guard("100"), prices={"USD": Price(None, D(1), PricingModel.GRADUATED, tiers)})
    # 0.015 and 0.015: two lines of 0.02, where one would be 0.03.
    assert rated(terms(graduated), used("106")).use_minor == 4
    packed = replace(guard("100"), prices={"USD": Price(D("2.50"), D(10), PricingModel.PACKAGE)})
    assert rated(terms(packed), used("111")).use_minor == 500


def test_all_meters_are_added_up() -> None:
    guards = {"tokens": MeterGuards((), (guard("100"),)), "calls": MeterGuards((), (guard("10", credits="1"),))}
    plan = CompiledPlan(NOBODY, "team", 2, "platform", {"USD": D(10)}, guards, {}, {})
    asked = Terms(plan, "USD", 1000, 0, Interval.MONTH, D(3), Interval.MONTH)
    found = rated(asked, PeriodUse({"tokens": D(104), "calls": D(11)}, {}, D(2)))
    # Two dollars and half a one of overage, ten credits of which five are there.
    assert (found.overage, found.credits_due, found.use_minor) == ({"tokens": D(4), "calls": D(1)}, 10, 250 + 5000)


def test_what_one_invoice_may_not_carry_is_refused() -> None:
    with pytest.raises(AmountOutOfBounds):
        rated(terms(guard("0", rate="1000000")), used("1000000000"))
    two = {meter: MeterGuards((), (guard("0", rate="1"),)) for meter in ("tokens", "calls")}
    plan = CompiledPlan(NOBODY, "team", 2, "platform", {}, two, {}, {})
    asked = Terms(plan, "USD", 0, 0, Interval.MONTH, D(0), Interval.MONTH)
    with pytest.raises(AmountOutOfBounds):
        rated(asked, PeriodUse({"tokens": D(80_000_000_000), "calls": D(80_000_000_000)}))


def test_a_share_of_a_fee_is_rounded_half_to_even() -> None:
    for fee, minor in ((18, 2), (30, 2), (42, 4)):
        assert rated(terms(fee=fee, interval=Interval.YEAR), PeriodUse()).base_minor == minor
        assert rated(terms(fee=0, minimum=fee, interval=Interval.YEAR), PeriodUse()).minimum_minor == minor
    assert rerating.allowance_in(Interval.MONTH, allowance=D(1), every=Interval.QUARTER) == D("0.333333")


def test_a_limit_of_a_calendar_window_is_not_shared_out() -> None:
    yearly = terms(guard("120", cadence=Cadence.MONTHLY), fee=0, interval=Interval.YEAR)
    assert rated(yearly, used("121", ("0", "121"))).overage == {"tokens": D(1)}


def test_a_meter_without_windows_of_a_cadence_has_nothing_beyond() -> None:
    daily = terms(guard("1", cadence=Cadence.DAILY))
    assert rated(daily, used("50")).overage == {}


def test_credits_that_are_sold_come_before_those_that_block() -> None:
    guards = {
        "tokens": MeterGuards((), (guard("100", credits="1"),)),
        "calls": MeterGuards((), (guard("100", credits="1", blocks=True),)),
    }
    plan = CompiledPlan(NOBODY, "team", 2, "platform", {"USD": D(10)}, guards, {}, {})
    asked = Terms(plan, "USD", 0, 0, Interval.MONTH, D(1), Interval.MONTH)
    found = rated(asked, PeriodUse({"tokens": D(5), "calls": D(3)}))
    # Eight are needed and one is there: five are sold, and two more are not to be had.
    assert (found.credits_due, found.use_minor, found.credits_refused) == (8, 5000, 2)


def test_a_total_is_fee_use_and_what_is_missing_to_the_minimum() -> None:
    found = rated(terms(guard("100"), minimum=2000), used("110"))
    assert (found.base_minor, found.use_minor, found.minimum_minor, found.total_minor) == (1000, 500, 500, 2000)


def test_figures_are_decimals_even_of_nothing() -> None:
    found = rated(terms(), PeriodUse())
    assert {type(found.credits_due), type(found.credits_refused)} == {Decimal}
    assert (found.overage, found.refused) == ({}, {})
