"""The content of a plan version in one canonical form: what makes two versions the same, whatever the file's layout."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from billing.catalog.schema import EntitlementSpec, MeterSpec, OveragePrice, PlanSpec
from billing.kernel import money
from billing.kernel.decimals import plain
from billing.kernel.pricing import PricingModel, Tier


def canonical(plan: PlanSpec) -> dict[str, Any]:
    """Plain JSON of the plan's terms: decimals as strings, features in their order of display.

    What a plan does not have is left out where it came to the catalog later, so that older digests hold.
    """
    return _minimum(plan) | {
        "product": plan.product,
        "name": plan.name,
        "description": plan.description,
        "billing_period": plan.billing_period.value,
        "base_fee": plan.base_fee,
        "price": {price.currency: money.format_minor(price.base_fee_minor, price.currency) for price in plan.prices},
        "credit_price": {
            price.currency: plain(price.credit_rate) for price in plan.prices if price.credit_rate is not None
        },
        "trial_days": plan.trial_days,
        "trial_credits": plain(plan.trial_credits),
        "credit_allowance": plain(plan.credit_allowance),
        "allowance_every": plan.allowance_every,
        "entitlements": {entitlement.key: _entitlement(entitlement) for entitlement in plan.entitlements},
        "tagline": plan.tagline,
        "bundle": dict(plan.bundle),
        "sla": {"tier": plan.sla_tier, "version": plan.sla_version, "terms": plan.sla_terms},
        "features": [dataclasses.asdict(feature) for feature in plan.features],
    }


def digest(plan: PlanSpec) -> str:
    """SHA-256 of the canonical content, as 64 hexadecimal digits."""
    text = json.dumps(canonical(plan), sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(text.encode()).hexdigest()


def flatten(content: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Leaves by dotted path, so that a change can be named: ``entitlements.max_cases.limit``."""
    leaves: dict[str, Any] = {}
    for key, value in content.items():
        if isinstance(value, Mapping):
            leaves |= flatten(value, f"{prefix}{key}.")
        else:
            leaves[f"{prefix}{key}"] = value
    return leaves


def deny_new_meters(plan: PlanSpec, new_meters: Mapping[str, MeterSpec]) -> PlanSpec:
    """An older version as it stands towards events that were declared after it was made.

    A version says by itself what guards each event. One that never heard of an event would count it without limit, so
    the event's guards are written into it: a boolean that it lists now guards the new event too, a guard that it does
    not list is a denial. A metered key cannot count a second event; the denial then bears the event's own name.
    """
    entitlements = {entitlement.key: entitlement for entitlement in plan.entitlements}
    for meter in new_meters.values():
        if meter.product != plan.product:
            continue
        for guard in meter.guards:
            known = entitlements.get(guard)
            key = meter.code if known is not None and known.is_metered else guard
            before = entitlements.get(key) or EntitlementSpec(key, "boolean", enabled=False, is_implied=True)
            meters = tuple(sorted({*before.meters, meter.code}))
            entitlements[key] = dataclasses.replace(before, meters=meters)
    ordered = sorted(entitlements.values(), key=lambda entitlement: entitlement.key)
    return dataclasses.replace(plan, entitlements=tuple(ordered))


def _entitlement(entitlement: EntitlementSpec) -> dict[str, Any]:
    guards = {"guards": list(entitlement.meters)}
    if not entitlement.is_metered:
        return {"enabled": entitlement.enabled} | guards
    return (
        _guardrails(entitlement)
        | {
            "limit": _limit(entitlement.limit),
            "cadence": entitlement.cadence.value,
            "on_limit": entitlement.on_limit,
            "credits_per_unit": plain(entitlement.credits_per_unit),
            "overage_price": {price.currency: _overage_price(price) for price in entitlement.overage_prices},
        }
        | guards
    )


def _guardrails(entitlement: EntitlementSpec) -> dict[str, Any]:
    rules = {flag: rule.value for flag, rule in entitlement.guardrails.items()}
    return {"guardrails": rules} if rules else {}


def _minimum(plan: PlanSpec) -> dict[str, Any]:
    amounts = {
        price.currency: money.format_minor(price.minimum_minor, price.currency)
        for price in plan.prices
        if price.minimum_minor
    }
    return {"minimum": amounts} if amounts else {}


def _overage_price(price: OveragePrice) -> str | dict[str, Any]:
    """A price of one rate in words, a tiered one as a mapping, so that a difference names the tier."""
    per = plain(price.per)
    if price.rate is None:
        tiers = {str(number): _tier(tier) for number, tier in enumerate(price.tiers, start=1)}
        return {"model": price.model.value, "per": per, "tiers": tiers}
    if price.model == PricingModel.PACKAGE:
        return f"{plain(price.rate)} per started {per}"
    if price.model == PricingModel.PERCENTAGE:
        return f"{plain(price.rate)} per cent"
    return f"{plain(price.rate)} per {per}"


def _tier(tier: Tier) -> str:
    reach = "beyond" if tier.up_to is None else f"up to {plain(tier.up_to)}"
    return f"{reach}: {plain(tier.rate)}" + (f", flat {plain(tier.flat)}" if tier.flat else "")


def _limit(limit: Decimal | None) -> str | None:
    return None if limit is None else plain(limit)
