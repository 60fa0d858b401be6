"""A few of those lives for half a year; ``make simulation`` lives five hundred of them for ten years."""

import ast
import calendar
import logging
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from decimal import ROUND_HALF_UP, Decimal
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from billing.invoicing import books, rating
from billing.kernel import decimals, money, periods
from billing.metering import decisions, store
from tests.simulation import almanac, calculator, credit, invoice, lives, log, plans, spine, stage
from tests.support import second_calculator

FIRST_DAY = datetime(2011, 10, 1, tzinfo=UTC)
INDEPENDENT = (almanac, calculator, credit, invoice, log, plans, spine, second_calculator)


@pytest.fixture(autouse=True)
def quiet() -> Iterator[None]:
    logging.getLogger("billing").setLevel(logging.ERROR)
    yield
    logging.getLogger("billing").setLevel(logging.NOTSET)


def play(*, seed: int, days: int, some: slice = slice(None), uses_per_day: float | None = None) -> stage.Report:
    people = lives.settle(seed=seed, count=31, first_day=FIRST_DAY)[some]
    for each in people:
        each.uses_per_day = uses_per_day or each.uses_per_day
    return stage.play(people, seed=seed, first_day=FIRST_DAY, days=days)


@pytest.mark.usefixtures("real_db")
def test_what_was_lived_is_billed_as_a_second_calculator_says() -> None:
    # Clocks going both ways, a day that Apia skips, and a 29 February.
    report = play(seed=20, days=152)
    assert report.findings.is_clean, report.text()
    assert report.findings.invoices > 70, report.text()


def test_the_calculator_knows_nothing_of_the_product() -> None:
    for module in INDEPENDENT:
        tree = ast.parse(Path(str(module.__file__)).read_text())
        named = {node.module or "" for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
        named |= {alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names}
        assert not any(name.split(".")[0] in ("billing", "django") for name in named), module.__name__


def never_past_the_28th(patch: pytest.MonkeyPatch) -> None:
    honest = calendar.monthrange
    patch.setattr(calendar, "monthrange", lambda year, month: (honest(year, month)[0], 28))


def a_second_too_many(patch: pytest.MonkeyPatch) -> None:
    def nominal(period: books.ServicePeriod) -> periods.Span:
        return periods.Span(period.starts_at, period.nominal_ends_at + timedelta(seconds=1))

    patch.setattr(books.ServicePeriod, "nominal", property(nominal))


def half_up(patch: pytest.MonkeyPatch) -> None:
    def to_minor(amount: Decimal, currency: str) -> int:
        return int(decimals.EXACT.scaleb(amount, money.exponent(currency)).to_integral_value(rounding=ROUND_HALF_UP))

    patch.setattr(money, "to_minor", to_minor)


def days_of_greenwich(patch: pytest.MonkeyPatch) -> None:
    honest = periods.calendar_window
    for module in (decisions, store):
        patch.setattr(module, "calendar_window", lambda cadence, at, zone: honest(cadence, at, ZoneInfo("UTC")))


def late_use_stands_alone(patch: pytest.MonkeyPatch) -> None:
    honest = rating.due

    def due(price: books.OveragePrice, quantity: Decimal, *, billed: object, currency: str) -> tuple[rating.Due, ...]:
        return honest(price, quantity, billed={}, currency=currency)

    patch.setattr(rating, "due", due)


# Each with those whose lives show it.
MISTAKES: tuple[tuple[Callable[[pytest.MonkeyPatch], Any], slice], ...] = (
    (never_past_the_28th, slice(28, 31)),
    (a_second_too_many, slice(2, 4)),
    (half_up, slice(2, 6)),
    (days_of_greenwich, slice(2, 4)),
    (late_use_stands_alone, slice(2, 6)),
)


@pytest.mark.usefixtures("real_db")
@pytest.mark.parametrize(("mistake", "some"), MISTAKES)
def test_a_mistake_in_the_product_is_found(
    mistake: Callable[[pytest.MonkeyPatch], Any], some: slice, monkeypatch: pytest.MonkeyPatch
) -> None:
    mistake(monkeypatch)
    report = play(seed=3, days=70, some=some, uses_per_day=0.8)
    assert report.findings.differences, report.text()
