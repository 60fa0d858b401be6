"""Overage prices of the file: a rate for one unit, or a mapping of one of the pricing models, for each currency."""

from __future__ import annotations

from collections.abc import Mapping as MappingOf
from decimal import Decimal

from billing.catalog.fields import Fields, is_null
from billing.catalog.schema import OveragePrice
from billing.catalog.tree import Mapping, Node
from billing.kernel import money
from billing.kernel.decimals import RATE_PLACES, ZERO
from billing.kernel.pricing import PricingModel, Tier

TIERS_MAX = 50
PERCENT_MAX = Decimal(100)
ONE = Decimal(1)

_KEYS: MappingOf[PricingModel, tuple[str, ...]] = {
    PricingModel.PER_UNIT: ("rate", "per"),
    PricingModel.GRADUATED: ("tiers", "per"),
    PricingModel.VOLUME: ("tiers", "per"),
    PricingModel.PACKAGE: ("rate", "per"),
    PricingModel.PERCENTAGE: ("percent",),
}
_ALL_KEYS = ("rate", "per", "tiers", "percent")


def read(node: Node, fields: Fields) -> tuple[OveragePrice, ...]:
    """Prices by currency; their order in the file means nothing, so there is one order only."""
    label = fields.label("overage_price")
    found = []
    for currency, line, value in fields.reader.per_currency(node, label):
        if isinstance(value, Mapping):
            found.append(_priced(currency, line, Fields(value, f"{label}: {currency}", fields.problems)))
        else:
            rate = fields.reader.decimal(value, f"{label}: {currency}", places=RATE_PLACES)
            found.append(OveragePrice(currency, rate or ZERO, line=line))
    return tuple(sorted(found, key=lambda price: price.currency))


def _priced(currency: str, line: int, price: Fields) -> OveragePrice:
    model = PricingModel(price.choice("model", [m.value for m in PricingModel], default=PricingModel.PER_UNIT.value))
    for key in _ALL_KEYS:
        if key in price.mapping.entries and key not in _KEYS[model]:
            price.problems.add(price.line_of(key), f"{price.label(key)} is not for the model {model.value}")
    price.asked.extend(_ALL_KEYS)
    rate: Decimal | None = None
    tiers: tuple[Tier, ...] = ()
    if model.is_tiered:
        per, tiers = _per(price), _tiers(currency, line, price)
    elif model is PricingModel.PERCENTAGE:
        rate, per = _percent(line, price), PERCENT_MAX
    else:
        rate, per = _required(line, price, "rate"), _per(price)
        if model is PricingModel.PACKAGE and "per" not in price.mapping.entries:
            price.problems.add(line, f"{price.where} needs per, the units of a package")
    price.finish()
    return OveragePrice(currency, rate, per, model, tiers, line=line)


def _required(line: int, price: Fields, key: str) -> Decimal:
    if key not in price.mapping.entries:
        price.problems.add(line, f"{price.where} needs a {key}")
    return price.decimal(key, places=RATE_PLACES)


def _percent(line: int, price: Fields) -> Decimal:
    percent = _required(line, price, "percent")
    if percent > PERCENT_MAX:
        price.problems.add(price.line_of("percent"), f"{price.label('percent')} must be at most {PERCENT_MAX}")
    return percent


def _per(price: Fields) -> Decimal:
    node = price.node("per")
    per = price.reader.decimal(node, price.label("per")) if node is not None else None
    if per == ZERO:
        price.problems.add(price.line_of("per"), f"{price.label('per')} must be more than 0")
    return per or ONE


def _tiers(currency: str, line: int, price: Fields) -> tuple[Tier, ...]:
    node = price.node("tiers")
    if node is None:
        price.problems.add(line, f"{price.where} needs tiers")
        return ()
    label = price.label("tiers")
    before = len(price.problems.found)
    items = price.reader.sequence(node, label, length_max=TIERS_MAX)
    if not items and len(price.problems.found) == before:
        price.problems.add(node.line, f"{label} is empty")
    tiers: list[Tier] = []
    floor = ZERO
    for number, item in enumerate(items, start=1):
        mapping = price.reader.mapping(item, label)
        if mapping is None:
            continue
        tier = _tier(currency, Fields(mapping, f"{label}: tier {number}", price.problems), is_last=number == len(items))
        tiers.append(tier)
        if tier.up_to is not None and tier.up_to <= floor:
            reason = f"{label}: tier {number}: up_to must be more than {floor.normalize():f}, where the tier begins"
            price.problems.add(mapping.line, reason)
        floor = floor if tier.up_to is None else tier.up_to
    return tuple(tiers)


def _tier(currency: str, fields: Fields, *, is_last: bool) -> Tier:
    node = fields.node("up_to")
    is_open = node is None or is_null(node)
    up_to = None if node is None or is_open else fields.reader.decimal(node, fields.label("up_to"))
    if is_last and not is_open:
        fields.problems.add(fields.line, f"{fields.where} is the last and must be open-ended: leave out up_to")
    elif is_open and not is_last:
        fields.problems.add(fields.line, f"{fields.where} needs up_to: only the last tier is open-ended")
    if not {"rate", "flat"} & fields.mapping.entries.keys():
        fields.problems.add(fields.line, f"{fields.where} needs a rate, a flat fee, or both")
    rate = fields.decimal("rate", places=RATE_PLACES)
    flat = fields.decimal("flat")
    try:
        money.to_minor_exact(flat, currency)
    except ValueError as error:
        fields.problems.add(fields.line_of("flat"), f"{fields.label('flat')} {error}")
    fields.finish()
    return Tier(up_to, rate, flat)
