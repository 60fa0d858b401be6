"""Base fees: one line per plan version in force, its fee shared out by seconds, less what other invoices billed of it.

A fee in advance is billed before its period is lived. What then comes otherwise (another plan, a pause, the end) is set
right by lines that give back, or add, the difference: over all invoices, each stretch on a plan comes to its fee for
the seconds that it lasted, rounded once.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from decimal import Decimal
from typing import NamedTuple

from billing.invoicing import rating, wording
from billing.invoicing.books import Life, PeriodBooks, PlanStretch, PlanTerms
from billing.invoicing.errors import PriceMissing
from billing.invoicing.rating import NOTHING, Billed, Due, Part
from billing.kernel import money
from billing.kernel.decimals import ZERO
from billing.kernel.errors import InvariantViolation
from billing.kernel.periods import Span

ONE = Decimal(1)
BASE = Part(0, "base")


class Fee(NamedTuple):
    """One base line to be: ``span`` is the stretch that it bills, ``said`` the time that its words name."""

    terms: PlanTerms
    what: str
    span: Span
    said: Span
    due: Due
    unit: str
    seconds: int
    of_seconds: int


class _Key(NamedTuple):
    """What makes two base lines bill the same stretch at the same price."""

    plan_code: str
    plan_version: int
    starts_at: datetime
    rate: Decimal
    of_seconds: int


class _Before(NamedTuple):
    """What other invoices carry of a stretch."""

    seconds: int
    amount_minor: int
    ends_at: datetime
    credited_minor: int


def fees(books: PeriodBooks, life: Life, *, only_advance: bool) -> Iterator[Fee]:
    """The base fees of ``life`` that are not billed yet, and the corrections of those that are.

    A fee of zero counts too: it says which plan the period was on, and base lines tile time without a gap. With
    ``only_advance`` nothing is billed of plans in arrears. Raises ``PriceMissing``, ``AmountOutOfBounds``.
    """
    if life.is_trial:
        return
    billed = _billed(books, life)
    of_seconds, covered = life.service.nominal.seconds, 0
    for stretch in sorted(life.stretches, key=lambda each: each.starts_at):
        span = life.within(stretch)
        if span is None:
            continue
        covered += span.seconds
        rate = _rate(books, stretch)
        key = _Key(stretch.terms.code, stretch.terms.version, span.starts_at, rate, of_seconds)
        before = billed.pop(key, None)
        if only_advance and not stretch.terms.in_advance:
            # The period's own invoice bills it, or did so already.
            continue
        if before is None:
            yield _fee(books, stretch, span, rate, of_seconds)
        else:
            yield from _correction(books, stretch.terms, key, before, span)
    if not only_advance and covered != life.served.seconds:
        raise InvariantViolation(f"plans cover {covered} of {life.served.seconds} s of a period")
    # Stretches that were billed and then never came about.
    for key, before in sorted(billed.items()):
        yield from _correction(books, books.plans[key.plan_code, key.plan_version], key, before, None)


def nothing_more(books: PeriodBooks) -> Iterator[Fee]:
    """The line of an invoice that would be empty, since the fee of its period was billed in advance."""
    stretches = [(each, span) for each in books.stretches if (span := books.life.within(each)) is not None]
    if not books.is_trial and stretches:
        stretch, span = stretches[-1]
        due = Due(BASE, ZERO, _rate(books, stretch), ONE, 0, ZERO, NOTHING)
        what = f"{wording.short(stretch.terms.name)}, base fee (billed in advance)"
        yield Fee(stretch.terms, what, span, span, due, "period", 0, books.period.nominal.seconds)


def _billed(books: PeriodBooks, life: Life) -> dict[_Key, _Before]:
    found: dict[_Key, _Before] = {}
    for part in books.billed:
        if part.ordinal == life.service.ordinal and part.fee is not None:
            fee = part.fee
            key = _Key(part.plan_code, part.plan_version, fee.starts_at, fee.rate, fee.of_seconds)
            found[key] = _Before(fee.seconds, part.amount_minor, fee.ends_at, part.credited_minor)
    return found


def _fee(books: PeriodBooks, stretch: PlanStretch, span: Span, rate: Decimal, whole: int) -> Fee:
    part = span.seconds
    is_whole = part == whole
    quantity, per = (ONE, ONE) if is_whole else (Decimal(part), Decimal(whole))
    (fee,) = rating.linear(quantity, rate=rate, per=per)
    what = f"{wording.short(stretch.terms.name)}, {'paused' if stretch.is_paused else 'base fee'}"
    return Fee(
        stretch.terms,
        what + ("" if is_whole else " (part of a period)"),
        span,
        span,
        rating.less(fee, NOTHING, currency=books.currency),
        "period" if is_whole else "second",
        part,
        whole,
    )


def _correction(books: PeriodBooks, terms: PlanTerms, key: _Key, before: _Before, span: Span | None) -> Iterator[Fee]:
    """What a stretch, now ``span`` long (None: not lived at all), comes to otherwise than it was billed."""
    seconds = 0 if span is None else span.seconds
    (fee,) = rating.linear(Decimal(seconds), rate=key.rate, per=Decimal(key.of_seconds))
    billed = Billed(Decimal(before.seconds), before.amount_minor, before.credited_minor)
    due = rating.less(fee, billed, currency=books.currency)
    if not due.quantity and not due.amount_minor:
        return
    ends_at = key.starts_at if span is None else span.ends_at
    moved = Span(min(ends_at, before.ends_at), max(ends_at, before.ends_at))
    yield Fee(
        terms,
        f"{wording.short(terms.name)}, base fee, " + ("time not used" if due.quantity < 0 else "more time"),
        Span(key.starts_at, moved.ends_at),
        moved,
        due,
        "second",
        seconds - before.seconds,
        key.of_seconds,
    )


def _rate(books: PeriodBooks, stretch: PlanStretch) -> Decimal:
    terms = stretch.terms
    if terms.base_fee_minor is None:
        raise PriceMissing(f"Plan {terms.label} has no base fee in {books.currency}.", plan=terms.label)
    return money.to_major(0 if stretch.is_paused else terms.base_fee_minor, books.currency)
