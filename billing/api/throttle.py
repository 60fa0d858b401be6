"""Telling an address that keeps failing to stop. Best effort: without the cache nobody is told anything."""

from __future__ import annotations

import contextlib

from django.core.cache import cache
from django.http import HttpRequest
from redis.exceptions import RedisError

from billing.api.problems import Refused
from billing.infra import client_address

WINDOW_SECONDS = 60


def count_failure(request: HttpRequest, what: str, *, limit: int) -> None:
    """Count one failure of the caller's address; beyond ``limit`` in a minute it raises ``Refused`` 429.

    Only failures are counted, so whoever succeeds is never held up, from whatever address.
    """
    key = f"failures:{what}:{client_address.of(request.META)}"
    failures = 0
    with contextlib.suppress(RedisError, ValueError, OSError):
        cache.add(key, 0, WINDOW_SECONDS)
        failures = cache.incr(key)
    if failures > limit:
        raise Refused(
            429, "too_many_failures", "Too many failures; wait a minute.", headers={"Retry-After": str(WINDOW_SECONDS)}
        )
