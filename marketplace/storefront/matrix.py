"""Plans side by side: a column for each, a row for each feature and limit that any of them tells, frozen."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from decimal import Decimal

from django.utils.translation import gettext as _

from billing.models import EntitlementKind
from billing.reporting.shapes import EntitlementDocument, PlanDocument
from billing.reporting.shop import Shop
from marketplace import wording
from marketplace.storefront import cards, looking, terms
from marketplace.storefront.cards import Choice, Offer
from marketplace.storefront.looking import Look


@dataclass(frozen=True, slots=True)
class Cell:
    """``mark`` is "yes" or "no" where a plan has something or not; ``text`` says how much, ``notes`` what it
    costs and what comes beyond."""

    mark: str = ""
    text: str = ""
    notes: tuple[str, ...] = ()


YES, NO, NOTHING = Cell("yes"), Cell("no"), Cell()


@dataclass(frozen=True, slots=True)
class Row:
    name: str
    description: str
    cells: tuple[Cell, ...]


@dataclass(frozen=True, slots=True)
class Section:
    name: str
    rows: tuple[Row, ...]


@dataclass(frozen=True, slots=True)
class Column:
    code: str
    name: str
    badge: str
    offer: Offer


@dataclass(frozen=True, slots=True)
class Candidate:
    code: str
    name: str
    is_chosen: bool


@dataclass(frozen=True, slots=True)
class ComparePage:
    currency: str
    query: str
    every: str
    currencies: tuple[Choice, ...]
    periods: tuple[Choice, ...]
    candidates: tuple[Candidate, ...]
    columns: tuple[Column, ...]
    sections: tuple[Section, ...]


def compare_page(shop: Shop, look: Look, wished: Sequence[str]) -> ComparePage:
    """Of the plans shown those with a code in ``wished``, or all where none is."""
    candidates = looking.list_shown(shop, look.every)
    plans = [plan for plan in candidates if plan["code"] in wished] or candidates
    picked = tuple(f"plan={plan['code']}" for plan in plans) if len(plans) < len(candidates) else ()
    return ComparePage(
        currency=look.currency,
        query=cards.query(look.currency, look.every),
        every=look.every,
        currencies=_with(picked, cards.currency_choices(look)),
        periods=_with(picked if not look.periods else (), cards.period_choices(look)),
        candidates=tuple(Candidate(each["code"], each["name"], each in plans) for each in candidates),
        columns=tuple(
            Column(
                plan["code"],
                plan["name"],
                str(plan["bundle"].get(looking.BADGE, "")),
                cards.offer(shop, plan, look.currency),
            )
            for plan in plans
        ),
        sections=tuple(section for section in _sections(shop, plans, look.currency) if section.rows),
    )


def _with(picked: tuple[str, ...], choices: Iterable[Choice]) -> tuple[Choice, ...]:
    return tuple(Choice(each.text, "&".join((each.query, *picked)), each.is_chosen) for each in choices)


def _sections(shop: Shop, plans: Sequence[PlanDocument], currency: str) -> Iterable[Section]:
    yield Section(_("In short"), tuple(_service(plans, currency)))
    groups = dict.fromkeys(each.get("group", "") for plan in plans for each in plan["features"])
    for group in groups:
        keys = {
            each["key"]: each["name"] for plan in plans for each in plan["features"] if each.get("group", "") == group
        }
        yield Section(
            group or _("Features"),
            tuple(Row(name, "", tuple(_feature(plan, group, key) for plan in plans)) for key, name in keys.items()),
        )
    for kind, title in ((EntitlementKind.METERED, _("Limits")), (EntitlementKind.BOOLEAN, _("Switched on"))):
        found = {each["key"]: each for plan in plans for each in plan["entitlements"] if each["kind"] == kind}
        yield Section(
            title,
            tuple(
                Row(
                    terms.name(each),
                    terms.description(each, shop),
                    tuple(_entitlement(plan, key, currency, shop) for plan in plans),
                )
                for key, each in found.items()
            ),
        )


def _service(plans: Sequence[PlanDocument], currency: str) -> Iterable[Row]:
    def row(name: str, tell: Callable[[PlanDocument], str]) -> Row:
        return Row(name, "", tuple(Cell(text=text) if (text := tell(plan)) else NO for plan in plans))

    rows = (
        row(_("Service level"), lambda plan: cards.tier_name(plan) if plan["sla"]["tier"] else ""),
        row(_("Trial"), lambda plan: wording.days(plan["trial_days"]) if plan["trial_days"] else ""),
        row(_("Included credits"), cards.allowance_text),
        row(_("Further credits"), lambda plan: _credit_price(plan, currency)),
    )
    yield from (row for row in rows if any(cell != NO for cell in row.cells))


def _credit_price(plan: PlanDocument, currency: str) -> str:
    price = looking.find_price(plan, currency)
    if price is None or price["credit_price"] is None:
        return ""
    return _("%(price)s each") % {"price": wording.rate(Decimal(price["credit_price"]), currency)}


def _feature(plan: PlanDocument, group: str, key: str) -> Cell:
    for each in plan["features"]:
        if each["key"] == key and each.get("group", "") == group:
            line = cards.feature(each)
            return Cell(text=line.text) if line.text else YES if line.included else NO
    return NO


def _entitlement(plan: PlanDocument, key: str, currency: str, shop: Shop) -> Cell:
    found: EntitlementDocument | None = next((each for each in plan["entitlements"] if each["key"] == key), None)
    if found is None:
        return NO
    if found["kind"] == EntitlementKind.BOOLEAN:
        return YES if found["enabled"] else NO
    if terms.is_shut(found):
        return NO
    beyond = terms.beyond(found, currency, shop) if terms.goes_on(found) else ""
    if beyond and found["limit"] is not None:
        beyond = _("Beyond: %(price)s") % {"price": beyond}
    return Cell(text=terms.limit(found), notes=tuple(note for note in (terms.credits(found), beyond) if note))
