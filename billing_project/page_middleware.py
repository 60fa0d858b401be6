"""Middleware that pages need and most calls do not: sessions, people, messages, the visitor's locale.

A call of the API that brings credentials in a header is nobody's session: whoever it is stands in the header and
nowhere else, and the cookies beside it are not looked at. One that brings neither is nobody's at all. So these pass it
by, which took a good part of its time.
"""

from __future__ import annotations

from typing import Any

from django.contrib.auth import middleware as auth
from django.contrib.messages import middleware as messages
from django.contrib.sessions import middleware as sessions
from django.http import HttpRequest
from whitenoise import middleware as whitenoise  # type: ignore[import-untyped]

from marketplace import locales
from marketplace.accounts import middleware as accounts

# Of the product's own calls only: a host's views beside them may ask who is signed in.
_CALLS = ("/api/billing/", "/api/policy/", "/api/marketplace/")


def is_for_pages(request: HttpRequest) -> bool:
    brought = request.META
    is_session = "HTTP_COOKIE" in brought and "HTTP_AUTHORIZATION" not in brought
    return is_session or not request.path_info.startswith(_CALLS)


class _ForPages:
    """Before a middleware: it is asked for pages alone."""

    get_response: Any

    def __call__(self, request: HttpRequest) -> Any:
        return super().__call__(request) if is_for_pages(request) else self.get_response(request)  # type: ignore[misc]


class WhiteNoiseMiddleware(_ForPages, whitenoise.WhiteNoiseMiddleware):  # type: ignore[misc]
    pass


class SessionMiddleware(_ForPages, sessions.SessionMiddleware):
    pass


class AuthenticationMiddleware(_ForPages, auth.AuthenticationMiddleware):
    pass


class MessageMiddleware(_ForPages, messages.MessageMiddleware):
    pass


class VisitorLocaleMiddleware(_ForPages, locales.VisitorLocaleMiddleware):
    pass


class SessionEndMiddleware(_ForPages, accounts.SessionEndMiddleware):
    pass


class StaffSecondFactorMiddleware(_ForPages, accounts.StaffSecondFactorMiddleware):
    pass
