"""Keyset pages: ``{"results": […], "next": url or null}``, flat in cost whatever the depth.

A cursor is the sort key of the last row shown. It is opaque to callers and proves nothing: what it says is checked like
any input, and the rows it leads to are filtered by the caller's rights like all others.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Annotated, Any, TypeVar
from uuid import UUID

import msgspec
from django.http import HttpRequest
from django.utils.http import urlencode

from billing.api import wire
from billing.api.problems import invalid_field

KeyT = TypeVar("KeyT")
RowT = TypeVar("RowT")


class TimeKey(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """Rows by time, newest first, then by id."""

    at: datetime
    id: UUID


class NumberKey(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """Rows by their number."""

    number: Annotated[int, msgspec.Meta(ge=0, le=2**63 - 1)]


class PageQuery(wire.Request, frozen=True):
    """``limit`` rows from ``cursor`` on, which comes out of ``next``."""

    limit: wire.PageSize | None = None
    cursor: Annotated[str, msgspec.Meta(max_length=300)] | None = None

    @property
    def size(self) -> int:
        return self.limit.value if self.limit else wire.PAGE_SIZE


def read_cursor(query: PageQuery, kind: type[KeyT]) -> KeyT | None:
    """The key in ``query``, None for the first page. 422 naming ``cursor`` for one that we did not make."""
    if query.cursor is None:
        return None
    try:
        raw = base64.b64decode(query.cursor.encode("ascii"), altchars=b"-_", validate=True)
        key = msgspec.json.decode(raw, type=kind)
    except (UnicodeEncodeError, binascii.Error, msgspec.DecodeError, RecursionError):
        raise unreadable() from None
    if isinstance(key, TimeKey):
        if key.at.tzinfo is None or not wire.YEAR_MIN <= key.at.year <= wire.YEAR_MAX:
            raise unreadable()
        # PostgreSQL knows no zone that is further than sixteen hours away.
        return msgspec.structs.replace(key, at=key.at.astimezone(UTC))
    return key


def page(
    request: HttpRequest,
    query: PageQuery,
    rows: Sequence[RowT],
    *,
    show: Callable[[RowT], Any],
    key: Callable[[RowT], msgspec.Struct],
) -> dict[str, Any]:
    """The answer for ``rows``, of which there is one more than ``query.size`` where another page follows."""
    shown = rows[: query.size]
    following = None
    if len(rows) > len(shown):
        cursor = base64.urlsafe_b64encode(msgspec.json.encode(key(shown[-1]))).decode()
        filters = [(name, str(value)) for name, value in request.GET.items() if name not in ("limit", "cursor")]
        parameters = urlencode([*filters, ("limit", str(query.size)), ("cursor", cursor)])
        following = f"{request.build_absolute_uri(request.path)}?{parameters}"
    return {"results": [show(row) for row in shown], "next": following}


def page_of(kind: Any) -> Any:
    """The shape of a page of ``kind``, for the OpenAPI document."""
    return msgspec.defstruct(f"PageOf{kind.__name__}", [("results", list[kind]), ("next", str | None)])


def unreadable() -> Exception:
    """422 naming ``cursor``."""
    return invalid_field("cursor", "invalid", "is not a cursor of this list")
