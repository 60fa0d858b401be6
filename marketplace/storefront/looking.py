"""Which part of the shop a visitor looks at: a currency, and one billing period of plans that come in several. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from decimal import Decimal

from billing.kernel import money
from billing.kernel.periods import Interval
from billing.reporting.shapes import PlanDocument, PlanPriceDocument
from billing.reporting.shop import Shop

PREFERRED_CURRENCY = "USD"
# What a visitor who named no currency most likely pays in, by the locale of the browser.
_CURRENCIES = {
    "en-gb": "GBP",
    "de-ch": "CHF",
    "pl": "PLN",
    "pt-br": "BRL",
    "sv": "SEK",
    "da": "DKK",
    "cs": "CZK",
} | dict.fromkeys(("de", "fr", "es", "it", "nl", "pt"), "EUR")
_MONTHS = {Interval.MONTH: 1, Interval.QUARTER: 3, Interval.YEAR: 12}
# In a plan's ``bundle``: plans of one product with the same text are one offer by different billing periods.
FAMILY = "family"
BADGE = "badge"


@dataclass(frozen=True, slots=True)
class Look:
    """``every`` is a billing period, empty where the shop offers no choice of one. ``currencies`` and ``periods`` are
    what may be chosen from."""

    currency: str
    every: str
    currencies: tuple[str, ...]
    periods: tuple[str, ...]


def look(shop: Shop, *, currency: str, every: str, locale: str) -> Look:
    """What is wished, as far as there is such a thing; otherwise what most would wish."""
    sold = sorted({price["currency"] for plan in shop.plans for price in plan["prices"]})
    periods = _periods(shop.plans)
    return Look(
        currency=_first((currency.upper(), _CURRENCIES.get(locale, ""), PREFERRED_CURRENCY), sold),
        every=_first((every,), periods),
        currencies=tuple(sold),
        periods=tuple(periods),
    )


def _first(wished: Iterable[str], there: Sequence[str]) -> str:
    return next((each for each in wished if each in there), there[0] if there else "")


def _periods(plans: Iterable[PlanDocument]) -> list[str]:
    """Billing periods that some plan comes in besides another one, shortest first."""
    found: set[str] = set()
    for siblings in _families(plans).values():
        offered = {plan["billing_period"] for plan in siblings}
        if len(offered) > 1:
            found |= offered
    return sorted(found, key=months)


def months(period: str) -> int:
    return _MONTHS[Interval(period)]


def _families(plans: Iterable[PlanDocument]) -> dict[tuple[str, str], list[PlanDocument]]:
    found: dict[tuple[str, str], list[PlanDocument]] = {}
    for plan in plans:
        if name := family(plan):
            found.setdefault((plan["product"], name), []).append(plan)
    return found


def family(plan: PlanDocument) -> str:
    return str(plan["bundle"].get(FAMILY, ""))


def list_siblings(shop: Shop, plan: PlanDocument) -> list[PlanDocument]:
    """The same offer by its other billing periods, shortest first."""
    siblings = _families(shop.plans).get((plan["product"], family(plan)), [])
    others = [each for each in siblings if each["code"] != plan["code"]]
    return sorted(others, key=lambda each: months(each["billing_period"]))


def list_shown(shop: Shop, every: str) -> list[PlanDocument]:
    """All plans in the shop's order, but of a family those of the period ``every``, where it has such."""
    families = _families(shop.plans)
    hidden = {
        plan["code"]
        for siblings in families.values()
        if any(plan["billing_period"] == every for plan in siblings)
        for plan in siblings
        if plan["billing_period"] != every
    }
    return [plan for plan in shop.plans if plan["code"] not in hidden]


def find_price(plan: PlanDocument, currency: str) -> PlanPriceDocument | None:
    return next((price for price in plan["prices"] if price["currency"] == currency), None)


def is_free(plan: PlanDocument, currency: str) -> bool:
    """Without any price, or without a fee and a minimum in this currency."""
    price = find_price(plan, currency)
    return not plan["prices"] or (price is not None and minor(price["base_fee"], currency) == least_minor(price) == 0)


def least_minor(price: PlanPriceDocument) -> int:
    """What a billing period costs at least."""
    fee = minor(price["base_fee"], price["currency"])
    return max(fee, minor(price["minimum"], price["currency"])) if price["minimum"] else fee


def saving_minor(plan: PlanDocument, sibling: PlanDocument, currency: str) -> int:
    """What one period of ``plan`` costs less than as many months of a sibling that is paid more often; 0 if it does
    not, or is not."""
    longer, shorter = months(plan["billing_period"]), months(sibling["billing_period"])
    price, other = find_price(plan, currency), find_price(sibling, currency)
    if price is None or other is None or longer <= shorter:
        return 0
    return max(0, least_minor(other) * (longer // shorter) - least_minor(price))


def minor(amount: str, currency: str) -> int:
    return money.to_minor_exact(Decimal(amount), currency)
