"""A plan as it is offered to one organization: what is paid when, on which terms, and what stands in the way."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal
from zoneinfo import ZoneInfo

from django.utils.translation import gettext as _

from billing.accounts import actors
from billing.accounts import queries as accounts_queries
from billing.accounts.actors import Act, Actor
from billing.catalog import queries as catalog_queries
from billing.kernel.periods import Interval, boundary
from billing.lifecycle import onboard
from billing.models import BaseFeeTiming, Organization, Plan, PlanPrice, Status, Subscription
from billing.subscriptions import queries as subscriptions_queries
from marketplace import wording
from marketplace.subscribing import terms
from marketplace.subscribing.terms import Terms
from marketplace.wording import Moment

# What can be done with the page: choose; pay or have a means of payment first; look at the change of a plan that is
# paid for; nothing, because it is this plan already.
State = Literal["choose", "pay", "payment_first", "change", "same", "gone", "nowhere"]


@dataclass(frozen=True, slots=True)
class Choice:
    value: str
    text: str
    is_chosen: bool


@dataclass(frozen=True, slots=True)
class Step:
    """What happens when, oldest first; ``at`` None is today, ``amount`` "" where nothing is asked for."""

    at: Moment | None
    what: str
    amount: str


@dataclass(frozen=True, slots=True)
class OfferPage:
    """``expected`` names the subscription and version that the form believes in, "" where there is none; ``version`` is
    the plan's."""

    state: State
    code: str
    version: int
    name: str
    tagline: str
    organization: str
    slug: str
    organizations: tuple[Choice, ...]
    currency: str
    currencies: tuple[Choice, ...]
    button: str
    steps: tuple[Step, ...]
    terms: Terms | None
    current_plan: str
    expected: str


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a page or a form asks for, as typed."""

    organization: str
    currency: str


def offer_page(*, plan: Plan, wanted: Wanted, actor: Actor, now: datetime) -> OfferPage:
    """``now`` is real time. Raises ``OrganizationNotFound`` or ``Forbidden`` for an organization that is not one in
    which ``actor`` chooses plans. Four queries."""
    choices = list_organizations(actor)
    organization = find_organization(wanted.organization, choices, actor)
    if organization is None or not (plan.is_active and plan.is_on_sale):
        return _without(plan, "nowhere" if organization is None else "gone")
    live = subscriptions_queries.find_live(organization, plan.product)
    prices = {price.currency: price for price in plan.prices.all()}
    currency = _currency(wanted.currency, organization, live, prices)
    price = prices.get(currency)
    fee_minor = price.base_fee_minor if price else 0
    has_trial = _has_trial(organization, plan, live, actor)
    at = accounts_queries.now_for(organization, now)
    state = _state(plan, live, fee_minor, has_trial=has_trial)
    return OfferPage(
        state=state,
        code=plan.code,
        name=plan.name,
        tagline=_tagline(plan),
        organization=organization.name,
        slug=organization.slug,
        organizations=tuple(Choice(each.slug, each.name, each.id == organization.id) for each in choices),
        currency=currency,
        currencies=tuple(Choice(code, code, code == currency) for code in sorted(prices)) if live is None else (),
        button=_button(plan, fee_minor, has_trial=has_trial),
        steps=tuple(_steps(plan, price, currency, at, ZoneInfo(organization.zone), has_trial=has_trial)),
        # Staff choose for a customer, and accept nothing in its name.
        terms=terms.terms_of(plan) if organization.id in actor.roles else None,
        version=plan.version,
        current_plan=live.plan.name if live else "",
        expected=f"{live.id}.{live.version}" if live else "",
    )


def list_organizations(actor: Actor) -> list[Organization]:
    """Those that the person belongs to and may choose plans for, by name."""
    own = Organization.objects.filter(id__in=actor.roles.keys()).order_by("name", "slug")
    return [each for each in own if actors.may(actor, Act.SUBSCRIBE, each)]


def find_organization(wanted: str, choices: Sequence[Organization], actor: Actor) -> Organization | None:
    """The one that is asked for, or else the first. Raises as ``offer_page``."""
    if not wanted:
        return choices[0] if choices else None
    found = next((each for each in choices if each.slug == wanted), None)
    if found is None:
        found = accounts_queries.get_organization(wanted)
        actors.require(actor, Act.SUBSCRIBE, found)
    return found


def _without(plan: Plan, state: State) -> OfferPage:
    return OfferPage(
        state=state,
        code=plan.code,
        name=plan.name,
        tagline=_tagline(plan),
        organization="",
        slug="",
        organizations=(),
        currency="",
        currencies=(),
        button="",
        steps=(),
        terms=None,
        version=plan.version,
        current_plan="",
        expected="",
    )


def _tagline(plan: Plan) -> str:
    shown = getattr(plan, "pricing_plan", None)
    return shown.tagline if shown else ""


def _currency(wanted: str, organization: Organization, live: Subscription | None, prices: dict[str, PlanPrice]) -> str:
    if live is not None:
        return live.currency
    if not prices:
        return organization.currency
    tried = (wanted.upper(), organization.currency, *sorted(prices))
    return next(each for each in tried if each in prices)


def _has_trial(organization: Organization, plan: Plan, live: Subscription | None, actor: Actor) -> bool:
    if not plan.trial_days:
        return False
    if live is not None:
        return live.plan.code != plan.code and onboard.begins_trial(live, plan, actor=actor)
    return not subscriptions_queries.had_trial(organization, plan.product)


def _state(plan: Plan, live: Subscription | None, fee_minor: int, *, has_trial: bool) -> State:
    if live is None or has_trial:
        return "choose"
    if live.plan.code == plan.code:
        return "pay" if live.status == Status.INCOMPLETE else "same"
    if live.status == Status.INCOMPLETE:
        return "choose"
    is_free = live.status == Status.ACTIVE and live.confirmed_at is None and not subscriptions_queries.costs(live)
    return "payment_first" if is_free and fee_minor else "change"


def _button(plan: Plan, fee_minor: int, *, has_trial: bool) -> str:
    if has_trial:
        return _("Start the trial of %(plan)s") % {"plan": plan.name}
    if fee_minor:
        return _("Subscribe to %(plan)s and pay") % {"plan": plan.name}
    return _("Start with %(plan)s") % {"plan": plan.name}


def _steps(
    plan: Plan, price: PlanPrice | None, currency: str, at: datetime, zone: ZoneInfo, *, has_trial: bool
) -> Iterator[Step]:
    nothing, fee_minor = wording.price(0, currency), price.base_fee_minor if price else 0
    starts_at = at
    if has_trial:
        starts_at = (at.astimezone(zone) + timedelta(days=plan.trial_days)).astimezone(at.tzinfo)
        yield Step(None, _trial(plan), nothing)
        ending = _("The trial ends: with a means of payment on file %(plan)s goes on, else it ends and costs nothing")
        yield Step(wording.day(starts_at, zone), ending % {"plan": plan.name}, "")
    interval = Interval(plan.billing_period)
    ends_at = boundary(starts_at, zone=zone, interval=interval, index=1)
    fee = wording.price(fee_minor, currency)
    if not fee_minor:
        yield Step(None, _("Free of charge"), nothing)
    elif plan.base_fee_timing == BaseFeeTiming.ADVANCE:
        begins = wording.day(starts_at, zone) if has_trial else None
        yield Step(begins, _("The first %(period)s, in advance") % {"period": wording.interval(interval)}, fee)
        yield Step(
            wording.day(ends_at, zone), _("Each further %(period)s") % {"period": wording.interval(interval)}, fee
        )
    else:
        if not has_trial:
            yield Step(None, _("Nothing is charged before the end of the period"), nothing)
        said = _("The first %(period)s, when it has ended, and each that follows")
        yield Step(wording.day(ends_at, zone), said % {"period": wording.interval(interval)}, fee)
    if price is not None and price.minimum_minor > fee_minor:
        least = _("A %(period)s comes to at least this, fee and use together") % {"period": wording.interval(interval)}
        yield Step(wording.day(ends_at, zone), least, wording.price(price.minimum_minor, currency))


def _trial(plan: Plan) -> str:
    words = {"days": wording.days(plan.trial_days), "credits": wording.number(plan.trial_credits)}
    if plan.trial_credits:
        return _("The trial begins: %(days)s with %(credits)s credits") % words
    return _("The trial begins: %(days)s") % words


def find_plan(code: str) -> Plan | None:
    """The version that new subscribers would get, with what the page shows of it. Two queries."""
    return catalog_queries.find_offer(code)
