"""Pages of a long list, newest first: each knows the key that the older and the newer page go on from."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Generic, TypeVar
from urllib.parse import urlencode
from uuid import UUID

from billing.kernel import ids

Row = TypeVar("Row")
Key = TypeVar("Key")
TimeKey = tuple[datetime, UUID]

_NUMBER = re.compile(r"[0-9]{1,18}", re.ASCII)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
# Of what a timestamp can be in the database, far enough.
_MICROSECONDS_MAX = 10**16


@dataclass(frozen=True, slots=True)
class Wanted(Generic[Key]):
    """Which page: what follows ``before``, or what comes ahead of ``after``; with neither the first."""

    before: Key | None = None
    after: Key | None = None


@dataclass(frozen=True, slots=True)
class Links:
    """Query strings of the pages beside this one; empty where there is none."""

    newer: str
    older: str


def read_number(query: Mapping[str, str]) -> Wanted[int]:
    """What cannot be read means the first page."""
    return Wanted(_number(query.get("before", "")), _number(query.get("after", "")))


def read_time(query: Mapping[str, str]) -> Wanted[TimeKey]:
    return Wanted(_time(query.get("before", "")), _time(query.get("after", "")))


def write_time(at: datetime, row_id: UUID) -> str:
    return f"{(at - _EPOCH) // _MICROSECOND}.{row_id.hex}"


def cut(
    rows: Sequence[Row], wanted: Wanted[Key], *, length: int, key: Callable[[Row], object], **kept: str
) -> tuple[Sequence[Row], Links]:
    """The page's rows out of ``length + 1`` that were asked for, newest first, and the links beside it. ``kept`` are
    other parameters of its address."""
    is_back, has_more = wanted.after is not None, len(rows) > length
    shown = rows[-length:] if is_back else rows[:length]
    older = shown and (is_back or has_more)
    newer = shown and (has_more if is_back else wanted.before is not None)
    return shown, Links(
        newer=urlencode({**kept, "after": str(key(shown[0]))}) if newer else "",
        older=urlencode({**kept, "before": str(key(shown[-1]))}) if older else "",
    )


def _number(text: str) -> int | None:
    return int(text) if _NUMBER.fullmatch(text) else None


def _time(text: str) -> TimeKey | None:
    at, _, row = text.partition(".")
    microseconds, row_id = _number(at), ids.parse_uuid(str(UUID(row)) if re.fullmatch(r"[0-9a-f]{32}", row) else "")
    if microseconds is None or microseconds > _MICROSECONDS_MAX or row_id is None:
        return None
    return _EPOCH + microseconds * _MICROSECOND, row_id
