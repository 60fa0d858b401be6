"""What was done to an organization: all that the calculator knows of its life."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from fractions import Fraction


@dataclass(frozen=True, slots=True)
class Entry:
    """``act`` at ``at``. ``plan`` is a code, of a coupon too; ``quantity`` is of a meter or of credits, ``until`` an
    expiry, ``occurred_at`` what was said of a use, ``rate`` per cent of a tax ``treatment``."""

    at: datetime
    act: str
    plan: str = ""
    meter: str = ""
    quantity: str = "0"
    occurred_at: datetime | None = None
    until: datetime | None = None
    treatment: str = ""
    rate: str = "0"


@dataclass(frozen=True, slots=True)
class Story:
    """An organization's life: where it lives, what it pays in, and what was done, in order."""

    name: str
    zone: str
    currency: str
    entries: list[Entry]


@dataclass(frozen=True, slots=True, order=True)
class Line:
    """One line of an invoice, as both sides tell it: ``quantity`` in units, of base fees in periods; amounts in minor
    units."""

    charge: str
    plan: str
    version: int
    meter: str
    tier: int
    starts_at: datetime
    ends_at: datetime
    quantity: Fraction
    amount: int
    tax: int


@dataclass(frozen=True, slots=True)
class Bill:
    """An issued invoice: of which subscription of its organization (from 0), and from when its period is. ``kind`` is
    ``cycle``, ``change`` (fees in advance, asked in the middle of a period) or ``final``."""

    subscription: int
    kind: str
    starts_at: datetime
    lines: tuple[Line, ...]
    subtotal: int
    tax: int
    total: int
