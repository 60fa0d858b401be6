"""Reading the catalog."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime
from decimal import Decimal
from uuid import UUID

from django.db import connection
from django.db.models import Exists, OuterRef, Q, QuerySet

from billing.catalog import contents, diffing, impact, storage
from billing.catalog.compiled import CompiledPlan
from billing.catalog.compiling import compile_plan
from billing.catalog.schema import CatalogSpec, MeterSpec
from billing.infra import locks, statements
from billing.kernel.errors import Conflict, Forbidden, Invalid
from billing.models import (
    CatalogState,
    Meter,
    Plan,
    PlanEntitlement,
    PlanPrice,
    PlanSpan,
    Subscription,
    UsageWindow,
)


class PlanUnknown(Invalid):
    """No plan has ever had this code."""

    code = "plan_unknown"


class PlanRetired(Conflict):
    """The plan is not active any more: nobody new gets it, an operator included."""

    code = "plan_retired"


class PlanNotOnSale(Forbidden):
    """The plan is there, but only an operator may give it."""

    code = "plan_not_on_sale"


class CurrencyNotSold(Invalid):
    """The plan has prices, but none in this currency."""

    code = "currency_not_sold"


def find_current_plan(code: str) -> Plan | None:
    """The version that new subscribers would get, retired or not."""
    return Plan.objects.filter(code=code, is_current=True).first()


def find_offer(code: str) -> Plan | None:
    """As ``find_current_plan``, with its prices and what the shop shows of it. Two queries."""
    return _offers().filter(code=code).first()


def list_offers(product: str) -> list[Plan]:
    """Plans of ``product`` that anyone may buy now, in the shop's order, as ``find_offer`` gives them. Two queries."""
    offers = _offers().filter(product=product, is_active=True, is_on_sale=True)
    return list(offers.order_by("pricing_plan__position", "code"))


def _offers() -> QuerySet[Plan]:
    return Plan.objects.filter(is_current=True).select_related("pricing_plan").prefetch_related("prices")


def get_plan(code: str, *, must_be_on_sale: bool = False) -> Plan:
    """The version of ``code`` to subscribe somebody to. Inside a transaction it stays what it is until the end of it.

    Raises ``PlanUnknown``, ``PlanRetired`` or, where a customer chooses (``must_be_on_sale``), ``PlanNotOnSale``.
    """
    plan = _hold_current(code) if connection.in_atomic_block else find_current_plan(code)
    if plan is None:
        raise PlanUnknown(f"There is no plan {code!r}.", field="plan_code")
    if not plan.is_active:
        raise PlanRetired(f"The plan {code!r} is not offered any more.", field="plan_code")
    if must_be_on_sale and not plan.is_on_sale:
        raise PlanNotOnSale(f"The plan {code!r} is not on sale.", field="plan_code")
    return plan


def _hold_current(code: str) -> Plan | None:
    """The current version, share-locked: a sync cannot rewrite a version under its first subscriber.

    A sync that made another version current while we waited leaves us without a row: then we ask again.
    """
    while True:
        with locks.busy_on_timeout(), connection.cursor() as cursor:
            cursor.execute("SELECT id FROM billing_plans WHERE code = %s AND is_current FOR SHARE", [code])
            row = cursor.fetchone()
        if row is not None:
            return Plan.objects.get(pk=row[0])
        if find_current_plan(code) is None:
            return None


def list_plans_for_shop() -> list[Plan]:
    """Plans that anyone may buy now, in the shop's order, with all that a page or the API shows of them (4 queries)."""
    plans = Plan.objects.filter(is_current=True, is_active=True, is_on_sale=True)
    return list(
        plans.select_related("pricing_plan").prefetch_related(*storage.PARTS).order_by("pricing_plan__position", "code")
    )


def list_current_plans() -> list[Plan]:
    """Every plan's current version, retired and unsold ones included, by code; parts loaded as for the shop."""
    plans = Plan.objects.filter(is_current=True)
    return list(plans.select_related("pricing_plan").prefetch_related(*storage.PARTS).order_by("code"))


def find_price(plan: Plan, currency: str) -> PlanPrice | None:
    """The plan's price in ``currency``; None for a plan without any price, which is free of charge everywhere.

    Raises ``CurrencyNotSold`` where the plan has prices and none is in this currency.
    """
    prices = {price.currency: price for price in plan.prices.all()}
    if prices and currency not in prices:
        raise CurrencyNotSold(
            f"The plan {plan.code!r} is sold in {', '.join(sorted(prices))}, not in {currency}.", field="currency"
        )
    return prices.get(currency)


def base_fee_minor(plan: Plan, currency: str) -> int:
    """Base fee of one billing period in minor units, 0 for a plan without prices. Raises as ``find_price``."""
    price = find_price(plan, currency)
    return price.base_fee_minor if price else 0


def credit_rate(plan: Plan, currency: str) -> Decimal | None:
    """Price of one credit in major units; None where the plan sells none. Raises as ``find_price``."""
    price = find_price(plan, currency)
    return price.credit_rate if price else None


def default_plan_code() -> str:
    """The plan that a new organization gets at bootstrap or sign-up; empty before the first sync."""
    return CatalogState.objects.values_list("default_plan", flat=True).first() or ""


