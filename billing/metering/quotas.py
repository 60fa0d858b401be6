"""Admission: pure arithmetic on one meter's guards.

All guards of a meter are consulted: booleans first, then blocking limits, then at most one overage entitlement. A
blocking limit refuses the whole quantity; an overage limit splits it into units inside and units over. Inside units
are paid in credits, units over in money, never both.
"""

from __future__ import annotations

from decimal import Decimal
from typing import NamedTuple

from billing.kernel.decimals import ZERO, quantize


class Split(NamedTuple):
    inside: Decimal
    over: Decimal


def fits(*, taken: Decimal, quantity: Decimal, limit: Decimal | None) -> bool:
    """Whether ``quantity`` more fits under ``limit`` when ``taken`` (used, carried and held) is gone. None:
    unlimited."""
    return limit is None or taken + quantity <= limit


def split(*, taken: Decimal, quantity: Decimal, limit: Decimal | None) -> Split:
    """Divide ``quantity`` at an overage limit."""
    if limit is None:
        return Split(quantity, ZERO)
    inside = min(quantity, max(ZERO, limit - taken))
    return Split(inside, quantity - inside)


def credits_for(inside: Decimal, credits_per_unit: Decimal) -> Decimal:
    """Credits due for units inside the limit, six decimals, half to even.

    ``credits_per_unit`` has at most six decimals, so whole units are always exact; only a fraction of a unit rounds.
    """
    return quantize(inside * credits_per_unit) if credits_per_unit else ZERO


# Shares of a limit at which someone wants to know, in per cent.
THRESHOLDS = (80, 100)


def crossed(*, before: Decimal, after: Decimal, limit: Decimal | None) -> list[int]:
    """Thresholds that this step reached for the first time; ``before`` is the most that the window ever held."""
    # Most use is far below its limit, or far above.
    if not limit or before >= limit or after * 100 < limit * THRESHOLDS[0]:
        return []
    return [percent for percent in THRESHOLDS if before * 100 < limit * percent <= after * 100]


# What is told of credits, in this order; ``models.Notice`` stores which was last.
LOW, EXHAUSTED = 1, 2


def notices(*, spendable: Decimal, filled: Decimal, percent: int) -> list[int]:
    """What there is to tell of an account that had ``filled`` when credits were last added: ``LOW`` from ``percent``
    of that downwards, ``EXHAUSTED`` with nothing left. An account that never had any runs out of nothing."""
    if not filled:
        return []
    is_low = spendable * 100 <= filled * percent
    return [*([LOW] if is_low else []), *([] if spendable else [EXHAUSTED])]
