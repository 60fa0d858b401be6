"""The plan of an organization: look at a change before it is made, make it, leave, come back, pay."""

from __future__ import annotations

from collections.abc import Callable

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import reverse
from django.utils.translation import gettext as _

from billing.accounts.actors import Act
from billing.catalog.queries import PlanNotOnSale, PlanRetired
from billing.lifecycle import cancel, change_preview, discounts, pending
from billing.lifecycle.change_plan import PaymentRequired
from billing.lifecycle.coupons import CouponNotFound
from billing.models import Status, Subscription
from billing.subscriptions import queries as subscriptions_queries
from billing.subscriptions.operations import StaleSubscription
from marketplace import wording
from marketplace.dashboard.frame import Visit, show, visit
from marketplace.doors import private_act, private_page
from marketplace.subscribing import choosing, plan, previews, providers, terms
from marketplace.subscribing.choosing import Order
from marketplace.subscribing.terms import TermsNotAccepted
from marketplace.subscribing.views import land
from marketplace.typed import typed

TAB = "plan"


@private_page
def plan_page(request: HttpRequest, slug: str) -> HttpResponse:
    """What the organization is on, what is pending, and the plans on sale."""
    here = visit(request, slug, tab=TAB)
    return show(request, here, "marketplace/subscribing/plan.html", page=plan.plan_page(here))


@private_act(TAB)
def preview(request: HttpRequest, slug: str) -> HttpResponse:
    """What a change would cost. Not a page that is read: it rehearses the change in the books, and takes it back."""
    here = visit(request, slug, tab=TAB, act=Act.SUBSCRIBE)
    return _preview(request, here, typed(request, "plan"))


def _preview(
    request: HttpRequest, here: Visit, plan_code: str, *, refusal: str = "", status: int = 200
) -> HttpResponse:
    live = _live(here)
    try:
        found = change_preview.preview_change(subscription=live, plan_code=plan_code, actor=here.actor, now=here.at)
    except PaymentRequired:
        # There a means of payment is put on file first.
        return redirect(f"{reverse('subscribe', args=[plan_code])}?organization={here.organization.slug}")
    except PlanNotOnSale as refused:
        raise PlanRetired(_("This plan is not offered any more. Nothing was changed.")) from refused
    page = previews.preview_page(
        found, subscription_id=live.id, zone=here.zone, accepts=here.organization.id in here.actor.roles
    )
    shown = {"page": page, "refusal": refusal}
    return show(request, here, "marketplace/subscribing/preview.html", status=status, **shown)


@private_act(TAB)
def change(request: HttpRequest, slug: str) -> HttpResponse:
    """Make the change that was previewed."""
    here = visit(request, slug, tab=TAB, act=Act.SUBSCRIBE)
    plan_code = typed(request, "plan")
    subscription_id, version = choosing.expected(typed(request, "expected"))
    if subscription_id is None:
        raise StaleSubscription(str(choosing.STALE))
    try:
        accepted = terms.read(request, actor=here.actor, organization=here.organization)
    except TermsNotAccepted as refusal:
        return _preview(request, here, plan_code, refusal=refusal.message, status=422)
    order = Order(here.organization, plan_code, choosing.number(typed(request, "version")), accepted, here.actor)
    changed = choosing.change(
        order,
        subscription_id=subscription_id,
        subscription_version=version,
        now=here.at,
        at_period_end=typed(request, "when") == "period_end",
    )
    if changed.pending_plan is None:
        return land(request, changed, here.actor)
    period = subscriptions_queries.find_period(changed, here.at)
    words = {"plan": changed.pending_plan.name, "day": wording.day(period.ends_at, here.zone).text if period else ""}
    messages.success(request, _("%(plan)s begins on %(day)s. Until then everything stays as it is.") % words)
    return redirect(TAB, slug=slug)


@private_act(TAB)
def leave(request: HttpRequest, slug: str) -> HttpResponse:
    """Cancel: at once or at the period's end, as the engine has it."""
    here = visit(request, slug, tab=TAB, act=Act.SUBSCRIBE)
    left = _once(
        request,
        here,
        lambda live, version: cancel.cancel(
            subscription=live,
            actor=here.actor,
            now=here.at,
            reason=typed(request, "reason").strip()[:500],
            expected_version=version,
        ),
        is_done=lambda live: live is None or live.cancel_at_period_end,
    )
    if left is not None and left.cancel_at_period_end:
        messages.success(request, _("Cancelled: it serves until its period ends. You can go on as before until then."))
    else:
        messages.success(request, _("Cancelled. What you bought is kept for your return."))
    return redirect(TAB, slug=slug)


@private_act(TAB)
def keep(request: HttpRequest, slug: str) -> HttpResponse:
    """Go on as before: withdraw what is pending."""
    here = visit(request, slug, tab=TAB, act=Act.SUBSCRIBE)
    _once(
        request,
        here,
        lambda live, version: pending.withdraw(
            subscription=live, actor=here.actor, now=here.at, expected_version=version
        ),
        is_done=lambda live: live is not None and not live.cancel_at_period_end and live.pending_plan is None,
    )
    messages.success(request, _("Everything goes on as before."))
    return redirect(TAB, slug=slug)


@private_act(TAB)
def redeem(request: HttpRequest, slug: str) -> HttpResponse:
    """Redeem a coupon."""
    here = visit(request, slug, tab=TAB, act=Act.SUBSCRIBE)
    try:
        found = discounts.redeem(
            subscription=_live(here), code=typed(request, "code")[:60], actor=here.actor, now=here.at
        )
    except CouponNotFound as refusal:
        messages.error(request, refusal.message)
        return redirect(TAB, slug=slug)
    messages.success(request, _("Redeemed: %(name)s.") % {"name": found.name})
    return redirect(TAB, slug=slug)


@private_act(TAB)
def pay(request: HttpRequest, slug: str) -> HttpResponse:
    """To the provider: to confirm what waits for payment, or else to the means of payment on file."""
    here = visit(request, slug, tab=TAB, act=Act.SUBSCRIBE)
    live = _live(here)
    waits = live.status == Status.INCOMPLETE or (live.status == Status.TRIALING and live.confirmed_at is None)
    if waits:
        return providers.to_checkout(request, live, here.actor, back=reverse(TAB, args=[slug]))
    return providers.to_portal(request, here.organization, here.actor)


def _live(here: Visit) -> Subscription:
    live = subscriptions_queries.find_live(here.organization)
    if live is None:
        raise StaleSubscription(_("There is no subscription any more."))
    return live


def _once(
    request: HttpRequest,
    here: Visit,
    act: Callable[[Subscription, int | None], Subscription],
    *,
    is_done: Callable[[Subscription | None], bool],
) -> Subscription | None:
    """Do ``act`` to the subscription as the form knows it; sent twice, the second finds it done.

    Raises ``StaleSubscription`` where it has changed otherwise.
    """
    subscription_id, version = choosing.expected(typed(request, "expected"))
    live = subscriptions_queries.find_live(here.organization)
    try:
        if live is None or live.id != subscription_id:
            raise StaleSubscription(str(choosing.STALE))
        return act(live, version)
    except StaleSubscription as stale:
        found = subscriptions_queries.find_live(here.organization)
        is_the_same = found is None or found.id == subscription_id
        if subscription_id is not None and is_the_same and is_done(found):
            return found
        raise StaleSubscription(str(choosing.STALE)) from stale
