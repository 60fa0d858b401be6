"""What values look like on the wire, and how parsed JSON or a query string becomes a typed ``msgspec`` struct.

A struct is all there is to validation, and the OpenAPI document is made from the same structs. Unknown fields are
refused, nothing is coerced; every error names its field.
"""

from __future__ import annotations

import re
from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal
from typing import Any, Generic, TypeVar
from urllib.parse import unquote_to_bytes
from uuid import UUID

import msgspec

from billing.api.body import Scientific
from billing.api.problems import Refused, invalid_field
from billing.kernel import ids, instants
from billing.kernel.decimals import ZERO, bounded, parse_decimal

T = TypeVar("T")

YEAR_MIN, YEAR_MAX = 1970, 2199
PAGE_SIZE, PAGE_SIZE_MAX = 50, 200
PARAMETERS_MAX = 50


class Request(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """Base of request bodies and queries."""


class Nothing(Request, frozen=True):
    """A body or a query with nothing in it."""


class Wrapped(Generic[T]):
    """A value that was read by a rule of ours. Not a dataclass: those msgspec would read by itself."""

    __slots__ = ("value",)

    def __init__(self, value: T) -> None:
        self.value = value


class Quantity(Wrapped[Decimal]):
    """More than zero, at most six decimals: ``"1.5"``, ``"1000"``; a JSON number will do."""

    __slots__ = ()


class SignedQuantity(Wrapped[Decimal]):
    """Not zero, at most six decimals, of either sign."""

    __slots__ = ()


class Instant(Wrapped[datetime]):
    """RFC 3339 with an offset; digits beyond microseconds are dropped. ``value`` is UTC."""

    __slots__ = ()


class Day(Wrapped[date]):
    """A calendar day: ``2026-01-31``."""

    __slots__ = ()


class Id(Wrapped[UUID]):
    """A UUID in its 36-character form."""

    __slots__ = ()


class PageSize(Wrapped[int]):
    """1 to 200."""

    __slots__ = ()


_INSTANT = re.compile(
    r"([0-9]{4})-([0-9]{2})-([0-9]{2})[Tt]([0-9]{2}):([0-9]{2}):([0-9]{2})(?:\.([0-9]{1,30}))?"
    r"(?:([Zz])|([+-])([0-9]{2}):([0-9]{2}))",
    re.ASCII,
)
_PAGE_SIZE = re.compile(r"[1-9][0-9]{0,2}", re.ASCII)


def read_instant(text: str) -> datetime:
    """RFC 3339 text as UTC. Raises ``ValueError`` with a sentence."""
    match = _INSTANT.fullmatch(text)
    if match is None:
        raise ValueError("is not an RFC 3339 time with an offset, such as 2026-01-31T09:00:00Z")
    year, month, day, hour, minute, second = (int(part) for part in match.groups()[:6])
    if not YEAR_MIN <= year <= YEAR_MAX:
        raise ValueError(f"is not between the years {YEAR_MIN} and {YEAR_MAX}")
    zone = UTC
    if match[9]:
        offset = timedelta(hours=int(match[10]), minutes=int(match[11]))
        if int(match[11]) > 59 or offset >= timedelta(hours=24):
            raise ValueError("has an impossible offset")
        zone = timezone(offset if match[9] == "+" else -offset)
    microsecond = int((match[7] or "").ljust(6, "0")[:6])
    try:
        return datetime(year, month, day, hour, minute, second, microsecond, zone).astimezone(UTC)
    except ValueError:
        raise ValueError("is not a time that exists") from None


def read_decimal(value: object) -> Decimal:
    """A plain decimal from text or a JSON number. Raises ``ValueError`` with a sentence."""
    if isinstance(value, str):
        return parse_decimal(value)
    if isinstance(value, bool | Scientific) or not isinstance(value, int | Decimal):
        raise ValueError("is not a plain decimal number")
    return bounded(Decimal(value))


def _quantity(value: object) -> Quantity:
    read = read_decimal(value)
    if read <= ZERO:
        raise ValueError("is not more than zero")
    return Quantity(read)


def _signed_quantity(value: object) -> SignedQuantity:
    read = read_decimal(value)
    if read == ZERO:
        raise ValueError("is zero")
    return SignedQuantity(read)


def _instant(value: object) -> Instant:
    if not isinstance(value, str):
        raise ValueError("is not an RFC 3339 time with an offset, such as 2026-01-31T09:00:00Z")
    return Instant(read_instant(value))


def _day(value: object) -> Day:
    if not isinstance(value, str):
        raise ValueError("is not a day, such as 2026-01-31")
    return Day(instants.read_day(value))


def _id(value: object) -> Id:
    read = ids.parse_uuid(value) if isinstance(value, str) else None
    if read is None:
        raise ValueError("is not a UUID")
    return Id(read)


def _page_size(value: object) -> PageSize:
    if not isinstance(value, str) or not _PAGE_SIZE.fullmatch(value) or int(value) > PAGE_SIZE_MAX:
        raise ValueError(f"is not a number from 1 to {PAGE_SIZE_MAX}")
    return PageSize(int(value))


_DECODERS: dict[Any, Any] = {
    Quantity: _quantity,
    SignedQuantity: _signed_quantity,
    Instant: _instant,
    Day: _day,
    Id: _id,
    PageSize: _page_size,
}
_DECIMAL_TEXT = r"^-?[0-9]{1,13}(\.[0-9]{1,6}0*)?$"
_SCHEMAS: dict[Any, dict[str, Any]] = {
    Quantity: {
        "oneOf": [
            {"type": "string", "pattern": _DECIMAL_TEXT.replace("-?", ""), "examples": ["1.5"]},
            {"type": "number", "exclusiveMinimum": 0, "maximum": 1000000000000},
        ],
        "description": Quantity.__doc__,
    },
    SignedQuantity: {
        "oneOf": [
            {"type": "string", "pattern": _DECIMAL_TEXT, "examples": ["-2.5"]},
            {"type": "number", "minimum": -1000000000000, "maximum": 1000000000000, "not": {"const": 0}},
        ],
        "description": SignedQuantity.__doc__,
    },
    Instant: {"type": "string", "format": "date-time", "description": Instant.__doc__},
    Day: {"type": "string", "format": "date", "description": Day.__doc__},
    Id: {"type": "string", "format": "uuid"},
    PageSize: {"type": "integer", "minimum": 1, "maximum": PAGE_SIZE_MAX, "default": PAGE_SIZE},
}


def decode_hook(kind: type, value: object) -> object:
    return _DECODERS[kind](value)


def schema_hook(kind: type) -> dict[str, Any]:
    return _SCHEMAS[kind]


def convert(document: Any, kind: type[T]) -> T:
    """``document`` as a ``kind``; raises ``Refused`` (422) naming the field."""
    try:
        return msgspec.convert(document, kind, dec_hook=decode_hook)
    except msgspec.ValidationError as error:
        raise _refused(str(error)) from None


def convert_query(query_string: str, kind: type[T]) -> T:
    """A query string as a ``kind``: every parameter once, none unknown, all text UTF-8 without NUL."""
    parameters: dict[str, str] = {}
    for pair in query_string.split("&") if query_string else ():
        name, value = (_unquote(part) for part in pair.partition("=")[::2])
        if name in parameters:
            raise invalid_field(name, "duplicate_key", "this parameter is there twice")
        if len(parameters) == PARAMETERS_MAX:
            raise invalid_field(name, "too_many", f"at most {PARAMETERS_MAX} parameters")
        parameters[name] = value
    return convert(parameters, kind)


def free_form(value: Any, field: str) -> Any:
    """Data of the caller's own as plain JSON values. Numbers must survive as IEEE doubles, or they are refused."""
    if isinstance(value, dict):
        return {key: free_form(item, f"{field}.{key}") for key, item in value.items()}
    if isinstance(value, list):
        return [free_form(item, f"{field}[{index}]") for index, item in enumerate(value)]
    if isinstance(value, Decimal):
        number = float(value)
        if Decimal(repr(number)) != value:
            raise invalid_field(field, "invalid_number", "has more digits than a JSON number keeps; send it as text")
        return number
    return value


def _unquote(text: str) -> str:
    try:
        decoded = unquote_to_bytes(text.replace("+", " ")).decode("utf-8")
    except UnicodeDecodeError:
        raise Refused(400, "malformed", "The query is not UTF-8.") from None
    if "\x00" in decoded:
        raise invalid_field(decoded.replace("\x00", "")[:60], "invalid_text", "NUL is refused")
    return decoded


_AT = re.compile(r"(.*) - at `(.*)`", re.DOTALL)
_MISSING = re.compile(r"Object missing required field `(.*)`", re.DOTALL)
_UNKNOWN = re.compile(r"Object contains unknown field `(.*)`", re.DOTALL)
_TYPE = re.compile(r"Expected `(.*)`, got `(.*)`", re.DOTALL)
_TYPE_WORDS = {"array": "a list", "object": "an object", "str": "text", "int": "an integer", "bool": "true or false"}


def _refused(message: str) -> Refused:
    """msgspec's sentence, in our words and with the field apart."""
    match = _AT.fullmatch(message)
    sentence, path = (match[1], match[2]) if match else (message, "$")
    field = path.removeprefix("$").removeprefix(".")
    if missing := _MISSING.fullmatch(sentence):
        return invalid_field(_join(field, missing[1]), "missing", "is missing")
    if unknown := _UNKNOWN.fullmatch(sentence):
        return invalid_field(_join(field, unknown[1]), "unknown_field", "is not a field of this request")
    if wrong := _TYPE.fullmatch(sentence):
        wanted = " or ".join(_TYPE_WORDS.get(kind, kind) for kind in wrong[1].split(" | ") if kind != "null")
        return invalid_field(field, "wrong_type", f"is not {wanted}")
    return invalid_field(field, "invalid", sentence[:1].lower() + sentence[1:])


def _join(path: str, name: str) -> str:
    return f"{path}.{name}" if path else name
