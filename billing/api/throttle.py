"""Who calls too often is told to wait: by key, by organization and by the client's address.

Three limits count a call once it is known whose it is; what comes without a valid key counts against a narrower one of
its address too. Public documents come from memory and are counted by address alone.
"""

from __future__ import annotations

import math
from collections.abc import Callable

from django.conf import settings
from django.http import HttpRequest
from django.http.response import HttpResponseBase
from prometheus_client import Counter

from billing.api.authentication import Caller
from billing.api.problems import Refused
from billing.infra import client_address, rate_limits
from billing.infra.rate_limits import Limit, Standing, Verdict

_refusals = Counter("billing_calls_limited", "Calls refused because there were too many, by what was counted.", ["by"])
_WORDS = {
    "key": "with this key",
    "organization": "by this organization",
    "address": "from this address",
    "keyless": "without a valid key from this address",
}
_STANDING = "billing.rate_limit"


def admit(request: HttpRequest, authenticate: Callable[[], Caller], *, is_public: bool) -> Caller:
    """Who calls, counted. Raises ``Refused`` 429 beyond a limit, and what ``authenticate`` raises."""
    counter = rate_limits.counter()
    address = rate_limits.neighbourhood(client_address.of(request.META))
    everybody = _subject("address", settings.BILLING_RATE_LIMIT_ADDRESS, address)
    if is_public:
        _require(request, counter.take(everybody))
        return authenticate()
    keyless = [*everybody, *_subject("keyless", settings.BILLING_RATE_LIMIT_KEYLESS, address)]
    # A flood that goes on asks neither Redis nor the database. A key may be valid for all the bad ones before it.
    _require(request, counter.find_refusal(everybody if "HTTP_AUTHORIZATION" in request.META else keyless))
    try:
        caller = authenticate()
    except Refused:
        _require(request, counter.take(keyless))
        raise
    subjects = [*everybody, *_of_key(caller)] if caller.is_key else keyless
    _require(request, counter.take(subjects))
    return caller


def count_failure(request: HttpRequest, what: str, *, limit: int) -> None:
    """Count one failure of the caller's address; beyond ``limit`` in a minute it raises ``Refused`` 429.

    Only failures are counted, so whoever succeeds is never held up, from whatever address.
    """
    address = rate_limits.neighbourhood(client_address.of(request.META))
    verdict = rate_limits.counter().take([(Limit(f"failures-{what}", limit, 60), address)])
    if verdict.standing is not None and not verdict.is_admitted:
        raise Refused(
            429, "too_many_failures", "Too many failures; wait a minute.", headers=_headers(verdict.standing, 429)
        )


def tell(request: HttpRequest, response: HttpResponseBase) -> HttpResponseBase:
    """``response``, with where the caller stands."""
    standing: Standing | None = request.META.get(_STANDING)
    if standing is not None:
        for name, value in _headers(standing, response.status_code).items():
            response.headers[name] = value
    return response


def _of_key(caller: Caller) -> list[tuple[Limit, str]]:
    found = _subject("key", settings.BILLING_RATE_LIMIT_KEY, caller.actor.name)
    if (organization := caller.actor.organization_id) is not None:
        found += _subject("organization", settings.BILLING_RATE_LIMIT_ORGANIZATION, str(organization))
    return found


def _subject(name: str, text: str, identity: str) -> list[tuple[Limit, str]]:
    """Whom to count by, and against what; nobody where the setting says "none"."""
    limit = rate_limits.parse(name, text)
    return [] if limit is None else [(limit, identity)]


def _require(request: HttpRequest, verdict: Verdict | None) -> None:
    if verdict is None or verdict.standing is None:
        return
    request.META[_STANDING] = verdict.standing
    if not verdict.is_admitted:
        limit = verdict.standing.limit
        _refusals.labels(by=limit.name).inc()
        raise Refused(
            429,
            "too_many_requests",
            f"At most {limit.quota} calls in {limit.seconds} s {_WORDS[limit.name]}; wait.",
        )


def _headers(standing: Standing, status: int) -> dict[str, str]:
    """By the IETF's draft, and as most clients know it from before."""
    limit, reset = standing.limit, str(math.ceil(standing.reset_seconds))
    headers = {
        "RateLimit-Policy": f'"{limit.name}";q={limit.quota};w={limit.seconds}',
        "RateLimit": f'"{limit.name}";r={standing.remaining};t={reset}',
        "RateLimit-Limit": str(limit.quota),
        "RateLimit-Remaining": str(standing.remaining),
        "RateLimit-Reset": reset,
    }
    return headers | {"Retry-After": reset} if status == 429 else headers
