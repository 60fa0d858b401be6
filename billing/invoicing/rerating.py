"""What a past period would have cost on another plan version: pure, from sums of the use that is stored.

The same is asked of the version that was in force, so that a comparison shows what the versions differ in and nothing
else. For a period on one version, used in time and within its guards, it comes to the invoice's own amounts, before
discounts and tax. What it cannot know it says in ``docs/catalog.md``: use is taken in order of time and unit by unit,
and what a version would have refused is left out of its price and told.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from fractions import Fraction

from billing.catalog.compiled import CompiledPlan, MeteredGuard
from billing.invoicing import rating
from billing.invoicing.errors import PriceMissing
from billing.kernel import money
from billing.kernel.decimals import EXACT, ZERO, quantize
from billing.kernel.periods import MONTHS, Cadence, Interval

ONE = Decimal(1)


@dataclass(frozen=True, slots=True)
class WindowUse:
    """Units of one meter in one window of a limit: ``before`` the period began, and ``within`` the period."""

    before: Decimal
    within: Decimal


@dataclass(frozen=True, slots=True)
class PeriodUse:
    """What was used in one period. ``windows`` by meter and cadence; ``totals`` by meter; ``credits_bought`` is what
    grants other than allowances paid."""

    totals: Mapping[str, Decimal] = field(default_factory=dict)
    windows: Mapping[tuple[str, Cadence], tuple[WindowUse, ...]] = field(default_factory=dict)
    credits_bought: Decimal = ZERO

    def in_windows(self, meter: str, cadence: Cadence) -> tuple[WindowUse, ...]:
        if cadence is Cadence.PERIOD:
            return (WindowUse(ZERO, self.totals[meter]),)
        return self.windows.get((meter, cadence), ())


@dataclass(frozen=True, slots=True)
class Terms:
    """A plan version in one currency: fees in minor units for one of its billing periods, credits of one allowance."""

    plan: CompiledPlan
    currency: str
    base_fee_minor: int
    minimum_minor: int
    interval: Interval
    allowance: Decimal
    allowance_every: Interval

    def share(self, interval: Interval) -> Fraction:
        """The part of this version's billing period that a period of ``interval`` is, counted in months."""
        return Fraction(MONTHS[interval], MONTHS[self.interval])


@dataclass(frozen=True, slots=True)
class Rated:
    """Minor units. ``overage`` and ``refused`` are units, by meter and by the entitlement that would have said no;
    ``credits_refused`` are credits that were not there and that the version does not sell."""

    base_minor: int
    use_minor: int
    minimum_minor: int
    overage: Mapping[str, Decimal]
    refused: Mapping[str, Decimal]
    credits_due: Decimal
    credits_refused: Decimal

    @property
    def total_minor(self) -> int:
        return self.base_minor + self.use_minor + self.minimum_minor


def allowance_in(interval: Interval, *, allowance: Decimal, every: Interval) -> Decimal:
    """Credits that a period of ``interval`` gets from an ``allowance`` granted every month, quarter or year."""
    return quantize(_times(allowance, Fraction(MONTHS[interval], MONTHS[every])))


def rate(terms: Terms, use: PeriodUse, *, interval: Interval) -> Rated:
    """What ``use`` of a whole period of ``interval`` costs by ``terms``, before discounts and tax.

    A version that bills by other periods has its fee, minimum, allowance and limits per billing period shared out by
    months. Raises ``PriceMissing`` and ``AmountOutOfBounds`` as an invoice would.
    """
    share = terms.share(interval)
    judged = [_judge(terms, meter, use, share) for meter in sorted(use.totals)]
    sold = sum((each.credits for each in judged if each.sells_credits), ZERO)
    blocking = sum((each.credits for each in judged if not each.sells_credits), ZERO)
    credits = allowance_in(interval, allowance=terms.allowance, every=terms.allowance_every)
    missing = max(ZERO, sold + blocking - credits - use.credits_bought)
    deficit = min(missing, sold)
    base_minor, minimum_minor = (_share_minor(each, share) for each in (terms.base_fee_minor, terms.minimum_minor))
    use_minor = sum(_overage_minor(terms, each) for each in judged) + _credits_minor(terms, deficit)
    return Rated(
        base_minor=base_minor,
        use_minor=rating.bounded(use_minor, terms.currency),
        minimum_minor=max(0, minimum_minor - base_minor - use_minor),
        overage={each.meter: each.over for each in judged if each.over},
        refused={each.refused_by: each.refused for each in judged if each.refused},
        credits_due=sold + blocking,
        credits_refused=missing - deficit,
    )


