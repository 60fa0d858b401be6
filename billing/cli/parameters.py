"""What the commands' arguments look like: read strictly, refused with a sentence that names the argument."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from zoneinfo import ZoneInfo

import click

from billing.kernel import instants
from billing.kernel.decimals import ZERO, parse_decimal

_UTC = ZoneInfo("UTC")


class _Decimal(click.ParamType[Decimal]):
    """A plain decimal of at most six places; ``is_signed`` lets it be negative, but never zero."""

    name = "decimal"

    def __init__(self, *, is_signed: bool) -> None:
        self.is_signed = is_signed

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> Decimal:
        try:
            read = parse_decimal(str(value))
        except ValueError as error:
            self.fail(f"{value!r} {error}", param, ctx)
        if read == ZERO or (read < ZERO and not self.is_signed):
            self.fail(f"{value!r} is {'zero' if self.is_signed else 'not more than zero'}", param, ctx)
        return read


class _Instant(click.ParamType[datetime]):
    """A date or a time, in UTC where it has no offset."""

    name = "when"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> datetime:
        if isinstance(value, datetime):
            return value
        try:
            return instants.settle(instants.read(str(value)), _UTC).astimezone(UTC)
        except (ValueError, OverflowError) as error:
            self.fail(f"{value!r} {error}", param, ctx)


class _Day(click.ParamType[date]):
    name = "day"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> date:
        if isinstance(value, date):
            return value
        try:
            return instants.read_day(str(value))
        except ValueError as error:
            self.fail(f"{value!r} {error}", param, ctx)


class _Length(click.ParamType[timedelta]):
    name = "length"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> timedelta:
        if isinstance(value, timedelta):
            return value
        try:
            return instants.read_length(str(value))
        except ValueError as error:
            self.fail(f"{value!r} {error}", param, ctx)


class _Zone(click.ParamType[ZoneInfo]):
    name = "zone"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> ZoneInfo:
        if isinstance(value, ZoneInfo):
            return value
        try:
            return ZoneInfo(str(value))
        except (ValueError, OSError, LookupError):
            self.fail(f"{value!r} is not a time zone of the IANA database", param, ctx)


class _Mapping(click.ParamType[tuple[str, str]]):
    """``Column=meter``. The column's name may hold ``=`` itself."""

    name = "column=meter"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> tuple[str, str]:
        if isinstance(value, tuple):
            return value
        column, separator, meter = str(value).rpartition("=")
        if not separator or not column.strip() or not meter.strip():
            self.fail(f"{value!r} is not of the form Column=meter", param, ctx)
        return column.strip(), meter.strip()


class Text(click.ParamType[str]):
    """Printable text of ``length_min`` to ``length_max`` characters; blanks around it are dropped."""

    name = "text"

    def __init__(self, length_max: int, *, length_min: int = 1) -> None:
        self.length_min = length_min
        self.length_max = length_max

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> str:
        text = str(value).strip()
        if not self.length_min <= len(text) <= self.length_max:
            self.fail(f"has {len(text)} characters, not {self.length_min} to {self.length_max}", param, ctx)
        if not text.isprintable():
            self.fail("holds characters that cannot be printed", param, ctx)
        return text


QUANTITY = _Decimal(is_signed=False)
SIGNED = _Decimal(is_signed=True)
INSTANT = _Instant()
DAY = _Day()
LENGTH = _Length()
ZONE = _Zone()
MAPPING = _Mapping()
CODE = Text(60)
KEY = Text(200)
REFERENCE = Text(120)
REASON = Text(500)
pdf_option = click.option(
    "--pdf", "pdf_file", type=click.Path(path_type=Path, dir_okay=False, writable=True), help="Write it there, too."
)
