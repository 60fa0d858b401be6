"""What a catalog file would change, decided without a database: one step per plan, named field by field."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from decimal import Decimal
from enum import StrEnum
from typing import Any, NamedTuple

from billing.catalog import contents
from billing.catalog.schema import CatalogSpec, EntitlementSpec, MeterSpec, PlanSpec, Shelf
from billing.kernel.decimals import ZERO, plain
from billing.kernel.periods import Cadence


class Step(StrEnum):
    """What ``sync`` does about one plan. ``RESHELVED``: only its place in the shop changes, not its terms."""

    CREATED = "created"
    VERSIONED = "versioned"
    REWRITTEN = "rewritten"
    RESHELVED = "reshelved"
    RETIRED = "retired"
    UNCHANGED = "unchanged"


class FieldChange(NamedTuple):
    """``old`` None: not there before; ``new`` None: not there any more."""

    path: str
    old: Any
    new: Any

    def as_dict(self) -> dict[str, Any]:
        return {"path": self.path, "old": self.old, "new": self.new}


@dataclasses.dataclass(frozen=True, slots=True)
class Stored:
    """The current version of a plan as the tables have it, and as it will stand towards events about to be declared
    (``contents.deny_new_meters``). ``is_in_use``: somebody is or was subscribed to it."""

    before: PlanSpec
    spec: PlanSpec
    version: int
    is_in_use: bool


@dataclasses.dataclass(frozen=True, slots=True)
class PlanStep:
    """``version`` and ``spec`` are the current ones once the step is done."""

    step: Step
    version: int
    spec: PlanSpec
    fields: tuple[FieldChange, ...] = ()

    @property
    def code(self) -> str:
        return self.spec.code


class Lowered(NamedTuple):
    """A limit that a change lowers: ``limit`` is the new one, 0 where the entitlement is gone or switched off."""

    plan: str
    key: str
    meter: str
    cadence: Cadence
    limit: Decimal


def steps(spec: CatalogSpec, stored: Mapping[str, Stored]) -> list[PlanStep]:
    """One step for each plan of the file or of the tables, in order of code."""
    wanted = {plan.code: plan for plan in spec.plans}
    created = [_create(plan) for code, plan in wanted.items() if code not in stored]
    retired = [_retire(known) for code, known in stored.items() if code not in wanted]
    others = [_update(stored[code], plan) for code, plan in wanted.items() if code in stored]
    return sorted(created + retired + others, key=lambda step: step.code)


def _create(wanted: PlanSpec) -> PlanStep:
    return PlanStep(Step.CREATED, 1, wanted, compare({}, _shown(wanted)))


def _retire(known: Stored) -> PlanStep:
    retired = dataclasses.replace(known.spec, shelf=retired_shelf(known.spec.shelf))
    if retired.shelf == known.spec.shelf:
        return PlanStep(Step.UNCHANGED, known.version, known.spec)
    return PlanStep(Step.RETIRED, known.version, retired, compare(_shown(known.spec), _shown(retired)))


def _update(known: Stored, wanted: PlanSpec) -> PlanStep:
    if contents.digest(known.spec) != contents.digest(wanted):
        fields = compare(_shown(known.before), _shown(wanted))
        if known.is_in_use:
            return PlanStep(Step.VERSIONED, known.version + 1, wanted, fields)
        return PlanStep(Step.REWRITTEN, known.version, wanted, fields)
    if known.spec.shelf != wanted.shelf:
        return PlanStep(Step.RESHELVED, known.version, wanted, compare(_shown(known.spec), _shown(wanted)))
    return PlanStep(Step.UNCHANGED, known.version, wanted)


def retired_shelf(shelf: Shelf) -> Shelf:
    return dataclasses.replace(shelf, is_active=False, is_on_sale=False)


def _shown(plan: PlanSpec) -> dict[str, Any]:
    shelf = {"active": plan.shelf.is_active, "on_sale": plan.shelf.is_on_sale, "order": plan.shelf.position}
    return contents.canonical(plan) | shelf


def compare(old: Mapping[str, Any], new: Mapping[str, Any]) -> tuple[FieldChange, ...]:
    """Leaves that differ, by path."""
    before, after = contents.flatten(old), contents.flatten(new)
    return tuple(
        FieldChange(path, before.get(path), after.get(path))
        for path in sorted({*before, *after})
        if before.get(path) != after.get(path) or (path in before) != (path in after)
    )


def compare_meters(old: Mapping[str, MeterSpec], new: Mapping[str, MeterSpec]) -> tuple[FieldChange, ...]:
    """Changes of the ``events:`` map itself; what guards an event is a change of the plans."""
    return compare({"events": _meters(old)}, {"events": _meters(new)})


def _meters(meters: Mapping[str, MeterSpec]) -> dict[str, Any]:
    return {
        code: {"product": meter.product, "description": meter.description, "unit": meter.unit}
        for code, meter in meters.items()
    }


def lowered(old: PlanSpec, new: PlanSpec) -> list[Lowered]:
    """Metered entitlements of ``old`` that allow less under ``new``."""
    found = []
    for before in old.entitlements:
        after = new.find_entitlement(before.key)
        if before.is_metered and (limit := _lower(before, after)) is not None:
            cadence = after.cadence if after is not None and after.is_metered else before.cadence
            found += [Lowered(new.code, before.key, meter, cadence, limit) for meter in before.meters]
    return found


def _lower(before: EntitlementSpec, after: EntitlementSpec | None) -> Decimal | None:
    """The new limit if it is lower than the old, else None."""
    if after is None or not after.is_metered:
        return None if after is not None and after.enabled else ZERO
    if after.limit is None or (before.limit is not None and after.limit >= before.limit):
        return None
    return after.limit


class OverLimit(NamedTuple):
    """An organization whose use in the current window is above the new limit. Quantities, in the meter's units."""

    organization: str
    entitlement: str
    used: Decimal
    limit_old: Decimal | None
    limit_new: Decimal

    def as_dict(self) -> dict[str, Any]:
        return {
            "organization": self.organization,
            "entitlement": self.entitlement,
            "used": plain(self.used),
            "limit_old": None if self.limit_old is None else plain(self.limit_old),
            "limit_new": plain(self.limit_new),
        }


@dataclasses.dataclass(frozen=True, slots=True)
class PlanChange:
    """A step with its reach: live subscriptions on any version of the plan, and who would be over a lowered limit."""

    code: str
    step: Step
    version: int
    fields: tuple[FieldChange, ...]
    organizations: int
    over_limit: tuple[OverLimit, ...]

    def as_dict(self) -> dict[str, Any]:
        return {
            "code": self.code,
            "step": self.step.value,
            "version": self.version,
            "fields": [change.as_dict() for change in self.fields],
            "organizations": self.organizations,
            "over_limit": [over.as_dict() for over in self.over_limit],
        }
