"""What a catalog would change, decided without a database."""

import dataclasses
from decimal import Decimal

import pytest

from billing.catalog import diffing
from billing.catalog.diffing import FieldChange, Step, Stored
from billing.catalog.schema import CatalogSpec, EntitlementSpec, MeterSpec, PlanSpec, PriceSpec, Shelf
from billing.kernel.periods import Cadence

CASES = EntitlementSpec("max_cases", "metered", ("case_created",), limit=Decimal(100))
PLAN = PlanSpec("pro", "Pro", prices=(PriceSpec("USD", 4900),), entitlements=(CASES,))


def the_step(stored: PlanSpec | None, wanted: PlanSpec | None, *, is_in_use: bool = True) -> diffing.PlanStep:
    spec = CatalogSpec("f", "pro", (wanted,) if wanted else (), ())
    known = {stored.code: Stored(stored, stored, 3, is_in_use)} if stored else {}
    (step,) = diffing.steps(spec, known)
    return step


DEARER = dataclasses.replace(PLAN, prices=(PriceSpec("USD", 5900),))
HIDDEN = dataclasses.replace(PLAN, shelf=Shelf(is_on_sale=False))
RETIRED = dataclasses.replace(PLAN, shelf=Shelf(is_on_sale=False, is_active=False))


@pytest.mark.parametrize(
    ("stored", "wanted", "is_in_use", "step", "version"),
    [
        (None, PLAN, False, Step.CREATED, 1),
        (PLAN, PLAN, True, Step.UNCHANGED, 3),
        (PLAN, DEARER, True, Step.VERSIONED, 4),
        (PLAN, DEARER, False, Step.REWRITTEN, 3),
        (PLAN, HIDDEN, True, Step.RESHELVED, 3),
        (PLAN, None, True, Step.RETIRED, 3),
        (PLAN, None, False, Step.RETIRED, 3),
        (RETIRED, None, True, Step.UNCHANGED, 3),
        (RETIRED, PLAN, True, Step.RESHELVED, 3),
        (RETIRED, DEARER, True, Step.VERSIONED, 4),
    ],
)
def test_each_plan_takes_one_step(
    stored: PlanSpec | None, wanted: PlanSpec | None, is_in_use: bool, step: Step, version: int
) -> None:
    taken = the_step(stored, wanted, is_in_use=is_in_use)
    assert (taken.step, taken.version) == (step, version)
    assert bool(taken.fields) == (step is not Step.UNCHANGED)


def test_changes_are_named_field_by_field() -> None:
    unlimited = dataclasses.replace(CASES, limit=None)
    more = EntitlementSpec("vip", "boolean")
    wanted = dataclasses.replace(DEARER, entitlements=(unlimited, more), trial_days=14, shelf=Shelf(position=2))
    assert the_step(PLAN, wanted).fields == (
        FieldChange("entitlements.max_cases.limit", "100", None),
        FieldChange("entitlements.vip.enabled", None, True),
        FieldChange("entitlements.vip.guards", None, []),
        FieldChange("order", 0, 2),
        FieldChange("price.USD", "49.00", "59.00"),
        FieldChange("trial_days", 0, 14),
    )


@pytest.mark.parametrize(
    ("before", "after", "limit"),
    [
        (Decimal(100), Decimal(99), Decimal(99)),
        (Decimal(100), Decimal(100), None),
        (Decimal(100), Decimal(101), None),
        (Decimal(100), None, None),
        (None, Decimal(5), Decimal(5)),
        (None, None, None),
    ],
)
def test_a_lower_limit_is_seen(before: Decimal | None, after: Decimal | None, limit: Decimal | None) -> None:
    old = dataclasses.replace(PLAN, entitlements=(dataclasses.replace(CASES, limit=before),))
    new = dataclasses.replace(PLAN, entitlements=(dataclasses.replace(CASES, limit=after, cadence=Cadence.MONTHLY),))
    found = diffing.lowered(old, new)
    assert [(each.limit, each.cadence, each.meter) for each in found] == (
        [] if limit is None else [(limit, Cadence.MONTHLY, "case_created")]
    )


def test_an_entitlement_that_goes_or_is_switched_off_is_lowered_to_nothing() -> None:
    gone = dataclasses.replace(PLAN, entitlements=())
    off = dataclasses.replace(PLAN, entitlements=(EntitlementSpec("max_cases", "boolean", enabled=False),))
    on = dataclasses.replace(PLAN, entitlements=(EntitlementSpec("max_cases", "boolean"),))
    assert [each.limit for each in diffing.lowered(PLAN, gone)] == [Decimal(0)]
    assert [each.limit for each in diffing.lowered(PLAN, off)] == [Decimal(0)]
    assert diffing.lowered(PLAN, on) == []


def test_events_are_compared_apart_from_their_guards() -> None:
    old = {"a": MeterSpec("a", ("x",)), "b": MeterSpec("b")}
    new = {"a": MeterSpec("a", ("y",), unit="run")}
    assert diffing.compare_meters(old, new) == (
        FieldChange("events.a.unit", "unit", "run"),
        FieldChange("events.b.description", "", None),
        FieldChange("events.b.product", "platform", None),
        FieldChange("events.b.unit", "unit", None),
    )
