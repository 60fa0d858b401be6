"""A tenant's billing state as host products read it: its plan with limits, and its usage counters."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import Any
from uuid import UUID

from billing.catalog import queries as catalog_queries
from billing.kernel.decimals import plain
from billing.models import Organization, TenantBillingState
from billing.reporting.shapes import TenantStateDocument, TenantUsageDocument
from billing.subscriptions import queries as subscriptions_queries

# A yes or no; a number; or None for no limit.
Limit = bool | Decimal | None


@dataclass(frozen=True, slots=True)
class PlanStatus:
    """A row of ``tenant_billing_state`` with the plan's limits. ``plan_code`` None: there never was a subscription."""

    tenant_id: UUID
    plan_code: str | None
    plan_version: int | None
    subscription_status: str
    renewal_date: date | None
    limits: Mapping[str, Limit]


@dataclass(frozen=True, slots=True)
class EventUsage:
    """Use of one event: over the life of the organization, and by calendar month (``2026-01``) of its zone."""

    total: Decimal
    months: Mapping[str, Decimal]


def plan_status(organization: Organization) -> PlanStatus:
    """The state now. Limits are of the live subscription's plan version, and none without one."""
    row = TenantBillingState.objects.get(organization=organization)
    live = subscriptions_queries.find_live(organization)
    return PlanStatus(
        tenant_id=organization.id,
        plan_code=row.plan_code,
        plan_version=live.plan.version if live else None,
        subscription_status=row.subscription_status,
        renewal_date=row.renewal_date,
        limits=_limits(live.plan_id) if live else {},
    )


def usage_snapshot(organization: Organization) -> dict[str, EventUsage]:
    """The counters of every event that was used, by name."""
    counters = TenantBillingState.objects.values_list("usage_counters", flat=True).get(organization=organization)
    return {
        event: EventUsage(
            Decimal(counter["total"]), {month: Decimal(used) for month, used in sorted(counter["months"].items())}
        )
        for event, counter in sorted(counters.items())
    }


def state_document(status: PlanStatus) -> TenantStateDocument:
    return {
        "tenant_id": str(status.tenant_id),
        "plan_code": status.plan_code,
        "plan_version": status.plan_version,
        "subscription_status": status.subscription_status,
        "renewal_date": status.renewal_date.isoformat() if status.renewal_date else None,
        "limits": {key: plain(limit) if isinstance(limit, Decimal) else limit for key, limit in status.limits.items()},
    }


def usage_document(organization: Organization, snapshot: Mapping[str, EventUsage]) -> TenantUsageDocument:
    return {
        "tenant_id": str(organization.id),
        "usage_counters": {
            event: {
                "total": plain(usage.total),
                "months": {month: plain(used) for month, used in usage.months.items()},
            }
            for event, usage in snapshot.items()
        },
    }


def _limits(plan_id: UUID) -> dict[str, Any]:
    plan = catalog_queries.compiled_plan(plan_id)
    metered = {guard.key: guard.limit for guards in plan.guards_by_meter.values() for guard in guards.metered}
    return {key: plan.booleans[key] if key in plan.booleans else metered[key] for key in plan.meters_by_key}
