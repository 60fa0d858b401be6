"""Choosing a plan from the shop: read what it costs and its terms, accept them, and land on the dashboard."""

from __future__ import annotations

from urllib.parse import urlencode

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext as _

from billing.accounts import actors
from billing.accounts import queries as accounts_queries
from billing.accounts.actors import Act, Actor
from billing.kernel.errors import NotFound
from billing.models import Organization, Status, Subscription
from billing.subscriptions import queries as subscriptions_queries
from billing.subscriptions.operations import StaleSubscription
from marketplace import wording
from marketplace.doors import actor_of, private_form
from marketplace.subscribing import choosing, offers, providers, terms
from marketplace.subscribing.choosing import Order
from marketplace.subscribing.offers import Wanted
from marketplace.subscribing.terms import TermsNotAccepted
from marketplace.typed import typed


@private_form
def subscribe(request: HttpRequest, plan_code: str) -> HttpResponse:
    """What the plan costs this organization and when, its terms, and the button."""
    if request.method == "POST":
        return _subscribe(request, plan_code)
    wanted = Wanted(request.GET.get("organization", ""), request.GET.get("currency", ""))
    return _show(request, plan_code, wanted, actor_of(request))


def _show(
    request: HttpRequest, plan_code: str, wanted: Wanted, actor: Actor, *, refusal: str = "", status: int = 200
) -> HttpResponse:
    plan = offers.find_plan(plan_code)
    if plan is None:
        raise NotFound("No such plan.")
    page = offers.offer_page(plan=plan, wanted=wanted, actor=actor, now=timezone.now())
    shown = {"page": page, "refusal": refusal}
    if page.state == "gone":
        status = 410
    return render(request, "marketplace/subscribing/subscribe.html", shown, status=status)


def _subscribe(request: HttpRequest, plan_code: str) -> HttpResponse:
    actor = actor_of(request)
    wanted = Wanted(typed(request, "organization"), typed(request, "currency"))
    if not wanted.organization:
        return redirect("subscribe", plan_code)
    organization = accounts_queries.get_organization(wanted.organization)
    actors.require(actor, Act.SUBSCRIBE, organization)
    believed = typed(request, "expected")
    if typed(request, "step") == "payment":
        return _pay(request, plan_code, wanted, organization, believed, actor)
    try:
        accepted = terms.read(request, actor=actor, organization=organization)
    except TermsNotAccepted as refusal:
        return _show(request, plan_code, wanted, actor, refusal=refusal.message, status=422)
    order = Order(organization, plan_code, choosing.number(typed(request, "version")), accepted, actor)
    now = accounts_queries.now_for(organization, timezone.now())
    subscription_id, version = choosing.expected(believed)
    if subscription_id is None:
        subscription = choosing.subscribe(order, currency=wanted.currency, now=now)
    else:
        subscription = choosing.change(order, subscription_id=subscription_id, subscription_version=version, now=now)
    return land(request, subscription, actor)


def _pay(
    request: HttpRequest, plan_code: str, wanted: Wanted, organization: Organization, believed: str, actor: Actor
) -> HttpResponse:
    """To the provider: for a sign-up that waits, or before a free plan is left, from where one comes back here."""
    subscription_id, _version = choosing.expected(believed)
    live = subscriptions_queries.find_live(organization)
    if live is None or live.id != subscription_id:
        raise StaleSubscription(str(choosing.STALE))
    if live.status == Status.INCOMPLETE:
        return land(request, live, actor)
    query = urlencode({"organization": wanted.organization})
    return providers.to_checkout(request, live, actor, back=f"{reverse('subscribe', args=[plan_code])}?{query}")


def land(request: HttpRequest, subscription: Subscription, actor: Actor) -> HttpResponse:
    """On the dashboard; by way of the provider where nothing is served before payment is vouched for."""
    organization = subscription.organization
    dashboard = reverse("dashboard", args=[organization.slug])
    if subscription.status == Status.INCOMPLETE:
        return providers.to_checkout(request, subscription, actor, back=dashboard)
    words = {"plan": subscription.plan.name, "credits": wording.number(subscription.marketplace.credit_balance)}
    if subscription.status == Status.TRIALING:
        messages.success(request, _("The trial of %(plan)s has begun, with %(credits)s credits.") % words)
    else:
        messages.success(request, _("You are on %(plan)s, with %(credits)s credits.") % words)
    return redirect(dashboard)
