"""Reading a JSON body, more strictly than a JSON library does.

Refused: other encodings than UTF-8, duplicate keys, NaN and Infinity, NUL and lone surrogates anywhere, nesting deeper
than 32 levels, more than a million bytes, numbers that do not survive. A number with a fraction is read from its text
as a ``Decimal``, never as a float.
"""

from __future__ import annotations

import json
import re
from decimal import Decimal
from typing import Any

from django.core.exceptions import RequestDataTooBig
from django.http import HttpRequest
from django.http.request import UnreadablePostError

from billing.api.problems import ECHO_LENGTH_MAX, Refused, invalid_field

BYTES_MAX = 1_000_000
DEPTH_MAX = 32
NUMBER_LENGTH_MAX = 40
# What fits a 64-bit integer, signed or not; more digits than that are sent as text.
INTEGER_MIN, INTEGER_MAX = -(2**63), 2**64 - 1
EXPONENT_MAX = 300
JSON = "application/json"

_UNPRINTABLE = re.compile("[\x00\ud800-\udfff]")
_Path = tuple[str | int, ...]


class Scientific(Decimal):
    """A number written with an exponent: fine in free-form data, refused as a quantity."""

    __slots__ = ()


class Unreadable:
    """Stands where a number stood that we do not read, until its path is known."""

    __slots__ = ()


def content_type(request: HttpRequest) -> str:
    """The media type that the request claims, without parameters, in lower case. 415 for a charset other than UTF-8."""
    essence, _, parameters = request.META.get("CONTENT_TYPE", "").partition(";")
    charset = re.search(r"charset\s*=\s*\"?([^\s\";]*)", parameters, re.IGNORECASE)
    if charset and charset[1].lower() not in ("utf-8", "utf8"):
        raise Refused(415, "unsupported_media_type", "JSON is sent as UTF-8.")
    return str(essence).strip().lower()


def read(request: HttpRequest) -> bytes:
    """The raw body. 413 beyond ``BYTES_MAX``, told before it is read where the client says the length."""
    too_large = Refused(413, "too_large", f"A body has at most {BYTES_MAX} bytes.")
    try:
        if int(request.META.get("CONTENT_LENGTH") or 0) > BYTES_MAX:
            raise too_large
        raw = _of_unknown_length(request) if _is_length_untold(request) else request.body
    except ValueError:
        raise _malformed("The Content-Length header is not a number.") from None
    except RequestDataTooBig:
        raise too_large from None
    except UnreadablePostError:
        raise _malformed("The body ended early.") from None
    if len(raw) > BYTES_MAX:
        raise too_large
    return raw


def _is_length_untold(request: HttpRequest) -> bool:
    """Whether there may be a body that Django takes for none: it reads as many bytes as ``Content-Length`` says."""
    told = request.META.get("CONTENT_LENGTH")
    is_streamed = "HTTP_TRANSFER_ENCODING" in request.META or request.META.get("SERVER_PROTOCOL", "").startswith(
        "HTTP/2"
    )
    return is_streamed and not told


def _of_unknown_length(request: HttpRequest) -> bytes:
    """A chunked body, which the web server has already put together, up to the first byte that is too many."""
    parts: list[bytes] = []
    missing = BYTES_MAX + 1
    while missing and (part := request.META["wsgi.input"].read(missing)):
        parts.append(part)
        missing -= len(part)
    return b"".join(parts)


def parse(raw: bytes) -> Any:
    """The JSON document of ``raw``: 400 if it is malformed, 422 naming the path of a value that is not accepted."""
    try:
        text = raw.decode("utf-8")
    except UnicodeDecodeError:
        raise _malformed("The body is not UTF-8.") from None
    reader = _Reader()
    try:
        document = reader.decode(text)
    except json.JSONDecodeError as error:
        raise _malformed(f"The body is not JSON: {error.msg} at line {error.lineno} column {error.colno}.") from None
    except RecursionError:
        raise _too_deep() from None
    # Escapes are the only way for NUL and surrogates to get here: raw ones failed above.
    _check(document, (), values=reader.met_unreadable or "\\u" in text)
    return document


class _Reader:
    """One parse: the hooks, and whether they met a number to refuse."""

    def __init__(self) -> None:
        self.met_unreadable = False

    def decode(self, text: str) -> Any:
        return json.JSONDecoder(
            object_pairs_hook=_unique,
            parse_int=self._integer,
            parse_float=self._decimal,
            parse_constant=lambda _: self._unreadable(),
        ).decode(text)

    def _integer(self, text: str) -> int | Unreadable:
        if len(text) > NUMBER_LENGTH_MAX:
            return self._unreadable()
        value = int(text)
        return value if INTEGER_MIN <= value <= INTEGER_MAX else self._unreadable()

    def _decimal(self, text: str) -> Decimal | Unreadable:
        if len(text) > NUMBER_LENGTH_MAX:
            return self._unreadable()
        if "e" not in text and "E" not in text:
            return Decimal(text)
        value = Scientific(text)
        return value if abs(value.adjusted()) <= EXPONENT_MAX else self._unreadable()

    def _unreadable(self) -> Unreadable:
        self.met_unreadable = True
        return Unreadable()


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    document = dict(pairs)
    if len(document) != len(pairs):
        seen: set[str] = set()
        twice = next(key for key, _ in pairs if key in seen or seen.add(key))  # type: ignore[func-returns-value]
        name = twice.encode("ascii", "backslashreplace").decode()[:ECHO_LENGTH_MAX]
        refused = invalid_field(name, "duplicate_key", "this key is there twice")
        raise Refused(400, "malformed", refused.detail, errors=refused.errors)
    return document


def _check(value: Any, path: _Path, *, values: bool) -> None:
    """Refuse what is nested too deep and, where ``values``, text and numbers that are not accepted."""
    if isinstance(value, dict | list) and len(path) >= DEPTH_MAX:
        raise _too_deep()
    if isinstance(value, dict):
        for key, item in value.items():
            if values and _UNPRINTABLE.search(key):
                raise invalid_field(show(path), "invalid_text", "a key holds NUL or a lone surrogate")
            if values or isinstance(item, dict | list):
                _check(item, (*path, key), values=values)
    elif isinstance(value, list):
        for index, item in enumerate(value):
            if values or isinstance(item, dict | list):
                _check(item, (*path, index), values=values)
    elif isinstance(value, str):
        if _UNPRINTABLE.search(value):
            raise invalid_field(show(path), "invalid_text", "NUL and lone surrogates are refused")
    elif isinstance(value, Unreadable):
        raise invalid_field(show(path), "invalid_number", "is not a number of a size that is read")


def show(path: _Path) -> str:
    """``("events", 3, "quantity")`` → ``"events[3].quantity"``."""
    return "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in path).removeprefix(".")


def _malformed(detail: str) -> Refused:
    return Refused(400, "malformed", detail)


def _too_deep() -> Refused:
    return _malformed(f"The body is nested deeper than {DEPTH_MAX} levels.")
