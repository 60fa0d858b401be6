"""What a subscriber gains and loses between two versions."""

from decimal import Decimal

import pytest

from billing.catalog import comparing
from billing.catalog.comparing import Change
from billing.catalog.schema import EntitlementSpec, PlanSpec
from billing.kernel.periods import Cadence


def plan(*entitlements: EntitlementSpec) -> PlanSpec:
    return PlanSpec("team", "Team", entitlements=entitlements)


def limit(amount: str | None, *, cadence: Cadence = Cadence.NEVER, is_overage: bool = False) -> EntitlementSpec:
    return EntitlementSpec(
        "cases",
        "metered",
        limit=None if amount is None else Decimal(amount),
        cadence=cadence,
        on_limit="overage" if is_overage else "block",
    )


def flag(enabled: bool) -> EntitlementSpec:
    return EntitlementSpec("cases", "boolean", enabled=enabled)


@pytest.mark.parametrize(("old", "new", "expected"), [
    (limit("5"), limit("6"), Change.RAISED),
    (limit("5"), limit("4"), Change.LOWERED),
    (limit("5"), limit(None), Change.RAISED),
    (limit(None), limit("5"), Change.LOWERED),
    (limit("5"), limit("0"), Change.LOST),
    (limit("0"), limit("5"), Change.GAINED),
    (limit("0", is_overage=True), limit("5", is_overage=True), Change.RAISED),
    (limit("5"), limit("5", cadence=Cadence.DAILY), Change.CHANGED),
    (limit("5"), limit("5", is_overage=True), Change.CHANGED),
    (flag(True), flag(False), Change.LOST),
    (flag(False), flag(True), Change.GAINED),
    (flag(True), limit("5"), Change.LOWERED),
    (limit("5"), flag(True), Change.RAISED),
    (None, flag(True), Change.GAINED),
    (flag(True), None, Change.LOST),
    (None, flag(False), None),
    (flag(False), None, None),
    (limit("5"), limit("5"), None),
])  # fmt: skip
def test_each_difference_has_a_name(
    old: EntitlementSpec | None, new: EntitlementSpec | None, expected: Change | None
) -> None:
    found = comparing.entitlements(*(plan(*([each] if each else [])) for each in (old, new)))
    assert [(each.key, each.change) for each in found] == ([] if expected is None else [("cases", expected)])


def test_the_leaves_that_differ_are_told() -> None:
    (found,) = comparing.entitlements(plan(limit("5")), plan(limit("4")))
    assert found.as_dict() == {
        "entitlement": "cases",
        "change": "lowered",
        "fields": [{"path": "limit", "old": "5", "new": "4"}],
    }
