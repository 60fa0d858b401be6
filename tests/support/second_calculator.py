"""An invoice, calculated a second time: from the written rules, with fractions, and without a line of the product.

It imports nothing but the standard library, so that a mistake in the product cannot be in here as well. Times are whole
seconds of the epoch; quantities, rates and fees are decimal strings.

The rules:

* A plan's base fee is shared out by seconds: seconds on the plan in the period, by the seconds of the period's full
  length. A trial costs no base fee.
* Use beyond an included amount costs ``rate`` per ``per`` units of the plan it was used on, a line per period of use,
  plan and meter.
* Credits that were due and not there cost the plan's price of a credit, a line per period of use and plan.
* A line is rounded once, half to even, to the currency's minor unit. The total is the sum of the rounded lines.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from fractions import Fraction

MINOR_DIGITS = {"JPY": 0, "USD": 2, "EUR": 2, "KWD": 3}


@dataclass(frozen=True)
class PlanRules:
    """``overage`` by meter: (rate, per)."""

    base_fee: str
    credit_rate: str = "0"
    overage: Mapping[str, tuple[str, str]] = field(default_factory=dict)


@dataclass(frozen=True)
class Stretch:
    plan: str
    starts: int
    ends: int | None


@dataclass(frozen=True)
class Use:
    """Chargeable use of one meter on one plan in the period of use that started at ``service_starts``."""

    service_starts: int
    plan: str
    meter: str
    overage: str
    credit_deficit: str


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
    stretches: Iterable[Stretch],
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
            rate, per = plans[use.plan].overage[use.meter]
            amount = Fraction(use.overage) * Fraction(rate) / Fraction(per)
            lines.append(("overage", use.plan, use.meter, use.service_starts, _settle(amount, currency)))
        if Fraction(use.credit_deficit) > 0:
            deficits[use.service_starts, use.plan] += Fraction(use.credit_deficit)
    for (service_starts, plan), deficit in deficits.items():
        amount = deficit * Fraction(plans[plan].credit_rate)
        lines.append(("credits", plan, "", service_starts, _settle(amount, currency)))
    return Bill(
        sorted((*line[:4], _written(line[4], currency)) for line in lines),
        _written(sum(line[4] for line in lines), currency),
    )


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


def _settle(amount: Fraction, currency: str) -> int:
    # round() of a Fraction is exact and goes half to even.
    return round(amount * Fraction(10) ** MINOR_DIGITS[currency])


def _written(minor: int, currency: str) -> str:
    digits = MINOR_DIGITS[currency]
    sign, text = ("-" if minor < 0 else ""), str(abs(minor)).rjust(digits + 1, "0")
    return f"{sign}{text[:-digits]}.{text[-digits:]}" if digits else f"{sign}{text}"
