"""Overage prices by model, and minimums: how they are read, refused, compared, and told apart from older content."""

import dataclasses
from decimal import Decimal

import pytest

from billing.catalog import contents, diffing, parsing
from billing.catalog.problems import CatalogInvalid
from billing.catalog.schema import OveragePrice, PlanSpec
from billing.kernel.pricing import PricingModel, Tier

HEAD = """\
default_plan: pro
events: {run: [runs]}
plans:
  pro:
    price: {USD: "49.00", JPY: 7000}
    credit_price: {USD: "10", JPY: "1400.5"}
"""
RUNS = """\
    entitlements:
      runs:
        limit: 10
        on_limit: overage
        overage_price: {USD: {rate: "0.50", per: 1000}, JPY: "3"}
"""
TIERED = '{model: graduated, tiers: [{up_to: 10, rate: "0.50", flat: "1.00"}, {rate: "0.3"}]}'


def priced(price: str) -> PlanSpec:
    """Line 11 has the price."""
    return parsing.load(HEAD + RUNS.replace('{rate: "0.50", per: 1000}', price)).plan("pro")


def usd(plan: PlanSpec) -> OveragePrice:
    entitlement = plan.find_entitlement("runs")
    assert entitlement is not None
    return next(price for price in entitlement.overage_prices if price.currency == "USD")


@pytest.mark.parametrize(
    ("text", "price"),
    [
        ('"0.5"', OveragePrice("USD", Decimal("0.5"))),
        ('{model: per_unit, rate: "0.5", per: 10}', OveragePrice("USD", Decimal("0.5"), Decimal(10))),
        (
            TIERED,
            OveragePrice(
                "USD",
                None,
                Decimal(1),
                PricingModel.GRADUATED,
                (Tier(Decimal(10), Decimal("0.5"), Decimal(1)), Tier(None, Decimal("0.3"))),
            ),
        ),
        (
            '{model: volume, per: "0.5", tiers: [{up_to: "0.000001", flat: 3}, {up_to: null, rate: 0}]}',
            OveragePrice(
                "USD",
                None,
                Decimal("0.5"),
                PricingModel.VOLUME,
                (Tier(Decimal("0.000001"), Decimal(0), Decimal(3)), Tier(None, Decimal(0))),
            ),
        ),
        (
            "{model: volume, tiers: [{rate: 1}]}",
            OveragePrice("USD", None, Decimal(1), PricingModel.VOLUME, (Tier(None, Decimal(1)),)),
        ),
        (
            '{model: package, rate: "22.50", per: 25}',
            OveragePrice("USD", Decimal("22.5"), Decimal(25), PricingModel.PACKAGE),
        ),
        (
            '{model: percentage, percent: "2.5"}',
            OveragePrice("USD", Decimal("2.5"), Decimal(100), PricingModel.PERCENTAGE),
        ),
        ("{model: percentage, percent: 100}", OveragePrice("USD", Decimal(100), Decimal(100), PricingModel.PERCENTAGE)),
    ],
)
def test_each_model_is_read(text: str, price: OveragePrice) -> None:
    assert usd(priced(text)) == price


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("{model: stairs, rate: 1}", "must be one of per_unit, graduated, volume, package, percentage, not 'stairs'"),
        ("{model: graduated}", "USD needs tiers"),
        ("{model: graduated, tiers: []}", "tiers is empty"),
        ("{model: graduated, tiers: {up_to: 1}}", "tiers must be a list, not a mapping"),
        ("{model: graduated, tiers: [3]}", "tiers must be a mapping, not an integer"),
        ("{model: graduated, rate: 1, tiers: [{rate: 1}]}", "rate is not for the model graduated"),
        ("{rate: 1, tiers: [{rate: 1}]}", "tiers is not for the model per_unit"),
        ("{model: package, percent: 1, rate: 1, per: 2}", "percent is not for the model package"),
        ("{model: percentage, percent: 1, per: 2}", "per is not for the model percentage"),
        ("{model: volume, tiers: [{up_to: 5, rate: 1}]}", "tier 1 is the last and must be open-ended"),
        ("{model: volume, tiers: [{rate: 1}, {rate: 2}]}", "tier 1 needs up_to: only the last tier is open-ended"),
        ("{model: volume, tiers: [{up_to: 0, rate: 1}, {rate: 2}]}", "tier 1: up_to must be more than 0"),
        (
            "{model: volume, tiers: [{up_to: 10, rate: 1}, {up_to: 10, rate: 1}, {rate: 2}]}",
            "tier 2: up_to must be more than 10, where the tier begins",
        ),
        (
            "{model: volume, tiers: [{up_to: 10, rate: 1}, {up_to: 9, rate: 1}, {rate: 2}]}",
            "up_to must be more than 10",
        ),
        ("{model: volume, tiers: [{up_to: -1, rate: 1}, {rate: 2}]}", "tier 1: up_to must not be negative"),
        ("{model: volume, tiers: [{rate: -1}]}", "tier 1: rate must not be negative"),
        ("{model: volume, tiers: [{rate: 0.5}]}", 'tier 1: rate must be written in quotes ("0.5")'),
        ('{model: volume, tiers: [{flat: "-1"}]}', "tier 1: flat must not be negative"),
        ('{model: volume, tiers: [{flat: "0.001"}]}', "tier 1: flat has more decimals than USD has minor units (2)"),
        ("{model: volume, tiers: [{}]}", "tier 1 needs a rate, a flat fee, or both"),
        (
            "{model: volume, tiers: [{rate: 1, upto: 3}]}",
            "unknown key 'upto' in plan pro: runs: overage_price: USD: tiers: tier 1",
        ),
        ("{model: volume, per: 0, tiers: [{rate: 1}]}", "per must be more than 0"),
        ("{model: package, rate: 1}", "needs per, the units of a package"),
        ("{model: package, per: 10}", "needs a rate"),
        ("{model: package, rate: 1, per: 0}", "per must be more than 0"),
        ("{model: percentage}", "needs a percent"),
        ('{model: percentage, percent: "100.000000000001"}', "percent must be at most 100"),
        ("{model: percentage, percent: -1}", "percent must not be negative"),
        ("{model: volume, tiers: [" + "{up_to: 1, rate: 1}, " * 50 + "{rate: 1}]}", "tiers has more than 50 entries"),
    ],
)
def test_a_bad_price_is_refused_with_its_line(text: str, reason: str) -> None:
    with pytest.raises(CatalogInvalid) as refused:
        priced(text)
    assert any(problem.line == 11 and reason in problem.reason for problem in refused.value.problems), str(
        refused.value
    )


