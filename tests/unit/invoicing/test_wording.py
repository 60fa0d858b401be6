"""The words on lines: days of the organization, tiers by their bounds, names that fit."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from zoneinfo import ZoneInfo

import pytest

from billing.invoicing import wording
from billing.invoicing.books import OveragePrice
from billing.invoicing.rating import Part
from billing.kernel.periods import Span
from billing.kernel.pricing import PricingModel, Tier

TIERS = (Tier(Decimal("1E+3"), Decimal("0.5")), Tier(Decimal(5000), Decimal("0.4")), Tier(None, Decimal("0.3")))


def price(
    model: PricingModel, tiers: tuple[Tier, ...] = (), *, rate: str | None = None, per: str = "1"
) -> OveragePrice:
    return OveragePrice("max", Decimal(0), "never", None if rate is None else Decimal(rate), Decimal(per), model, tiers)


def test_months_have_their_english_names_in_any_locale() -> None:
    said = [wording.day(datetime(2026, month, 9, tzinfo=UTC), ZoneInfo("UTC")) for month in range(1, 13)]
    months = "Jan Feb Mar Apr May Jun Jul Aug Sep Oct Nov Dec".split()
    assert said == [f"9 {month} 2026" for month in months]


def test_days_are_the_zones_first_and_last() -> None:
    span = Span(datetime(2026, 3, 31, 22, tzinfo=UTC), datetime(2026, 4, 30, 22, tzinfo=UTC))
    assert wording.days(span, ZoneInfo("Europe/Berlin")) == "1 Apr 2026 – 30 Apr 2026"
    assert wording.days(span, ZoneInfo("UTC")) == "31 Mar 2026 – 30 Apr 2026"


def test_one_day_is_said_once() -> None:
    start = datetime(2026, 4, 1, tzinfo=UTC)
    tick = timedelta(microseconds=1)
    day = timedelta(days=1)
    utc = ZoneInfo("UTC")
    assert wording.days(Span(start, start + day), utc) == "1 Apr 2026"
    assert wording.days(Span(start, start + day + tick), utc) == "1 Apr 2026 – 2 Apr 2026"


@pytest.mark.parametrize(
    ("length", "said"), [(1, "x"), (99, "x" * 99), (100, "x" * 100), (101, "x" * 99 + "…"), (500, "x" * 99 + "…")]
)
def test_a_name_has_a_hundred_characters_at_most(length: int, said: str) -> None:
    assert wording.short("x" * length) == said


def test_a_tier_has_its_bounds() -> None:
    tiered = price(PricingModel.GRADUATED, TIERS)
    assert [wording.bounds(tiered, tier) for tier in (1, 2, 3)] == [("0", "1000"), ("1000", "5000"), ("5000", "")]
    closed = price(PricingModel.GRADUATED, TIERS[:2])
    assert [wording.bounds(closed, tier) for tier in (1, 2)] == [("0", "1000"), ("1000", "5000")]


@pytest.mark.parametrize(
    ("model", "part", "said"),
    [
        (PricingModel.GRADUATED, Part(1, "overage"), ", up to 1000"),
        (PricingModel.GRADUATED, Part(2, "overage"), ", above 1000 up to 5000"),
        (PricingModel.GRADUATED, Part(3, "overage"), ", above 5000"),
        (PricingModel.GRADUATED, Part(2, "flat"), ", flat fee for above 1000 up to 5000"),
        (PricingModel.VOLUME, Part(1, "overage"), ", all at the rate for up to 1000"),
        (PricingModel.VOLUME, Part(3, "overage"), ", all at the rate for above 5000"),
        (PricingModel.VOLUME, Part(1, "flat"), ", flat fee for up to 1000"),
    ],
)
def test_a_line_of_a_tier_says_which(model: PricingModel, part: Part, said: str) -> None:
    assert wording.tier(price(model, TIERS), part) == said


def test_a_single_tier_without_an_end_is_any() -> None:
    alone = price(PricingModel.VOLUME, (Tier(None, Decimal(1)),))
    assert wording.tier(alone, Part(1, "overage")) == ", all at the rate for any"


def test_other_models_say_what_they_ask() -> None:
    part = Part(0, "overage")
    assert wording.tier(price(PricingModel.PER_UNIT, rate="1"), part) == ""
    assert wording.tier(price(PricingModel.PERCENTAGE, rate="2.50", per="100"), part) == ", 2.5 per cent"
    assert wording.tier(price(PricingModel.PACKAGE, rate="9", per="1E+2"), part) == ", in packages of 100"
