"""What a sound catalog file means: short form, full form, both at once."""

from decimal import Decimal
from pathlib import Path

import pytest

from billing.catalog import parsing
from billing.catalog.schema import EntitlementSpec, FeatureSpec, OveragePrice, PriceSpec, Shelf
from billing.kernel.guardrails import Rule
from billing.kernel.periods import Cadence, Interval
from billing.kernel.pricing import PricingModel

ROOT = Path(__file__).parents[3]

DOCUMENTED = """\
default_plan: starter
plans:
  starter:
    limits:
      max_cases: 25
      max_evaluations_per_month: 50
      express_entry_enabled: false
      document_generation_enabled: false
  pro:
    limits:
      max_cases: null
      max_evaluations_per_month: 1000
      express_entry_enabled: true
      document_generation_enabled: true
      lifecycle_transitions_enabled: true
"""


def entitlement(text: str, plan: str, key: str) -> EntitlementSpec:
    found = parsing.load(text).plan(plan).find_entitlement(key)
    assert found is not None
    return found


def test_the_documented_short_form_needs_no_events() -> None:
    spec = parsing.load(DOCUMENTED)
    assert spec.default_plan == "starter"
    assert {meter.code: meter.guards for meter in spec.meters} == {
        "case_created": ("max_cases",),
        "document_generated": ("document_generation_enabled",),
        "evaluation_run": ("express_entry_enabled", "max_evaluations_per_month"),
        "lifecycle_transition": ("lifecycle_transitions_enabled",),
    }
    starter = spec.plan("starter")
    assert (starter.name, starter.product, starter.billing_period, starter.prices) == (
        "Starter",
        "platform",
        Interval.MONTH,
        (),
    )
    cases = starter.find_entitlement("max_cases")
    assert cases == EntitlementSpec("max_cases", "metered", ("case_created",), limit=Decimal(25))


def test_a_documented_event_is_unguarded_where_no_plan_lists_its_limit() -> None:
    spec = parsing.load("default_plan: a\nplans: {a: {limits: {max_cases: 1}}}\n")
    assert {meter.code: meter.guards for meter in spec.meters}["evaluation_run"] == ()


def test_a_guard_that_a_plan_does_not_list_is_denied() -> None:
    implied = entitlement(DOCUMENTED, "starter", "lifecycle_transitions_enabled")
    assert (implied.kind, implied.enabled, implied.meters) == ("boolean", False, ("lifecycle_transition",))
    assert implied.is_implied
    assert not entitlement(DOCUMENTED, "pro", "lifecycle_transitions_enabled").is_implied


@pytest.mark.parametrize(
    ("key", "cadence"),
    [
        ("max_cases", Cadence.NEVER),
        ("runs_per_day", Cadence.DAILY),
        ("runs_per_week", Cadence.WEEKLY),
        ("max_evaluations_per_month", Cadence.MONTHLY),
        ("runs_per_period", Cadence.PERIOD),
        ("per_month_runs", Cadence.NEVER),
    ],
)
def test_the_name_of_a_short_limit_tells_its_cadence(key: str, cadence: Cadence) -> None:
    text = f"default_plan: a\nevents: {{run: [{key}]}}\nplans: {{a: {{limits: {{{key}: 3}}}}}}\n"
    assert entitlement(text, "a", key).cadence is cadence
    full = text.replace(f"limits: {{{key}: 3}}", f"entitlements: {{{key}: {{limit: 3}}}}")
    assert entitlement(full, "a", key) == entitlement(text, "a", key)


@pytest.mark.parametrize(
    ("written", "kind", "limit", "enabled"),
    [
        ("0", "metered", Decimal(0), True),
        ("7", "metered", Decimal(7), True),
        ('"7.5"', "metered", Decimal("7.5"), True),
        ("null", "metered", None, True),
        ("~", "metered", None, True),
        ("true", "boolean", None, True),
        ("false", "boolean", None, False),
    ],
)
def test_the_value_of_a_short_limit_tells_its_kind(
    written: str, kind: str, limit: Decimal | None, enabled: bool
) -> None:
    text = f"default_plan: a\nevents: {{run: [x]}}\nplans: {{a: {{limits: {{x: {written}}}}}}}\n"
    found = entitlement(text, "a", "x")
    assert (found.kind, found.limit, found.enabled) == (kind, limit, enabled)


def test_the_full_form_says_everything() -> None:
    text = """\
default_plan: pro
events:
  run: {guards: [runs], product: lab, description: A run, unit: run}
  viewed: []
plans:
  - code: pro
    product: lab
    name: Pro
    description: For labs
    tagline: Runs
    order: 3
    on_sale: false
    active: true
    billing_period: quarter
    base_fee: arrears
    price: {USD: "49.00", JPY: 7000}
    credit_price: {USD: "10", JPY: "1400.5"}
    trial_days: 14
    trial_credits: "2.5"
    credit_allowance: 20
    allowance_every: month
    sla: {tier: gold, version: "1", terms: As agreed}
    bundle: {seats: 5, call: true, badge: Best}
    entitlements:
      runs:
        limit: "10.5"
        cadence: weekly
        on_limit: overage
        credits_per_unit: "0.000001"
        overage_price:
          USD: {rate: "0.000000000001", per: 1000}
          JPY: "3"
      vip: true
    features:
      - {key: b, name: B}
      - {key: a, name: A, value: Many, group: G}
"""
    spec = parsing.load(text)
    plan = spec.plan("pro")
    assert [(meter.code, meter.guards, meter.product, meter.unit) for meter in spec.meters] == [
        ("run", ("runs",), "lab", "run"),
        ("viewed", (), "platform", "unit"),
    ]
    assert plan.prices == (PriceSpec("JPY", 7000, Decimal("1400.5")), PriceSpec("USD", 4900, Decimal(10)))
    assert plan.shelf == Shelf(is_on_sale=False, is_active=True, position=3)
    assert (plan.product, plan.billing_period, plan.trial_days, plan.trial_credits) == (
        "lab",
        Interval.QUARTER,
        14,
        Decimal("2.5"),
    )
    assert (plan.credit_allowance, plan.allowance_every) == (Decimal(20), "month")
    assert (plan.sla_tier, plan.sla_version, plan.sla_terms) == ("gold", "1", "As agreed")
    assert plan.bundle == {"seats": 5, "call": True, "badge": "Best"}
    assert plan.features == (FeatureSpec("b", "B"), FeatureSpec("a", "A", "Many", "G"))
    assert plan.find_entitlement("runs") == EntitlementSpec(
        "runs",
        "metered",
        ("run",),
        limit=Decimal("10.5"),
        cadence=Cadence.WEEKLY,
        on_limit="overage",
        credits_per_unit=Decimal("0.000001"),
        overage_prices=(
            OveragePrice("JPY", Decimal(3)),
            OveragePrice("USD", Decimal("0.000000000001"), Decimal(1000)),
        ),
    )
    assert plan.find_entitlement("vip") == EntitlementSpec("vip", "boolean")


