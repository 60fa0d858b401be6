"""Tax, line by line: rounded once, half to even, so that nothing is rounded again in a total."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from decimal import Decimal

from billing.invoicing.books import LineDraft
from billing.kernel.decimals import EXACT, ZERO

HUNDRED = Decimal(100)


@dataclass(frozen=True, slots=True)
class TaxTerms:
    """``rate`` is per cent, on top of prices or, where ``included``, contained in them. A treatment of "none" leaves
    no trace on the lines."""

    treatment: str = "none"
    rate: Decimal = ZERO
    label: str = ""

    @property
    def included(self) -> bool:
        return self.treatment == "inclusive"


def tax_minor(amount_minor: int, *, rate: Decimal, included: bool) -> int:
    """On top: ``amount × rate``. Contained: what is left over the net, which is ``amount ÷ (1 + rate)``; so net and
    tax come to the amount exactly."""
    if included:
        net = EXACT.divide(EXACT.multiply(Decimal(amount_minor), HUNDRED), EXACT.add(HUNDRED, rate))
        return amount_minor - int(EXACT.to_integral_value(net))
    tax = EXACT.divide(EXACT.multiply(Decimal(amount_minor), rate), HUNDRED)
    return int(EXACT.to_integral_value(tax))


def levied(lines: Iterable[LineDraft], terms: TaxTerms) -> tuple[LineDraft, ...]:
    """The lines with their tax."""
    if terms.treatment == "none":
        return tuple(lines)
    said = {"tax_treatment": terms.treatment, "tax_label": terms.label}
    return tuple(
        replace(
            line,
            tax_rate=terms.rate,
            tax_included=terms.included,
            tax_minor=tax_minor(line.amount_minor, rate=terms.rate, included=terms.included),
            details={**line.details, **said},
        )
        for line in lines
    )
