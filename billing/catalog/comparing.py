"""What a subscriber gains and loses by going from one plan version to another: pure."""

from __future__ import annotations

from decimal import Decimal
from enum import StrEnum
from typing import Any, NamedTuple

from billing.catalog import contents, diffing
from billing.catalog.diffing import FieldChange
from billing.catalog.schema import EntitlementSpec, PlanSpec


class Change(StrEnum):
    """``CHANGED``: neither more nor less is allowed, but it counts, costs or blocks otherwise."""

    GAINED = "gained"
    LOST = "lost"
    RAISED = "raised"
    LOWERED = "lowered"
    CHANGED = "changed"


class EntitlementChange(NamedTuple):
    """``fields`` are the leaves that differ, by their path below the entitlement."""

    key: str
    change: Change
    fields: tuple[FieldChange, ...]

    def as_dict(self) -> dict[str, Any]:
        return {
            "entitlement": self.key,
            "change": self.change.value,
            "fields": [each.as_dict() for each in self.fields],
        }


def entitlements(old: PlanSpec, new: PlanSpec) -> tuple[EntitlementChange, ...]:
    """Entitlements that differ between two versions, in order of key; what neither allows is left out."""
    before, after = (contents.canonical(plan)["entitlements"] for plan in (old, new))
    found = []
    for key in sorted({*before, *after}):
        fields = diffing.compare(before.get(key, {}), after.get(key, {}))
        was, is_now = old.find_entitlement(key), new.find_entitlement(key)
        change = _change(was, is_now)
        if fields and change is not None:
            found.append(EntitlementChange(key, change, fields))
    return tuple(found)


def _change(was: EntitlementSpec | None, is_now: EntitlementSpec | None) -> Change | None:
    had, has = _allows(was), _allows(is_now)
    if had != has:
        return Change.GAINED if has else Change.LOST
    if not had or was is None or is_now is None:
        return None
    if was.is_metered != is_now.is_metered:
        return Change.LOWERED if is_now.is_metered else Change.RAISED
    if was.is_metered and was.limit != is_now.limit:
        return Change.RAISED if _amount(is_now) > _amount(was) else Change.LOWERED
    return Change.CHANGED


def _allows(entitlement: EntitlementSpec | None) -> bool:
    if entitlement is None:
        return False
    return entitlement.limit != 0 or entitlement.has_overage if entitlement.is_metered else entitlement.enabled


def _amount(entitlement: EntitlementSpec) -> Decimal:
    return Decimal("Infinity") if entitlement.limit is None else entitlement.limit
