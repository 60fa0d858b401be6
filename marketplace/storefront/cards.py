"""The shop's front: a card for each plan on sale, frozen."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from django.utils.translation import gettext as _

from billing.models import AllowanceEvery
from billing.reporting.shapes import PlanDocument
from billing.reporting.shop import Shop
from marketplace import wording
from marketplace.storefront import looking
from marketplace.storefront.looking import Look

FEATURES_SHOWN_MAX = 8


@dataclass(frozen=True, slots=True)
class Choice:
    """One of several views: ``query`` is the query string that leads to it."""

    text: str
    query: str
    is_chosen: bool


@dataclass(frozen=True, slots=True)
class FeatureLine:
    """``included`` False is shown as missing; ``text`` says how much where it is more than a yes."""

    name: str
    text: str
    included: bool


@dataclass(frozen=True, slots=True)
class Offer:
    """What a plan costs. ``price`` is empty where it is free, and where it is not sold in the page's currency."""

    is_free: bool
    is_sold: bool
    price: str
    every: str
    note: str
    trial: str


@dataclass(frozen=True, slots=True)
class PlanCard:
    """``facts`` are short sentences; ``features_more`` counts those that are on the plan's own page only."""

    code: str
    name: str
    tagline: str
    description: str
    badge: str
    offer: Offer
    facts: tuple[str, ...]
    features: tuple[FeatureLine, ...]
    features_more: int


@dataclass(frozen=True, slots=True)
class Group:
    """Plans of one product; without a name where there is only one product."""

    name: str
    cards: tuple[PlanCard, ...]


@dataclass(frozen=True, slots=True)
class PlansPage:
    currency: str
    query: str
    currencies: tuple[Choice, ...]
    periods: tuple[Choice, ...]
    groups: tuple[Group, ...]
    count: int


def plans_page(shop: Shop, look: Look) -> PlansPage:
    plans = looking.list_shown(shop, look.every)
    products = list(dict.fromkeys(plan["product"] for plan in plans))
    return PlansPage(
        currency=look.currency,
        query=query(look.currency, look.every),
        currencies=currency_choices(look),
        periods=period_choices(look),
        groups=tuple(
            Group(
                name=wording.name(product) if len(products) > 1 else "",
                cards=tuple(_card(shop, plan, look.currency) for plan in plans if plan["product"] == product),
            )
            for product in products
        ),
        count=len(plans),
    )


def currency_choices(look: Look) -> tuple[Choice, ...]:
    return tuple(Choice(each, query(each, look.every), each == look.currency) for each in look.currencies)


def period_choices(look: Look) -> tuple[Choice, ...]:
    return tuple(Choice(wording.billed(each), query(look.currency, each), each == look.every) for each in look.periods)


def query(currency: str, every: str) -> str:
    """Both are known words by now, which need no quoting."""
    return "&".join(f"{name}={value}" for name, value in (("currency", currency), ("every", every)) if value)


def _card(shop: Shop, plan: PlanDocument, currency: str) -> PlanCard:
    return PlanCard(
        code=plan["code"],
        name=plan["name"],
        tagline=plan["tagline"],
        description=plan["description"],
        badge=str(plan["bundle"].get(looking.BADGE, "")),
        offer=offer(shop, plan, currency),
        facts=tuple(_facts(plan, currency)),
        features=tuple(feature(each) for each in plan["features"][:FEATURES_SHOWN_MAX]),
        features_more=max(0, len(plan["features"]) - FEATURES_SHOWN_MAX),
    )


def offer(shop: Shop, plan: PlanDocument, currency: str) -> Offer:
    price, is_free = looking.find_price(plan, currency), looking.is_free(plan, currency)
    return Offer(
        is_free=is_free,
        is_sold=is_free or price is not None,
        price=wording.price(looking.minor(price["base_fee"], currency), currency) if price and not is_free else "",
        every=wording.every(plan["billing_period"]),
        note=_saving(shop, plan, currency),
        trial=_("Try it for %(days)s") % {"days": wording.days(plan["trial_days"])} if plan["trial_days"] else "",
    )


def _saving(shop: Shop, plan: PlanDocument, currency: str) -> str:
    for sibling in looking.list_siblings(shop, plan):
        if saved := looking.saving_minor(plan, sibling, currency):
            return _("You save %(amount)s %(every)s.") % {
                "amount": wording.price(saved, currency),
                "every": wording.every(plan["billing_period"]),
            }
    return ""


def _facts(plan: PlanDocument, currency: str) -> Iterable[str]:
    if least := least_text(plan, currency):
        yield least
    if credits := allowance_text(plan):
        yield credits
    if plan["trial_days"]:
        yield trial_text(plan)
    if plan["sla"]["tier"]:
        yield _("%(tier)s service level") % {"tier": tier_name(plan)}


def least_text(plan: PlanDocument, currency: str) -> str:
    price = looking.find_price(plan, currency)
    if price is None or looking.least_minor(price) <= looking.minor(price["base_fee"], currency):
        return ""
    return _("At least %(amount)s %(every)s, fee and use together") % {
        "amount": wording.price(looking.least_minor(price), currency),
        "every": wording.every(plan["billing_period"]),
    }


def allowance_text(plan: PlanDocument) -> str:
    allowance = Decimal(plan["credit_allowance"])
    if not allowance:
        return ""
    every = "month" if plan["allowance_every"] == AllowanceEvery.MONTH else plan["billing_period"]
    return _("%(credits)s credits %(every)s") % {"credits": wording.number(allowance), "every": wording.every(every)}


def trial_text(plan: PlanDocument) -> str:
    days, credits = wording.days(plan["trial_days"]), Decimal(plan["trial_credits"])
    if not credits:
        return _("%(days)s of trial") % {"days": days}
    return _("%(days)s of trial with %(credits)s credits") % {"days": days, "credits": wording.number(credits)}


def tier_name(plan: PlanDocument) -> str:
    return plan["sla"]["tier"].replace("-", " ").capitalize()


def feature(described: dict[str, Any]) -> FeatureLine:
    value = described.get("value", True)
    if isinstance(value, bool):
        return FeatureLine(described["name"], "", value)
    return FeatureLine(described["name"], str(value), included=True)
