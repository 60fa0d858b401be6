"""The minimum charge of a service period: what its base fees and its use are brought up to."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from decimal import Decimal

from billing.invoicing.books import Life, LineDraft, PeriodBooks, PlanStretch, PlanTerms
from billing.invoicing.rating import Billed
from billing.kernel.decimals import EXACT, ZERO
from billing.kernel.periods import Span

COUNTED = ("base", "overage", "flat", "credits")


@dataclass(frozen=True, slots=True)
class Gap:
    """``amount_minor`` is what this invoice adds to come to ``minimum_minor``, given ``reached_minor`` of fees and use
    on all invoices and what these ``billed`` of the minimum; negative where late use filled a part of it."""

    terms: PlanTerms
    minimum_minor: int
    reached_minor: int
    amount_minor: int
    billed: Billed


def gap(books: PeriodBooks, life: Life, lines: Iterable[LineDraft]) -> Gap | None:
    """The gap of ``life`` on the invoice of ``books``, whose other lines are ``lines``; None where no plan in force
    has a minimum, and for late use of a period whose own invoice is not out: that one will bring the minimum."""
    in_force = [(stretch, span) for stretch in life.stretches if (span := life.within(stretch)) is not None]
    asking = [(stretch, span) for stretch, span in in_force if stretch.terms.minimum_minor and not stretch.is_paused]
    if life.is_trial or not asking:
        return None
    billed = [part for part in books.billed if part.ordinal == life.service.ordinal]
    if life.service.ordinal != books.period.ordinal and not life.is_invoiced:
        return None
    minimum_minor = _minimum_minor(life, asking)
    reached_minor = sum(part.amount_minor for part in billed if part.charge in COUNTED) + sum(
        line.amount_minor for line in lines if life.service.starts_at <= line.starts_at < life.service.ends_at
    )
    before = [part for part in billed if part.charge == "minimum"]
    so_far = Billed(sum((part.quantity for part in before), ZERO), sum(part.amount_minor for part in before))
    last, _ = max(asking, key=lambda each: each[1].starts_at)
    return Gap(
        terms=last.terms,
        minimum_minor=minimum_minor,
        reached_minor=reached_minor,
        amount_minor=max(0, minimum_minor - reached_minor) - so_far.amount_minor,
        billed=so_far,
    )


def _minimum_minor(life: Life, asking: Iterable[tuple[PlanStretch, Span]]) -> int:
    """Each plan's minimum shared out by seconds as its base fee is, summed exactly and rounded once, half to even."""
    product = sum(
        (EXACT.multiply(Decimal(stretch.terms.minimum_minor), Decimal(span.seconds)) for stretch, span in asking), ZERO
    )
    share = EXACT.divide(product, Decimal(life.service.nominal.seconds))
    return int(EXACT.to_integral_value(share))
