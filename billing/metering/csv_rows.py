"""The rows of a CSV file of use, read strictly: UTF-8, one header, plain decimals, times that exist.

Whatever is wrong is named by line; nothing is guessed and nothing coerced.
"""

from __future__ import annotations

import csv
import hashlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from decimal import Decimal
from itertools import count
from typing import NamedTuple, Protocol
from zoneinfo import ZoneInfo

import msgspec

from billing.kernel import instants
from billing.kernel.decimals import ZERO, parse_decimal
from billing.kernel.errors import Invalid

LINE_LENGTH_MAX_BYTES = 1_000_000
KEY_LENGTH_MAX = 200
# More than anyone reads, and few enough to keep of a file where every row is wrong.
PROBLEMS_KEPT_MAX = 100
_BYTE_ORDER_MARK = "\ufeff"

_encode = msgspec.json.Encoder().encode


class Lines(Protocol):
    """What is asked of a file, opened for reading bytes."""

    def readline(self, size: int, /) -> bytes: ...


@dataclass(frozen=True, slots=True)
class Layout:
    """What the columns mean. ``meters``: by column, the meter that its cells count on, each meter once.

    Times without an offset are read in ``zone``. ``key_column`` names each row, for ever, instead of its content.
    """

    time_column: str
    meters: tuple[tuple[str, str], ...]
    zone: ZoneInfo
    key_column: str | None = None

    @property
    def columns(self) -> tuple[str, ...]:
        """All that the header must have."""
        named = [self.time_column, *(column for column, _ in self.meters)]
        return tuple(dict.fromkeys(named if self.key_column is None else [*named, self.key_column]))


class Problem(NamedTuple):
    line: int
    reason: str

    def as_dict(self) -> dict[str, str | int]:
        return {"line": self.line, "reason": self.reason}


class FileInvalid(Invalid):
    """The file is refused whole. ``problems`` are the first of them in order of line, ``total`` says how many."""

    code = "file_invalid"

    def __init__(self, problems: list[Problem], total: int) -> None:
        self.problems = problems
        self.total = total
        lines = [f"line {problem.line}: {problem.reason}" for problem in problems]
        if total > len(problems):
            lines.append(f"… and {total - len(problems)} more")
        super().__init__("\n".join(lines), problems=[problem.as_dict() for problem in problems], total=total)


class Problems:
    def __init__(self) -> None:
        self.found: list[Problem] = []
        self.total = 0

    def add(self, line: int, reason: str) -> None:
        self.total += 1
        if len(self.found) < PROBLEMS_KEPT_MAX:
            self.found.append(Problem(line, reason))

    def raise_any(self) -> None:
        if self.total:
            raise FileInvalid(self.found, self.total)


class Row(NamedTuple):
    """``written_at`` is ``at`` before the layout's zone was applied: identity must not hang on an option."""

    line: int
    cells: list[str]
    at: datetime
    written_at: datetime
    quantities: list[Decimal]


@dataclass(slots=True)
class Table:
    """The rows of one file. Whatever is wrong goes to ``problems``; such a row is left out."""

    stream: Lines
    layout: Layout
    problems: Problems
    header: list[str] = field(default_factory=list)
    time_index: int = 0
    key_index: int = 0
    meter_indexes: list[int] = field(default_factory=list)
    order: list[int] = field(default_factory=list)
    line: int = 0

    def rows(self) -> Iterator[Row]:
        records = self._records()
        header = next(records, None)
        if header is None or not self._read_header(header):
            return
        for cells in records:
            if len(cells) != len(self.header):
                self.problems.add(self.line, f"has {len(cells)} cells, the header has {len(self.header)}")
                continue
            row = self._read(cells)
            if row is not None:
                yield row

    def digest(self, row: Row) -> bytes:
        """SHA-256 of a row's content, whatever the order of the columns."""
        cells = [row.cells[index] for index in self.order]
        at = row.written_at if row.written_at.tzinfo is None else row.written_at.astimezone(UTC)
        cells[self.order.index(self.time_index)] = at.isoformat()
        return hashlib.sha256(_encode([self.header, cells])).digest()

    def _records(self) -> Iterator[list[str]]:
        """Records with blanks around their cells dropped; ``line`` is where the current one began."""
        reader = csv.reader(_lines(self.stream, self.problems), strict=True)
        while True:
            self.line = reader.line_num + 1
            try:
                record = next(reader, None)
            except csv.Error as error:
                self.problems.add(self.line, f"is not CSV: {error}")
                continue
            if record is None:
                return
            if record:
                yield [cell.strip() for cell in record]

    def _read_header(self, header: list[str]) -> bool:
        before = self.problems.total
        for name in dict.fromkeys(header):
            if header.count(name) > 1:
                self.problems.add(self.line, f"the column {name!r} stands in the header {header.count(name)} times")
        for name in self.layout.columns:
            if name not in header:
                self.problems.add(self.line, f"the header has no column {name!r}")
        if self.problems.total > before:
            return False
        self.order = sorted(range(len(header)), key=lambda index: header[index])
        self.header = [header[index] for index in self.order]
        self.time_index = header.index(self.layout.time_column)
        self.meter_indexes = [header.index(column) for column, _ in self.layout.meters]
        if self.layout.key_column is not None:
            self.key_index = header.index(self.layout.key_column)
        return True

    def _read(self, cells: list[str]) -> Row | None:
        before = self.problems.total
        times: list[datetime] = []
        try:
            times.append(instants.read(cells[self.time_index]))
            times.append(instants.settle(times[0], self.layout.zone))
        except ValueError as error:
            self._misfit(self.layout.time_column, cells[self.time_index], error)
        quantities = []
        for (column, _), index in zip(self.layout.meters, self.meter_indexes, strict=True):
            try:
                quantities.append(_quantity(cells[index]))
            except ValueError as error:
                self._misfit(column, cells[index], error)
        if self.layout.key_column is not None:
            self._check_key(self.layout.key_column, cells[self.key_index])
        return None if self.problems.total > before else Row(self.line, cells, times[1], times[0], quantities)

    def _check_key(self, column: str, key: str) -> None:
        longest = max(len(meter) for _, meter in self.layout.meters)
        if not key:
            self.problems.add(self.line, f"{column} is empty")
        elif len(key) + 1 + longest > KEY_LENGTH_MAX:
            self.problems.add(self.line, f"{column} has more than {KEY_LENGTH_MAX - 1 - longest} characters")

    def _misfit(self, column: str, cell: str, error: ValueError) -> None:
        shown = cell if len(cell) <= 60 else f"{cell[:60]}…"
        self.problems.add(self.line, f"{column} {shown!r} {error}")


def _quantity(cell: str) -> Decimal:
    if not cell:
        return ZERO
    quantity = parse_decimal(cell)
    if quantity < ZERO:
        raise ValueError("is negative")
    return quantity


def _lines(stream: Lines, problems: Problems) -> Iterator[str]:
    for line in count(1):
        raw = stream.readline(LINE_LENGTH_MAX_BYTES + 1)
        if not raw:
            if line == 1:
                problems.add(1, "the file is empty")
            return
        if len(raw) > LINE_LENGTH_MAX_BYTES:
            problems.add(line, f"has more than {LINE_LENGTH_MAX_BYTES} bytes")
            return
        if b"\0" in raw:
            problems.add(line, "contains a NUL character")
        try:
            text = raw.decode()
        except UnicodeDecodeError as error:
            problems.add(line, f"byte {error.start + 1} is not UTF-8")
            text = raw.decode(errors="replace")
        yield text.removeprefix(_BYTE_ORDER_MARK) if line == 1 else text
