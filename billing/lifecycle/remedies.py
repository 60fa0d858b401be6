"""What would have made a refused use pass: waiting, buying credits, another plan and its price. Reads only."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from uuid import UUID
from zoneinfo import ZoneInfo

from billing.accounts import queries as accounts_queries
from billing.catalog import queries as catalog_queries
from billing.catalog.compiled import CompiledPlan, MeteredGuard
from billing.invoicing import settlement
from billing.kernel import money
from billing.kernel.decimals import ZERO, plain
from billing.kernel.periods import LIFETIME, MONTHS, Interval, boundary
from billing.lifecycle.collecting import queries as collecting_queries
from billing.metering import judging
from billing.metering.judging import Alternative
from billing.metering.offers import Offer, Refusal, Standing
from billing.models import Organization, Plan, Status, Subscription
from billing.subscriptions import queries as subscriptions_queries
from billing.subscriptions.queries import DEFAULT_PRODUCT

Remedy = dict[str, str]

# A live subscription that serves nobody needs no other plan.
UNSERVED = {Status.INCOMPLETE: "confirm", Status.PAST_DUE: "pay", Status.PAUSED: "resume"}


@dataclass(frozen=True, slots=True)
class Need:
    """One thing that was asked for: an offer, or the entitlement that decides it alone. ``entitlement`` is named where
    the caller named it."""

    offer: Offer | None
    entitlement: str
    refusal: Refusal | None
    standing: Standing | None


def list_remedies(
    organization: Organization, needs: Sequence[Need], *, now: datetime, known: Subscription | None = None
) -> list[list[Remedy]]:
    """For each need what would make it pass, soonest first; nothing for those that passed. ``known`` is a live
    subscription that the caller has read already.

    ``change_plan`` and ``subscribe`` name the plan on sale that asks least at once, in the organization's
    currency, among those under which *all* needs of the product would pass. One that costs less than the plan in force
    gives something up elsewhere: it is named only where no other will do, and its limit is really higher.
    """
    at = accounts_queries.now_for(organization, now)
    shop = catalog_queries.list_plans_for_shop()
    products = catalog_queries.products_by_meter()
    by_product: dict[str, list[Need]] = defaultdict(list)
    for need in needs:
        by_product[_product(need, products, shop)].append(need)
    found: dict[int, list[Remedy]] = {}
    for product, its_needs in by_product.items():
        if all(need.refusal is None for need in its_needs):
            continue
        is_known = known is not None and known.product == product
        live = known if is_known else subscriptions_queries.find_live(organization, product)
        plans = [plan for plan in shop if plan.product == product and (live is None or plan.id != live.plan_id)]
        # As the shop lists it, with its prices at hand, where it is still on sale.
        current = next((plan for plan in shop if live is not None and plan.id == live.plan_id), None)
        upgrade = _upgrade(organization, live, current, plans, its_needs, product=product, now=now, at=at)
        for need in its_needs:
            found[id(need)] = _remedies(need, live, its_needs, upgrade)
    return [found.get(id(need), []) if need.refusal else [] for need in needs]


def _remedies(need: Need, live: Subscription | None, needs: Sequence[Need], upgrade: list[Remedy]) -> list[Remedy]:
    refusal = need.refusal
    if refusal is None or not refusal.note or refusal.note.startswith("billing:error:"):
        return []
    if live is not None and live.status in UNSERVED:
        return _of_unserved(live)
    remedies: list[Remedy] = []
    if refusal.code == "insufficient_credits" and live is not None:
        remedies += _purchase(live, refusal.credits_short)
    return [*remedies, *_wait(need, refusal, needs), *upgrade]


def find_unserved(organization: Organization, meter: str) -> list[Remedy]:
    """What would make the live subscription that answers for ``meter`` serve; nothing where there is none, or it
    does."""
    live = subscriptions_queries.find_live(
        organization, catalog_queries.products_by_meter().get(meter, DEFAULT_PRODUCT)
    )
    return [] if live is None or live.status not in UNSERVED else _of_unserved(live)


def _of_unserved(live: Subscription) -> list[Remedy]:
    action = UNSERVED[Status(live.status)]
    unpaid = [each.invoice for each in collecting_queries.list_holding(live)]
    return [
        {
            "action": action,
            "invoice": invoice.number or str(invoice.id),
            "due": money.format_minor(settlement.due_minor(invoice), invoice.currency),
            "currency": invoice.currency,
        }
        for invoice in unpaid
    ] or [{"action": action}]


def _wait(need: Need, refusal: Refusal, needs: Sequence[Need]) -> list[Remedy]:
    """Until the window ends, where all that was asked of the meter fits a new one."""
    if need.offer is None or need.standing is None or refusal.code != "quota_exceeded":
        return []
    asked = sum((each.offer.quantity for each in needs if each.offer and each.offer.meter == need.offer.meter), ZERO)
    return [
        {"action": "wait", "until": guard.ends_at.isoformat().replace("+00:00", "Z")}
        for guard in need.standing.guards
        if guard.key == refusal.entitlement
        and guard.ends_at is not None
        and guard.ends_at != LIFETIME.ends_at
        and (guard.limit is None or asked <= guard.limit)
    ]


def _purchase(live: Subscription, credits: Decimal) -> list[Remedy]:
    rate = catalog_queries.credit_rate(live.plan, live.currency)
    if rate is None or credits <= ZERO:
        return []
    price = money.format_minor(money.to_minor(rate * credits, live.currency), live.currency)
    return [{"action": "buy_credits", "credits": plain(credits), "price": price, "currency": live.currency}]


def _upgrade(
    organization: Organization,
    live: Subscription | None,
    current: Plan | None,
    plans: Sequence[Plan],
    needs: Sequence[Need],
    *,
    product: str,
    now: datetime,
    at: datetime,
) -> list[Remedy]:
    currency = live.currency if live else organization.currency
    sold = [plan for plan in plans if _is_sold(plan, currency)]
    keys = [need.entitlement for need in needs if need.entitlement]
    offers = [need.offer for need in needs if need.offer is not None]
    zone = ZoneInfo(organization.zone)
    compiled = {plan.id: catalog_queries.compiled_plan(plan.id, plan.content_digest) for plan in sold}
    sold = [plan for plan in sold if all(_includes(compiled[plan.id], key) for key in keys)]
    if offers:
        alternatives = [
            Alternative(
                compiled[plan.id],
                plan.credit_allowance,
                boundary(at, zone=zone, interval=Interval(plan.billing_period), index=1),
            )
            for plan in sold
        ]
        admitting = judging.list_admitting(offers, alternatives, product=product, now=now)
        ids = {plan.id for plan in admitting}
        sold = [plan for plan in sold if plan.id in ids]
    if live is not None:
        sold = _rather_up(sold, compiled, current or live.plan, needs, currency)
    if not sold:
        return []
    # What is asked at once, and not what a month of it comes to: a year is not the least that lifts a limit.
    cheapest = min(sold, key=lambda plan: (catalog_queries.base_fee_minor(plan, currency), plan.code))
    return [
        {
            "action": "change_plan" if live else "subscribe",
            "plan": cheapest.code,
            "price": money.format_minor(catalog_queries.base_fee_minor(cheapest, currency), currency),
            "currency": currency,
            "billing_period": cheapest.billing_period,
        }
    ]


def _rather_up(
    plans: Sequence[Plan],
    compiled: Mapping[UUID, CompiledPlan],
    current: Plan,
    needs: Sequence[Need],
    currency: str,
) -> list[Plan]:
    """Those that cost no less than the plan in force; only without any, cheaper ones with higher limits."""
    fee = _by_month(current, currency)
    dearer = [plan for plan in plans if _by_month(plan, currency) >= fee]
    if dearer or not plans:
        return dearer
    before = catalog_queries.compiled_plan(current.id, current.content_digest)
    return [plan for plan in plans if all(_is_higher(compiled[plan.id], before, need) for need in needs)]


def _is_higher(plan: CompiledPlan, current: CompiledPlan, need: Need) -> bool:
    """Whether ``plan`` has more of the limit that was reached: what only begins anew sooner, or counts otherwise, is
    not more."""
    if need.refusal is None or need.refusal.code != "quota_exceeded":
        return True
    before, after = (_limit(each, need.refusal.entitlement) for each in (current, plan))
    if before is None or after is None or after.limit is None:
        return True
    return after.cadence is before.cadence and before.limit is not None and after.limit > before.limit


def _limit(plan: CompiledPlan, key: str) -> MeteredGuard | None:
    meters = plan.meters_by_key.get(key, ())
    found = (guard for meter in meters for guard in plan.guards(meter).metered if guard.key == key)
    return next(found, None)


def _includes(plan: CompiledPlan, key: str) -> bool:
    return plan.booleans.get(key, key in plan.meters_by_key)


def _is_sold(plan: Plan, currency: str) -> bool:
    prices = {price.currency for price in plan.prices.all()}
    return not prices or currency in prices


def _by_month(plan: Plan, currency: str) -> Decimal:
    fee_minor = catalog_queries.base_fee_minor(plan, currency)
    return Decimal(fee_minor) / MONTHS[Interval(plan.billing_period)]


def _product(need: Need, products: dict[str, str], shop: Sequence[Plan]) -> str:
    if need.offer is not None:
        return products.get(need.offer.meter, DEFAULT_PRODUCT)
    listing = (plan.product for plan in shop if any(each.key == need.entitlement for each in plan.entitlements.all()))
    return next(listing, DEFAULT_PRODUCT)
