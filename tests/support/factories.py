"""Rows for tests, written straight through the models: what a test does not name has a believable default."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from decimal import Decimal
from itertools import count
from typing import Any

from billing.infra import audit
from billing.kernel.periods import Cadence, Interval
from billing.models import (
    EntitlementKind,
    EntitlementPrice,
    MarketplaceSubscription,
    Meter,
    OnLimit,
    Organization,
    PeriodKind,
    Plan,
    PlanEntitlement,
    PlanPrice,
    PlanSpan,
    Status,
    Subscription,
    SubscriptionPeriod,
    UsageCharge,
)

_serial = count(1)


@dataclass(frozen=True)
class Overage:
    """A metered entitlement of a plan that charges beyond ``included``: ``rates`` in major units, by currency."""

    meter: str
    included: str = "100"
    rates: Mapping[str, str] = field(default_factory=lambda: {"USD": "0.5"})
    per: str = "1"
    cadence: Cadence = Cadence.PERIOD


def at(text: str) -> datetime:
    """``"2026-03-01"`` or ``"2026-03-01 12:30:00"`` as UTC."""
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def organization(**fields: Any) -> Organization:
    number = next(_serial)
    return Organization.objects.create(
        **{"slug": f"org-{number}", "name": f"Organization {number}", "residency_region": "eu"} | fields
    )


def sandbox(*, clock_at: datetime, **fields: Any) -> Organization:
    return organization(is_sandbox=True, clock_at=clock_at, **fields)


def meter(code: str, **fields: Any) -> Meter:
    found, _ = Meter.objects.get_or_create(code=code, defaults=fields)
    return found


def plan(
    *,
    base_fees: Mapping[str, int] | None = None,
    credit_rates: Mapping[str, str] | None = None,
    overages: Sequence[Overage] = (),
    **fields: Any,
) -> Plan:
    """A plan version; ``base_fees`` in minor units by currency (default 49.00 USD), none at all with ``{}``."""
    number = next(_serial)
    fees = {"USD": 4900} if base_fees is None else base_fees
    made = Plan.objects.create(
        **{
            "code": f"plan-{number}",
            "version": 1,
            "name": f"Plan {number}",
            "billing_period": Interval.MONTH.value,
            "content_digest": f"{number:064d}",
        }
        | fields
    )
    for currency, fee in fees.items():
        rate = (credit_rates or {}).get(currency)
        PlanPrice.objects.create(
            plan=made, currency=currency, base_fee_minor=fee, credit_rate=None if rate is None else Decimal(rate)
        )
    for overage in overages:
        meter(overage.meter)
        entitlement = PlanEntitlement.objects.create(
            plan=made,
            key=f"max_{overage.meter}",
            kind=EntitlementKind.METERED,
            meters=[overage.meter],
            limit=Decimal(overage.included),
            cadence=overage.cadence.value,
            on_limit=OnLimit.OVERAGE,
        )
        for currency, rate in overage.rates.items():
            EntitlementPrice.objects.create(
                entitlement=entitlement, currency=currency, rate=Decimal(rate), per=Decimal(overage.per)
            )
    return made


def subscription(
    *, organization: Organization, plan: Plan, starts_at: datetime, currency: str = "USD", **fields: Any
) -> Subscription:
    """An active subscription with its credit account and open plan span; ``period`` adds to its spine."""
    made = Subscription.objects.create(
        **{
            "organization": organization,
            "product": plan.product,
            "plan": plan,
            "status": Status.ACTIVE,
            "currency": currency,
            "starts_at": starts_at,
            "anchor_at": starts_at,
        }
        | fields
    )
    MarketplaceSubscription.objects.create(subscription=made, organization=organization)
    PlanSpan.objects.create(organization=organization, subscription=made, plan=plan, starts_at=starts_at)
    audit.record(
        actor="test",
        act="subscription.created",
        object_type="subscription",
        object_id=made.id,
        organization_id=organization.id,
    )
    return made


def period(
    subscription: Subscription,
    *,
    ends_at: datetime,
    nominal_ends_at: datetime | None = None,
    kind: PeriodKind = PeriodKind.REGULAR,
) -> SubscriptionPeriod:
    """The next link of the spine."""
    last = SubscriptionPeriod.objects.filter(subscription=subscription).order_by("-ordinal").first()
    return SubscriptionPeriod.objects.create(
        organization_id=subscription.organization_id,
        subscription=subscription,
        ordinal=last.ordinal + 1 if last else 1,
        kind=kind,
        starts_at=last.ends_at if last else subscription.starts_at,
        ends_at=ends_at,
        nominal_ends_at=nominal_ends_at or ends_at,
        prev_end=last.ends_at if last else None,
    )


def switch_plan(subscription: Subscription, plan: Plan, at: datetime) -> None:
    """Put the subscription on ``plan`` from ``at`` on."""
    PlanSpan.objects.filter(subscription=subscription, ends_at=None).update(ends_at=at)
    PlanSpan.objects.create(
        organization_id=subscription.organization_id, subscription=subscription, plan=plan, starts_at=at
    )


def charge(
    billed: SubscriptionPeriod,
    *,
    plan: Plan,
    meter: str,
    overage: str = "0",
    credit_deficit: str = "0",
    service: SubscriptionPeriod | None = None,
) -> UsageCharge:
    """Chargeable use on the invoice of ``billed``, rendered in ``service`` (by default the same period)."""
    return UsageCharge.objects.create(
        organization_id=billed.organization_id,
        subscription_id=billed.subscription_id,
        billed_period=billed,
        service_period=service or billed,
        plan=plan,
        meter_id=meter,
        overage=Decimal(overage),
        credit_deficit=Decimal(credit_deficit),
    )
