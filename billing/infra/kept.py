"""Answers kept as bytes in this process, and the conditional GET that asks whether a browser's copy still holds.

What is kept is found by a key that names the state it was made from. So nothing is ever cleared: another state has
another key, in every process at once, and no other server has to be there.
"""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from collections.abc import Callable, Hashable
from dataclasses import dataclass
from threading import Lock

from django.http import HttpRequest, HttpResponse
from django.utils.cache import get_conditional_response


@dataclass(frozen=True, slots=True)
class Kept:
    """``etag`` is of the bytes, so that it is the same whichever process made them."""

    body: bytes
    etag: str

    @classmethod
    def of(cls, body: bytes) -> Kept:
        return cls(body, f'"{hashlib.sha256(body).hexdigest()[:32]}"')


class Shelf:
    """The ``entries_max`` answers that were asked for last. For threads."""

    def __init__(self, entries_max: int) -> None:
        self._entries_max = entries_max
        self._entries: OrderedDict[Hashable, Kept] = OrderedDict()
        self._lock = Lock()

    def get(self, key: Hashable | None, make: Callable[[], bytes]) -> Kept:
        """What is kept under ``key``, made now where nothing is; None keeps nothing."""
        if key is None:
            return Kept.of(make())
        with self._lock:
            found = self._entries.get(key)
            if found is not None:
                self._entries.move_to_end(key)
                return found
        # Outside the lock: two that make the same at once make the same.
        found = Kept.of(make())
        with self._lock:
            self._entries[key] = found
            while len(self._entries) > self._entries_max:
                self._entries.popitem(last=False)
        return found


def answer(request: HttpRequest, kept: Kept, *, content_type: str, cache_control: str, vary: str = "") -> HttpResponse:
    """The kept answer, or 304 where ``If-None-Match`` names it."""
    headers = {"ETag": kept.etag, "Cache-Control": cache_control} | ({"Vary": vary} if vary else {})
    response = HttpResponse(kept.body, content_type=content_type, headers=headers)
    found = get_conditional_response(request, etag=kept.etag, response=response)
    if not isinstance(found, HttpResponse):
        raise TypeError("a kept answer is a whole one")
    return found
