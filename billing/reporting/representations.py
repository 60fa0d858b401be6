"""Plain dictionaries of what the doors show: the API's bodies and the CLI's ``--json`` are the same documents."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from billing.kernel.decimals import plain
from billing.kernel.money import format_minor
from billing.metering.days import Day
from billing.metering.offers import EventView, Outcome
from billing.metering.queries import Counter
from billing.metering.reversing import Reversal
from billing.models import (
    ApiKey,
    Coupon,
    CreditEntry,
    CreditGrant,
    MarketplaceSubscription,
    Organization,
    Plan,
    PlanEntitlement,
    ReservationStatus,
    Subscription,
    SubscriptionDiscount,
    SubscriptionPeriod,
    UsageReservation,
)
from billing.reporting.shapes import (
    CounterDocument,
    CouponDocument,
    CreditsDocument,
    DiscountDocument,
    EntitlementDocument,
    EntryDocument,
    GrantDocument,
    HappeningDocument,
    KeyDocument,
    NewKeyDocument,
    OrganizationDocument,
    PeriodDocument,
    PlanDocument,
    PlanReference,
    ReversalDocument,
    SlaDocument,
    SubscriptionDocument,
    UsageDayDocument,
    UsageEventDocument,
    UsageOutcomeDocument,
)


def instant(at: datetime) -> str:
    """RFC 3339 in UTC: ``2023-11-17T00:00:00Z``, with microseconds only where there are some."""
    return at.astimezone(UTC).isoformat().removesuffix("+00:00") + "Z"


def plan(plan: Plan) -> PlanDocument:
    """A plan version as a shop needs it. Reads ``pricing_plan``, ``prices`` and ``entitlements`` with their prices."""
    shown = getattr(plan, "pricing_plan", None)
    return {
        "code": plan.code,
        "version": plan.version,
        "product": plan.product,
        "name": plan.name,
        "description": plan.description,
        "tagline": shown.tagline if shown else "",
        "billing_period": plan.billing_period,
        "base_fee_timing": plan.base_fee_timing,
        "prices": [
            {
                "currency": price.currency,
                "base_fee": format_minor(price.base_fee_minor, price.currency),
                "credit_price": _plain_or_none(price.credit_rate),
                "minimum": format_minor(price.minimum_minor, price.currency) if price.minimum_minor else None,
            }
            for price in sorted(plan.prices.all(), key=lambda price: price.currency)
        ],
        "trial_days": plan.trial_days,
        "trial_credits": plain(plan.trial_credits),
        "credit_allowance": plain(plan.credit_allowance),
        "allowance_every": plan.allowance_every,
        "entitlements": [_entitlement(each) for each in plan.entitlements.all()],
        "features": list(shown.features) if shown else [],
        "sla": SlaDocument(
            tier=shown.sla_tier if shown else "",
            version=shown.sla_version if shown else "",
            terms=shown.sla_terms if shown else "",
        ),
        "bundle": dict(shown.bundle) if shown else {},
    }


def _entitlement(entitlement: PlanEntitlement) -> EntitlementDocument:
    return {
        "key": entitlement.key,
        "kind": entitlement.kind,
        "meters": list(entitlement.meters),
        "enabled": entitlement.enabled,
        "limit": _plain_or_none(entitlement.limit),
        "cadence": entitlement.cadence,
        "on_limit": entitlement.on_limit,
        "credits_per_unit": plain(entitlement.credits_per_unit),
        "guardrails": dict(entitlement.guardrails),
        "overage_prices": [
            {
                "currency": price.currency,
                "model": price.model,
                "rate": _plain_or_none(price.rate),
                "per": plain(price.per),
                "tiers": [{"up_to": tier["up_to"], "rate": tier["rate"], "flat": tier["flat"]} for tier in price.tiers],
            }
            for price in sorted(entitlement.prices.all(), key=lambda price: price.currency)
        ],
    }


def period(period: SubscriptionPeriod) -> PeriodDocument:
    return {
        "id": str(period.id),
        "ordinal": period.ordinal,
        "kind": period.kind,
        "starts_at": instant(period.starts_at),
        "ends_at": instant(period.ends_at),
        "closed_at": _instant_or_none(period.closed_at),
    }


def subscription(subscription: Subscription, current_period: SubscriptionPeriod | None) -> SubscriptionDocument:
    """A subscription and the period it is in, if any. Reads ``plan``, ``marketplace`` and ``discounts``."""
    trial = None
    if subscription.trial_starts_at and subscription.trial_ends_at:
        trial = {"starts_at": instant(subscription.trial_starts_at), "ends_at": instant(subscription.trial_ends_at)}
    return {
        "id": str(subscription.id),
        "organization": str(subscription.organization_id),
        "product": subscription.product,
        "plan": _plan_reference(subscription.plan),
        "status": subscription.status,
        "currency": subscription.currency,
        "starts_at": instant(subscription.starts_at),
        "trial": trial,  # type: ignore[typeddict-item]
        "current_period": period(current_period) if current_period and subscription.ended_at is None else None,
        "pending_plan": _plan_reference(subscription.pending_plan) if subscription.pending_plan else None,
        "cancel_at_period_end": subscription.cancel_at_period_end,
        "paused_at": _instant_or_none(subscription.paused_at),
        "past_due_at": _instant_or_none(subscription.past_due_at),
        "held_at": _instant_or_none(subscription.held_at),
        "parked": {"at": instant(subscription.parked_at), "reason": subscription.parked_reason}
        if subscription.parked_at
        else None,
        "ended_at": _instant_or_none(subscription.ended_at),
        "discount": current_discount(subscription, current_period),
        "sla_acceptance": subscription.marketplace.sla_acceptance,
        "credit_balance": plain(subscription.marketplace.credit_balance),
        "version": subscription.version,
    }


def current_discount(subscription: Subscription, current_period: SubscriptionPeriod | None) -> DiscountDocument | None:
    """The discount in force in ``current_period``, or else the one that begins with the first regular period."""
    if subscription.ended_at is not None:
        return None
    ordinal = current_period.ordinal if current_period else 1
    found = [each for each in subscription.discounts.all() if (each.until_ordinal or ordinal) >= ordinal]
    return discount(min(found, key=lambda each: each.from_ordinal), subscription.currency) if found else None


def discount(row: SubscriptionDiscount, currency: str) -> DiscountDocument:
    """A coupon that a subscription in ``currency`` redeemed."""
    is_amount = row.amount_minor is not None
    return {
        "code": row.code,
        "name": row.name,
        "percent": _plain_or_none(row.percent),
        "amount": format_minor(row.amount_minor, currency) if row.amount_minor is not None else None,
        "currency": currency if is_amount else None,
        "from_period": row.from_ordinal,
        "until_period": row.until_ordinal,
        "redeemed_at": instant(row.redeemed_at),
        "removed_at": _instant_or_none(row.removed_at),
    }


def coupon(coupon: Coupon) -> CouponDocument:
    return {
        "code": coupon.code,
        "name": coupon.name,
        "percent": _plain_or_none(coupon.percent),
        "amount": format_minor(coupon.amount_minor, coupon.currency) if coupon.amount_minor is not None else None,
        "currency": coupon.currency or None,
        "periods": coupon.periods,
        "redeem_until": _instant_or_none(coupon.redeem_until),
        "redemptions": coupon.redemptions,
        "redemptions_max": coupon.redemptions_max,
        "is_active": coupon.is_active,
        "created_at": instant(coupon.created_at),
    }


def _plan_reference(plan: Plan) -> PlanReference:
    return {"code": plan.code, "version": plan.version, "name": plan.name}


def grant(grant: CreditGrant) -> GrantDocument:
    return {
        "id": str(grant.id),
        "kind": grant.kind,
        "priority": grant.priority,
        "starts_at": instant(grant.starts_at),
        "expires_at": _instant_or_none(grant.expires_at),
        "granted": plain(grant.granted),
        "consumed": plain(grant.consumed),
        "expired": plain(grant.expired),
        "voided": plain(grant.voided),
        "remaining": plain(grant.remaining),
        "voided_at": _instant_or_none(grant.voided_at),
        "reason": grant.reason,
    }


def credits_of(
    account: MarketplaceSubscription, grants: Iterable[CreditGrant], *, spendable: Decimal
) -> CreditsDocument:
    """A credit account: its balance, how much of it could pay for use now, and its grants."""
    return {
        "subscription": str(account.pk),
        "balance": plain(account.credit_balance),
        "spendable": plain(spendable),
        "grants": [grant(each) for each in grants],
    }


def entry(entry: CreditEntry) -> EntryDocument:
    return {
        "id": str(entry.id),
        "sequence": entry.sequence,
        "kind": entry.kind,
        "amount": plain(entry.amount),
        "balance_after": plain(entry.balance_after),
        "grant": str(entry.grant_id),
        "event": str(entry.event_id) if entry.event_id else None,
        "actor": entry.actor,
        "reason": entry.reason,
        "booked_at": instant(entry.booked_at),
    }


def usage_outcome(outcome: Outcome) -> UsageOutcomeDocument:
    """What became of one offer; ``event`` is there if it is counted, now or before."""
    return {
        "status": outcome.status,
        "code": outcome.code,
        "message": outcome.message,
        "notes": list(outcome.notes),
        "meter": outcome.offer.meter,
        "quantity": plain(outcome.offer.quantity),
        "source": outcome.offer.source,
        "key": outcome.offer.key,
        "event": usage_event(outcome.event) if outcome.event else None,
    }


def usage_event(event: EventView) -> UsageEventDocument:
    return {
        "id": str(event.id),
        "subscription": str(event.subscription_id),
        "overage": plain(event.overage),
        "credits_due": plain(event.credits_due),
        "credits_paid": plain(event.credits_paid),
        "credit_deficit": plain(event.credit_deficit),
        "occurred_at": instant(event.occurred_at),
        "recorded_at": instant(event.recorded_at),
    }


def reversal(reversal: Reversal) -> ReversalDocument:
    event = reversal.event
    return {
        "id": str(event.id),
        "event": str(reversal.original.id),
        "subscription": str(event.subscription_id),
        "meter": event.meter_id,
        "quantity": plain(-event.quantity),
        "overage": plain(-event.overage),
        "credits_returned": plain(reversal.credits_returned),
        "credits_lapsed": plain(reversal.credits_lapsed),
        "credit_deficit": plain(event.credits_paid - event.credits_due),
        "left": plain(reversal.is_left),
        "key": event.key,
        "occurred_at": instant(event.occurred_at),
        "recorded_at": instant(event.recorded_at),
    }


def counter(counter: Counter) -> CounterDocument:
    return {
        "meter": counter.meter,
        "total": plain(counter.total),
        "month": plain(counter.month),
        "month_starts_at": instant(counter.month_starts_at),
    }


def usage_day(day: Day) -> UsageDayDocument:
    return {
        "meter": day.meter,
        "day": day.on.isoformat(),
        "quantity": plain(day.quantity),
        "overage": plain(day.overage),
        "events": day.events,
    }


def happening(*, at: datetime, topic: str, subscription_id: str, details: dict[str, Any]) -> HappeningDocument:
    """One thing that came due while a clock moved."""
    return {"at": instant(at), "topic": topic, "subscription": subscription_id, "details": details}


def organization(organization: Organization) -> OrganizationDocument:
    return {
        "id": str(organization.id),
        "slug": organization.slug,
        "external_id": organization.external_id,
        "name": organization.name,
        "residency_region": organization.residency_region,
        "zone": organization.zone,
        "currency": organization.currency,
        "billing_email": organization.billing_email,
        "is_sandbox": organization.is_sandbox,
        "clock_at": _instant_or_none(organization.clock_at),
    }


def key(key: ApiKey) -> KeyDocument:
    """A key without its secret, which nobody has but its holder."""
    return {
        "id": str(key.id),
        "organization": str(key.organization_id) if key.organization_id else None,
        "name": key.name,
        "prefix": key.prefix,
        "scopes": list(key.scopes),
        "created_at": instant(key.created_at),
        "expires_at": _instant_or_none(key.expires_at),
        "revoked_at": _instant_or_none(key.revoked_at),
    }


def new_key(created: ApiKey, secret: str) -> NewKeyDocument:
    """A key just made, with the secret, this once."""
    return {**key(created), "key": secret}


def _instant_or_none(at: datetime | None) -> str | None:
    return None if at is None else instant(at)


def _plain_or_none(value: Decimal | None) -> str | None:
    return None if value is None else plain(value)


def reservation(row: UsageReservation, *, at: datetime) -> dict[str, Any]:
    """As ``ReservationDocument``; one that is open but past its time by ``at`` is shown as expired."""
    is_past = row.status == ReservationStatus.OPEN and row.expires_at <= at
    return {
        "id": str(row.id),
        "organization": str(row.organization_id),
        "subscription": str(row.subscription_id),
        "event": row.meter_id,
        "status": ReservationStatus.EXPIRED.value if is_past else str(row.status),
        "quantity": plain(row.quantity),
        "quantity_max": plain(row.quantity_max),
        "credits": [{"grant": str(each.grant_id), "credits": plain(each.credits)} for each in row.credits.all()],
        "reserved_at": instant(row.reserved_at),
        "expires_at": instant(row.expires_at),
        "settled_quantity": None if row.settled_quantity is None else plain(row.settled_quantity),
        "usage_event": None if row.event_id is None else str(row.event_id),
    }
