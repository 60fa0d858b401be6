"""Lines of an invoice from the books of its period: a function and nothing else, so that every derivation agrees.

Base fees come first, then overage, then credits beyond the granted ones, then what is missing to the minimum charge;
within each the billed period's own before late use of earlier ones, then by time, plan version, meter and tier.

What other issued invoices carry of a service period counts: use is rated on the whole quantity of its service period,
and the line bears what was not billed yet. Over all invoices of a service period the lines come to the price of its
whole use, to the minor unit.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from decimal import Decimal

from billing.invoicing import minimum, rating, wording
from billing.invoicing.books import (
    Charge,
    Life,
    LineDraft,
    OveragePrice,
    PeriodBooks,
    PlanStretch,
    PlanTerms,
    ServicePeriod,
)
from billing.invoicing.errors import PriceMissing
from billing.invoicing.rating import NOTHING, Billed, Due, Part
from billing.kernel import money
from billing.kernel.decimals import EXACT, ZERO, plain
from billing.kernel.errors import InvariantViolation
from billing.kernel.periods import Span
from billing.kernel.pricing import PricingModel

ONE = Decimal(1)
# How many decimals of an amount are shown before its rounding; the amount itself is made from all of them.
UNROUNDED_PLACES = 12


def assemble(books: PeriodBooks) -> tuple[LineDraft, ...]:
    """All lines that bill the period of ``books``.

    Raises ``PriceMissing`` for chargeable use without a price and ``AmountOutOfBounds`` for an absurd amount.
    """
    charges = sorted(books.charges, key=lambda charge: _order(books, charge))
    lines = (*_base(books), *_overage(books, charges), *_credits(books, charges))
    return (*lines, *_minimum(books, lines))


def total_minor(lines: Iterable[LineDraft], currency: str) -> int:
    """Σ of the lines' amounts, each already rounded. Raises ``AmountOutOfBounds``."""
    return rating.bounded(sum(line.amount_minor for line in lines), currency)


def _order(books: PeriodBooks, charge: Charge) -> tuple[bool, int, str, int, str]:
    is_late = charge.service.ordinal != books.period.ordinal
    return is_late, charge.service.ordinal, charge.terms.code, charge.terms.version, charge.meter.code


def _base(books: PeriodBooks) -> Iterator[LineDraft]:
    """One line per plan version in force, its fee shared out by seconds; a whole period costs the whole fee.

    A fee of zero makes a line too: it says which plan the period was on, and base lines tile time without a gap.
    """
    if books.is_trial:
        return
    served, billed_seconds = books.served, 0
    for stretch in sorted(books.stretches, key=lambda stretch: stretch.starts_at):
        span = Span(
            max(served.starts_at, stretch.starts_at),
            served.ends_at if stretch.ends_at is None else min(served.ends_at, stretch.ends_at),
        )
        if span.ends_at > span.starts_at:
            billed_seconds += span.seconds
            yield _base_line(books, stretch, span)
    if billed_seconds != served.seconds:
        raise InvariantViolation(f"plans cover {billed_seconds} of {served.seconds} s of a period")


def _base_line(books: PeriodBooks, stretch: PlanStretch, span: Span) -> LineDraft:
    terms = stretch.terms
    if terms.base_fee_minor is None:
        raise PriceMissing(f"Plan {terms.label} has no base fee in {books.currency}.", plan=terms.label)
    part, whole = span.seconds, books.period.nominal.seconds
    is_whole = part == whole
    rate = money.to_major(0 if stretch.is_paused else terms.base_fee_minor, books.currency)
    quantity, per = (ONE, ONE) if is_whole else (Decimal(part), Decimal(whole))
    (fee,) = rating.linear(quantity, rate=rate, per=per)
    return _line(
        books,
        charge="base",
        what=f"{wording.short(terms.name)}, {'paused' if stretch.is_paused else 'base fee'}"
        + ("" if is_whole else " (part of a period)"),
        terms=terms,
        meter=None,
        span=span,
        due=rating.less(fee, NOTHING, currency=books.currency),
        details={"unit": "period" if is_whole else "second", "seconds": str(part), "of_seconds": str(whole)},
    )


def _overage(books: PeriodBooks, charges: Iterable[Charge]) -> Iterator[LineDraft]:
    for charge in charges:
        if charge.overage <= ZERO:
            continue
        price = charge.terms.overage.get(charge.meter.code)
        if price is None:
            raise PriceMissing(
                f"Plan {charge.terms.label} has no price in {books.currency} for {charge.meter.code} beyond its limit.",
                plan=charge.terms.label,
                meter=charge.meter.code,
            )
        billed = {
            Part(part.tier, part.charge): Billed(part.quantity, part.amount_minor)
            for part in books.billed
            if part.charge in ("overage", "flat")
            and (part.ordinal, part.plan_code, part.plan_version, part.meter)
            == (charge.service.ordinal, charge.terms.code, charge.terms.version, charge.meter.code)
        }
        for due in rating.due(price, charge.overage, billed=billed, currency=books.currency):
            yield _overage_line(books, charge, price, due)


