"""Sessions: when they end by themselves, that proving oneself gives them another name, and what the log says of them.

OWASP ASVS 5.0, 7.2.4, 7.3.1, 7.3.2 and 16.3.1. What is written names people by their ids alone.
"""

from __future__ import annotations

import logging
import time
from typing import Any

from allauth.account import signals as account_signals
from django.conf import settings
from django.contrib.auth import signals
from django.http import HttpRequest

from billing.infra import logs
from billing.models import User
from marketplace.accounts import second_factor

_HOUR = 3600.0
_BEGAN, _SEEN = "session_began", "session_seen"
# Each request counts; not each is worth a write.
_SEEN_EVERY_SECONDS = 60.0


def is_over(request: HttpRequest) -> bool:
    """Whether the session of who asks has lasted, or was left alone, for longer than its person's may. One that goes on
    keeps that it was used."""
    session, now = request.session, time.time()
    if _BEGAN not in session:
        # From before there was an end to them.
        begin(request)
    lasted, idle = now - session[_BEGAN], now - session[_SEEN]
    is_staff = isinstance(request.user, User) and second_factor.is_staff(request.user)
    longest, longest_idle = (
        (settings.BILLING_STAFF_SESSION_HOURS, settings.BILLING_STAFF_SESSION_IDLE_HOURS)
        if is_staff
        else (settings.BILLING_SESSION_HOURS, settings.BILLING_SESSION_IDLE_HOURS)
    )
    if lasted >= longest * _HOUR or idle >= longest_idle * _HOUR:
        logs.event("accounts.session_ended", user=request.user.pk, reason="idle" if lasted < longest * _HOUR else "age")
        return True
    if idle >= _SEEN_EVERY_SECONDS:
        session[_SEEN] = now
    return False


def begin(request: HttpRequest) -> None:
    request.session[_BEGAN] = request.session[_SEEN] = time.time()


def connect() -> None:
    """Listen to what happens to sessions; called once, as the program starts."""
    signals.user_logged_in.connect(_signed_in)
    signals.user_logged_out.connect(_signed_out)
    account_signals.authentication_step_completed.connect(_proved)


def failed(request: HttpRequest, *, email: str) -> None:
    """Keep in the log that somebody did not get in: whose account it is, where it is anybody's."""
    user = User.objects.filter(email__iexact=email).only("pk").first()
    refused("password", user)


def refused(method: str, user: User | None) -> None:
    logs.event("accounts.sign_in_failed", level=logging.WARNING, method=method, user=user.pk if user else "")


def _signed_in(*, request: HttpRequest, user: User, **_: Any) -> None:
    begin(request)
    logs.event("accounts.signed_in", user=user.pk)


def _signed_out(*, user: User | None, **_: Any) -> None:
    if user is not None:
        logs.event("accounts.signed_out", user=user.pk)


def _proved(*, request: HttpRequest, user: User, method: str, **_: Any) -> None:
    """A password or code given in an open session: whoever had seen the session's name before has none now. Signing in
    makes a new one by itself."""
    if request.user.is_authenticated:
        request.session.cycle_key()
        logs.event("accounts.proved_again", user=user.pk, method=method)
