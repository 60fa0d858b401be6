"""What a limit and a price beyond it say, in words."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal

from django.utils.translation import gettext as _

from billing.kernel.periods import Cadence
from billing.kernel.pricing import PricingModel
from billing.models import OnLimit
from billing.reporting.shapes import EntitlementDocument, OveragePriceDocument
from billing.reporting.shop import Shop
from marketplace import wording


@dataclass(frozen=True, slots=True)
class TierRow:
    """From the first unit to the last of a tier, counted beyond the limit; ``reaches`` is empty where it is open."""

    begins: str
    reaches: str
    rate: str
    flat: str


@dataclass(frozen=True, slots=True)
class Tiers:
    name: str
    rule: str
    per: str
    has_flat: bool
    rows: tuple[TierRow, ...]


def name(entitlement: EntitlementDocument) -> str:
    return wording.name(entitlement["key"])


def description(entitlement: EntitlementDocument, shop: Shop) -> str:
    """What the guarded meter counts, in the catalog's words."""
    found = [shop.meters[code].description for code in entitlement["meters"] if code in shop.meters]
    return next((each for each in found if each), "")


def is_shut(entitlement: EntitlementDocument) -> bool:
    """Nothing is allowed, at no price either."""
    return entitlement["limit"] is not None and not Decimal(entitlement["limit"]) and not goes_on(entitlement)


def goes_on(entitlement: EntitlementDocument) -> bool:
    return entitlement["on_limit"] == OnLimit.OVERAGE


def limit(entitlement: EntitlementDocument) -> str:
    """ "2,000 a calendar month", "Unlimited", "None"."""
    if entitlement["limit"] is None:
        return _("Unlimited")
    if not Decimal(entitlement["limit"]):
        return _("None")
    return f"{wording.number(Decimal(entitlement['limit']))} {wording.cadence(entitlement['cadence'])}"


def credits(entitlement: EntitlementDocument) -> str:
    """What a unit inside the limit costs in credits; empty where it costs none."""
    each = Decimal(entitlement["credits_per_unit"])
    return _("%(credits)s credits each") % {"credits": wording.number(each)} if each else ""


def find_price(entitlement: EntitlementDocument, currency: str) -> OveragePriceDocument | None:
    return next((each for each in entitlement["overage_prices"] if each["currency"] == currency), None)


def beyond(entitlement: EntitlementDocument, currency: str, shop: Shop) -> str:
    """What becomes of use beyond the limit, or inside it of what credits do not cover."""
    price = find_price(entitlement, currency)
    if entitlement["limit"] is None:
        return _("Missing credits are billed") if goes_on(entitlement) and credits(entitlement) else ""
    if not goes_on(entitlement):
        if is_shut(entitlement):
            return ""
        return _("Refused") if entitlement["cadence"] == Cadence.NEVER else _("Refused until it resets")
    if price is None:
        return _("Free of charge") if not entitlement["overage_prices"] else ""
    return overage(price, _unit(entitlement, shop))


def _unit(entitlement: EntitlementDocument, shop: Shop) -> str:
    return next((shop.meters[code].unit for code in entitlement["meters"] if code in shop.meters), "") or _("unit")


def overage(price: OveragePriceDocument, unit: str) -> str:
    """A price beyond the limit in one line: "$0.50 per 1,000,000"."""
    model, per = PricingModel(price["model"]), Decimal(price["per"])
    if model.is_tiered:
        rates = [Decimal(tier["rate"]) for tier in price["tiers"]]
        return _("By tier, from %(rate)s") % {"rate": _per(wording.rate(min(rates), price["currency"]), per, unit)}
    rate = Decimal(price["rate"] or 0)
    if model == PricingModel.PERCENTAGE:
        return _("%(share)s %% of it") % {"share": wording.number(rate)}
    if model == PricingModel.PACKAGE:
        return _("%(rate)s per package of %(size)s") % {
            "rate": wording.rate(rate, price["currency"]),
            "size": wording.number(per),
        }
    return _per(wording.rate(rate, price["currency"]), per, unit)


def _per(rate: str, per: Decimal, unit: str) -> str:
    return _("%(rate)s per %(unit)s") % {"rate": rate, "unit": unit if per == 1 else wording.number(per)}


def tiers(entitlement: EntitlementDocument, currency: str, shop: Shop) -> Tiers | None:
    """The tiers of a price beyond the limit, where it has any."""
    price = find_price(entitlement, currency)
    if price is None or not price["tiers"] or not goes_on(entitlement):
        return None
    rows, below = [], Decimal(0)
    for tier in price["tiers"]:
        flat = Decimal(tier["flat"])
        rows.append(
            TierRow(
                begins=wording.number(below),
                reaches="" if tier["up_to"] is None else wording.number(Decimal(tier["up_to"])),
                rate=wording.rate(Decimal(tier["rate"]), currency),
                flat=wording.rate(flat, currency) if flat else "",
            )
        )
        below = Decimal(tier["up_to"] or 0)
    is_graduated = PricingModel(price["model"]) == PricingModel.GRADUATED
    return Tiers(
        name=name(entitlement),
        rule=_("Each unit costs what the tier says in which it falls.")
        if is_graduated
        else _("All units cost what the tier says in which their number falls."),
        per=_per("", Decimal(price["per"]), _unit(entitlement, shop)).strip(),
        has_flat=any(row.flat for row in rows),
        rows=tuple(rows),
    )
