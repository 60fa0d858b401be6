"""Files of use: CSV read strictly, row by row, and the identity of each use in it. Pure: no database and no clock.

A file is read twice. ``survey`` checks all of it and writes nothing, so that a bad file is refused whole;
``iterate_uses`` then yields what to record. Both hold one row at a time.

A use is known by its row's content and not by its place, so the same file under another name, or sorted otherwise,
gives the same uses. Its key is SHA-256 over the row (every cell by its column's name, blanks around it dropped, the
time as an instant), the ordinal among equal rows, and the meter.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import NamedTuple

from billing.kernel.decimals import ZERO
from billing.metering.csv_rows import FileInvalid, Layout, Lines, Problems, Table

__all__ = ["FileInvalid", "Layout", "MeterSurvey", "Survey", "Use", "iterate_uses", "survey"]


class Use(NamedTuple):
    """One cell to be counted. ``line`` counts from 1, the header's."""

    line: int
    meter: str
    quantity: Decimal
    occurred_at: datetime
    key: str


@dataclass(slots=True)
class MeterSurvey:
    """``skipped``: cells that are empty or zero, which is nothing to count."""

    uses: int = 0
    skipped: int = 0
    quantity: Decimal = ZERO


@dataclass(slots=True)
class Survey:
    """What is in a sound file. ``is_ordered``: no row is earlier than the one before."""

    meters: dict[str, MeterSurvey]
    rows: int = 0
    first_at: datetime | None = None
    last_at: datetime | None = None
    is_ordered: bool = True

    @property
    def uses(self) -> int:
        return sum(meter.uses for meter in self.meters.values())


def survey(stream: Lines, layout: Layout) -> Survey:
    """Read a whole file and say what is in it. Raises ``FileInvalid`` with every problem found."""
    problems = Problems()
    found = Survey({meter: MeterSurvey() for _, meter in layout.meters})
    last: datetime | None = None
    for row in Table(stream, layout, problems).rows():
        found.rows += 1
        if last is not None and row.at < last:
            found.is_ordered = False
        last = row.at
        found.first_at = row.at if found.first_at is None or row.at < found.first_at else found.first_at
        found.last_at = row.at if found.last_at is None or row.at > found.last_at else found.last_at
        for (_, meter), quantity in zip(layout.meters, row.quantities, strict=True):
            of = found.meters[meter]
            if quantity:
                of.uses += 1
                of.quantity += quantity
            else:
                of.skipped += 1
    problems.raise_any()
    return found


def iterate_uses(stream: Lines, layout: Layout, *, is_ordered: bool) -> Iterator[Use]:
    """The uses of a surveyed file, row by row. Raises ``FileInvalid`` at the first problem: then the file has changed.

    Of an ordered file only the rows of one instant are remembered, to number equal ones; of any other, 16 bytes a row.
    """
    problems = Problems()
    table = Table(stream, layout, problems)
    ordinals: dict[bytes, int] = {}
    last: datetime | None = None
    for row in table.rows():
        problems.raise_any()
        if layout.key_column is not None:
            name = row.cells[table.key_index].encode() + b":"
        else:
            digest = table.digest(row)
            if is_ordered and row.at != last:
                ordinals.clear()
                last = row.at
            ordinal = ordinals.get(digest[:16], 0)
            ordinals[digest[:16]] = ordinal + 1
            name = b"%b:%d:" % (digest, ordinal)
        for (_, meter), quantity in zip(layout.meters, row.quantities, strict=True):
            if quantity:
                named = name + meter.encode()
                key = named.decode() if layout.key_column is not None else hashlib.sha256(named).hexdigest()
                yield Use(row.line, meter, quantity, row.at, key)
    problems.raise_any()
