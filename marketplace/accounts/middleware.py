"""Sessions end; staff go nowhere before they have given a second factor."""

from __future__ import annotations

from collections.abc import Callable

from django.conf import settings
from django.contrib import messages
from django.contrib.auth.models import AnonymousUser
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.utils.http import urlencode
from django.utils.translation import gettext as _

from billing.api import problems
from billing.models import User
from marketplace.accounts import second_factor, sessions

# The server's own, which ask nobody who they are.
PROBES = ("/healthz", "/readyz", "/internal/")
# And where one signs in and out and sets the second factor up.
OPEN = ("/account/", *PROBES)


class SessionEndMiddleware:
    """Whoever comes with a session that is over comes with none."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        has_cookie = settings.SESSION_COOKIE_NAME in request.COOKIES and not request.path.startswith(PROBES)
        if has_cookie and request.user.is_authenticated and sessions.is_over(request):
            request.session.flush()
            request.user = AnonymousUser()
        return self.get_response(request)


class StaffSecondFactorMiddleware:
    """Pages send staff to give their second factor, or to set one up; calls are refused."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        if request.path.startswith((*OPEN, f"/{settings.STATIC_URL.strip('/')}/")) or not second_factor.is_owed(
            request
        ):
            return self.get_response(request)
        if request.path.startswith("/api/"):
            return problems.respond(
                request, 403, "second_factor_required", "Staff give a second factor first, on the pages."
            )
        assert isinstance(request.user, User)  # noqa: S101 - nobody else owes one; for the type checker
        has_one = second_factor.has(request.user)
        if not has_one:
            messages.info(request, _("Staff sign in with a second factor: set yours up to go on."))
        place = "mfa_reauthenticate" if has_one else "mfa_activate_totp"
        target = redirect(place)
        following = request.get_full_path() if request.method in ("GET", "HEAD") else settings.LOGIN_REDIRECT_URL
        target["Location"] += "?" + urlencode({"next": following})
        return target
