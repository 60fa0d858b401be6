"""An organization's plan as a page shows it: what it is on, what is pending, and what it could be on instead."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from django.utils.translation import gettext as _

from billing.accounts.actors import Act
from billing.catalog import queries as catalog_queries
from billing.lifecycle import cancel, pending
from billing.models import LIVE, Plan, Status, Subscription, SubscriptionPeriod
from billing.reporting import representations
from billing.subscriptions import queries as subscriptions_queries
from marketplace import wording
from marketplace.dashboard.frame import Visit
from marketplace.subscribing import terms
from marketplace.subscribing.terms import Accepted
from marketplace.wording import Label, Moment


@dataclass(frozen=True, slots=True)
class Alternative:
    """A plan on sale. ``every`` is "" where ``price`` says that it is not sold in the subscription's currency."""

    code: str
    name: str
    tagline: str
    price: str
    every: str
    is_current: bool


@dataclass(frozen=True, slots=True)
class CurrentPlan:
    """``expected`` names the subscription and the version that the page shows."""

    name: str
    version: int
    status: Label
    price: str
    every: str
    period: tuple[Moment, Moment] | None
    trial_ends_at: Moment | None
    discount: str
    expected: str


@dataclass(frozen=True, slots=True)
class PlanPage:
    """``becomes`` and ``ends_at`` are what is pending. ``pays`` is what the button to the provider is for: "confirm",
    "manage" or "" where there is nobody to pay. ``cancels`` says when an end would come: "now", "period_end" or ""."""

    current: CurrentPlan | None
    accepted: Accepted | None
    becomes: str
    changes_at: Moment | None
    is_ending: bool
    is_past_due: bool
    pays: str
    cancels: str
    may_act: bool
    may_redeem: bool
    alternatives: tuple[Alternative, ...]


def plan_page(visit: Visit) -> PlanPage:
    """Seven queries."""
    live = subscriptions_queries.find_live(visit.organization)
    plans = catalog_queries.list_offers(subscriptions_queries.DEFAULT_PRODUCT)
    may_act = visit.may(Act.SUBSCRIBE)
    if live is None:
        return PlanPage(
            current=None,
            accepted=None,
            becomes="",
            changes_at=None,
            is_ending=False,
            is_past_due=False,
            pays="",
            cancels="",
            may_act=may_act,
            may_redeem=False,
            alternatives=_alternatives(plans, None, visit.organization.currency),
        )
    period = subscriptions_queries.find_period(live, visit.at)
    becomes = live.pending_plan.name if live.pending_plan else ""
    is_pending = bool(becomes) or live.cancel_at_period_end
    return PlanPage(
        current=_current(live, period, visit),
        accepted=terms.accepted(live.marketplace.sla_acceptance, visit.zone, actor=visit.actor.name),
        becomes=becomes,
        changes_at=wording.moment(period.ends_at, visit.zone) if period and is_pending else None,
        is_ending=live.cancel_at_period_end,
        is_past_due=live.status == Status.PAST_DUE,
        pays=_pays(live),
        cancels="" if live.cancel_at_period_end else _cancels(live, visit),
        may_act=may_act,
        may_redeem=may_act and live.status in (*pending.MAY_WAIT, Status.INCOMPLETE),
        alternatives=_alternatives(plans, live, live.currency),
    )


def _current(live: Subscription, period: SubscriptionPeriod | None, visit: Visit) -> CurrentPlan:
    fee_minor = catalog_queries.base_fee_minor(live.plan, live.currency)
    discount = representations.current_discount(live, period)
    off = ""
    if discount:
        by = f"{discount['amount']} {discount['currency']}" if discount["amount"] else f"{discount['percent']} %"
        off = _("%(name)s: %(off)s off") % {"name": discount["name"], "off": by}
    is_trial = live.status == Status.TRIALING
    return CurrentPlan(
        name=live.plan.name,
        version=live.plan.version,
        status=wording.status(live.status),
        price=wording.price(fee_minor, live.currency),
        every=wording.every(live.plan.billing_period),
        period=(wording.moment(period.starts_at, visit.zone), wording.moment(period.ends_at, visit.zone))
        if period
        else None,
        trial_ends_at=wording.moment(live.trial_ends_at, visit.zone) if live.trial_ends_at and is_trial else None,
        discount=off,
        expected=f"{live.id}.{live.version}",
    )


def _pays(live: Subscription) -> str:
    if live.status == Status.INCOMPLETE:
        return "confirm"
    if live.status == Status.TRIALING and live.confirmed_at is None:
        return "confirm"
    return "manage" if live.status in LIVE else ""


def _cancels(live: Subscription, visit: Visit) -> str:
    return "period_end" if cancel.waits_for_period_end(live, actor=visit.actor) else "now"


def _alternatives(plans: Sequence[Plan], live: Subscription | None, currency: str) -> tuple[Alternative, ...]:
    return tuple(_alternative(plan, live, currency) for plan in plans)


def _alternative(plan: Plan, live: Subscription | None, currency: str) -> Alternative:
    prices = {price.currency: price for price in plan.prices.all()}
    price = prices.get(currency)
    shown = getattr(plan, "pricing_plan", None)
    fee = _("not sold in %(currency)s") % {"currency": currency} if prices and price is None else ""
    return Alternative(
        code=plan.code,
        name=plan.name,
        tagline=shown.tagline if shown else "",
        price=fee or wording.price(price.base_fee_minor if price else 0, currency),
        every="" if fee else wording.every(plan.billing_period),
        is_current=live is not None and live.plan_id == plan.id and live.pending_plan_id is None,
    )
