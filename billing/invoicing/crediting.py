"""How much of an invoice a credit note takes back, line by line, and which tax goes with it. No Django."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal

from billing.invoicing.errors import CreditExceedsInvoice, CreditExceedsLine, NothingToCredit, SettlementInvalid
from billing.kernel.decimals import EXACT


@dataclass(frozen=True, slots=True)
class Creditable:
    """A line of an invoice and what was credited of it before. Amounts as on the line, negative for a discount."""

    position: int
    amount_minor: int
    tax_minor: int
    tax_included: bool
    credited_minor: int = 0
    credited_tax_minor: int = 0

    @property
    def left_minor(self) -> int:
        return self.amount_minor - self.credited_minor


@dataclass(frozen=True, slots=True)
class Credited:
    position: int
    amount_minor: int
    tax_minor: int
    tax_included: bool

    @property
    def net_minor(self) -> int:
        return self.amount_minor - (self.tax_minor if self.tax_included else 0)


def credit(
    lines: Sequence[Creditable], *, left_minor: int, wanted: Mapping[int, int | None] | None = None
) -> tuple[Credited, ...]:
    """The lines of a credit note. ``wanted`` maps positions to amounts, None for all that is left of the line; without
    it all that is left of the invoice, ``left_minor`` with tax, is credited.

    Raises ``SettlementInvalid`` for a line that is not there, ``CreditExceedsLine``, ``CreditExceedsInvoice``,
    ``NothingToCredit``.
    """
    by_position = {line.position: line for line in lines}
    if wanted is None:
        wanted = dict.fromkeys(line.position for line in lines if line.left_minor)
    unknown = wanted.keys() - by_position.keys()
    if unknown:
        raise SettlementInvalid(f"The invoice has no line {min(unknown)}.", field="lines")
    credited = tuple(_of_line(by_position[position], wanted[position]) for position in sorted(wanted))
    total = sum(line.net_minor + line.tax_minor for line in credited)
    if total <= 0:
        raise NothingToCredit("These lines come to nothing that could be credited.")
    if total > left_minor:
        raise CreditExceedsInvoice("This is more than is left of the invoice.")
    return credited


def _of_line(line: Creditable, amount_minor: int | None) -> Credited:
    amount = line.left_minor if amount_minor is None else amount_minor
    if amount * line.amount_minor <= 0 or abs(amount) > abs(line.left_minor):
        raise CreditExceedsLine(
            f"Line {line.position} has less than that left to credit.", position=line.position, field="lines"
        )
    # The tax of all that is credited by now, rounded once, less what was credited before: the last credit note of a
    # line leaves no minor unit of its tax behind.
    share = EXACT.divide(Decimal(line.tax_minor * (line.credited_minor + amount)), Decimal(line.amount_minor))
    tax = int(EXACT.to_integral_value(share)) - line.credited_tax_minor
    return Credited(line.position, amount, tax, line.tax_included)
