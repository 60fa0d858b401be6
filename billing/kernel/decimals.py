"""Exact decimals: how they are read, bounded, normalized and written. Never a float.

Quantities and credits have at most six decimal places (``NUMERIC(20,6)``), rates at most twelve (``NUMERIC(30,12)``).
"""

from __future__ import annotations

import re
from decimal import ROUND_HALF_EVEN, Context, Decimal

QUANTITY_PLACES = 6
RATE_PLACES = 12
# One event or movement is bounded far below NUMERIC(20,6), so that sums of many still fit their columns.
QUANTITY_MAX = Decimal("1000000000000")
# The largest value of a NUMERIC(20,6) column: what a balance or the price of one event may come to.
STORED_MAX = Decimal("99999999999999.999999")
ZERO = Decimal(0)

# ASCII digits only: int() and Decimal() also read "1_0", full-width digits and surrounding blanks.
_PLAIN = re.compile(r"-?[0-9]{1,30}(?:\.[0-9]{1,30})?", re.ASCII)
_WHOLE = re.compile(r"[0-9]{1,12}", re.ASCII)
# Wide enough for any product of two column values, so nothing is rounded before we say so.
EXACT = Context(prec=80, rounding=ROUND_HALF_EVEN)
_STEPS = {places: Decimal(1).scaleb(-places) for places in range(RATE_PLACES + 1)}


def parse_decimal(text: str, *, places: int = QUANTITY_PLACES) -> Decimal:
    """Read a plain decimal such as ``"12"`` or ``"-0.5"``.

    Raises ``ValueError`` with a sentence for anything else: exponents, blanks, signs other than a minus, digits
    outside ASCII, or more than ``places`` decimals that are not zero.
    """
    if _WHOLE.fullmatch(text):
        # Most that is counted: it cannot be too large, and there is nothing to round.
        return Decimal(f"{text}.{'0' * places}")
    if not _PLAIN.fullmatch(text):
        raise ValueError("is not a plain decimal number")
    return bounded(Decimal(text), places=places)


def bounded(value: Decimal, *, places: int = QUANTITY_PLACES) -> Decimal:
    """Return ``value`` with exactly ``places`` decimals; ``ValueError`` if it is not finite or does not fit."""
    if not value.is_finite():
        raise ValueError("is not a finite number")
    if abs(value) > QUANTITY_MAX:
        raise ValueError(f"is larger than {QUANTITY_MAX}")
    rounded = quantize(value, places)
    if rounded != value:
        raise ValueError(f"has more than {places} decimal places")
    return rounded


def quantize(value: Decimal, places: int = QUANTITY_PLACES) -> Decimal:
    """Round half to even to ``places`` decimals."""
    return value.quantize(_STEPS[places], context=EXACT)


def plain(value: Decimal) -> str:
    """Write without exponent and without trailing zeros: ``1E+3`` → ``"1000"``, ``0.500000`` → ``"0.5"``."""
    text = format(value, "f")
    if "." in text:
        text = text.rstrip("0").rstrip(".")
    return "0" if text == "-0" else text