def catalog_version() -> int:
    """Grows with each sync that changed something; 0 before the first."""
    return CatalogState.objects.values_list("version", flat=True).first() or 0


def catalog_stamp() -> str:
    """Names the catalog's state as committed; empty before the first sync, when there is none to name. One statement.

    Not the version alone: after a backup was restored, a version may come a second time and say something else. Two
    syncs are never of one transaction, whose id PostgreSQL keeps with the row.
    """
    rows = statements.fetch_all("SELECT version, xmin::text FROM billing_catalog_state", [])
    return f"{rows[0][0]}-{rows[0][1]}" if rows else ""


def find_meter(code: str) -> Meter | None:
    return Meter.objects.filter(code=code).first()


def list_meters() -> list[Meter]:
    return list(Meter.objects.order_by("code"))


def products_by_meter() -> dict[str, str]:
    """Product of each declared meter: one small statement, always as committed."""
    return dict(Meter.objects.values_list("code", "product"))


_COMPILED_MAX = 2000
_compiled: dict[tuple[UUID, str], CompiledPlan] = {}


def compiled_plan(plan_id: UUID, content_digest: str | None = None) -> CompiledPlan:
    """The plan version as decisions read it, from this process's cache where its content is still the same.

    The key is the content's digest and not the id alone, because a version that nobody has subscribed to yet may be
    rewritten in place. A caller that has read the digest with other rows passes it and saves a statement.
    """
    if content_digest is None:
        content_digest = Plan.objects.values_list("content_digest", flat=True).get(pk=plan_id)
    found = _compiled.get((plan_id, content_digest))
    if found is None:
        found, digest = compile_plan(plan_id)
        if len(_compiled) >= _COMPILED_MAX:
            _compiled.clear()
        # Under the digest that was read in one statement with the content, whatever the caller had seen before.
        _compiled[plan_id, digest] = found
    return found


def diff(spec: CatalogSpec, *, now: datetime) -> list[diffing.PlanChange]:
    """What ``sync`` would do with each plan, unchanged ones included, and whom it touches; writes nothing."""
    stored = list_stored(new_meters(spec))
    steps = diffing.steps(spec, stored)
    lowered = [
        limit
        for step in steps
        if step.step is diffing.Step.VERSIONED
        for limit in diffing.lowered(stored[step.code].spec, step.spec)
    ]
    counts = impact.count_live_by_plan()
    over = impact.list_over_limit(lowered, now=now)
    return [
        diffing.PlanChange(
            step.code, step.step, step.version, step.fields, counts.get(step.code, 0), tuple(over.get(step.code, ()))
        )
        for step in steps
    ]


def diff_settings(spec: CatalogSpec) -> list[diffing.FieldChange]:
    """Changes outside the plans: the default plan and the declared events, without those that ``sync`` would keep."""
    meters, stored = {meter.code: meter for meter in spec.meters}, stored_meters()
    kept = needed_meters(stored.keys() - meters.keys())
    old = {"default_plan": default_plan_code()}
    return [
        *diffing.compare(old, {"default_plan": spec.default_plan}),
        *diffing.compare_meters({code: meter for code, meter in stored.items() if code not in kept}, meters),
    ]


def needed_meters(codes: Collection[str]) -> set[str]:
    """Those of the meters that use was counted on, or that a version with subscribers guards."""
    if not codes:
        return set()
    counted = UsageWindow.objects.filter(meter_id__in=codes).values_list("meter_id", flat=True).distinct()
    guarding = PlanEntitlement.objects.filter(meters__overlap=list(codes)).values_list("plan_id", "meters")
    used = used_plan_ids({plan_id for plan_id, _ in guarding})
    guarded = {code for plan_id, meters in guarding if plan_id in used for code in meters}
    return (set(counted) | guarded) & set(codes)


def stored_meters() -> dict[str, MeterSpec]:
    return {
        meter.code: MeterSpec(meter.code, (), meter.product, meter.description, meter.unit) for meter in list_meters()
    }


def new_meters(spec: CatalogSpec) -> dict[str, MeterSpec]:
    """Guarded events of the file that are not declared yet: versions made before them do not know them."""
    known = set(Meter.objects.values_list("code", flat=True))
    return {meter.code: meter for meter in spec.meters if meter.guards and meter.code not in known}


def list_stored(new: dict[str, MeterSpec]) -> dict[str, diffing.Stored]:
    """Current version of every plan, as it will stand towards the meters about to be declared."""
    plans = list_current_plans()
    specs = {plan.id: storage.read(plan) for plan in plans}
    used = used_plan_ids(specs)
    return {
        plan.code: diffing.Stored(
            before=specs[plan.id],
            spec=contents.deny_new_meters(specs[plan.id], new),
            version=plan.version,
            is_in_use=plan.id in used,
        )
        for plan in plans
    }


def used_plan_ids(plan_ids: Collection[UUID]) -> set[UUID]:
    """Those of the versions that somebody is or was subscribed to, or will be when a period ends."""
    subscribed = Subscription.objects.filter(Q(plan=OuterRef("pk")) | Q(pending_plan=OuterRef("pk")))
    spanned = PlanSpan.objects.filter(plan=OuterRef("pk"))
    plans = Plan.objects.filter(Exists(subscribed) | Exists(spanned), pk__in=plan_ids)
    return set(plans.values_list("pk", flat=True))
