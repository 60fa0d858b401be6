"""Reading the catalog: which plan a code means, what the shop shows, and the form that decisions read."""

from decimal import Decimal
from uuid import uuid4

import pytest
from pytest_django import DjangoAssertNumQueries

from billing.catalog import operations, parsing, queries
from billing.catalog.compiled import BooleanGuard, Price
from billing.kernel.errors import Conflict, Forbidden, Invalid
from billing.kernel.periods import Cadence
from billing.models import Plan
from tests.support import factories

NOW = factories.at("2026-03-01")

TEXT = """\
default_plan: free
events:
  case_created: [vip, max_cases, open_cases]
  draw: {guards: [draws], product: lab}
  seen: []
plans:
  free: {order: 2, limits: {max_cases: 3, open_cases: null}}
  pro:
    order: 1
    price: {USD: "49.00", JPY: 5000}
    credit_price: {USD: "10"}
    limits: {vip: true, flag: false, open_cases: 5}
    entitlements:
      max_cases:
        limit: 100
        cadence: monthly
        on_limit: overage
        overage_price: {USD: {rate: "0.50", per: 10}, JPY: "70"}
  hidden: {on_sale: false, price: {USD: "1.00"}, limits: {max_cases: 1}}
  old: {active: false, limits: {max_cases: 1}}
  lab: {product: lab, order: 2, limits: {draws: 1}}
"""

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def catalog() -> None:
    operations.sync(spec=parsing.load(TEXT), actor="cli:ada", now=NOW)


def test_an_empty_catalog_answers_too() -> None:
    Plan.objects.all().delete()
    assert queries.find_current_plan("free") is None
    assert queries.list_plans_for_shop() == []


def test_plans_are_found_by_code_or_refused_with_the_reason() -> None:
    assert queries.get_plan("pro", must_be_on_sale=True).code == "pro"
    assert queries.get_plan("hidden").code == "hidden"
    with pytest.raises(queries.PlanUnknown, match="no plan 'gold'") as unknown:
        queries.get_plan("gold")
    with pytest.raises(queries.PlanNotOnSale) as unsold:
        queries.get_plan("hidden", must_be_on_sale=True)
    with pytest.raises(queries.PlanRetired) as retired:
        queries.get_plan("old")
    assert isinstance(unknown.value, Invalid)
    assert isinstance(unsold.value, Forbidden)
    assert isinstance(retired.value, Conflict)
    assert [refused.value.code for refused in (unknown, unsold, retired)] == [
        "plan_unknown",
        "plan_not_on_sale",
        "plan_retired",
    ]
    assert unknown.value.details == {"field": "plan_code"}


def test_the_shop_shows_what_is_on_sale_in_its_order() -> None:
    assert [plan.code for plan in queries.list_plans_for_shop()] == ["pro", "free", "lab"]
    assert [plan.code for plan in queries.list_current_plans()] == ["free", "hidden", "lab", "old", "pro"]


def test_the_shop_is_read_in_four_statements(django_assert_num_queries: DjangoAssertNumQueries) -> None:
    with django_assert_num_queries(4):
        shown = {
            plan.code: (
                plan.pricing_plan.position,
                sorted(price.currency for price in plan.prices.all()),
                [len(entitlement.prices.all()) for entitlement in plan.entitlements.all()],
            )
            for plan in queries.list_plans_for_shop()
        }
    assert shown == {
        "pro": (1, ["JPY", "USD"], [0, 2, 0, 0]),
        "free": (2, [], [0, 0, 0]),
        "lab": (2, [], [0]),
    }


