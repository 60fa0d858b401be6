"""What a provider metered against what we counted: the difference is booked, once, through recording.

What it counted and we did not is recorded as use of the window. What we counted beyond it is told, and taken back only
as far as an earlier reconciliation had booked it: our own events are evidence, and the provider may still be behind.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any, NamedTuple

from django.db.models import QuerySet, Sum
from django.db.transaction import atomic

from billing.accounts import actors
from billing.accounts import queries as accounts_queries
from billing.accounts.actors import Act, Actor
from billing.catalog import queries as catalog_queries
from billing.infra import audit, locks, logs
from billing.kernel.decimals import ZERO, plain
from billing.kernel.errors import Invalid
from billing.lifecycle import reversal, usage
from billing.metering.offers import LATE_MAX, Offer
from billing.models import Organization, ProviderCustomer, UsageEvent
from billing.payments import calls, customers, registry
from billing.payments.protocol import ReportedUsage

SOURCE = "reconciliation"
# A sweep looks at this many whole days: providers' meters may be behind by a day.
DAYS = 3
_STEP = timedelta(seconds=1)


class WindowInvalid(Invalid):
    """Not a window of the past in which use can still be recorded."""

    code = "window_invalid"


class Difference(NamedTuple):
    """``outcome``: ``equal``, ``booked``, ``reversed``, ``reported`` (ours is more, and stays), ``refused``, or
    ``unknown`` (no meter of ours). ``booked`` is what was recorded, below zero what was taken back."""

    meter: str
    ours: Decimal
    reported: Decimal
    booked: Decimal
    outcome: str
    reason: str = ""


def reconcile(
    *, organization: Organization, starts_at: datetime, ends_at: datetime, actor: Actor, now: datetime
) -> list[Difference]:
    """Compare every meter that the provider reports for ``[starts_at, ends_at)``, and book what is missing here.

    Run twice, at once or by two, it books once: comparing and booking share the organization's lock. ``now`` is real
    time. Not inside a transaction, but for a sandbox. Raises ``WindowInvalid``, ``ProviderUnavailable``.
    """
    actors.require(actor, Act.PROVIDERS, organization)
    at = accounts_queries.now_for(organization, now)
    if not starts_at < ends_at <= at or starts_at.second or ends_at.second or at - ends_at >= LATE_MAX:
        raise WindowInvalid(f"A window of whole minutes that ended within {LATE_MAX.days} days.", field="starts_at")
    told = calls.reported_usage(
        organization=organization,
        customer_reference=customers.reference_of(organization),
        starts_at=starts_at,
        ends_at=ends_at,
    )
    differences = [_settle(organization, each, actor=actor, now=now) for each in told]
    if any(each.outcome != "equal" for each in differences):
        _tell(organization, differences, starts_at, ends_at, actor=actor)
    return differences


def list_reconciled(*, after: str = "", limit: int = 500) -> Sequence[str]:
    """Ids of organizations, not sandboxes, that the chosen provider knows, in order; ``after`` is the last before."""
    known = ProviderCustomer.objects.filter(
        provider=registry.code_for(is_sandbox=False), organization__is_sandbox=False
    ).order_by("organization_id")
    if after:
        known = known.filter(organization_id__gt=after)
    return [str(each) for each in known.values_list("organization_id", flat=True)[:limit]]


def list_windows(now: datetime) -> Sequence[tuple[datetime, datetime]]:
    """The whole days before ``now``, in UTC as providers count them, oldest first."""
    today = now.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    return [(today - timedelta(days=days), today - timedelta(days=days - 1)) for days in range(DAYS, 0, -1)]


@atomic
def _settle(organization: Organization, told: ReportedUsage, *, actor: Actor, now: datetime) -> Difference:
    locks.lock_organization(organization.id)
    meter = catalog_queries.find_meter(told.meter)
    if meter is None:
        return Difference(told.meter, ZERO, told.quantity, ZERO, "unknown", "No event of this name is declared.")
    counted = UsageEvent.objects.filter(
        organization=organization, meter=meter, occurred_at__gte=told.starts_at, occurred_at__lt=told.ends_at
    )
    ours = counted.aggregate(total=Sum("quantity"))["total"] or ZERO
    missing = told.quantity - ours
    if not missing:
        return Difference(told.meter, ours, told.quantity, ZERO, "equal")
    if missing > ZERO:
        return _book(organization, told, ours, missing, now=now)
    returned = _take_back(counted.filter(source=SOURCE).order_by("-id"), -missing, told, actor=actor, now=now)
    outcome = "reversed" if returned == -missing else "reported"
    reason = "" if outcome == "reversed" else "More was counted here than the provider reports."
    return Difference(told.meter, ours, told.quantity, -returned, outcome, reason)


def _book(
    organization: Organization, told: ReportedUsage, ours: Decimal, missing: Decimal, *, now: datetime
) -> Difference:
    window = f"{told.starts_at:%Y%m%dT%H%M}-{told.ends_at:%Y%m%dT%H%M}"
    offer = Offer(
        organization=organization,
        meter=told.meter,
        quantity=missing,
        # Says from what to what it went, so that a report that grows is another key, and the same report none.
        key=f"{told.meter}:{window}:{plain(ours)}:{plain(told.quantity)}",
        source=SOURCE,
        occurred_at=told.ends_at - _STEP,
    )
    (outcome,) = usage.record([offer], now=now)
    is_booked = outcome.status == "accepted"
    return Difference(
        told.meter,
        ours,
        told.quantity,
        missing if is_booked else ZERO,
        "booked" if is_booked else "refused",
        "" if is_booked else f"{outcome.code}: {outcome.message}",
    )


def _take_back(
    booked: QuerySet[UsageEvent], surplus: Decimal, told: ReportedUsage, *, actor: Actor, now: datetime
) -> Decimal:
    """Reverse what earlier reconciliations booked, latest first, up to ``surplus``; how much that was."""
    returned = ZERO
    for event in list(booked):
        left = event.quantity - _reversed(event)
        quantity = min(left, surplus - returned)
        if quantity <= ZERO:
            continue
        reversal.reverse(
            event_id=event.id,
            actor=actor,
            reason=f"The provider reports {plain(told.quantity)} by now.",
            now=now,
            quantity=quantity,
            key=f"{event.id}:{plain(left)}:{plain(quantity)}",
        )
        returned += quantity
    return returned


def _reversed(event: UsageEvent) -> Decimal:
    total: Decimal = UsageEvent.objects.filter(reverses=event).aggregate(total=Sum("quantity"))["total"] or ZERO
    return -total


def _tell(
    organization: Organization,
    differences: Sequence[Difference],
    starts_at: datetime,
    ends_at: datetime,
    *,
    actor: Actor,
) -> None:
    details: dict[str, Any] = {
        "starts_at": starts_at.isoformat(),
        "ends_at": ends_at.isoformat(),
        "differences": [as_dict(each) for each in differences if each.outcome != "equal"],
    }
    audit.record(
        actor=actor.name,
        act="usage.reconcile",
        object_type="organization",
        object_id=organization.id,
        organization_id=organization.id,
        details=details,
    )
    logs.event("usage.reconciled", organization=organization.id, **details)


def as_dict(difference: Difference) -> dict[str, str]:
    return {
        "meter": difference.meter,
        "ours": plain(difference.ours),
        "reported": plain(difference.reported),
        "booked": plain(difference.booked),
        "outcome": difference.outcome,
        "reason": difference.reason,
    }
