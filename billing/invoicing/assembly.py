"""Lines of an invoice from the books of its period: a function and nothing else, so that every derivation agrees.

Base fees come first, those of the next period in advance after the period's own, then overage, then credits beyond the
granted ones, then what is missing to the minimum charge, then discounts; within each the billed period's own before
late use of earlier ones, then by time, plan version, meter and tier.

What other issued invoices carry of a service period counts: use is rated on the whole quantity of its service period,
and the line bears what was not billed yet. Over all invoices of a service period the lines come to the price of its
whole use, to the minor unit.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from decimal import Decimal

from billing.invoicing import discounts, fees, minimum, rating, wording
from billing.invoicing.books import (
    BilledPart,
    Charge,
    Discount,
    Life,
    LineDraft,
    OveragePrice,
    PeriodBooks,
    PlanTerms,
    ServicePeriod,
)
from billing.invoicing.errors import PriceMissing
from billing.invoicing.fees import Fee
from billing.invoicing.rating import NOTHING, Billed, Due, Part
from billing.kernel import money
from billing.kernel.decimals import EXACT, ZERO, plain
from billing.kernel.periods import Span
from billing.kernel.pricing import PricingModel

ONE = Decimal(1)
MINIMUM, DISCOUNT = Part(0, "minimum"), Part(0, "discount")
# How many decimals of an amount are shown before its rounding; the amount itself is made from all of them.
UNROUNDED_PLACES = 12


def assemble(books: PeriodBooks) -> tuple[LineDraft, ...]:
    """All lines that bill the period of ``books``.

    Raises ``PriceMissing`` for chargeable use without a price and ``AmountOutOfBounds`` for an absurd amount.
    """
    charges = sorted(books.charges, key=lambda charge: _order(books, charge))
    lines = (*_base(books), *_overage(books, charges), *_credits(books, charges))
    if not books.only_advance:
        lines = (*lines, *_minimum(books, lines))
        if books.is_cycle and not lines:
            lines = tuple(_base_line(books, fee) for fee in fees.nothing_more(books))
    return (*lines, *_discounts(books, lines))


def total_minor(lines: Iterable[LineDraft], currency: str) -> int:
    """Σ of the lines' amounts, each already rounded. Raises ``AmountOutOfBounds``."""
    return rating.bounded(sum(line.amount_minor for line in lines), currency)


def _order(books: PeriodBooks, charge: Charge) -> tuple[bool, int, str, int, str]:
    is_late = charge.service.ordinal != books.period.ordinal
    return is_late, charge.service.ordinal, charge.terms.code, charge.terms.version, charge.meter.code


def _base(books: PeriodBooks) -> Iterator[LineDraft]:
    """The fees of the period, and those of the next one that are due in advance."""
    yield from (_base_line(books, fee) for fee in fees.fees(books, books.life, only_advance=books.only_advance))
    if books.ahead is not None:
        yield from (_base_line(books, fee) for fee in fees.fees(books, books.ahead, only_advance=True))


def _base_line(books: PeriodBooks, fee: Fee) -> LineDraft:
    return _line(
        books,
        charge="base",
        what=fee.what,
        terms=fee.terms,
        meter=None,
        span=fee.span,
        said=fee.said,
        due=fee.due,
        details={"unit": fee.unit, "seconds": str(fee.seconds), "of_seconds": str(fee.of_seconds)},
    )


def _overage(books: PeriodBooks, charges: Iterable[Charge]) -> Iterator[LineDraft]:
    for charge in charges:
        here = (part.quantity_here for part in _same_use(books, charge))
        quantity = EXACT.subtract(charge.overage, sum(here, ZERO))
        if not quantity:
            continue
        price = charge.terms.overage.get(charge.meter.code)
        if price is None:
            raise PriceMissing(
                f"Plan {charge.terms.label} has no price in {books.currency} for {charge.meter.code} beyond its limit.",
                plan=charge.terms.label,
                meter=charge.meter.code,
            )
        billed = {
            Part(part.tier, part.charge): Billed(part.quantity, part.amount_minor, part.credited_minor)
            for part in _same_use(books, charge, "overage", "flat")
        }
        for due in rating.due(price, quantity, billed=billed, currency=books.currency):
            yield _overage_line(books, charge, price, due)


