"""The stub provider's pages: as a provider's would be, on our own site. Whoever has the link may act, as there."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Concatenate, ParamSpec
from uuid import UUID

from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils import timezone
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods, require_POST

from billing import tasks
from billing.payments import stub_orders, stub_pages
from billing.payments.stub import LinkExpired, MethodUnknown
from marketplace import wording

P = ParamSpec("P")
View = Callable[Concatenate[HttpRequest, P], HttpResponse]


def linked(view: View[P]) -> View[P]:
    """A page behind a link that expires; an expired one says so."""

    @never_cache
    @wraps(view)
    def answer(request: HttpRequest, /, *args: P.args, **kwargs: P.kwargs) -> HttpResponse:
        try:
            return view(request, *args, **kwargs)
        except LinkExpired as error:
            return render(request, "marketplace/payment_link_expired.html", {"words": error.message}, status=410)

    return answer


@linked
@require_http_methods(["GET", "HEAD", "POST"])
def portal(request: HttpRequest, token: str) -> HttpResponse:
    """Means of payment, and what was charged to them."""
    refusal = ""
    if request.method == "POST":
        try:
            stub_pages.choose(token, request.POST.get("payment_method", ""), now=timezone.now())
            return redirect("payment-portal", token=token)
        except MethodUnknown as error:
            refusal = error.message
    shown = {"page": stub_pages.portal_page(token), "token": token, "refusal": refusal}
    return render(request, "marketplace/payment_portal.html", shown, status=422 if refusal else 200)


@linked
@require_POST
def decide(request: HttpRequest, token: str, charge_id: UUID) -> HttpResponse:
    """Answer a charge whose bank answers later."""
    told = stub_pages.decide(token, charge_id, is_paid=request.POST.get("outcome") == "paid", now=timezone.now())
    if told is not None:
        tasks.send(tasks.process_provider_event, str(told))
    return redirect("payment-portal", token=token)


@linked
@require_http_methods(["GET", "HEAD", "POST"])
def checkout(request: HttpRequest, token: str) -> HttpResponse:
    """Confirm a sign-up."""
    refusal, is_told = "", False
    if request.method == "POST":
        try:
            told = stub_pages.confirm(token, request.POST.get("payment_method", ""), now=timezone.now())
            is_told = True
            if told is not None:
                tasks.send(tasks.process_provider_event, str(told))
        except MethodUnknown as error:
            refusal = error.message
    page = stub_pages.checkout_page(token)
    shown = {"page": page, "every": wording.every(page.period), "refusal": refusal, "is_told": is_told}
    return render(request, "marketplace/payment_checkout.html", shown, status=422 if refusal else 200)


@linked
@require_http_methods(["GET", "HEAD", "POST"])
def order(request: HttpRequest, token: str) -> HttpResponse:
    """Pay an order."""
    refusal = ""
    if request.method == "POST":
        try:
            told = stub_orders.pay(token, request.POST.get("payment_method", ""), now=timezone.now())
            if told is not None:
                tasks.send(tasks.process_provider_event, str(told))
        except MethodUnknown as error:
            refusal = error.message
    shown = {"page": stub_orders.order_page(token), "refusal": refusal}
    return render(request, "marketplace/payment_order.html", shown, status=422 if refusal else 200)
