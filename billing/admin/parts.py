"""What an object's page is made of: plain values that a template only writes down."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from decimal import Decimal
from typing import Any

from django.utils import timezone

from billing.kernel.decimals import plain
from billing.kernel.money import format_minor


@dataclass(frozen=True, slots=True)
class Cell:
    """A text, where it leads, and how it is meant: "", "good", "warn" or "bad"."""

    text: str
    href: str = ""
    tone: str = ""
    is_figure: bool = False


@dataclass(frozen=True, slots=True)
class Pairs:
    title: str
    rows: Sequence[tuple[str, Cell]]


@dataclass(frozen=True, slots=True)
class Table:
    """``empty`` is said where there are no rows; ``more`` leads to all of them."""

    title: str
    header: Sequence[str]
    rows: Sequence[Sequence[Cell]]
    empty: str = "Nothing."
    more: str = ""
    figures: frozenset[int] = frozenset()


@dataclass(frozen=True, slots=True)
class Step:
    """One line of an audit trail."""

    at: str
    actor: str
    act: str
    reason: str
    details: str


@dataclass(frozen=True, slots=True)
class Page:
    title: str
    sections: Sequence[Pairs | Table]
    notices: Sequence[Cell] = ()
    links: Sequence[Cell] = ()
    trail: Sequence[Step] = field(default=())


NOTHING = Cell("–")


def cell(value: Any, href: str = "", tone: str = "") -> Cell:
    """A value as the desk writes it: decimals without zeros, instants to the minute in UTC."""
    if value is None or value in ("", [], ()):
        return NOTHING
    if isinstance(value, Cell):
        return value
    is_figure = isinstance(value, Decimal | int) and not isinstance(value, bool)
    return Cell(text(value), href, tone, is_figure)


def text(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, Decimal):
        return plain(value)
    if isinstance(value, datetime):
        return instant(value)
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, list | tuple):
        return ", ".join(text(each) for each in value)
    return str(value)


def instant(at: datetime) -> str:
    return at.astimezone(timezone.get_default_timezone()).strftime("%Y-%m-%d %H:%M")


def money(minor: int, currency: str) -> Cell:
    return Cell(f"{format_minor(minor, currency)} {currency}", is_figure=True)


def pairs(title: str, *rows: tuple[str, Any]) -> Pairs:
    return Pairs(title, [(name, cell(value)) for name, value in rows])


def table(
    title: str, header: Sequence[str], rows: Sequence[Sequence[Any]], *, empty: str = "Nothing.", more: str = ""
) -> Table:
    cells = [[cell(value) for value in row] for row in rows]
    figures = frozenset(
        index
        for index in range(len(header))
        if all(row[index].is_figure or row[index] is NOTHING for row in cells)
        and any(row[index].is_figure for row in cells)
    )
    return Table(title, header, cells, empty, more, figures)
