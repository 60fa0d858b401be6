"""Whether somebody proved who they are a moment ago: an open session is not yet a person."""

from __future__ import annotations

import time

from allauth.account import app_settings
from allauth.account.adapter import get_adapter
from allauth.account.internal.flows.login import get_authentication_records
from allauth.account.internal.flows.reauthentication import suspend_request
from django.http import HttpRequest, HttpResponse


def is_fresh(request: HttpRequest) -> bool:
    """Whether the session's owner gave a password or code within ``ACCOUNT_REAUTHENTICATION_TIMEOUT`` seconds, be it
    to sign in or again later."""
    records = get_authentication_records(request, request.user)
    return bool(records) and time.time() - records[-1]["at"] < app_settings.REAUTHENTICATION_TIMEOUT


def ask_again(request: HttpRequest) -> HttpResponse | None:
    """Where to send somebody to give it again; None where they did so lately. For acts that move money.

    The request is taken up afterwards where it stopped, the form that was sent included.
    """
    if is_fresh(request):
        return None
    methods = get_adapter().get_reauthentication_methods(request.user)
    answer: HttpResponse = suspend_request(request, methods[0]["url"] if methods else "/account/login/")
    return answer
