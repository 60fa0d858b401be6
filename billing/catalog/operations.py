"""Writing the catalog: the only way that plans and meters change."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from django.db.transaction import atomic

from billing.catalog import contents, diffing, lab, queries, storage
from billing.catalog.diffing import PlanStep, Step
from billing.catalog.schema import CatalogSpec, MeterSpec
from billing.infra import audit, locks
from billing.kernel.errors import Conflict
from billing.models import CatalogState, Meter, Plan

_STATE_ID = 1


class ProductChanged(Conflict):
    """A plan or meter that is in use cannot move to another product; it needs a new code."""

    code = "product_changed"


@dataclasses.dataclass(frozen=True, slots=True)
class SyncReport:
    """What a sync did. ``meters_kept`` are gone from the file but still needed by use or by an older plan version."""

    plans: tuple[PlanStep, ...]
    meters_declared: tuple[str, ...]
    meters_changed: tuple[str, ...]
    meters_removed: tuple[str, ...]
    meters_kept: tuple[str, ...]
    default_plan: str
    catalog_version: int
    is_changed: bool

    def as_dict(self) -> dict[str, Any]:
        return {
            "changed": self.is_changed,
            "catalog_version": self.catalog_version,
            "default_plan": self.default_plan,
            "plans": [{"code": step.code, "step": step.step.value, "version": step.version} for step in self.plans],
            "meters": {
                "declared": list(self.meters_declared),
                "changed": list(self.meters_changed),
                "removed": list(self.meters_removed),
                "kept": list(self.meters_kept),
            },
        }


@atomic
def sync(*, spec: CatalogSpec, actor: str, now: datetime) -> SyncReport:
    """Make the tables say what the file says, under the catalog's lock: run twice or by many at once, it is done once.

    A plan that changed gets a new version if anyone is or was subscribed to the current one, and is rewritten in place
    otherwise; subscribers stay on theirs. A plan gone from the file is retired, one that comes back is active again.
    Raises ``ProductChanged``, and ``Busy`` if another sync holds the lock too long; then nothing is written.
    """
    locks.lock_catalog()
    return _sync(spec, actor, now)


@atomic
def bootstrap_lab_standard(*, now: datetime) -> None:
    """Put the "Lab Standard" plan into a catalog that is empty, once; any other catalog is left alone.

    For sandbox environments: a first look at the API finds something to subscribe to.
    """
    if Plan.objects.exists():
        return
    locks.lock_catalog()
    if not Plan.objects.exists():
        _sync(lab.standard(), "system:lab-standard", now)


def _sync(spec: CatalogSpec, actor: str, now: datetime) -> SyncReport:
    state, _ = CatalogState.objects.get_or_create(pk=_STATE_ID)
    current = _lock_current_plans()
    known, meters = queries.stored_meters(), {meter.code: meter for meter in spec.meters}
    new = queries.new_meters(spec)
    stored = queries.list_stored(new)
    steps = diffing.steps(spec, stored)
    changed = [code for code in sorted(known.keys() & meters.keys()) if _columns(known[code]) != _columns(meters[code])]
    _refuse_moves(steps, stored, [code for code in changed if known[code].product != meters[code].product])
    _deny(new)
    for code in (declared := sorted(meters.keys() - known.keys())) + changed:
        Meter.objects.update_or_create(code=code, defaults=_columns(meters[code]))
    for step in steps:
        if step.step is not Step.UNCHANGED:
            _take(step, current.get(step.code), actor)
    gone = known.keys() - meters.keys()
    kept = queries.needed_meters(gone)
    Meter.objects.filter(code__in=gone - kept).delete()
    is_changed = bool(declared or changed or gone - kept or state.default_plan != spec.default_plan) or any(
        step.step is not Step.UNCHANGED for step in steps
    )
    if is_changed:
        state.version += 1
        state.default_plan = spec.default_plan
        state.synced_at = now
        state.save()
    return SyncReport(
        plans=tuple(steps),
        meters_declared=tuple(declared),
        meters_changed=tuple(changed),
        meters_removed=tuple(sorted(gone - kept)),
        meters_kept=tuple(sorted(kept)),
        default_plan=spec.default_plan,
        catalog_version=state.version,
        is_changed=is_changed,
    )


def _lock_current_plans() -> dict[str, Plan]:
    """Lock the versions that may be rewritten: whoever is just subscribing to one holds it (``queries.get_plan``, or
    the foreign key of the new row), so "nobody is subscribed" stays true until this transaction ends."""
    plans = Plan.objects.select_for_update().filter(is_current=True).order_by("id")
    with locks.busy_on_timeout():
        return {plan.code: plan for plan in plans}


def _refuse_moves(steps: Sequence[PlanStep], stored: Mapping[str, diffing.Stored], moved: Sequence[str]) -> None:
    for step in steps:
        if step.step is Step.VERSIONED and step.spec.product != stored[step.code].spec.product:
            raise ProductChanged(f"The plan {step.code!r} has subscribers and cannot move to another product.")
    for code in sorted(queries.needed_meters(moved)):
        raise ProductChanged(f"The event {code!r} is in use and cannot move to another product.")


def _deny(new: Mapping[str, MeterSpec]) -> None:
    """Write the guards of newly declared events into every version made before them, old and retired ones included."""
    if not new:
        return
    plans = Plan.objects.filter(product__in={meter.product for meter in new.values()})
    for plan in plans.select_related("pricing_plan").prefetch_related(*storage.PARTS):
        before = storage.read(plan)
        after = contents.deny_new_meters(before, new)
        if after != before:
            storage.add_denials(plan, before, after)


def _take(step: PlanStep, plan: Plan | None, actor: str) -> None:
    if plan is None:
        plan = storage.create(step.spec, version=step.version)
    elif step.step is Step.VERSIONED:
        Plan.objects.filter(pk=plan.pk).update(is_current=False)
        plan = storage.create(step.spec, version=step.version)
    elif step.step is Step.REWRITTEN:
        storage.rewrite(plan, step.spec)
    else:
        storage.put_on_shelf(plan, step.spec.shelf)
    changes = [] if step.step is Step.CREATED else [change.as_dict() for change in step.fields]
    audit.record(
        actor=actor,
        act=f"plan.{step.step.value}",
        object_type="plan",
        object_id=plan.id,
        organization_id=None,
        details={"code": step.code, "version": step.version, "changes": changes},
    )


def _columns(meter: MeterSpec) -> dict[str, str]:
    return {"product": meter.product, "description": meter.description, "unit": meter.unit}