def test_a_minimum_is_an_amount_in_each_currency_of_the_plan() -> None:
    plan = parsing.load(HEAD + '    minimum: {USD: "60.00", JPY: 0}\n' + RUNS).plan("pro")
    assert {price.currency: price.minimum_minor for price in plan.prices} == {"USD": 6000, "JPY": 0}


@pytest.mark.parametrize(
    ("minimum", "reason"),
    [
        ("5", "minimum must be a mapping, not an integer"),
        ('{USD: "60.00"}', "minimum has none in JPY, in which the plan is sold"),
        ('{USD: "60.00", JPY: 0, EUR: "1"}', "minimum in EUR, in which the plan has no price"),
        ('{USD: "60.001", JPY: 0}', "minimum: USD has more decimals than USD has minor units (2)"),
        ('{USD: "-1", JPY: 0}', "minimum: USD must not be negative"),
        ("{USD: 60.00, JPY: 0}", "must be written in quotes"),
        ('{XXX: "1"}', "'XXX' is not a currency of ISO 4217"),
    ],
)
def test_a_bad_minimum_is_refused_with_its_line(minimum: str, reason: str) -> None:
    with pytest.raises(CatalogInvalid) as refused:
        parsing.load(HEAD + f"    minimum: {minimum}\n" + RUNS)
    assert any(problem.line == 7 and reason in problem.reason for problem in refused.value.problems), str(refused.value)


def test_a_plan_without_models_has_the_digest_that_it_always_had() -> None:
    # Stored with plan versions that people are subscribed to: another one would make new versions of them all.
    plan = parsing.load(HEAD + RUNS).plan("pro")
    assert contents.digest(plan) == "d077bc1ae39c67b5213100a1930250f778535253c77d41877bd28e09ddac7d4e"
    spelled_out = priced('{model: per_unit, rate: "0.50", per: 1000}')
    assert contents.digest(spelled_out) == contents.digest(plan)
    without = parsing.load(HEAD + "    minimum: {USD: 0, JPY: 0}\n" + RUNS).plan("pro")
    assert contents.digest(without) == contents.digest(plan)


def test_every_term_of_a_model_and_a_minimum_change_the_digest() -> None:
    texts = [
        '{rate: "0.50"}',
        '{model: package, rate: "0.50", per: 1}',
        '{model: percentage, percent: "0.50"}',
        TIERED,
        TIERED.replace("graduated", "volume"),
        TIERED.replace("up_to: 10", "up_to: 11"),
        TIERED.replace('"0.50"', '"0.51"'),
        TIERED.replace('"1.00"', '"1.01"'),
        TIERED.replace("{model", "{per: 2, model"),
        TIERED.replace('{rate: "0.3"}', '{up_to: 20, rate: "0.3"}, {rate: "0.3"}'),
    ]
    digests = {contents.digest(priced(text)) for text in texts}
    minimum = [f'    minimum: {{USD: "{amount}", JPY: 0}}\n' for amount in ("60.00", "60.01")]
    digests |= {contents.digest(parsing.load(HEAD + each + RUNS).plan("pro")) for each in minimum}
    assert len(digests) == len(texts) + 2


def test_a_difference_names_the_tier() -> None:
    old, new = (
        priced(TIERED),
        priced(TIERED.replace('"0.50"', '"0.40"').replace('{rate: "0.3"}', '{up_to: 20, rate: "0.3"}, {rate: 0}')),
    )
    path = "entitlements.runs.overage_price.USD.tiers"
    assert diffing.compare(contents.canonical(old), contents.canonical(new)) == (
        (f"{path}.1", "up to 10: 0.5, flat 1", "up to 10: 0.4, flat 1"),
        (f"{path}.2", "beyond: 0.3", "up to 20: 0.3"),
        (f"{path}.3", None, "beyond: 0"),
    )
    package = contents.canonical(priced('{model: package, rate: "22.50", per: 25}'))
    changed = diffing.compare(contents.canonical(priced('"0.5"')), package)
    assert [tuple(change) for change in changed] == [
        ("entitlements.runs.overage_price.USD", "0.5 per 1", "22.5 per started 25")
    ]
    cheaper = dataclasses.replace(
        old, prices=tuple(dataclasses.replace(price, minimum_minor=5) for price in old.prices)
    )
    assert [tuple(change) for change in diffing.compare(contents.canonical(old), contents.canonical(cheaper))] == [
        ("minimum.JPY", None, "5"),
        ("minimum.USD", None, "0.05"),
    ]
