"""Prices by model and minimums in the tables: stored as read, compiled for decisions, shown to the shop."""

from decimal import Decimal

import pytest
from django.db import IntegrityError, transaction

from billing.catalog import contents, operations, parsing, queries, storage
from billing.catalog.compiled import Price
from billing.catalog.diffing import Step
from billing.kernel.pricing import PricingModel, Tier
from billing.models import EntitlementPrice, PlanPrice
from billing.reporting import representations
from tests.support import factories

NOW = factories.at("2026-03-01")

TEXT = """\
default_plan: pro
events: {run: [runs]}
plans:
  pro:
    price: {USD: "49.00", JPY: 7000, KWD: "15.500"}
    minimum: {USD: "60.00", JPY: 0, KWD: "20.125"}
    entitlements:
      runs:
        limit: 10
        on_limit: overage
        overage_price:
          USD: {model: graduated, per: 10, tiers: [{up_to: "10.5", rate: "0.50", flat: "1.00"}, {rate: "0.3"}]}
          JPY: {model: package, rate: 250, per: 25}
          KWD: {model: percentage, percent: "2.5"}
"""

pytestmark = pytest.mark.django_db


def sync(text: str = TEXT) -> tuple[Step, int]:
    (step,) = operations.sync(spec=parsing.load(text), actor="test", now=NOW).plans
    return step.step, step.version


def test_they_are_stored_as_they_were_read() -> None:
    sync()
    (plan,) = queries.list_current_plans()
    assert storage.read(plan) == parsing.load(TEXT).plan("pro")
    assert plan.content_digest == contents.digest(storage.read(plan))
    assert sync() == (Step.UNCHANGED, 1)


def test_a_changed_tier_or_minimum_makes_a_version_for_those_who_come() -> None:
    sync()
    plan = queries.get_plan("pro")
    factories.subscription(organization=factories.organization(), plan=plan, starts_at=NOW)
    assert sync(TEXT.replace('"0.3"', '"0.25"')) == (Step.VERSIONED, 2)
    factories.subscription(organization=factories.organization(), plan=queries.get_plan("pro"), starts_at=NOW)
    assert sync(TEXT.replace('"0.3"', '"0.25"').replace("20.125", "21.000")) == (Step.VERSIONED, 3)
    assert queries.find_current_plan("pro") != plan
    assert EntitlementPrice.objects.get(entitlement__plan=plan, currency="USD").tiers[1]["rate"] == "0.3"


def test_a_compiled_plan_has_them() -> None:
    sync()
    (guard,) = queries.compiled_plan(queries.get_plan("pro").id).guards("run").metered
    assert guard.prices == {
        "USD": Price(
            None,
            Decimal(10),
            PricingModel.GRADUATED,
            (Tier(Decimal("10.5"), Decimal("0.5"), Decimal(1)), Tier(None, Decimal("0.3"))),
        ),
        "JPY": Price(Decimal(250), Decimal(25), PricingModel.PACKAGE),
        "KWD": Price(Decimal("2.5"), Decimal(100), PricingModel.PERCENTAGE),
    }


def test_the_list_of_plans_shows_them() -> None:
    sync()
    shown = representations.plan(queries.list_plans_for_shop()[0])
    assert {price["currency"]: price["minimum"] for price in shown["prices"]} == {
        "JPY": None,
        "KWD": "20.125",
        "USD": "60.00",
    }
    (runs,) = shown["entitlements"]
    assert runs["overage_prices"] == [
        {"currency": "JPY", "model": "package", "rate": "250", "per": "25", "tiers": []},
        {"currency": "KWD", "model": "percentage", "rate": "2.5", "per": "100", "tiers": []},
        {
            "currency": "USD",
            "model": "graduated",
            "rate": None,
            "per": "10",
            "tiers": [
                {"up_to": "10.5", "rate": "0.5", "flat": "1"},
                {"up_to": None, "rate": "0.3", "flat": "0"},
            ],
        },
    ]


@pytest.mark.parametrize(
    "fields",
    [
        {"model": "graduated"},
        {"model": "graduated", "rate": None, "tiers": []},
        {"model": "package", "rate": None},
        {"model": "per_unit", "tiers": [{"up_to": None, "rate": "1", "flat": "0"}]},
        {"model": "stairs"},
        {"rate": -1},
        {"per": 0},
    ],
)
def test_the_database_refuses_a_price_that_contradicts_its_model(fields: dict[str, object]) -> None:
    sync()
    with pytest.raises(IntegrityError), transaction.atomic():
        EntitlementPrice.objects.filter(currency="JPY").update(**fields)
    with pytest.raises(IntegrityError), transaction.atomic():
        PlanPrice.objects.update(minimum_minor=-1)
