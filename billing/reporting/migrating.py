"""Documents of a plan migration: what it would mean, and what it did. Money and quantities are decimal strings."""

from __future__ import annotations

from decimal import Decimal
from typing import TypedDict

from billing.invoicing.comparison import Prospect, Totals
from billing.invoicing.rerating import Rated
from billing.kernel.decimals import plain
from billing.kernel.errors import BillingError
from billing.kernel.money import format_minor
from billing.models import Plan, Subscription
from billing.reporting import representations
from billing.reporting.shapes import PlanReference, SpanDocument


class RefusalDocument(TypedDict):
    code: str
    message: str


class RatedDocument(TypedDict):
    """One billing period before discounts and tax. ``overage`` is units by meter, ``refused`` units by the entitlement
    that would have said no."""

    base_fee: str
    use: str
    minimum: str
    total: str
    credit_allowance: str
    credits_due: str
    credits_refused: str
    overage: dict[str, str]
    refused: dict[str, str]


class ProspectDocument(TypedDict):
    """``period`` is the one whose use is priced twice; null: none of full length ended yet."""

    subscription: str
    organization: str
    plan: PlanReference
    status: str
    currency: str
    billing_period: str
    period: SpanDocument | None
    now: RatedDocument | None
    then: RatedDocument | None
    difference: str | None
    refusal: RefusalDocument | None


class TotalDocument(TypedDict):
    """Over the subscriptions that would be moved; ``more``, ``less`` and ``same`` count them."""

    currency: str
    billing_period: str
    subscriptions: int
    now: str
    then: str
    difference: str
    more: int
    less: int
    same: int


class MovedDocument(TypedDict):
    subscription: str
    organization: str
    plan: PlanReference
    pending_plan: PlanReference | None
    status: str
    refusal: RefusalDocument | None


def prospect(prospect: Prospect) -> ProspectDocument:
    subscription, period = prospect.subscription, prospect.period
    currency, difference = subscription.currency, prospect.difference_minor
    return {
        "subscription": str(subscription.id),
        "organization": subscription.organization.slug,
        "plan": _plan(subscription.plan),
        "status": subscription.status,
        "currency": currency,
        "billing_period": prospect.interval.value,
        "period": {
            "starts_at": representations.instant(period.starts_at),
            "ends_at": representations.instant(period.ends_at),
        }
        if period
        else None,
        "now": _rated(prospect.now, prospect.allowance_now, currency),
        "then": _rated(prospect.then, prospect.allowance_then, currency),
        "difference": None if difference is None else format_minor(difference, currency),
        "refusal": refusal(prospect.refusal),
    }


def moved(subscription: Subscription, error: BillingError | None) -> MovedDocument:
    """What became of one subscription."""
    return {
        "subscription": str(subscription.id),
        "organization": subscription.organization.slug,
        "plan": _plan(subscription.plan),
        "pending_plan": _plan(subscription.pending_plan) if subscription.pending_plan else None,
        "status": subscription.status,
        "refusal": refusal(error),
    }


def totals(totals: Totals) -> list[TotalDocument]:
    return [
        {
            "currency": currency,
            "billing_period": interval.value,
            "subscriptions": total.subscriptions,
            "now": format_minor(total.now_minor, currency),
            "then": format_minor(total.then_minor, currency),
            "difference": format_minor(total.then_minor - total.now_minor, currency),
            "more": total.more,
            "less": total.less,
            "same": total.subscriptions - total.more - total.less,
        }
        for (currency, interval), total in sorted(totals.by_currency.items())
    ]


def refusal(error: BillingError | None) -> RefusalDocument | None:
    return None if error is None else {"code": error.code, "message": error.message}


def _rated(rated: Rated | None, allowance: Decimal, currency: str) -> RatedDocument | None:
    if rated is None:
        return None
    return {
        "base_fee": format_minor(rated.base_minor, currency),
        "use": format_minor(rated.use_minor, currency),
        "minimum": format_minor(rated.minimum_minor, currency),
        "total": format_minor(rated.total_minor, currency),
        "credit_allowance": plain(allowance),
        "credits_due": plain(rated.credits_due),
        "credits_refused": plain(rated.credits_refused),
        "overage": {meter: plain(units) for meter, units in rated.overage.items()},
        "refused": {key: plain(units) for key, units in rated.refused.items()},
    }


def _plan(plan: Plan) -> PlanReference:
    return {"code": plan.code, "version": plan.version, "name": plan.name}
