"""Logs: one JSON object a line, with who asked (request id, organization) and nothing that is secret or personal.

Only named fields are written. What a library hangs on a record (requests, SQL with its parameters, local variables) is
left out, because nobody vouches for what is in it. Redaction after that is a second net: by the field's name, and by
what values look like.

This module is loaded by the settings, so it imports nothing of Django.
"""

from __future__ import annotations

import json
import logging
import re
import traceback
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import UTC, date, datetime
from decimal import Decimal
from functools import lru_cache
from itertools import pairwise
from typing import Any
from uuid import UUID

import msgspec

COMPONENT = "billing"
REDACTED = "[redacted]"
TEXT_LENGTH_MAX = 4_000
DEPTH_MAX = 4
ITEMS_MAX = 50

request_id: ContextVar[str] = ContextVar("billing_request_id", default="")
organization: ContextVar[str] = ContextVar("billing_organization", default="")
_is_rehearsal: ContextVar[bool] = ContextVar("billing_is_rehearsal", default=False)

_logger = logging.getLogger("billing")
# What no line shows need not be found out for each.
logging.logThreads = logging.logProcesses = logging.logMultiprocessing = False

# Words of a field's name, so that "llm_tokens" (a meter) stays and "reset_token" goes.
_SECRET_WORD = re.compile(
    r"authorization|cookies?|credentials?|csrf(?:token)?|dsn|e?mails?|pass(?:word|wd|phrase)s?|phone|pin|secrets?"
    r"|sessionid|signature|token|totp"
)
_SECRET_PAIRS = frozenset(
    {("api", "key"), ("organization", "key"), ("platform", "key"), ("private", "key"), ("session", "key")}
)
_WORD = re.compile(r"[A-Z]?[a-z0-9]+|[A-Z0-9]+")
_LOOKS_SECRET = re.compile(
    r"""
      (?i:\b(?:bearer|basic|token)\s+)[A-Za-z0-9._~+/=-]{8,}          # an Authorization header
    | (?<=://)[^/\s:@]*:[^/\s@]+(?=@)                                 # user:password in a URL
    | \b[A-Za-z]{2,12}_(?=[A-Za-z_-]*[0-9])[A-Za-z0-9_-]{20,}         # an API key: prefix, underscore, random text
    | \beyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]+(?:\.[A-Za-z0-9_-]+)?     # a JSON web token
    | [A-Za-z0-9._%+-]+@[A-Za-z0-9-]+(?:\.[A-Za-z0-9-]+)*\.[A-Za-z]{2,}  # an e-mail address
    """,
    re.VERBOSE | re.ASCII,
)
# PostgreSQL quotes the offending row's values in these lines of an error.
_ROW_VALUES = re.compile(r"^(DETAIL|CONTEXT):.*$", re.MULTILINE)


@contextmanager
def context(*, request: str | None = None, organization_id: UUID | str | None = None) -> Iterator[None]:
    """Name the request and the organization in every line that is logged inside."""
    tokens = []
    if request is not None:
        tokens.append((request_id, request_id.set(request)))
    if organization_id is not None:
        tokens.append((organization, organization.set(str(organization_id))))
    try:
        yield
    finally:
        for variable, token in reversed(tokens):
            variable.reset(token)


@contextmanager
def rehearsal() -> Iterator[None]:
    """Nothing that is done inside happens, so no event of it is logged."""
    token = _is_rehearsal.set(True)
    try:
        yield
    finally:
        _is_rehearsal.reset(token)


def event(name: str, *, level: int = logging.INFO, error: BaseException | None = None, **fields: object) -> None:
    """Log that ``name`` happened, with ``fields`` as keys of the line. ``error`` adds where and what was raised.

    An ``organization`` field stands in for the one of the context.
    """
    if _logger.isEnabledFor(level) and not _is_rehearsal.get():
        raised = None if error is None else (type(error), error, error.__traceback__)
        # Without looking for the line of code that said it, which no line of the log shows.
        _logger.handle(
            _logger.makeRecord(_logger.name, level, "", 0, name, (), raised, extra={"fields": fields, "is_event": True})
        )


