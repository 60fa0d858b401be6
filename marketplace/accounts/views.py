"""Pages of allauth, as this house serves them: by GET and POST only, kept by no cache, and told when the cache that
counts guesses is away."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any

from allauth.mfa.totp.internal import flows as totp_flows
from allauth.mfa.totp.views import ActivateTOTPView
from django.db import transaction
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.http.response import HttpResponseBase
from django.shortcuts import render
from django.urls import reverse
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods
from redis.exceptions import RedisError

from billing.infra import logs
from marketplace.accounts import second_factor

View = Callable[..., HttpResponseBase]


def served(view: View) -> View:
    """Without the cache nobody can be let in, for guesses could not be counted; that is said, and no defect."""

    @wraps(view)
    def answer(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        try:
            return view(request, *args, **kwargs)
        except RedisError as error:
            logs.event("accounts.cache_lost", error=error)
            told = render(request, "marketplace/accounts/unavailable.html", status=503)
            told.headers["Retry-After"] = "30"
            return told

    return never_cache(require_http_methods(["GET", "HEAD", "POST"])(answer))


class SetUpView(ActivateTOTPView):  # type: ignore[misc]  # allauth has no types
    """Setting up the authenticator app: the code that proves it is used up, and stands for having given one."""

    def form_valid(self, form: Any) -> HttpResponse:
        with transaction.atomic():
            authenticator, recovery = totp_flows.activate_totp(self.request, form)
            second_factor.claim(authenticator, form.cleaned_data["code"])
        second_factor.show(self.request, authenticator)
        return HttpResponseRedirect(reverse("mfa_view_recovery_codes" if recovery else "mfa_index"))
