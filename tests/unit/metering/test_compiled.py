"""What a plan says of a meter, as decisions read it."""

from decimal import Decimal

from billing.catalog.compiled import UNGUARDED, BooleanGuard, MeterGuards
from billing.kernel.guardrails import Rule
from tests.support.metering_books import flags, limit, over, plan


def test_the_guard_that_charges_is_the_one_that_is_priced() -> None:
    free, sold, costly = limit("1"), over("5", key="sold"), limit("9", credits_per_unit=Decimal("0.000001"))
    assert [guard.is_priced for guard in (free, sold, costly)] == [False, True, True]
    assert MeterGuards((), (free, sold)).priced is sold
    assert MeterGuards((), (free, costly)).priced is costly
    assert MeterGuards((BooleanGuard("agents", True),), (free,)).priced is None


def test_flags_are_judged_by_the_guard_that_charges() -> None:
    rules = flags(unsafe="waive")
    assert MeterGuards((), (limit("1"), over("5", **rules))).rule(["Unsafe"]) is Rule.WAIVE
    assert MeterGuards((), (limit("1", **rules),)).rule(["unsafe"]) is Rule.ANNOTATE
    assert UNGUARDED.rule(["unsafe"]) is Rule.ANNOTATE


def test_a_meter_that_the_plan_does_not_guard_is_unguarded() -> None:
    assert plan(limit("1")).guards("calls") is UNGUARDED
    assert plan(limit("1")).guards("tokens").metered == (limit("1"),)
