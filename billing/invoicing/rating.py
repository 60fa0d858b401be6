"""Prices: what a quantity costs by each pricing model, exact to the last digit, and the one rounding of a line.

A model takes the whole quantity apart into *portions*, one for each line: the units of a tier, or a flat fee. Each is
rounded once. ``due`` sets them against what earlier invoices billed, so that over any number of invoices a portion
costs its rounded amount for the whole quantity, to the minor unit.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import NamedTuple, Protocol

from billing.invoicing.errors import AmountOutOfBounds
from billing.kernel import money
from billing.kernel.decimals import EXACT, ZERO
from billing.kernel.errors import InvariantViolation
from billing.kernel.pricing import PricingModel, Tier

ONE = Decimal(1)


class Priced(Protocol):
    """What a model needs to know of a price."""

    @property
    def rate(self) -> Decimal | None: ...
    @property
    def per(self) -> Decimal: ...
    @property
    def model(self) -> PricingModel: ...
    @property
    def tiers(self) -> tuple[Tier, ...]: ...


class Part(NamedTuple):
    """What a portion is: ``charge`` is ``overage`` for units or ``flat`` for a tier's flat fee; ``tier`` counts from 1,
    and is 0 where the model has none."""

    tier: int
    charge: str


class Portion(NamedTuple):
    """``amount`` is in major units, exact: ``quantity × rate ÷ per``, with the quantity of a package model rounded up
    to whole packages."""

    part: Part
    quantity: Decimal
    rate: Decimal
    per: Decimal
    amount: Decimal


class Billed(NamedTuple):
    """What other invoices carry already: units and settled money, and how much of the money credit notes took back."""

    quantity: Decimal
    amount_minor: int
    credited_minor: int = 0


class Due(NamedTuple):
    """What one invoice adds to a portion. ``unrounded`` is the amount in major units before its rounding."""

    part: Part
    quantity: Decimal
    rate: Decimal
    per: Decimal
    amount_minor: int
    unrounded: Decimal
    billed: Billed


NOTHING = Billed(ZERO, 0)


def per_unit(quantity: Decimal, *, rate: Decimal, per: Decimal) -> Decimal:
    """``quantity × rate ÷ per`` in major units, not rounded to money.

    The product is exact. A quotient that never ends is cut at 80 digits, some forty beyond where it could still turn
    a rounding to money.
    """
    return EXACT.divide(EXACT.multiply(quantity, rate), per)


def linear(quantity: Decimal, *, rate: Decimal, per: Decimal) -> tuple[Portion, ...]:
    """Every unit at the same rate. ``percentage`` is this with the per cent as rate ``per`` 100 units of currency."""
    return (Portion(Part(0, "overage"), quantity, rate, per, per_unit(quantity, rate=rate, per=per)),)


def package(quantity: Decimal, *, rate: Decimal, per: Decimal) -> tuple[Portion, ...]:
    """``rate`` for each started package of ``per`` units."""
    amount = EXACT.multiply(packages(quantity, per=per), rate)
    return (Portion(Part(0, "overage"), quantity, rate, per, amount),)


def packages(quantity: Decimal, *, per: Decimal) -> Decimal:
    """How many packages of ``per`` units are started by ``quantity``; by less than nothing, none."""
    units = max(ZERO, quantity)
    whole = EXACT.divide_int(units, per)
    return EXACT.add(whole, ONE) if EXACT.remainder(units, per) else whole


def graduated(quantity: Decimal, *, tiers: Sequence[Tier], per: Decimal) -> tuple[Portion, ...]:
    """The units of each tier at that tier's rate, and the flat fee of each tier that is reached."""
    portions: list[Portion] = []
    floor = ZERO
    for number, tier in enumerate(tiers, start=1):
        if quantity <= floor:
            break
        top = quantity if tier.up_to is None else min(quantity, tier.up_to)
        portions += _in_tier(number, tier, EXACT.subtract(top, floor), per)
        floor = top
    return tuple(portions)


def volume(quantity: Decimal, *, tiers: Sequence[Tier], per: Decimal) -> tuple[Portion, ...]:
    """All units at the rate of the tier that the total falls in, and that tier's flat fee."""
    number, tier = next(
        (number, tier) for number, tier in enumerate(tiers, start=1) if tier.up_to is None or quantity <= tier.up_to
    )
    return tuple(_in_tier(number, tier, quantity, per))