class JsonFormatter(logging.Formatter):
    """One record as one line of JSON: time, level, logger, event or message, component, request, organization."""

    def format(self, record: logging.LogRecord) -> str:
        line: dict[str, Any] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds")[:-6] + "Z",
            "level": record.levelname.lower(),
            "logger": record.name,
            "event" if getattr(record, "is_event", False) else "message": redact_text(record.getMessage()),
            "component": COMPONENT,
        }
        if request := request_id.get():
            line["request_id"] = request
        if of := organization.get():
            line["organization"] = of
        status = getattr(record, "status_code", None)
        if isinstance(status, int):
            line["status"] = status
        fields = getattr(record, "fields", None)
        if isinstance(fields, Mapping):
            # A field may not pass itself off as the record's own time, level or logger.
            line |= {f"{k}_" if k in _OWN else k: v for k, v in redact(fields).items()}
        if record.exc_info and record.exc_info[1] is not None:
            line["exception"] = describe(record.exc_info[1])
        try:
            encoded = _encode(line)
            if encoded.isascii():
                return encoded.decode()
        except (TypeError, ValueError, OverflowError):
            # Half a character, or a number wider than 64 bits.
            pass
        # What is not ASCII is escaped: it could end the line elsewhere, move a terminal's cursor, or not be written.
        return _encode_anything(line)


_encode = msgspec.json.Encoder().encode
_encode_anything = json.JSONEncoder(separators=(",", ":")).encode
_OWN = frozenset({"time", "level", "logger", "event", "message", "component", "request_id", "exception"})


def describe(error: BaseException) -> str:
    """The chain of an error as one text: types, messages without row values, and places; never values of variables."""
    parts = []
    seen: set[int] = set()
    current: BaseException | None = error
    while current is not None and id(current) not in seen:
        seen.add(id(current))
        message = _ROW_VALUES.sub(r"\1: " + REDACTED, str(current))
        places = " < ".join(
            f"{frame.filename}:{frame.lineno} {frame.name}"
            for frame in reversed(traceback.extract_tb(current.__traceback__, limit=-12))
        )
        parts.append(f"{type(current).__qualname__}: {redact_text(message)} ({places or 'no place'})")
        current = current.__cause__ or (None if current.__suppress_context__ else current.__context__)
    return " | caused by ".join(parts)


def redact(fields: Mapping[str, object]) -> dict[str, Any]:
    """``fields`` as plain JSON values, with secrets and personal data replaced."""
    return _mapping(fields, 0)


def redact_text(text: str) -> str:
    """``text`` cut to a bounded length, with what looks like a key, a token, a password or an address replaced."""
    cut = text if len(text) <= TEXT_LENGTH_MAX else text[:TEXT_LENGTH_MAX] + "…"
    return _LOOKS_SECRET.sub(REDACTED, cut)


# The code's own names, over and over; a mapping's keys may be anything.
@lru_cache(maxsize=1024)
def is_secret_name(name: str) -> bool:
    """Whether a field of this name holds something that must not be logged, whatever its value."""
    words = [word.lower() for word in _WORD.findall(name)]
    return any(map(_SECRET_WORD.fullmatch, words)) or any(pair in _SECRET_PAIRS for pair in pairwise(words))


def _mapping(fields: Mapping[Any, object], depth: int) -> dict[str, Any]:
    return {
        str(name): REDACTED if is_secret_name(str(name)) and value not in (None, "") else _value(value, depth)
        for name, value in list(fields.items())[:ITEMS_MAX]
    }


def _value(value: object, depth: int) -> Any:
    if value is None or isinstance(value, bool | int):
        return value
    if isinstance(value, float):
        return value if value == value and abs(value) != float("inf") else str(value)
    if isinstance(value, str):
        return redact_text(value)
    if isinstance(value, datetime):
        return value.astimezone(UTC).isoformat().replace("+00:00", "Z") if value.tzinfo else value.isoformat()
    if isinstance(value, Decimal | UUID | date):
        return str(value)
    if depth >= DEPTH_MAX:
        return type(value).__name__
    if isinstance(value, Mapping):
        return _mapping(value, depth + 1)
    if isinstance(value, list | tuple | set | frozenset):
        return [_value(item, depth + 1) for item in list(value)[:ITEMS_MAX]]
    # The repr of anything else (a request, a model) is not ours to vouch for.
    return type(value).__name__
