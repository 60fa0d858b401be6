"""Who calls: the bearer of an API key, or a person with a session and, for writing, a CSRF token."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.utils.module_loading import import_string
from rest_framework.authentication import CSRFCheck

from billing.accounts import actors
from billing.accounts import queries as accounts_queries
from billing.accounts.actors import Actor
from billing.api.problems import Refused
from billing.models import Organization, User

_SAFE = frozenset({"GET", "HEAD", "OPTIONS"})
_CHALLENGE = {"WWW-Authenticate": 'Bearer realm="api"'}


@dataclass(frozen=True, slots=True)
class Caller:
    """The actor, and for a key of an organization that organization, which came along in the same query."""

    actor: Actor
    organization: Organization | None = None
    is_key: bool = False


def authenticate(request: HttpRequest, now: datetime) -> Caller:
    """Who calls. Raises ``Refused``: 401 without credentials or with bad ones, 403 for a session without CSRF token."""
    header = request.META.get("HTTP_AUTHORIZATION")
    if header is not None:
        return _by_key(header, now)
    user = getattr(request, "user", None)
    if not isinstance(user, User) or not user.is_active:
        raise Refused(401, "not_authenticated", "Send an API key: Authorization: Bearer <key>.", headers=_CHALLENGE)
    if request.method not in _SAFE:
        _check_csrf(request)
    actor = actors.for_user(user)
    actors.serve(actor)
    return Caller(actor)


def require_fresh(request: HttpRequest) -> None:
    """Pass if the session's owner proved who they are a moment ago, by ``BILLING_IS_FRESH``, which whoever brings the
    sign-in names; without it nobody is asked. Raises ``Refused`` 403."""
    named = settings.BILLING_IS_FRESH
    if named and not import_string(named)(request):
        raise Refused(403, "sign_in_again", "This moves money: sign in again on the pages first, or send an API key.")


def _by_key(header: str, now: datetime) -> Caller:
    scheme, _, secret = header.partition(" ")
    key = accounts_queries.find_key(secret.strip(), now) if scheme.lower() == "bearer" else None
    if key is None:
        # The same words for unknown, expired and revoked: a guess learns nothing.
        raise Refused(401, "authentication_failed", "This API key is not valid.", headers=_CHALLENGE)
    actor = actors.for_key(key)
    actors.serve(actor)
    return Caller(actor, key.organization, is_key=True)


def _no_response(request: HttpRequest) -> HttpResponse:
    raise AssertionError("the CSRF check never asks for a response")


def _check_csrf(request: HttpRequest) -> None:
    check: Any = CSRFCheck(_no_response)
    check.process_request(request)
    reason = check.process_view(request, None, (), {})
    if reason:
        raise Refused(403, "csrf_failed", "The CSRF token is missing or wrong.")