def test_prices_are_by_currency_and_a_plan_without_any_is_free() -> None:
    free, pro = queries.get_plan("free"), queries.get_plan("pro")
    assert queries.base_fee_minor(free, "KWD") == 0
    assert queries.credit_rate(free, "KWD") is None
    assert (queries.base_fee_minor(pro, "USD"), queries.base_fee_minor(pro, "JPY")) == (4900, 5000)
    assert (queries.credit_rate(pro, "USD"), queries.credit_rate(pro, "JPY")) == (Decimal(10), None)
    with pytest.raises(queries.CurrencyNotSold, match="sold in JPY, USD, not in EUR"):
        queries.base_fee_minor(pro, "EUR")


def test_state_and_meters() -> None:
    assert (queries.default_plan_code(), queries.catalog_version()) == ("free", 1)
    assert queries.products_by_meter() == {"case_created": "platform", "draw": "lab", "seen": "platform"}
    assert [meter.code for meter in queries.list_meters()] == ["case_created", "draw", "seen"]
    assert queries.find_meter("draw") is not None
    assert queries.find_meter("drawn") is None


def test_a_compiled_plan_says_what_guards_a_meter() -> None:
    plan = queries.get_plan("pro")
    compiled = queries.compiled_plan(plan.id)
    guards = compiled.guards("case_created")
    assert (compiled.id, compiled.code, compiled.version, compiled.product) == (plan.id, "pro", 1, "platform")
    assert guards.booleans == (BooleanGuard("vip", enabled=True),)
    # The limit that blocks is asked first, whatever the names.
    assert [(guard.key, guard.blocks, guard.limit, guard.cadence) for guard in guards.metered] == [
        ("open_cases", True, Decimal(5), Cadence.NEVER),
        ("max_cases", False, Decimal(100), Cadence.MONTHLY),
    ]
    assert guards.priced == guards.metered[1]
    assert guards.metered[1].prices == {
        "USD": Price(Decimal("0.50"), Decimal(10)),
        "JPY": Price(Decimal(70), Decimal(1)),
    }
    assert guards.metered[1].entitlement_id == plan.entitlements.get(key="max_cases").id
    assert compiled.credit_rates == {"USD": Decimal(10)}
    assert compiled.booleans == {"flag": False, "vip": True}
    assert compiled.meters_by_key == {
        "open_cases": ("case_created",),
        "flag": (),
        "max_cases": ("case_created",),
        "vip": ("case_created",),
    }
    assert compiled.guards("seen").metered == ()


def test_what_a_plan_does_not_list_is_disabled() -> None:
    guards = queries.compiled_plan(queries.get_plan("free").id).guards("case_created")
    assert guards.booleans == (BooleanGuard("vip", enabled=False),)
    assert queries.compiled_plan(queries.get_plan("free").id).guards("draw").booleans == ()


def test_a_compiled_plan_is_kept_until_its_content_changes() -> None:
    plan = queries.get_plan("free")
    first = queries.compiled_plan(plan.id)
    assert queries.compiled_plan(plan.id) is first
    assert queries.compiled_plan(plan.id, plan.content_digest) is first
    operations.sync(spec=parsing.load(TEXT.replace("max_cases: 3", "max_cases: 4")), actor="cli:ada", now=NOW)
    assert queries.compiled_plan(plan.id).guards("case_created").metered[0].limit == 4


def test_an_outdated_digest_does_not_put_new_content_under_old_terms() -> None:
    plan = queries.get_plan("free")
    operations.sync(spec=parsing.load(TEXT.replace("max_cases: 3", "max_cases: 4")), actor="cli:ada", now=NOW)
    assert queries.compiled_plan(plan.id, plan.content_digest).guards("case_created").metered[0].limit == 4
    operations.sync(spec=parsing.load(TEXT), actor="cli:ada", now=NOW)
    assert queries.compiled_plan(plan.id, plan.content_digest).guards("case_created").metered[0].limit == 3


def test_compiling_a_plan_that_is_not_there_is_loud() -> None:
    with pytest.raises(Plan.DoesNotExist):
        queries.compiled_plan(uuid4())
    with pytest.raises(Plan.DoesNotExist):
        queries.compiled_plan(uuid4(), "0" * 64)