def _overage_line(books: PeriodBooks, charge: Charge, price: OveragePrice, due: Due) -> LineDraft:
    included = plain(price.included)
    tier, tier_details = wording.tier(price, due.part), {}
    if price.model != PricingModel.PER_UNIT:
        tier_details = {"model": price.model.value}
    if due.part.tier:
        above, up_to = wording.bounds(price, due.part.tier)
        tier_details |= {"tier": str(due.part.tier), "above": above, "up_to": up_to}
    if price.model == PricingModel.PACKAGE:
        started = rating.packages(EXACT.add(due.quantity, due.billed.quantity), per=price.per)
        tier_details["packages"] = plain(started)
    return _line(
        books,
        charge=due.part.charge,
        what=f"{wording.short(charge.meter.name)} beyond the included {included}{tier}" + _late(books, charge.service),
        terms=charge.terms,
        meter=charge.meter.code,
        span=charge.service.span,
        due=due,
        details={
            "unit": "tier" if due.part.charge == "flat" else charge.meter.unit,
            "entitlement": price.entitlement,
            "included": included,
            "cadence": price.cadence,
            **tier_details,
        },
    )


def _credits(books: PeriodBooks, charges: Iterable[Charge]) -> Iterator[LineDraft]:
    """One line per service period and plan version: what its meters needed in credits and no grant could pay."""
    deficits: dict[tuple[ServicePeriod, str, int], tuple[PlanTerms, Decimal]] = {}
    for charge in charges:
        if charge.credit_deficit > ZERO:
            key = (charge.service, charge.terms.code, charge.terms.version)
            _, sum_so_far = deficits.get(key, (charge.terms, ZERO))
            deficits[key] = charge.terms, EXACT.add(sum_so_far, charge.credit_deficit)
    for (service, code, version), (terms, deficit) in deficits.items():
        if terms.credit_rate is None:
            raise PriceMissing(f"Plan {terms.label} has no price for a credit in {books.currency}.", plan=terms.label)
        billed = next(
            (
                Billed(part.quantity, part.amount_minor)
                for part in books.billed
                if (part.ordinal, part.charge, part.plan_code, part.plan_version)
                == (service.ordinal, "credits", code, version)
            ),
            NOTHING,
        )
        (whole,) = rating.linear(EXACT.add(deficit, billed.quantity), rate=terms.credit_rate, per=ONE)
        yield _line(
            books,
            charge="credits",
            what=f"{wording.short(terms.name)}, credits beyond the granted ones" + _late(books, service),
            terms=terms,
            meter=None,
            span=service.span,
            due=rating.less(whole, billed, currency=books.currency),
            details={"unit": "credit"},
        )


def _minimum(books: PeriodBooks, lines: Iterable[LineDraft]) -> Iterator[LineDraft]:
    """What a service period's fees and use miss to the minimum charge, or what late use gives back of it."""
    here = tuple(lines)
    for life in (books.life, *sorted(books.late, key=lambda life: life.service.ordinal)):
        gap = minimum.gap(books, life, here)
        if gap is not None and gap.amount_minor:
            yield _minimum_line(books, life, gap)


def _minimum_line(books: PeriodBooks, life: Life, gap: minimum.Gap) -> LineDraft:
    amount = money.to_major(abs(gap.amount_minor), books.currency)
    asked = money.format_minor(gap.minimum_minor, books.currency)
    return _line(
        books,
        charge="minimum",
        what=f"{wording.short(gap.terms.name)}, minimum charge of {asked} {books.currency}"
        + ("" if gap.amount_minor > 0 else ", given back")
        + _late(books, life.service),
        terms=gap.terms,
        meter=None,
        span=life.served,
        due=Due(
            Part(0, "minimum"),
            quantity=ONE if gap.amount_minor > 0 else -ONE,
            rate=amount,
            per=ONE,
            amount_minor=rating.bounded(gap.amount_minor, books.currency),
            unrounded=money.to_major(gap.amount_minor, books.currency),
            billed=gap.billed,
        ),
        details={
            "unit": "period",
            "minimum": asked,
            "reached": money.format_minor(gap.reached_minor, books.currency),
            "seconds": str(life.served.seconds),
            "of_seconds": str(life.service.nominal.seconds),
        },
    )


def _late(books: PeriodBooks, service: ServicePeriod) -> str:
    return "" if service.ordinal == books.period.ordinal else ", reported late"


def _line(
    books: PeriodBooks,
    *,
    charge: str,
    what: str,
    terms: PlanTerms,
    meter: str | None,
    span: Span,
    due: Due,
    details: dict[str, str],
) -> LineDraft:
    shown = due.unrounded.quantize(ONE.scaleb(-UNROUNDED_PLACES), context=EXACT)
    before = {}
    if due.billed != NOTHING:
        before = {
            "billed_quantity": plain(due.billed.quantity),
            "billed_amount": money.format_minor(due.billed.amount_minor, books.currency),
        }
    return LineDraft(
        charge=charge,
        description=f"{what}, {wording.days(span, books.zone)}",
        plan_id=terms.id,
        plan_code=terms.code,
        plan_version=terms.version,
        meter_id=meter,
        starts_at=span.starts_at,
        ends_at=span.ends_at,
        quantity=due.quantity,
        rate=due.rate,
        per=due.per,
        amount_minor=due.amount_minor,
        details={
            **details,
            "plan": terms.label,
            "quantity": plain(due.quantity),
            "rate": plain(due.rate),
            "per": plain(due.per),
            "unrounded": plain(shown),
            **before,
        },
    )
