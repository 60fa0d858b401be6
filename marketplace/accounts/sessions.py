"""Sessions: when they end by themselves, that proving oneself gives them another name, and what the log says of them.

OWASP ASVS 5.0, 7.2.4, 7.3.1, 7.3.2 and 16.3.1. What is written names people by their ids alone.
"""

from __future__ import annotations

import logging
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from allauth.account import signals as account_signals
from django.conf import settings
from django.contrib.auth import HASH_SESSION_KEY, signals
from django.contrib.sessions.models import Session
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils import timezone

from billing.infra import logs
from billing.models import User
from marketplace.accounts import second_factor
from marketplace.models import OpenSession

_HOUR = 3600.0
_BEGAN, _SEEN, _KEPT = "session_began", "session_seen", "session_kept"
# Each request counts; not each is worth a write.
_SEEN_EVERY_SECONDS = 60.0


def is_over(request: HttpRequest) -> bool:
    """Whether the session of who asks has lasted, or was left alone, for longer than its person's may. One that goes on
    keeps that it was used."""
    session, user, now = request.session, _who(request), time.time()
    if _BEGAN not in session:
        # From before there was an end to them.
        begin(request)
    if why := _why_over(session[_BEGAN], session[_SEEN], now, user):
        logs.event("accounts.session_ended", user=user.pk, reason=why)
        return True
    if now - session[_SEEN] >= _SEEN_EVERY_SECONDS:
        session[_SEEN] = now
    _keep_whose(request, user)
    return False


def begin(request: HttpRequest) -> None:
    request.session[_BEGAN] = request.session[_SEEN] = time.time()


@dataclass(frozen=True, slots=True)
class SessionRow:
    id: str
    began_at: datetime
    seen_at: datetime
    is_this: bool


def list_open(request: HttpRequest) -> list[SessionRow]:
    """Where who asks is signed in, this session first, then the latest used."""
    rows = (_row(each, request) for each in _open(request).select_related("session"))
    return sorted((row for row in rows if row), key=lambda row: (row.is_this, row.seen_at), reverse=True)


def end_others(request: HttpRequest, *, only: UUID | None = None) -> int:
    """End all sessions of who asks but this one, or the one named ``only``; returns how many there were."""
    others = _open(request).exclude(session_id=request.session.session_key)
    if only is not None:
        others = others.filter(id=only)
    keys = list(others.values_list("session_id", flat=True))
    Session.objects.filter(session_key__in=keys).delete()
    for _ in keys:
        logs.event("accounts.session_ended", user=request.user.pk, reason="by hand")
    return len(keys)


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


def _who(request: HttpRequest) -> User:
    assert isinstance(request.user, User)  # noqa: S101 - nobody else is signed in; for the type checker
    return request.user


def _open(request: HttpRequest) -> QuerySet[OpenSession]:
    return OpenSession.objects.filter(user=_who(request), session__expire_date__gt=timezone.now())


def _row(kept: OpenSession, request: HttpRequest) -> SessionRow | None:
    """None for one that is over, or from before the password was changed: it ends when it is next used."""
    user, said = _who(request), kept.session.get_decoded()
    began, seen = said.get(_BEGAN, 0.0), said.get(_SEEN, 0.0)
    good = {user.get_session_auth_hash(), *user.get_session_auth_fallback_hash()}
    if said.get(HASH_SESSION_KEY) not in good or _why_over(began, seen, time.time(), user):
        return None
    is_this = kept.session_id == request.session.session_key
    return SessionRow(str(kept.id), datetime.fromtimestamp(began, UTC), datetime.fromtimestamp(seen, UTC), is_this)


def _why_over(began: float, seen: float, now: float, user: User) -> str:
    longest, longest_idle = (
        (settings.BILLING_STAFF_SESSION_HOURS, settings.BILLING_STAFF_SESSION_IDLE_HOURS)
        if second_factor.is_staff(user)
        else (settings.BILLING_SESSION_HOURS, settings.BILLING_SESSION_IDLE_HOURS)
    )
    if now - began >= longest * _HOUR:
        return "age"
    return "idle" if now - seen >= longest_idle * _HOUR else ""


def _keep_whose(request: HttpRequest, user: User) -> None:
    """Sessions get other names, at more places than ours; this notices."""
    session = request.session
    if session.session_key is not None and session.get(_KEPT) != session.session_key:
        OpenSession.objects.get_or_create(session_id=session.session_key, defaults={"user": user})
        session[_KEPT] = session.session_key


def _signed_in(*, request: HttpRequest, user: User, **_: Any) -> None:
    begin(request)
    _keep_whose(request, user)
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
