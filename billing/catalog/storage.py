"""Plan versions between tables and ``PlanSpec``: written from the one, read back as the other."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal, cast

from billing.catalog import contents
from billing.catalog.schema import EntitlementSpec, FeatureSpec, OveragePrice, PlanSpec, PriceSpec, Shelf
from billing.kernel.guardrails import Rule
from billing.kernel.periods import Cadence, Interval
from billing.kernel.pricing import PricingModel, tiers_of
from billing.models import EntitlementPrice, Plan, PlanEntitlement, PlanPrice, PricingPlan

# What ``read`` touches, for prefetching over many plans.
PARTS = ("prices", "entitlements__prices")


def read(plan: Plan) -> PlanSpec:
    """A stored version as a specification; its digest equals the one of the file it came from."""
    shop = plan.pricing_plan
    return PlanSpec(
        code=plan.code,
        name=plan.name,
        product=plan.product,
        description=plan.description,
        billing_period=Interval(plan.billing_period),
        base_fee=cast(Literal["arrears", "advance"], plan.base_fee_timing),
        prices=tuple(
            PriceSpec(price.currency, price.base_fee_minor, price.credit_rate, price.minimum_minor)
            for price in sorted(plan.prices.all(), key=lambda price: price.currency)
        ),
        trial_days=plan.trial_days,
        trial_credits=plan.trial_credits,
        credit_allowance=plan.credit_allowance,
        allowance_every=cast(Literal["month", "period"], plan.allowance_every),
        entitlements=tuple(
            _entitlement(row) for row in sorted(plan.entitlements.all(), key=lambda entitlement: entitlement.key)
        ),
        tagline=shop.tagline,
        bundle=dict(shop.bundle),
        sla_tier=shop.sla_tier,
        sla_version=shop.sla_version,
        sla_terms=shop.sla_terms,
        features=tuple(FeatureSpec(**feature) for feature in shop.features),
        shelf=Shelf(is_on_sale=plan.is_on_sale, is_active=plan.is_active, position=shop.position),
    )


def _entitlement(row: PlanEntitlement) -> EntitlementSpec:
    return EntitlementSpec(
        key=row.key,
        kind=cast(Literal["boolean", "metered"], row.kind),
        meters=tuple(sorted(row.meters)),
        enabled=row.enabled,
        limit=row.limit,
        cadence=Cadence(row.cadence),
        on_limit=cast(Literal["block", "overage"], row.on_limit),
        credits_per_unit=row.credits_per_unit,
        overage_prices=tuple(
            OveragePrice(price.currency, price.rate, price.per, PricingModel(price.model), tiers_of(price.tiers))
            for price in sorted(row.prices.all(), key=lambda price: price.currency)
        ),
        guardrails={flag: Rule(rule) for flag, rule in row.guardrails.items()},
    )


def create(spec: PlanSpec, *, version: int) -> Plan:
    """Write a new current version with all its parts."""
    plan = Plan(code=spec.code, version=version, is_current=True)
    _fill(plan, spec)
    plan.save(force_insert=True)
    _write_parts(plan, spec)
    return plan


def rewrite(plan: Plan, spec: PlanSpec) -> None:
    """Replace the content of a version that nobody was ever subscribed to."""
    _fill(plan, spec)
    plan.save()
    plan.prices.all().delete()
    plan.entitlements.all().delete()
    PricingPlan.objects.filter(plan=plan).delete()
    _write_parts(plan, spec)


def put_on_shelf(plan: Plan, shelf: Shelf) -> None:
    """Set how a version stands in the shop, which is no part of its terms."""
    Plan.objects.filter(pk=plan.pk).update(is_on_sale=shelf.is_on_sale, is_active=shelf.is_active)
    PricingPlan.objects.filter(plan=plan).update(position=shelf.position)


def add_denials(plan: Plan, before: PlanSpec, after: PlanSpec) -> None:
    """Write what ``contents.deny_new_meters`` added to a version, and its new digest."""
    known = {entitlement.key: entitlement for entitlement in before.entitlements}
    for position, entitlement in enumerate(after.entitlements):
        if entitlement.key not in known:
            _entitlement_row(plan, entitlement, position).save(force_insert=True)
        elif entitlement.meters != known[entitlement.key].meters:
            plan.entitlements.filter(key=entitlement.key).update(meters=list(entitlement.meters))
    Plan.objects.filter(pk=plan.pk).update(content_digest=contents.digest(after))


def _fill(plan: Plan, spec: PlanSpec) -> None:
    plan.product = spec.product
    plan.name = spec.name
    plan.description = spec.description
    plan.billing_period = spec.billing_period.value
    plan.base_fee_timing = spec.base_fee
    plan.trial_days = spec.trial_days
    plan.trial_credits = spec.trial_credits
    plan.credit_allowance = spec.credit_allowance
    plan.allowance_every = spec.allowance_every
    plan.is_active = spec.shelf.is_active
    plan.is_on_sale = spec.shelf.is_on_sale
    plan.content_digest = contents.digest(spec)


def _write_parts(plan: Plan, spec: PlanSpec) -> None:
    PlanPrice.objects.bulk_create(
        PlanPrice(
            plan=plan,
            currency=price.currency,
            base_fee_minor=price.base_fee_minor,
            credit_rate=price.credit_rate,
            minimum_minor=price.minimum_minor,
        )
        for price in spec.prices
    )
    rows = [_entitlement_row(plan, entitlement, position) for position, entitlement in enumerate(spec.entitlements)]
    PlanEntitlement.objects.bulk_create(rows)
    EntitlementPrice.objects.bulk_create(_price_rows(zip(rows, spec.entitlements, strict=True)))
    PricingPlan.objects.create(
        plan=plan,
        tagline=spec.tagline,
        bundle=spec.bundle,
        sla_tier=spec.sla_tier,
        sla_version=spec.sla_version,
        sla_terms=spec.sla_terms,
        features=contents.canonical(spec)["features"],
        position=spec.shelf.position,
    )


def _entitlement_row(plan: Plan, entitlement: EntitlementSpec, position: int) -> PlanEntitlement:
    return PlanEntitlement(
        plan=plan,
        key=entitlement.key,
        kind=entitlement.kind,
        meters=list(entitlement.meters),
        enabled=entitlement.enabled,
        limit=entitlement.limit,
        cadence=entitlement.cadence.value,
        on_limit=entitlement.on_limit,
        credits_per_unit=entitlement.credits_per_unit,
        guardrails={flag: rule.value for flag, rule in entitlement.guardrails.items()},
        position=position,
    )


def _price_rows(pairs: Iterable[tuple[PlanEntitlement, EntitlementSpec]]) -> list[EntitlementPrice]:
    return [
        EntitlementPrice(
            entitlement=row,
            currency=price.currency,
            model=price.model.value,
            rate=price.rate,
            per=price.per,
            tiers=[tier.as_dict() for tier in price.tiers],
        )
        for row, entitlement in pairs
        for price in entitlement.overage_prices
    ]