@dataclass(frozen=True, slots=True)
class _Judged:
    meter: str
    refused_by: str
    refused: Decimal
    over: Decimal
    credits: Decimal
    priced: MeteredGuard | None

    @property
    def sells_credits(self) -> bool:
        return self.priced is not None and not self.priced.blocks


def _judge(terms: Terms, meter: str, use: PeriodUse, share: Fraction) -> _Judged:
    """One meter's use by the guards of ``terms``, as if it had been offered in order of time, unit by unit."""
    guards, total = terms.plan.guards(meter), use.totals[meter]
    refused_by, refused = max(_refusals(guards.booleans, guards.metered, meter, use, share), key=lambda each: each[1])
    priced = guards.priced
    # What a blocking limit keeps out would have come last, and so beyond the included amount: of a priced limit that
    # blocks itself nothing is left.
    beyond = ZERO if priced is None else _beyond(priced, use.in_windows(meter, priced.cadence), share)
    over = max(ZERO, beyond - refused)
    inside = max(ZERO, total - refused - over)
    credits = ZERO if priced is None else EXACT.multiply(inside, priced.credits_per_unit)
    return _Judged(meter, refused_by, refused, over, credits, priced)


def _refusals(
    booleans: Iterable[tuple[str, bool]],
    metered: Iterable[MeteredGuard],
    meter: str,
    use: PeriodUse,
    share: Fraction,
) -> Iterator[tuple[str, Decimal]]:
    yield "", ZERO
    for key, enabled in booleans:
        if not enabled:
            yield key, use.totals[meter]
    for guard in metered:
        if guard.blocks:
            yield guard.key, _beyond(guard, use.in_windows(meter, guard.cadence), share)


def _beyond(guard: MeteredGuard, windows: Iterable[WindowUse], share: Fraction) -> Decimal:
    """Units of the period beyond the guard's limit, over its windows: what stood there before takes its part."""
    if guard.limit is None:
        return ZERO
    limit = quantize(_times(guard.limit, share)) if guard.cadence is Cadence.PERIOD else guard.limit
    return sum((max(ZERO, each.before + each.within - max(limit, each.before)) for each in windows), ZERO)


def _overage_minor(terms: Terms, judged: _Judged) -> int:
    guard = judged.priced
    if guard is None or judged.over <= ZERO:
        return 0
    price = guard.prices.get(terms.currency)
    if price is None:
        raise PriceMissing(
            f"Plan {_label(terms)} has no price in {terms.currency} for {judged.meter} beyond its limit.",
            plan=_label(terms),
            meter=judged.meter,
        )
    return sum(
        rating.bounded(money.to_minor(portion.amount, terms.currency), terms.currency)
        for portion in rating.portions(price, judged.over)
    )


def _credits_minor(terms: Terms, deficit: Decimal) -> int:
    if not deficit:
        return 0
    credit_rate = terms.plan.credit_rates.get(terms.currency)
    if credit_rate is None:
        raise PriceMissing(f"Plan {_label(terms)} has no price for a credit in {terms.currency}.", plan=_label(terms))
    return rating.settle(deficit, rate=credit_rate, per=ONE, currency=terms.currency)


def _label(terms: Terms) -> str:
    return f"{terms.plan.code} v{terms.plan.version}"


def _times(value: Decimal, share: Fraction) -> Decimal:
    return EXACT.divide(EXACT.multiply(value, Decimal(share.numerator)), Decimal(share.denominator))


def _share_minor(amount_minor: int, share: Fraction) -> int:
    """Rounded once, half to even."""
    return int(EXACT.to_integral_value(_times(Decimal(amount_minor), share)))
