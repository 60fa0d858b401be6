"""Acts ask for a sign-in of lately: an unlocked screen is not yet a person."""

from __future__ import annotations

from collections.abc import Callable

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.utils.module_loading import import_string

# Given a request, what sends its person to sign in again; None where they did so lately.
Asked = Callable[[HttpRequest], HttpResponse | None]


def ask_again(request: HttpRequest) -> HttpResponse | None:
    """By ``BILLING_FRESH_SIGN_IN``, which whoever brings the sign-in names; without it nobody is asked."""
    named = settings.BILLING_FRESH_SIGN_IN
    if not named:
        return None
    asked: Asked = import_string(named)
    return asked(request)
