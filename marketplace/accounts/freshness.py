"""Whether somebody proved who they are a moment ago."""

from __future__ import annotations

import time

from allauth.account import app_settings
from allauth.account.internal.flows.login import get_authentication_records
from allauth.core.exceptions import ReauthenticationRequired
from django.http import HttpRequest


def is_fresh(request: HttpRequest) -> bool:
    """Whether the session's owner gave a password or code within ``ACCOUNT_REAUTHENTICATION_TIMEOUT`` seconds, be it
    to sign in or again later."""
    records = get_authentication_records(request, request.user)
    return bool(records) and time.time() - records[-1]["at"] < app_settings.REAUTHENTICATION_TIMEOUT


def require(request: HttpRequest) -> None:
    """For acts that a machine left unlocked must not lend. Raises allauth's ``ReauthenticationRequired``, whose
    middleware asks for the password or a code and then takes the request up where it stopped, its form included."""
    if not is_fresh(request):
        raise ReauthenticationRequired
