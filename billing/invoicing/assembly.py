"""Lines of an invoice from the books of its period: a function and nothing else, so that every derivation agrees.

Base fees come first, then overage, then credits beyond the granted ones; within each the billed period's own before
late use of earlier ones, then by time, plan version and meter.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from decimal import Decimal

from billing.invoicing import rating, wording
from billing.invoicing.books import Charge, LineDraft, PeriodBooks, PlanTerms, ServicePeriod
from billing.invoicing.errors import PriceMissing
from billing.kernel import money
from billing.kernel.decimals import EXACT, ZERO, plain
from billing.kernel.errors import InvariantViolation
from billing.kernel.periods import Span

ONE = Decimal(1)
# How many decimals of an amount are shown before its rounding; the amount itself is made from all of them.
UNROUNDED_PLACES = 12


def assemble(books: PeriodBooks) -> tuple[LineDraft, ...]:
    """All lines that bill the period of ``books``.

    Raises ``PriceMissing`` for chargeable use without a price and ``AmountOutOfBounds`` for an absurd amount.
    """
    charges = sorted(books.charges, key=lambda charge: _order(books, charge))
    return (*_base(books), *_overage(books, charges), *_credits(books, charges))


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
            yield _base_line(books, stretch.terms, span)
    if billed_seconds != served.seconds:
        raise InvariantViolation(f"plans cover {billed_seconds} of {served.seconds} s of a period")


def _base_line(books: PeriodBooks, terms: PlanTerms, span: Span) -> LineDraft:
    if terms.base_fee_minor is None:
        raise PriceMissing(f"Plan {terms.label} has no base fee in {books.currency}.", plan=terms.label)
    part, whole = span.seconds, books.period.nominal.seconds
    is_whole = part == whole
    rate = money.to_major(terms.base_fee_minor, books.currency)
    return _line(
        books,
        charge="base",
        what=f"{wording.short(terms.name)}, base fee" + ("" if is_whole else " (part of a period)"),
        terms=terms,
        meter=None,
        span=span,
        quantity=ONE if is_whole else Decimal(part),
        rate=rate,
        per=ONE if is_whole else Decimal(whole),
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
        yield _line(
            books,
            charge="overage",
            what=f"{wording.short(charge.meter.name)} beyond the included {plain(price.included)}"
            + _late(books, charge.service),
            terms=charge.terms,
            meter=charge.meter.code,
            span=charge.service.span,
            quantity=charge.overage,
            rate=price.rate,
            per=price.per,
            details={
                "unit": charge.meter.unit,
                "entitlement": price.entitlement,
                "included": plain(price.included),
                "cadence": price.cadence,
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
    for (service, _, _), (terms, deficit) in deficits.items():
        if terms.credit_rate is None:
            raise PriceMissing(f"Plan {terms.label} has no price for a credit in {books.currency}.", plan=terms.label)
        yield _line(
            books,
            charge="credits",
            what=f"{wording.short(terms.name)}, credits beyond the granted ones" + _late(books, service),
            terms=terms,
            meter=None,
            span=service.span,
            quantity=deficit,
            rate=terms.credit_rate,
            per=ONE,
            details={"unit": "credit"},
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
    quantity: Decimal,
    rate: Decimal,
    per: Decimal,
    details: dict[str, str],
) -> LineDraft:
    unrounded = rating.per_unit(quantity, rate=rate, per=per)
    shown = unrounded.quantize(ONE.scaleb(-UNROUNDED_PLACES), context=EXACT)
    return LineDraft(
        charge=charge,
        description=f"{what}, {wording.days(span, books.zone)}",
        plan_id=terms.id,
        plan_code=terms.code,
        plan_version=terms.version,
        meter_id=meter,
        starts_at=span.starts_at,
        ends_at=span.ends_at,
        quantity=quantity,
        rate=rate,
        per=per,
        amount_minor=rating.settle(quantity, rate=rate, per=per, currency=books.currency),
        details={
            **details,
            "plan": terms.label,
            "quantity": plain(quantity),
            "rate": plain(rate),
            "per": plain(per),
            "unrounded": plain(shown),
        },
    )
