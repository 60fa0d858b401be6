"""What plans ask, and what a meter and a tax are called."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection
from uuid import UUID

import msgspec

from billing.infra import columns, statements
from billing.invoicing.books import MeterLabel, OveragePrice, PlanTerms
from billing.invoicing.tax import TaxTerms
from billing.kernel.pricing import PricingModel, tiers_of
from billing.models import BaseFeeTiming, BillingProfile

_METERS = "SELECT code, description, unit FROM billing_meters WHERE code = ANY(%s::text[])"
_PLANS = "SELECT id, code, version, name, base_fee_timing FROM billing_plans WHERE id = ANY(%s::uuid[])"
_PRICES = """SELECT plan_id, currency, base_fee_minor, credit_rate, minimum_minor
FROM billing_plan_prices WHERE plan_id = ANY(%s::uuid[])
"""
_OVERAGE = """SELECT entitlement.plan_id, price.currency, entitlement.key, entitlement."limit", entitlement.cadence,
    entitlement.meters, price.rate, price.per, price.model, price.tiers::text
FROM billing_entitlement_prices price
JOIN billing_plan_entitlements entitlement ON entitlement.id = price.entitlement_id
WHERE entitlement.plan_id = ANY(%s::uuid[]) AND entitlement.on_limit = 'overage' AND entitlement."limit" IS NOT NULL
"""


def meters(codes: Collection[str]) -> dict[str, MeterLabel]:
    found = statements.fetch_texts(_METERS, [columns.of_texts(list(codes))]) if codes else ()
    return {code: MeterLabel(code, description or code, unit) for code, description, unit in found}


def tax_terms(profile: BillingProfile | None) -> TaxTerms:
    return TaxTerms() if profile is None else TaxTerms(profile.tax_treatment, profile.tax_rate, profile.tax_label)


def prices(wanted: Collection[tuple[UUID, str]]) -> dict[tuple[UUID, str], PlanTerms]:
    """What each plan version asks in each currency that is wanted."""
    plan_ids = columns.of_ids({plan_id for plan_id, _ in wanted})
    plans = {plan_id: plan for plan_id, *plan in statements.fetch_texts(_PLANS, [plan_ids])}
    stored = {(plan_id, currency): price for plan_id, currency, *price in statements.fetch_texts(_PRICES, [plan_ids])}
    priced = {plan_id for plan_id, _ in stored}
    overage = _overage_prices(plan_ids)
    terms = {}
    for plan_id, currency in wanted:
        code, version, name, timing = plans[plan_id]
        # A plan that names no price at all is free; one that has prices but none in this currency cannot be billed.
        free = 0 if plan_id not in priced else None
        base_fee_minor, credit_rate, minimum_minor = stored.get((plan_id, currency), (free, None, 0))
        terms[plan_id, currency] = PlanTerms(
            id=plan_id,
            code=code,
            version=version,
            name=name,
            base_fee_minor=base_fee_minor,
            credit_rate=credit_rate,
            overage=overage.get((plan_id, currency), {}),
            minimum_minor=minimum_minor,
            in_advance=timing == BaseFeeTiming.ADVANCE,
        )
    return terms


def _overage_prices(plan_ids: str) -> dict[tuple[UUID, str], dict[str, OveragePrice]]:
    found: dict[tuple[UUID, str], dict[str, OveragePrice]] = defaultdict(dict)
    for plan_id, currency, key, limit, cadence, guarded, rate, per, model, tiers in statements.fetch_texts(
        _OVERAGE, [plan_ids]
    ):
        price = OveragePrice(key, limit, cadence, rate, per, PricingModel(model), tiers_of(msgspec.json.decode(tiers)))
        for meter in guarded:
            found[plan_id, currency][meter] = price
    return found
