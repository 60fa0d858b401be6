"""The canonical content: layout means nothing, every term means something."""

import dataclasses
import random
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from billing.catalog import contents, parsing
from billing.catalog.schema import EntitlementSpec, FeatureSpec, MeterSpec, OveragePrice, PlanSpec, PriceSpec, Shelf
from billing.kernel.guardrails import Rule
from billing.kernel.periods import Cadence, Interval

SHIPPED = Path(__file__).parents[3] / "config" / "plans.yaml"
TREE: dict[str, Any] = yaml.safe_load(SHIPPED.read_text())
DIGESTS = {plan.code: contents.digest(plan) for plan in parsing.load(SHIPPED).plans}
DUMPER = getattr(yaml, "CSafeDumper", yaml.SafeDumper)


def shuffled(value: Any, rng: random.Random) -> Any:
    if isinstance(value, dict):
        keys = rng.sample(list(value), len(value))
        return {key: shuffled(value[key], rng) for key in keys}
    return value


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 2**32), flow=st.sampled_from([None, True, False]), width=st.sampled_from([20, 80, 4000]))
def test_layout_and_order_of_keys_do_not_change_a_plan(seed: int, flow: bool | None, width: int) -> None:
    rng = random.Random(seed)  # noqa: S311 - shuffling, repeatable by seed
    tree = shuffled(TREE, rng)
    for guards in tree["events"].values():
        rng.shuffle(guards["guards"] if isinstance(guards, dict) else guards)
    if rng.random() < 0.5:
        tree["plans"] = [{"code": code} | plan for code, plan in tree["plans"].items()]
    text = yaml.dump(tree, Dumper=DUMPER, sort_keys=False, default_flow_style=flow, width=width, allow_unicode=True)
    assert {plan.code: contents.digest(plan) for plan in parsing.load(text).plans} == DIGESTS


PLAN = PlanSpec(
    "pro",
    "Pro",
    prices=(PriceSpec("USD", 4900, Decimal(10)),),
    entitlements=(
        EntitlementSpec("on", "boolean", ("run",)),
        EntitlementSpec(
            "runs",
            "metered",
            ("run",),
            limit=Decimal(5),
            on_limit="overage",
            overage_prices=(OveragePrice("USD", Decimal("0.5")),),
        ),
    ),
    features=(FeatureSpec("a", "A"), FeatureSpec("b", "B")),
)


def metered(**changes: Any) -> dict[str, Any]:
    return {"entitlements": (PLAN.entitlements[0], dataclasses.replace(PLAN.entitlements[1], **changes))}


@pytest.mark.parametrize(
    "changes",
    [
        {"product": "lab"},
        {"name": "Pro!"},
        {"description": "x"},
        {"billing_period": Interval.YEAR},
        {"base_fee": "advance"},
        {"prices": (PriceSpec("USD", 4901, Decimal(10)),)},
        {"prices": (PriceSpec("EUR", 4900, Decimal(10)),)},
        {"prices": (PriceSpec("USD", 4900, Decimal("10.000000000001")),)},
        {"prices": (PriceSpec("USD", 4900),)},
        {"prices": ()},
        {"trial_days": 1},
        {"trial_credits": Decimal("0.000001")},
        {"credit_allowance": Decimal(1)},
        {"allowance_every": "month"},
        {"tagline": "x"},
        {"bundle": {"a": 1}},
        {"sla_tier": "x"},
        {"sla_version": "x"},
        {"sla_terms": "x"},
        {"features": PLAN.features[::-1]},
        {"features": (FeatureSpec("a", "A", value="true"), PLAN.features[1])},
        {"features": (FeatureSpec("a", "A", group="x"), PLAN.features[1])},
        {"entitlements": PLAN.entitlements[:1]},
        {"entitlements": (dataclasses.replace(PLAN.entitlements[0], enabled=False), PLAN.entitlements[1])},
        metered(meters=("other",)),
        metered(limit=Decimal(6)),
        metered(limit=Decimal(0)),
        metered(limit=None),
        metered(cadence=Cadence.DAILY),
        metered(on_limit="block"),
        metered(credits_per_unit=Decimal("0.000001")),
        metered(guardrails={"drift": Rule.HOLD}),
        metered(overage_prices=()),
        metered(overage_prices=(OveragePrice("USD", Decimal("0.5"), Decimal(2)),)),
    ],
)
def test_every_term_changes_the_digest(changes: dict[str, Any]) -> None:
    assert contents.digest(dataclasses.replace(PLAN, **changes)) != contents.digest(PLAN)


def test_the_shelf_and_spelling_do_not_change_the_digest() -> None:
    same = dataclasses.replace(
        PLAN,
        shelf=Shelf(is_on_sale=False, is_active=False, position=9),
        line=7,
        trial_credits=Decimal("0.000000"),
        **metered(limit=Decimal("5.000000")),
    )
    assert contents.digest(same) == contents.digest(PLAN)


def test_a_version_denies_events_declared_after_it() -> None:
    new = {"fresh": MeterSpec("fresh", ("unheard", "on", "runs")), "lab": MeterSpec("lab", ("on",), product="lab")}
    denied = contents.deny_new_meters(PLAN, new)
    assert {entitlement.key: (entitlement.meters, entitlement.enabled) for entitlement in denied.entitlements} == {
        # A feature that the version has opens the new event as well …
        "on": (("fresh", "run"), True),
        "runs": (("run",), True),
        # … one that it does not list closes it, and a limit cannot count two events.
        "unheard": (("fresh",), False),
        "fresh": (("fresh",), False),
    }
    assert contents.deny_new_meters(denied, new) == denied
    assert contents.deny_new_meters(PLAN, {}) == PLAN
