"""What a coupon takes off: a share, or an amount, of all that a service period comes to before tax."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from decimal import Decimal

from billing.invoicing.books import BilledPart, Discount, Life, LineDraft, PeriodBooks, PlanTerms
from billing.invoicing.rating import Billed
from billing.kernel.decimals import EXACT, ZERO

HUNDRED = Decimal(100)


@dataclass(frozen=True, slots=True)
class Off:
    """``amount_minor`` is what this invoice adds: not positive, unless a discount has become smaller. ``base_minor``
    is what the service period comes to on all invoices, and ``billed`` what other invoices took off."""

    terms: PlanTerms
    base_minor: int
    amount_minor: int
    billed: Billed


def off(books: PeriodBooks, life: Life, discount: Discount, lines: Iterable[LineDraft]) -> Off | None:
    """The discount of ``life`` on the invoice of ``books``, whose other lines are ``lines``; None where it adds
    nothing. Over all invoices the discount of a service period is its share of the whole, rounded once, half to even,
    and never more than the whole: so no total turns negative by it."""
    if not discount.covers(life.service.ordinal):
        return None
    billed = [part for part in books.billed if part.ordinal == life.service.ordinal]
    here = [line for line in lines if life.service.starts_at <= line.starts_at < life.service.ends_at]
    base_minor = sum(part.amount_minor for part in billed if part.charge != "discount") + sum(
        line.amount_minor for line in here
    )
    before = [part for part in billed if part.charge == "discount"]
    so_far = Billed(sum((part.quantity for part in before), ZERO), sum(part.amount_minor for part in before))
    amount_minor = -_share(discount, base_minor) - so_far.amount_minor
    if not amount_minor:
        return None
    return Off(_terms(books, life, [*before, *here]), base_minor, amount_minor, so_far)


def _terms(books: PeriodBooks, life: Life, bearing: Sequence[BilledPart | LineDraft]) -> PlanTerms:
    """The last plan in force. A period never lived in had none, but what it bills or gives back is under one."""
    if life.stretches:
        return max(life.stretches, key=lambda stretch: stretch.starts_at).terms
    return books.plans[bearing[-1].plan_code, bearing[-1].plan_version]


def _share(discount: Discount, base_minor: int) -> int:
    whole_minor = max(0, base_minor)
    if discount.percent is None:
        return min(discount.amount_minor or 0, whole_minor)
    share = EXACT.divide(EXACT.multiply(Decimal(whole_minor), discount.percent), HUNDRED)
    return int(EXACT.to_integral_value(share))
