"""The shop's own pages: one call for frozen page data, and render it."""

from __future__ import annotations

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render

from marketplace import storefront
from marketplace.doors import page


@page
def plans(request: HttpRequest) -> HttpResponse:
    """The shop's front: plans on sale."""
    shown = storefront.plans_page(currency=request.GET.get("currency", ""))
    return render(request, "marketplace/plans.html", {"page": shown})
