"""What plans ask, and what a meter and a tax are called."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection
from uuid import UUID

from billing.invoicing.books import MeterLabel, OveragePrice, PlanTerms
from billing.invoicing.tax import TaxTerms
from billing.kernel.pricing import PricingModel, tiers_of
from billing.models import BaseFeeTiming, BillingProfile, EntitlementPrice, Meter, OnLimit, Plan, PlanPrice


def meters(codes: Collection[str]) -> dict[str, MeterLabel]:
    found = Meter.objects.filter(code__in=codes) if codes else ()
    return {meter.code: MeterLabel(meter.code, meter.description or meter.code, meter.unit) for meter in found}


def tax_terms(profile: BillingProfile | None) -> TaxTerms:
    return TaxTerms() if profile is None else TaxTerms(profile.tax_treatment, profile.tax_rate, profile.tax_label)


def prices(wanted: Collection[tuple[UUID, str]]) -> dict[tuple[UUID, str], PlanTerms]:
    """What each plan version asks in each currency that is wanted."""
    plan_ids = {plan_id for plan_id, _ in wanted}
    plans = {plan.id: plan for plan in Plan.objects.filter(id__in=plan_ids)}
    stored = {(price.plan_id, price.currency): price for price in PlanPrice.objects.filter(plan_id__in=plan_ids)}
    priced = {plan_id for plan_id, _ in stored}
    overage = _overage_prices(plan_ids)
    terms = {}
    for plan_id, currency in wanted:
        plan, price = plans[plan_id], stored.get((plan_id, currency))
        # A plan that names no price at all is free; one that has prices but none in this currency cannot be billed.
        free = 0 if plan_id not in priced else None
        terms[plan_id, currency] = PlanTerms(
            id=plan_id,
            code=plan.code,
            version=plan.version,
            name=plan.name,
            base_fee_minor=price.base_fee_minor if price else free,
            credit_rate=price.credit_rate if price else None,
            overage=overage.get((plan_id, currency), {}),
            minimum_minor=price.minimum_minor if price else 0,
            in_advance=plan.base_fee_timing == BaseFeeTiming.ADVANCE,
        )
    return terms


def _overage_prices(plan_ids: Collection[UUID]) -> dict[tuple[UUID, str], dict[str, OveragePrice]]:
    found: dict[tuple[UUID, str], dict[str, OveragePrice]] = defaultdict(dict)
    rows = EntitlementPrice.objects.filter(
        entitlement__plan_id__in=plan_ids, entitlement__on_limit=OnLimit.OVERAGE, entitlement__limit__isnull=False
    ).select_related("entitlement")
    for row in rows:
        entitlement = row.entitlement
        assert entitlement.limit is not None  # noqa: S101 - the filter above, for the type checker
        for meter in entitlement.meters:
            found[entitlement.plan_id, row.currency][meter] = OveragePrice(
                entitlement.key,
                entitlement.limit,
                entitlement.cadence,
                row.rate,
                row.per,
                PricingModel(row.model),
                tiers_of(row.tiers),
            )
    return found
