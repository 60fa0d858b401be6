"""Taking use back: pure arithmetic on one event and on what was taken back of it before.

Last in, first out. Units beyond the limit come back before those inside it, and of the credits that were due those that
nobody paid before those that grants paid. So what cost money comes back first, and never more than the event holds.
"""

from __future__ import annotations

from decimal import Decimal
from typing import NamedTuple

from billing.kernel.decimals import EXACT, ZERO, quantize


class Figures(NamedTuple):
    """What an event counts and costs, or the part of it that is taken back; all of it zero or more."""

    quantity: Decimal
    overage: Decimal
    credits_due: Decimal
    credits_paid: Decimal

    @property
    def inside(self) -> Decimal:
        return self.quantity - self.overage

    @property
    def credit_deficit(self) -> Decimal:
        return self.credits_due - self.credits_paid

    def less(self, other: Figures) -> Figures:
        return Figures(
            self.quantity - other.quantity,
            self.overage - other.overage,
            self.credits_due - other.credits_due,
            self.credits_paid - other.credits_paid,
        )


NOTHING = Figures(ZERO, ZERO, ZERO, ZERO)


def take_back(event: Figures, *, before: Figures, quantity: Decimal) -> Figures:
    """The figures of ``quantity`` units of ``event``, of which ``before`` came back already.

    The event is not split anew: credits due follow the units inside the limit in proportion, six decimals, half to
    even, and the last part takes what is left. ``quantity`` is at most what is left.
    """
    left = event.less(before)
    overage = min(quantity, left.overage)
    inside_after = left.inside - (quantity - overage)
    due_after = quantize(EXACT.divide(event.credits_due * inside_after, event.inside)) if event.inside else ZERO
    due = left.credits_due - due_after
    return Figures(quantity, overage, due, due - min(due, left.credit_deficit))
