"""To the pages of the payment provider, and back."""

from __future__ import annotations

from urllib.parse import urlsplit

from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils import timezone

from billing.accounts.actors import Actor
from billing.models import Invoice, Organization, Subscription
from billing.payments import links


def to_checkout(request: HttpRequest, subscription: Subscription, actor: Actor, *, back: str) -> HttpResponse:
    """Where payment for ``subscription`` is vouched for; from there to the path ``back``. Raises as
    ``links.checkout``."""
    url = links.checkout(
        subscription=subscription, return_url=request.build_absolute_uri(back), actor=actor, now=timezone.now()
    )
    return _leave(request, url, back)


def to_payment(request: HttpRequest, invoice: Invoice, actor: Actor, *, back: str) -> HttpResponse:
    """Where an order is paid; from there to the path ``back``. Raises as ``links.payment``."""
    url = links.payment(invoice=invoice, return_url=request.build_absolute_uri(back), actor=actor, now=timezone.now())
    return _leave(request, url, back)


def to_portal(request: HttpRequest, organization: Organization, actor: Actor) -> HttpResponse:
    """Where means of payment are managed. Raises as ``links.portal``."""
    back = reverse("plan", args=[organization.slug])
    url = links.portal(
        organization=organization, return_url=request.build_absolute_uri(back), actor=actor, now=timezone.now()
    )
    return _leave(request, url, back)


def _leave(request: HttpRequest, url: str, back: str) -> HttpResponse:
    """Our content policy lets no form lead to another host, redirects included: there one goes by a link."""
    if not urlsplit(url).netloc:
        return redirect(url)
    return render(request, "marketplace/subscribing/leave.html", {"url": url, "back": back})
