"""The product's lines and totals against a calculator that shares no code with it, over random books."""

import uuid
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from itertools import pairwise
from typing import Any
from zoneinfo import ZoneInfo

from hypothesis import given, settings
from hypothesis import strategies as st

from billing.invoicing.assembly import assemble, total_minor
from billing.invoicing.books import (
    Charge,
    LineDraft,
    MeterLabel,
    PeriodBooks,
    PlanStretch,
    PlanTerms,
    ServicePeriod,
)
from billing.kernel.money import format_minor, to_minor_exact
from billing.kernel.periods import Span
from tests.support import second_calculator as second
from tests.support.prices import decimals, prices

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
METERS = ("tokens", "cases", "runs")
DIGITS = {"JPY": 0, "USD": 2, "KWD": 3}


def when(seconds: int) -> datetime:
    return EPOCH + timedelta(seconds=seconds)


@st.composite
def cases(draw: st.DrawFn) -> tuple[PeriodBooks, dict[str, Any]]:
    """The same random period, told to the product and to the calculator."""
    currency = draw(st.sampled_from(sorted(DIGITS)))
    starts = draw(st.integers(1_600_000_000, 1_800_000_000))
    nominal_ends = starts + draw(st.integers(1, 366 * 86400))
    ends = draw(st.one_of(st.just(nominal_ends), st.integers(starts + 1, nominal_ends)))
    is_trial = draw(st.booleans()) and draw(st.booleans())
    names = [f"plan-{number}" for number in range(draw(st.integers(1, 3)))]
    rules, terms = {}, {}
    for number, name in enumerate(names):
        fee = draw(decimals(100_000, DIGITS[currency]))
        credit_rate = draw(decimals(1_000, 12))
        minimum = draw(st.one_of(st.just(Decimal(0)), decimals(200_000, DIGITS[currency])))
        priced = {meter: draw(prices(meter)) for meter in METERS}
        rules[name] = second.PlanRules(
            str(fee), str(credit_rate), {meter: told for meter, (_, told) in priced.items()}, str(minimum)
        )
        terms[name] = PlanTerms(
            id=uuid.UUID(int=number),
            code=name,
            version=1,
            name=name,
            base_fee_minor=to_minor_exact(fee, currency),
            credit_rate=credit_rate,
            overage={meter: price for meter, (price, _) in priced.items()},
            minimum_minor=to_minor_exact(minimum, currency),
        )
    cuts = sorted(draw(st.sets(st.integers(starts - 1000, ends + 1000), max_size=4)))
    bounds = [starts - 2000, *cuts, None]
    stretches = [(draw(st.sampled_from(names)), first, last) for first, last in pairwise(bounds)]
    services = {0: (starts, ends), 1: (starts - 1_000_000, starts - 500_000), 2: (starts - 500_000, starts)}
    keys = draw(st.sets(st.tuples(st.sampled_from(sorted(services)), st.sampled_from(names), st.sampled_from(METERS))))
    uses = [(*key, draw(decimals(100_000, 6)), draw(decimals(1_000, 6))) for key in sorted(keys)]
    labels = {meter: MeterLabel(meter, meter, "unit") for meter in METERS}
    periods = {key: ServicePeriod(10 - key, when(a), when(b), when(b)) for key, (a, b) in services.items()}
    period = ServicePeriod(10, when(starts), when(ends), when(nominal_ends))
    periods[0] = period
    product = PeriodBooks(
        currency=currency,
        zone=ZoneInfo("Europe/Berlin"),
        period=period,
        served=Span(period.starts_at, period.ends_at),
        is_trial=is_trial,
        stretches=tuple(
            PlanStretch(terms[plan], when(first or 0), None if last is None else when(last))
            for plan, first, last in stretches
        ),
        charges=tuple(
            Charge(periods[service], terms[plan], labels[meter], overage, deficit)
            for service, plan, meter, overage, deficit in uses
        ),
    )
    told = {
        "currency": currency,
        "starts": starts,
        "ends": ends,
        "nominal_ends": nominal_ends,
        "is_trial": is_trial,
        "plans": rules,
        "stretches": [second.Stretch(plan, first or 0, last) for plan, first, last in stretches],
        "uses": [
            second.Use(services[service][0], plan, meter, str(overage), str(deficit))
            for service, plan, meter, overage, deficit in uses
        ],
    }
    return product, told


def plainly(line: LineDraft, currency: str) -> tuple[str, str, str, int, str]:
    seconds = int((line.starts_at - EPOCH).total_seconds())
    return line.charge, line.plan_code, line.meter_id or "", seconds, format_minor(line.amount_minor, currency)


@given(cases())
@settings(max_examples=200, deadline=None)
def test_lines_and_totals_equal_the_second_calculators(case: tuple[PeriodBooks, dict[str, Any]]) -> None:
    books, told = case
    lines = assemble(books)
    expected = second.bill(**told)
    assert sorted(plainly(line, books.currency) for line in lines) == expected.lines
    assert format_minor(total_minor(lines, books.currency), books.currency) == expected.total


@given(cases())
@settings(max_examples=50, deadline=None)
def test_base_lines_tile_the_period(case: tuple[PeriodBooks, dict[str, Any]]) -> None:
    books, _ = case
    base = [line for line in assemble(books) if line.charge == "base"]
    if not books.is_trial:
        assert base[0].starts_at == books.period.starts_at
        assert base[-1].ends_at == books.period.ends_at
        assert all(line.ends_at == following.starts_at for line, following in pairwise(base))


def test_the_calculator_knows_the_hour_of_real_traffic() -> None:
    expected = second.bill_of_events(
        currency="USD",
        base_fee="49.00",
        credit_allowance="0.1",
        credit_rate="10.00",
        meters={
            "context": second.MeterRules("15000000", "0.50", "1000000"),
            "generated": second.MeterRules("200000", "2.00", "1000000", "0.000001"),
        },
        events=[("context", "18059974"), ("generated", "245000"), ("generated", "896")],
    )
    assert [amount for *_, amount in expected.lines] == ["49.00", "1.00", "1.53", "0.09"]
    assert expected.total == "51.62"
