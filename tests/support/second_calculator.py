"""An invoice, calculated a second time: from the written rules, with fractions, and without a line of the product.

It imports nothing but the standard library, so that a mistake in the product cannot be in here as well. Times are whole
seconds of the epoch; quantities, rates and fees are decimal strings.

The rules:

* A plan's base fee is shared out by seconds: seconds on the plan in the period, by the seconds of the period's full
  length. A trial costs no base fee.
* Use beyond an included amount costs ``rate`` per ``per`` units of the plan it was used on, a line per period of use,
  plan and meter.
* A price may have a model instead. Graduated: the units of each tier at its own rate, and a flat fee for each tier that
  is reached, a line each. Volume: all units at the rate of the tier in which the sum lies, and that tier's flat fee.
  Package: a price for each started package. Percentage: per cent of the quantity. A tier includes its upper end.
* Use of a period that was billed in parts costs, in each part, what the whole then comes to less what was billed.
* A minimum is shared out as base fees are, over all plans of the period, and rounded once. What all other lines of the
  period miss to it is a line.
* Credits that were due and not there cost the plan's price of a credit, a line per period of use and plan.
* A line is rounded once, half to even, to the currency's minor unit. The total is the sum of the rounded lines.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from fractions import Fraction

MINOR_DIGITS = {"JPY": 0, "USD": 2, "EUR": 2, "KWD": 3}


@dataclass(frozen=True)
class Model:
    """``tiers``: (upper end or None, rate, flat fee). ``rate`` is the per cent of a percentage."""

    name: str
    rate: str = "0"
    per: str = "1"
    tiers: tuple[tuple[str | None, str, str], ...] = ()


@dataclass(frozen=True)
class PlanRules:
    """``overage`` by meter: (rate, per), or a model."""

    base_fee: str
    credit_rate: str = "0"
    overage: Mapping[str, tuple[str, str] | Model] = field(default_factory=dict)
    minimum: str = "0"


@dataclass(frozen=True)
class Stretch:
    plan: str
    starts: int
    ends: int | None


@dataclass(frozen=True)
class Use:
    """Chargeable use of one meter on one plan in the period of use that started at ``service_starts``; ``before`` is
    how much of the same earlier bills carried."""

    service_starts: int
    plan: str
    meter: str
    overage: str
    credit_deficit: str
    before: str = "0"


@dataclass(frozen=True)
class Bill:
    """``lines``: (charge, plan, meter, start, amount), sorted; amounts are strings with all minor digits."""

    lines: list[tuple[str, str, str, int, str]]
    total: str


def bill(
    *,
    currency: str,
    starts: int,
    ends: int,
    nominal_ends: int,
    plans: Mapping[str, PlanRules],
    stretches: Sequence[Stretch],
    uses: Iterable[Use],
    is_trial: bool = False,
) -> Bill:
    lines: list[tuple[str, str, str, int, int]] = []
    if not is_trial:
        for stretch in stretches:
            first = max(starts, stretch.starts)
            last = ends if stretch.ends is None else min(ends, stretch.ends)
            if first < last:
                fee = Fraction(plans[stretch.plan].base_fee) * (last - first) / (nominal_ends - starts)
                lines.append(("base", stretch.plan, "", first, _settle(fee, currency)))
    deficits: dict[tuple[int, str], Fraction] = defaultdict(Fraction)
    for use in uses:
        if Fraction(use.overage) > 0:
            for charge, minor in _part(plans[use.plan].overage[use.meter], use, currency):
                lines.append((charge, use.plan, use.meter, use.service_starts, minor))
        if Fraction(use.credit_deficit) > 0:
            deficits[use.service_starts, use.plan] += Fraction(use.credit_deficit)
    for (service_starts, plan), deficit in deficits.items():
        amount = deficit * Fraction(plans[plan].credit_rate)
        lines.append(("credits", plan, "", service_starts, _settle(amount, currency)))
    if not is_trial:
        lines += _missing_to_minimum(currency, starts, ends, nominal_ends, plans, stretches, lines)
    return Bill(
        sorted((*line[:4], _written(line[4], currency)) for line in lines),
        _written(sum(line[4] for line in lines), currency),
    )


def _missing_to_minimum(
    currency: str,
    starts: int,
    ends: int,
    nominal_ends: int,
    plans: Mapping[str, PlanRules],
    stretches: Sequence[Stretch],
    lines: Sequence[tuple[str, str, str, int, int]],
) -> list[tuple[str, str, str, int, int]]:
    wanted, carrier = Fraction(0), ""
    for stretch in stretches:
        seconds = min(ends, ends if stretch.ends is None else stretch.ends) - max(starts, stretch.starts)
        if seconds > 0 and Fraction(plans[stretch.plan].minimum) > 0:
            wanted += Fraction(plans[stretch.plan].minimum) * seconds / (nominal_ends - starts)
            carrier = stretch.plan
    missing = _settle(wanted, currency) - sum(line[4] for line in lines if starts <= line[3] < ends)
    return [("minimum", carrier, "", starts, missing)] if carrier and missing > 0 else []


def price(model: tuple[str, str] | Model, quantity: Fraction) -> dict[tuple[int, str], tuple[Fraction, Fraction]]:
    """What ``quantity`` costs in all, before any rounding: units and money by tier (from 1; 0: none) and line."""
    if quantity == 0:
        return {}
    if not isinstance(model, Model):
        rate, per = model
        return {(0, "overage"): (quantity, quantity * Fraction(rate) / Fraction(per))}
    if model.name == "percentage":
        return {(0, "overage"): (quantity, quantity * Fraction(model.rate) / 100)}
    if model.name == "package":
        return {(0, "overage"): (quantity, -(-quantity // Fraction(model.per)) * Fraction(model.rate))}
    lows = [Fraction(0)] + [Fraction(end) for end, _, _ in model.tiers if end is not None]
    found = {}
    for number, (low, (end, rate, flat)) in enumerate(zip(lows, model.tiers, strict=True), start=1):
        high = quantity if end is None else Fraction(end)
        if model.name == "volume":
            units = quantity if low < quantity <= high else Fraction(0)
        else:
            units = max(Fraction(0), min(quantity, high) - low)
        if units:
            found[number, "overage"] = units, units * Fraction(rate) / Fraction(model.per)
            if Fraction(flat):
                found[number, "flat"] = Fraction(1), Fraction(flat)
    return found


def settled(model: tuple[str, str] | Model, quantity: Fraction, currency: str) -> int:
    """What ``quantity`` costs in all, each line rounded to minor units."""
    return sum(_settle(amount, currency) for _, amount in price(model, quantity).values())


def _part(model: tuple[str, str] | Model, use: Use, currency: str) -> list[tuple[str, int]]:
    """Lines of the tiers that this part of the use fills, or takes the use out of."""
    before = Fraction(use.before)
    old, new = price(model, before), price(model, before + Fraction(use.overage))
    nothing = Fraction(0), Fraction(0)
    return [
        (line[1], _settle(new.get(line, nothing)[1], currency) - _settle(old.get(line, nothing)[1], currency))
        for line in sorted({*old, *new})
        if old.get(line, nothing)[0] != new.get(line, nothing)[0]
    ]


@dataclass(frozen=True)
class MeterRules:
    """``included`` units a period cost ``credits_per_unit`` each, the units beyond ``rate`` per ``per``."""

    included: str
    rate: str
    per: str
    credits_per_unit: str = "0"


def bill_of_events(
    *,
    currency: str,
    base_fee: str,
    credit_allowance: str,
    credit_rate: str,
    meters: Mapping[str, MeterRules],
    events: Sequence[tuple[str, str]],
) -> Bill:
    """One whole period of a plan in arrears, from its raw events: (meter, quantity) in any order."""
    used: dict[str, Fraction] = defaultdict(Fraction)
    for meter, quantity in events:
        used[meter] += Fraction(quantity)
    over = {meter: max(Fraction(0), used[meter] - Fraction(rules.included)) for meter, rules in meters.items()}
    due = sum(
        ((used[meter] - over[meter]) * Fraction(rules.credits_per_unit) for meter, rules in meters.items()), Fraction(0)
    )
    deficit = max(Fraction(0), due - Fraction(credit_allowance))
    lines = [("base", "", "", 0, _settle(Fraction(base_fee), currency))]
    for meter, rules in meters.items():
        if over[meter] > 0:
            amount = over[meter] * Fraction(rules.rate) / Fraction(rules.per)
            lines.append(("overage", "", meter, 0, _settle(amount, currency)))
    if deficit > 0:
        lines.append(("credits", "", "", 0, _settle(deficit * Fraction(credit_rate), currency)))
    return Bill(
        sorted((*line[:4], _written(line[4], currency)) for line in lines),
        _written(sum(line[4] for line in lines), currency),
    )


def tax(amount: str, *, currency: str, rate: str, included: bool) -> tuple[str, str]:
    """(net, tax) of one line of ``amount``: the tax on top of it, or the net worked out of it; one rounding a line."""
    unit = Fraction(10) ** MINOR_DIGITS[currency]
    minor, share = Fraction(amount) * unit, Fraction(rate) / 100
    if included:
        net = round(minor / (1 + share))
        return _written(net, currency), _written(int(minor) - net, currency)
    return _written(int(minor), currency), _written(round(minor * share), currency)


def _settle(amount: Fraction, currency: str) -> int:
    # round() of a Fraction is exact and goes half to even.
    return round(amount * Fraction(10) ** MINOR_DIGITS[currency])


def _written(minor: int, currency: str) -> str:
    digits = MINOR_DIGITS[currency]
    sign, text = ("-" if minor < 0 else ""), str(abs(minor)).rjust(digits + 1, "0")
    return f"{sign}{text[:-digits]}.{text[-digits:]}" if digits else f"{sign}{text}"
