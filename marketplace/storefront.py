"""The plan list as a page shows it: frozen, from the same catalog query as ``GET /api/billing/plans``."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from billing.catalog import queries as catalog_queries
from billing.models import AllowanceEvery, Plan, PlanPrice
from marketplace import wording

PREFERRED_CURRENCY = "USD"


@dataclass(frozen=True, slots=True)
class FeatureLine:
    """``included`` False is shown as missing; ``text`` says how much where it is more than a yes."""

    name: str
    text: str
    included: bool


@dataclass(frozen=True, slots=True)
class PlanCard:
    """``price`` is None where the plan is not sold in the page's currency. ``facts`` are short sentences."""

    code: str
    name: str
    tagline: str
    description: str
    badge: str
    is_free: bool
    price: str | None
    interval: str
    facts: tuple[str, ...]
    sla_tier: str
    features: tuple[FeatureLine, ...]


@dataclass(frozen=True, slots=True)
class CurrencyChoice:
    code: str
    is_chosen: bool


@dataclass(frozen=True, slots=True)
class PlansPage:
    currency: str
    currencies: tuple[CurrencyChoice, ...]
    cards: tuple[PlanCard, ...]


def plans_page(*, currency: str = "") -> PlansPage:
    """Plans on sale in ``currency``; an unknown one falls back to the preferred, or else the first that is sold."""
    plans = catalog_queries.list_plans_for_shop()
    sold = sorted({price.currency for plan in plans for price in plan.prices.all()})
    chosen = _choose(currency.upper(), sold)
    return PlansPage(
        currency=chosen,
        currencies=tuple(CurrencyChoice(code, code == chosen) for code in sold),
        cards=tuple(_card(plan, chosen) for plan in plans),
    )


def _choose(wanted: str, sold: Sequence[str]) -> str:
    for currency in (wanted, PREFERRED_CURRENCY):
        if currency in sold:
            return currency
    return sold[0] if sold else ""


def _card(plan: Plan, currency: str) -> PlanCard:
    prices = {price.currency: price for price in plan.prices.all()}
    price = prices.get(currency)
    shown = getattr(plan, "pricing_plan", None)
    return PlanCard(
        code=plan.code,
        name=plan.name,
        tagline=shown.tagline if shown else "",
        description=plan.description,
        badge=str(shown.bundle.get("badge", "")) if shown else "",
        is_free=not prices or (price is not None and price.base_fee_minor == price.minimum_minor == 0),
        price=wording.money(price.base_fee_minor, currency) if price else None,
        interval=wording.interval(plan.billing_period),
        facts=tuple(_facts(plan, price)),
        sla_tier=shown.sla_tier.replace("-", " ").capitalize() if shown else "",
        features=tuple(_feature(feature) for feature in (shown.features if shown else [])),
    )


def _facts(plan: Plan, price: PlanPrice | None) -> Iterable[str]:
    if price is not None and price.minimum_minor > price.base_fee_minor:
        least = wording.money(price.minimum_minor, price.currency)
        yield f"At least {least} {price.currency} a {wording.interval(plan.billing_period)}, fee and use together"
    if plan.credit_allowance:
        every = "month" if plan.allowance_every == AllowanceEvery.MONTH else wording.interval(plan.billing_period)
        yield f"{wording.number(plan.credit_allowance)} credits a {every}"
    if plan.trial_days:
        with_credits = f" with {wording.number(plan.trial_credits)} credits" if plan.trial_credits else ""
        yield f"{plan.trial_days} days of trial{with_credits}"


def _feature(feature: dict[str, Any]) -> FeatureLine:
    value = feature.get("value", True)
    if isinstance(value, bool):
        return FeatureLine(feature["name"], "", value)
    return FeatureLine(feature["name"], str(value), included=True)