def _same_use(books: PeriodBooks, charge: Charge, *kinds: str) -> list[BilledPart]:
    """What other invoices carry of the same use: its service period, plan version and meter."""
    use = (charge.service.ordinal, charge.terms.code, charge.terms.version, charge.meter.code)
    return [
        part
        for part in books.billed
        if part.charge in (kinds or ("overage",))
        and (part.ordinal, part.plan_code, part.plan_version, part.meter) == use
    ]


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
        key = (charge.service, charge.terms.code, charge.terms.version)
        _, sum_so_far = deficits.get(key, (charge.terms, ZERO))
        deficits[key] = charge.terms, EXACT.add(sum_so_far, charge.credit_deficit)
    for (service, code, version), (terms, deficit) in deficits.items():
        carried = [
            part
            for part in books.billed
            if (part.ordinal, part.charge, part.plan_code, part.plan_version)
            == (service.ordinal, "credits", code, version)
        ]
        quantity = EXACT.subtract(deficit, sum((part.quantity_here for part in carried), ZERO))
        if not quantity:
            continue
        if terms.credit_rate is None:
            raise PriceMissing(f"Plan {terms.label} has no price for a credit in {books.currency}.", plan=terms.label)
        billed = Billed(carried[0].quantity, carried[0].amount_minor, carried[0].credited_minor) if carried else NOTHING
        (whole,) = rating.linear(EXACT.add(quantity, billed.quantity), rate=terms.credit_rate, per=ONE)
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
    gives_back = gap.amount_minor < 0
    amount = money.to_major(abs(gap.amount_minor), books.currency)
    asked = money.format_minor(gap.minimum_minor, books.currency)
    return _line(
        books,
        charge="minimum",
        what=f"{wording.short(gap.terms.name)}, minimum charge of {asked} {books.currency}"
        + (", given back" if gives_back else "")
        + _late(books, life.service),
        terms=gap.terms,
        meter=None,
        span=life.served,
        due=Due(
            MINIMUM,
            quantity=-ONE if gives_back else ONE,
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


def _discounts(books: PeriodBooks, lines: Iterable[LineDraft]) -> Iterator[LineDraft]:
    """What a coupon takes off each service period on this invoice, given what it took off on others."""
    here = tuple(lines)
    ahead = () if books.ahead is None else (books.ahead,)
    for life in (books.life, *ahead, *sorted(books.late, key=lambda life: life.service.ordinal)):
        for discount in books.discounts:
            off = discounts.off(books, life, discount, here)
            if off is not None:
                yield _discount_line(books, life, discount, off)


def _discount_line(books: PeriodBooks, life: Life, discount: Discount, off: discounts.Off) -> LineDraft:
    gives = off.amount_minor < 0
    how = (
        f"{plain(discount.percent)} per cent off"
        if discount.percent is not None
        else f"{money.format_minor(discount.amount_minor or 0, books.currency)} {books.currency} off"
    )
    return _line(
        books,
        charge="discount",
        what=f"{wording.short(discount.name)}, {how}" + ("" if gives else ", taken back") + _late(books, life.service),
        terms=off.terms,
        meter=None,
        span=life.served if life.served.seconds else life.service.span,
        due=Due(
            DISCOUNT,
            quantity=-ONE if gives else ONE,
            rate=money.to_major(abs(off.amount_minor), books.currency),
            per=ONE,
            amount_minor=rating.bounded(off.amount_minor, books.currency),
            unrounded=money.to_major(off.amount_minor, books.currency),
            billed=off.billed,
        ),
        details={
            "unit": "period",
            "coupon": discount.code,
            "of": money.format_minor(off.base_minor, books.currency),
            **({"percent": plain(discount.percent)} if discount.percent is not None else {}),
        },
    )


def _late(books: PeriodBooks, service: ServicePeriod) -> str:
    return ", reported late" if service.ordinal < books.period.ordinal else ""


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
    said: Span | None = None,
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
        description=f"{what}, {wording.days(said or span, books.zone)}",
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
