"""One plan with all that it promises and costs, frozen."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from decimal import Decimal

from django.utils.translation import gettext as _

from billing.models import BaseFeeTiming, EntitlementKind
from billing.reporting.shapes import PlanDocument
from billing.reporting.shop import Shop
from marketplace import wording
from marketplace.storefront import cards, looking, terms
from marketplace.storefront.cards import Choice, FeatureLine, Offer
from marketplace.storefront.looking import Look
from marketplace.storefront.terms import Tiers


@dataclass(frozen=True, slots=True)
class Sibling:
    """The same offer by another billing period."""

    code: str
    billed: str
    is_shown: bool


@dataclass(frozen=True, slots=True)
class FeatureGroup:
    name: str
    features: tuple[FeatureLine, ...]


@dataclass(frozen=True, slots=True)
class LimitRow:
    """``is_shut``: nothing of it is in the plan."""

    name: str
    description: str
    limit: str
    credits: str
    beyond: str
    is_shut: bool


@dataclass(frozen=True, slots=True)
class Switch:
    name: str
    is_on: bool


@dataclass(frozen=True, slots=True)
class Fact:
    name: str
    text: str


@dataclass(frozen=True, slots=True)
class Sla:
    tier: str
    version: str
    terms: str


@dataclass(frozen=True, slots=True)
class PlanPage:
    code: str
    name: str
    tagline: str
    description: str
    badge: str
    currency: str
    query: str
    currencies: tuple[Choice, ...]
    siblings: tuple[Sibling, ...]
    offer: Offer
    facts: tuple[Fact, ...]
    groups: tuple[FeatureGroup, ...]
    limits: tuple[LimitRow, ...]
    has_credits: bool
    switches: tuple[Switch, ...]
    tiers: tuple[Tiers, ...]
    sla: Sla | None


def plan_page(shop: Shop, plan: PlanDocument, look: Look) -> PlanPage:
    currency, sold = look.currency, {price["currency"] for price in plan["prices"]}
    metered = [each for each in plan["entitlements"] if each["kind"] == EntitlementKind.METERED]
    limits = tuple(
        LimitRow(
            name=terms.name(each),
            description=terms.description(each, shop),
            limit=_("Not included") if terms.is_shut(each) else terms.limit(each),
            credits=terms.credits(each),
            beyond=terms.beyond(each, currency, shop),
            is_shut=terms.is_shut(each),
        )
        for each in metered
    )
    tiered = (terms.tiers(each, currency, shop) for each in metered)
    return PlanPage(
        code=plan["code"],
        name=plan["name"],
        tagline=plan["tagline"],
        description=plan["description"],
        badge=str(plan["bundle"].get(looking.BADGE, "")),
        currency=currency,
        query=cards.query(currency, plan["billing_period"] if plan["billing_period"] in look.periods else ""),
        currencies=tuple(
            Choice(each, cards.query(each, ""), each == currency)
            for each in look.currencies
            if each in sold or (sold and each == currency)
        ),
        siblings=_siblings(shop, plan),
        offer=cards.offer(shop, plan, currency),
        facts=tuple(_facts(plan, currency)),
        groups=_groups(plan),
        limits=limits,
        has_credits=any(row.credits for row in limits),
        switches=tuple(
            Switch(terms.name(each), each["enabled"])
            for each in plan["entitlements"]
            if each["kind"] == EntitlementKind.BOOLEAN
        ),
        tiers=tuple(each for each in tiered if each is not None),
        sla=_sla(plan),
    )


def _siblings(shop: Shop, plan: PlanDocument) -> tuple[Sibling, ...]:
    others = looking.list_siblings(shop, plan)
    family = sorted([plan, *others], key=lambda each: looking.months(each["billing_period"])) if others else []
    return tuple(
        Sibling(each["code"], wording.billed(each["billing_period"]), each["code"] == plan["code"]) for each in family
    )


def _facts(plan: PlanDocument, currency: str) -> Iterable[Fact]:
    price = looking.find_price(plan, currency)
    if price is not None and not looking.is_free(plan, currency):
        when = (
            _("when the period begins")
            if plan["base_fee_timing"] == BaseFeeTiming.ADVANCE
            else _("when the period has ended")
        )
        billed = _("%(billed)s, %(when)s") % {"billed": wording.billed(plan["billing_period"]), "when": when}
        yield Fact(_("Billed"), billed)
    if least := cards.least_text(plan, currency):
        yield Fact(_("Minimum"), least)
    if plan["trial_days"]:
        yield Fact(_("Trial"), cards.trial_text(plan))
    if allowance := cards.allowance_text(plan):
        yield Fact(_("Included credits"), allowance)
    if price is not None and price["credit_price"] is not None:
        each = wording.rate(Decimal(price["credit_price"]), currency)
        yield Fact(_("Further credits"), _("%(price)s each") % {"price": each})
    if plan["sla"]["tier"]:
        yield Fact(_("Service level"), cards.tier_name(plan))
    for key, value in plan["bundle"].items():
        if key not in (looking.BADGE, looking.FAMILY):
            yield Fact(wording.name(key), _said(value))


def _said(value: str | bool | int) -> str:
    if isinstance(value, bool):
        return _("Yes") if value else _("No")
    return wording.number(Decimal(value)) if isinstance(value, int) else value


def _groups(plan: PlanDocument) -> tuple[FeatureGroup, ...]:
    names = list(dict.fromkeys(each.get("group", "") for each in plan["features"]))
    return tuple(
        FeatureGroup(name, tuple(cards.feature(each) for each in plan["features"] if each.get("group", "") == name))
        for name in names
    )


def _sla(plan: PlanDocument) -> Sla | None:
    if not plan["sla"]["tier"]:
        return None
    return Sla(cards.tier_name(plan), plan["sla"]["version"], plan["sla"]["terms"])
