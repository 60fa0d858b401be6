"""Pages: find out who asks, make one call for frozen page data, render it."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Concatenate, ParamSpec
from uuid import UUID

from django.contrib.auth.decorators import login_required
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils import timezone
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe

from billing.accounts import actors
from billing.accounts import queries as accounts_queries
from billing.kernel.errors import Forbidden, NotFound
from billing.models import User
from marketplace import dashboard, guardrails, invoices, storefront

P = ParamSpec("P")
View = Callable[Concatenate[HttpRequest, P], HttpResponse]


def page(view: View[P]) -> View[P]:
    """A page that reads: expected refusals become the error pages of their status."""

    @require_safe
    @wraps(view)
    def answer(request: HttpRequest, /, *args: P.args, **kwargs: P.kwargs) -> HttpResponse:
        try:
            return view(request, *args, **kwargs)
        except NotFound as error:
            raise Http404(error.message) from error
        except Forbidden as error:
            raise PermissionDenied(error.message) from error

    return answer


@page
def plans(request: HttpRequest) -> HttpResponse:
    """The shop's front: plans on sale."""
    shown = storefront.plans_page(currency=request.GET.get("currency", ""))
    return render(request, "marketplace/plans.html", {"page": shown})


@never_cache
@login_required
@page
def dashboard_start(request: HttpRequest) -> HttpResponse:
    """To the first of the person's organizations, or a page that says there is none."""
    choices = dashboard.list_organizations(_actor(request))
    if choices:
        return redirect("dashboard", slug=choices[0].slug)
    return render(request, "marketplace/no_organization.html")


@never_cache
@login_required
@page
def organization_dashboard(request: HttpRequest, slug: str) -> HttpResponse:
    """Where one organization stands."""
    actor = _actor(request)
    shown = dashboard.dashboard_page(
        organization=accounts_queries.get_organization(slug),
        choices=dashboard.list_organizations(actor),
        actor=actor,
        now=timezone.now(),
    )
    return render(request, "marketplace/dashboard.html", {"page": shown})


@never_cache
@login_required
@page
def invoice(request: HttpRequest, slug: str, invoice_id: UUID) -> HttpResponse:
    """One invoice with its lines."""
    shown = invoices.invoice_page(
        organization=accounts_queries.get_organization(slug), invoice_id=invoice_id, actor=_actor(request)
    )
    return render(request, "marketplace/invoice.html", {"page": shown})


@never_cache
@login_required
@page
def guardrails_report(request: HttpRequest, slug: str) -> HttpResponse:
    """Use by guardrail flag in one month, and debits that wait."""
    shown = guardrails.guardrails_page(
        organization=accounts_queries.get_organization(slug),
        month=request.GET.get("month", ""),
        actor=_actor(request),
        now=timezone.now(),
    )
    return render(request, "marketplace/guardrails.html", {"page": shown})


def _actor(request: HttpRequest) -> actors.Actor:
    assert isinstance(request.user, User)  # noqa: S101 - login_required came first; for the type checker
    return actors.for_user(request.user)
