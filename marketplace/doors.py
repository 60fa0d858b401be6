"""How every page begins and ends: who asks, which refusals become which page, and what may be cached."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Concatenate, ParamSpec

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.contrib.auth.views import redirect_to_login
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import redirect
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from billing.accounts import actors
from billing.accounts.actors import Actor
from billing.kernel.errors import BillingError, Forbidden, NotFound
from billing.models import User

P = ParamSpec("P")
View = Callable[Concatenate[HttpRequest, P], HttpResponse]


def actor_of(request: HttpRequest) -> Actor:
    """Who asks; nobody in particular before signing in. Two queries."""
    return actors.for_user(request.user) if isinstance(request.user, User) else actors.ANONYMOUS


def page(view: View[P]) -> View[P]:
    """A page that reads, open to everybody: expected refusals become the error pages of their status."""
    return require_safe(_refusing(view))


def private_page(view: View[P]) -> View[P]:
    """A page that reads, for whoever is signed in."""
    return never_cache(login_required(require_safe(_refusing(view))))


def private_form(view: View[P]) -> View[P]:
    """A page with a form that is sent to its own address. What the engine refuses is said there, and nothing changed:
    a view that wants to show the form with what was typed catches the refusal itself."""

    @wraps(view)
    def answer(request: HttpRequest, /, *args: P.args, **kwargs: P.kwargs) -> HttpResponse:
        if request.method != "POST":
            return view(request, *args, **kwargs)
        return _or_say(request, request.get_full_path(), lambda: view(request, *args, **kwargs))

    return never_cache(login_required(require_http_methods(["GET", "HEAD", "POST"])(_refusing(answer))))


def private_act(back: str) -> Callable[[View[P]], View[P]]:
    """An act by a button, for whoever is signed in: the view returns where to go. What the engine refuses is said on
    the page named ``back``, whose address takes ``slug`` where the act's does. Whoever is not signed in any more comes
    back to that page: the act's own address cannot be looked at."""

    def decorate(view: View[P]) -> View[P]:
        @wraps(view)
        def answer(request: HttpRequest, /, *args: P.args, **kwargs: P.kwargs) -> HttpResponse:
            place = {"slug": kwargs["slug"]} if "slug" in kwargs else {}
            # mypy cannot see that redirect takes the address's parameters by name.
            target: HttpResponseRedirect = redirect(back, **place)  # type: ignore[call-overload]
            if not request.user.is_authenticated:
                return redirect_to_login(target.url)
            return _or_say(request, target.url, lambda: view(request, *args, **kwargs))

        return never_cache(require_POST(_refusing(answer)))

    return decorate


def _or_say(request: HttpRequest, target: str, view: Callable[[], HttpResponse]) -> HttpResponse:
    try:
        return view()
    except (NotFound, Forbidden):
        raise
    except BillingError as refusal:
        messages.error(request, refusal.message)
        return redirect(target)


def _refusing(view: View[P]) -> View[P]:
    @wraps(view)
    def answer(request: HttpRequest, /, *args: P.args, **kwargs: P.kwargs) -> HttpResponse:
        try:
            return view(request, *args, **kwargs)
        except NotFound as error:
            raise Http404(error.message) from error
        except Forbidden as error:
            raise PermissionDenied(error.message) from error

    return answer