def test_a_boolean_may_guard_several_events_and_a_flag_none() -> None:
    text = "default_plan: a\nevents: {x: [on], y: [on]}\nplans: {a: {limits: {on: true, flag: true}}}\n"
    assert entitlement(text, "a", "on").meters == ("x", "y")
    assert entitlement(text, "a", "flag").meters == ()


def test_events_guard_only_plans_of_their_product() -> None:
    text = (
        "default_plan: a\nevents: {x: {guards: [on], product: lab}}\n"
        "plans: {a: {}, b: {product: lab, limits: {on: true}}, c: {product: lab}}\n"
    )
    spec = parsing.load(text)
    assert spec.plan("a").entitlements == ()
    assert [entitlement.key for entitlement in spec.plan("c").entitlements] == ["on"]


def test_values_mean_what_they_say_in_yaml_12() -> None:
    """``no`` and ``on`` are words, not booleans; ``12:30`` is no number of base 60; a date is text."""
    text = "default_plan: a\nplans: {a: {name: no, tagline: 12:30, sla: {tier: on, version: 2026-01-01}}}\n"
    plan = parsing.load(text).plan("a")
    assert (plan.name, plan.tagline, plan.sla_tier, plan.sla_version) == ("no", "12:30", "on", "2026-01-01")


def test_a_byte_order_mark_is_no_problem() -> None:
    assert parsing.load(b"\xef\xbb\xbf" + DOCUMENTED.encode()).default_plan == "starter"


def test_the_shipped_catalog_is_sound_and_uses_every_feature() -> None:
    spec = parsing.load(ROOT / "config" / "plans.yaml")
    entitlements = [entitlement for plan in spec.plans for entitlement in plan.entitlements]
    assert spec.default_plan == "free"
    assert len(spec.plans) >= 4
    assert {plan.billing_period for plan in spec.plans} == set(Interval)
    assert {entitlement.cadence for entitlement in entitlements if entitlement.is_metered} == set(Cadence)
    assert {entitlement.on_limit for entitlement in entitlements} == {"block", "overage"}
    assert {None, Decimal(0)} < {entitlement.limit for entitlement in entitlements if entitlement.is_metered}
    assert any(entitlement.kind == "boolean" and not entitlement.meters for entitlement in entitlements)
    assert any(not entitlement.enabled for entitlement in entitlements)
    assert any(entitlement.credits_per_unit and not entitlement.has_overage for entitlement in entitlements)
    assert any(entitlement.credits_per_unit and entitlement.has_overage for entitlement in entitlements)
    assert {price.currency for plan in spec.plans for price in plan.prices} >= {"USD", "EUR", "JPY"}
    assert any(plan.trial_days and plan.trial_credits for plan in spec.plans)
    assert {plan.allowance_every for plan in spec.plans if plan.credit_allowance} == {"month", "period"}
    assert any(not plan.shelf.is_on_sale and plan.shelf.is_active for plan in spec.plans)
    assert any(not plan.shelf.is_active for plan in spec.plans)
    assert all(plan.sla_tier for plan in spec.plans if plan.shelf.is_active)
    assert any(plan.sla_terms for plan in spec.plans)
    assert any(plan.bundle for plan in spec.plans)
    assert {rule for entitlement in entitlements for rule in entitlement.guardrails.values()} == set(Rule)
    assert not any(entitlement.is_implied for entitlement in entitlements)
    assert len({feature.group for plan in spec.plans for feature in plan.features}) > 1
    models = {price.model for entitlement in entitlements for price in entitlement.overage_prices}
    assert models >= {PricingModel.PER_UNIT, PricingModel.GRADUATED, PricingModel.PACKAGE}
    assert any(price.minimum_minor > price.base_fee_minor for plan in spec.plans for price in plan.prices)
    assert parsing.DOCUMENTED_EVENTS.items() <= {meter.code: meter.guards for meter in spec.meters}.items()
    assert {
        "planner_finalization",
        "instrumentation_run",
        "sequence_analysis",
        "llm_context_tokens",
        "llm_generated_tokens",
        "api_call",
    } <= {meter.code for meter in spec.meters}


def test_the_example_in_the_documentation_is_sound() -> None:
    text = (ROOT / "docs" / "catalog.md").read_text()
    examples = [block.split("```")[0] for block in text.split("```yaml\n")[1:]]
    whole = [example for example in examples if "default_plan:" in example]
    assert len(whole) == 2
    for example in whole:
        parsing.load(example, "docs/catalog.md")