def _in_tier(number: int, tier: Tier, quantity: Decimal, per: Decimal) -> list[Portion]:
    units = Part(number, "overage")
    found = [Portion(units, quantity, tier.rate, per, per_unit(quantity, rate=tier.rate, per=per))]
    if tier.flat:
        found.append(Portion(Part(number, "flat"), ONE, tier.flat, ONE, tier.flat))
    return found


def portions(price: Priced, quantity: Decimal) -> tuple[Portion, ...]:
    """What ``quantity`` units cost in all, by the price's model; nothing for no units.

    Fewer than none are units taken back before they are billed, where the invoice that billed them is void and not yet
    replaced: they are counted without money, and what bills the others next sets them off.
    """
    if not quantity:
        return ()
    if quantity < ZERO:
        part = Part(1 if price.tiers else 0, "overage")
        return (Portion(part, quantity, *_rate_of(price, part), ZERO),)
    if price.model == PricingModel.GRADUATED:
        return graduated(quantity, tiers=price.tiers, per=price.per)
    if price.model == PricingModel.VOLUME:
        return volume(quantity, tiers=price.tiers, per=price.per)
    if price.rate is None:
        raise InvariantViolation(f"a {price.model} price has no rate")
    if price.model == PricingModel.PACKAGE:
        return package(quantity, rate=price.rate, per=price.per)
    return linear(quantity, rate=price.rate, per=price.per)


def due(price: Priced, quantity: Decimal, *, billed: Mapping[Part, Billed], currency: str) -> tuple[Due, ...]:
    """What ``quantity`` more units cost, given what other invoices billed of the same use: line by line, tier by tier.

    Each portion of the whole quantity is settled, and what was billed of it is taken off. A volume price may move to
    another tier by that: the units leave the tier that they were billed in and are billed anew, all of them.
    """
    units = sum((each.quantity for part, each in billed.items() if part.charge == "overage"), ZERO)
    whole = {portion.part: portion for portion in portions(price, EXACT.add(units, quantity))}
    gone = {part: Portion(part, ZERO, *_rate_of(price, part), ZERO) for part in billed if part not in whole}
    # A tier's flat fee comes after its units.
    ordered = sorted((*whole.values(), *gone.values()), key=lambda each: (each.part.tier, each.part.charge == "flat"))
    found = (less(portion, billed.get(portion.part, NOTHING), currency=currency) for portion in ordered)
    return tuple(each for each in found if each.quantity or each.amount_minor)


def less(portion: Portion, billed: Billed, *, currency: str) -> Due:
    """``portion``, settled, without what was billed of it. Raises ``AmountOutOfBounds``."""
    settled = bounded(money.to_minor(portion.amount, currency), currency)
    amount_minor = settled - billed.amount_minor
    if amount_minor < 0:
        # What a credit note took back already is not given back once more.
        amount_minor = min(0, amount_minor + max(0, billed.credited_minor))
    return Due(
        portion.part,
        quantity=EXACT.subtract(portion.quantity, billed.quantity),
        rate=portion.rate,
        per=portion.per,
        amount_minor=bounded(amount_minor, currency),
        unrounded=EXACT.subtract(portion.amount, money.to_major(billed.amount_minor, currency)),
        billed=billed,
    )


def _rate_of(price: Priced, part: Part) -> tuple[Decimal, Decimal]:
    """The rate of a part that the whole quantity is not in any more."""
    if not part.tier:
        return price.rate or ZERO, price.per
    tier = price.tiers[part.tier - 1]
    return (tier.flat, ONE) if part.charge == "flat" else (tier.rate, price.per)


def settle(quantity: Decimal, *, rate: Decimal, per: Decimal, currency: str) -> int:
    """The amount of a line in minor units: its one rounding, half to even. Raises ``AmountOutOfBounds``."""
    return bounded(money.to_minor(per_unit(quantity, rate=rate, per=per), currency), currency)


def bounded(amount_minor: int, currency: str) -> int:
    if abs(amount_minor) > money.AMOUNT_MAX_MINOR:
        raise AmountOutOfBounds(
            f"{money.format_minor(amount_minor, currency)} {currency} is more than one invoice may carry."
        )
    return amount_minor
