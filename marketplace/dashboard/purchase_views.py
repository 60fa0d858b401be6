"""Buying credits on pages: order, pay at the provider, withdraw. Each button calls what the API calls."""

from __future__ import annotations

from uuid import UUID

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import reverse
from django.utils.translation import gettext as _

from billing.accounts.actors import Act
from billing.credits.operations import CreditsInvalid
from billing.kernel.decimals import parse_decimal
from billing.lifecycle.purchasing import operations
from billing.lifecycle.purchasing.errors import CreditsNotSold
from billing.subscriptions import queries as subscriptions_queries
from marketplace.dashboard import purchases
from marketplace.dashboard.frame import show, visit
from marketplace.doors import private_act, private_page
from marketplace.subscribing import providers
from marketplace.typed import typed

TAB = "credits"
PAGE = "credit-purchases"


@private_page
def purchases_page(request: HttpRequest, slug: str) -> HttpResponse:
    """What credits cost, and what was ordered."""
    here = visit(request, slug, tab=TAB, act=Act.MONEY)
    page = purchases.purchases_page(here, wanted=request.GET.get("credits", ""))
    return show(request, here, "marketplace/dashboard/purchases.html", page=page)


@private_page
def order_page(request: HttpRequest, slug: str, purchase_id: UUID) -> HttpResponse:
    """One order: what it costs, how it stands, and the way to pay it."""
    here = visit(request, slug, tab=TAB, act=Act.MONEY)
    page = purchases.order_page(here, purchase_id)
    return show(request, here, "marketplace/dashboard/purchase.html", page=page)


@private_act(PAGE)
def order(request: HttpRequest, slug: str) -> HttpResponse:
    """Order credits; then look at the order. Sent twice, it is one order."""
    here = visit(request, slug, tab=TAB, act=Act.SUBSCRIBE)
    try:
        credits = parse_decimal(typed(request, "credits").strip())
    except ValueError as error:
        raise CreditsInvalid(_("Credits: a number such as 12.5 is needed."), field="credits") from error
    live = subscriptions_queries.find_live(here.organization)
    if live is None:
        raise CreditsNotSold(_("There is no subscription any more."))
    ordered = operations.order(
        subscription=live, credits=credits, key=typed(request, "key"), actor=here.actor, now=here.at
    )
    return redirect("credit-purchase", slug=slug, purchase_id=ordered.id)


@private_act(PAGE)
def pay(request: HttpRequest, slug: str, purchase_id: UUID) -> HttpResponse:
    """To the provider's page, on which the order is paid."""
    here = visit(request, slug, tab=TAB, act=Act.SUBSCRIBE)
    found = purchases.find(here, purchase_id, act=Act.SUBSCRIBE)
    back = reverse("credit-purchase", args=[slug, purchase_id])
    return providers.to_payment(request, found.invoice, here.actor, back=back)


@private_act(PAGE)
def withdraw(request: HttpRequest, slug: str, purchase_id: UUID) -> HttpResponse:
    """Take back an order that was not paid."""
    here = visit(request, slug, tab=TAB, act=Act.SUBSCRIBE)
    found = purchases.find(here, purchase_id, act=Act.SUBSCRIBE)
    operations.withdraw(purchase=found, actor=here.actor, now=here.at)
    messages.success(request, _("Withdrawn. Nothing is to be paid."))
    return redirect(PAGE, slug=slug)
