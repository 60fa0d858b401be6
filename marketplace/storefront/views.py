"""The shop's pages: read the shop once, and show a part of it."""

from __future__ import annotations

from django.http import HttpRequest, HttpResponse
from django.utils.translation import gettext as _

from billing.kernel.errors import NotFound
from billing.reporting import shop
from billing.reporting.shop import Shop
from marketplace import locales
from marketplace.doors import page
from marketplace.storefront import cards, looking, matrix, plan_page
from marketplace.storefront.looking import Look
from marketplace.storefront.showing import Shown, show

COMPARED_MAX = 200


@page
def plans(request: HttpRequest) -> HttpResponse:
    """The shop's front: plans on sale."""
    found = shop.read()
    look = _look(request, found)
    return show(
        request,
        found,
        Shown(
            template="marketplace/storefront/plans.html",
            title=_("Plans and prices"),
            description=_("Plans with their prices, limits and service levels."),
            key=(look.currency, look.every),
            make=lambda: cards.plans_page(found, look),
        ),
    )


@page
def plan(request: HttpRequest, plan_code: str) -> HttpResponse:
    """One plan. One that is not on sale is not there."""
    found = shop.read()
    document = next((each for each in found.plans if each["code"] == plan_code), None)
    if document is None:
        raise NotFound("No such plan.")
    look = _look(request, found)
    return show(
        request,
        found,
        Shown(
            template="marketplace/storefront/plan.html",
            title=document["name"],
            description=document["tagline"] or document["description"],
            key=(look.currency, plan_code),
            make=lambda: plan_page.plan_page(found, document, look),
        ),
    )


@page
def compare(request: HttpRequest) -> HttpResponse:
    """Plans side by side: those that are asked for, or all."""
    found = shop.read()
    look = _look(request, found)
    wished = request.GET.getlist("plan")[:COMPARED_MAX]
    return show(
        request,
        found,
        Shown(
            template="marketplace/storefront/compare.html",
            title=_("Compare plans"),
            description=_("Features, limits and prices of the plans side by side."),
            # Anybody may ask for any few of them, which would push the pages that many read out of memory.
            key=None if wished else (look.currency, look.every),
            make=lambda: matrix.compare_page(found, look, wished),
        ),
    )


def _look(request: HttpRequest, found: Shop) -> Look:
    return looking.look(
        found,
        currency=request.GET.get("currency", ""),
        every=request.GET.get("every", ""),
        locale=locales.current().code,
    )
