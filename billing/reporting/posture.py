"""Where an organization stands, on one screen: plan, period, limits, use, credits, renewal, invoices.

Nine statements, whatever the number of rows: use comes from windows, never from events.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from datetime import datetime
from decimal import Decimal
from zoneinfo import ZoneInfo

from django.db.models import Case, FilteredRelation, IntegerField, Q, Sum, Value, When

from billing.accounts import queries as accounts_queries
from billing.credits import allocation
from billing.credits import queries as credits_queries
from billing.kernel.decimals import ZERO
from billing.kernel.money import format_minor
from billing.kernel.periods import LIFETIME, Cadence, Span, calendar_window
from billing.models import (
    LIVE,
    EntitlementKind,
    Invoice,
    InvoiceKind,
    InvoiceStatus,
    Meter,
    Organization,
    PlanEntitlement,
    ReservationStatus,
    Status,
    Subscription,
    SubscriptionPeriod,
    UsageReservation,
    UsageWindow,
)
from billing.reporting import representations
from billing.reporting.picture import (
    DiscountView,
    EntitlementView,
    EntryView,
    GrantView,
    InvoiceView,
    MeterUse,
    Posture,
    SubscriptionView,
)
from billing.reporting.shapes import DiscountDocument
from billing.subscriptions.queries import DEFAULT_PRODUCT

INVOICES_SHOWN = 6
ENTRIES_SHOWN = 10
_RENEWING = (Status.TRIALING, Status.ACTIVE, Status.PAST_DUE)


def posture(
    organization: Organization, now: datetime, *, product: str = DEFAULT_PRODUCT, with_entries: bool = True
) -> Posture:
    """The posture of ``organization`` for one product; ``now`` is real time, which a sandbox's own clock replaces."""
    at = accounts_queries.now_for(organization, now)
    subscription, period = _find_subscription(organization, product, at)
    units = dict(Meter.objects.values_list("code", "unit"))
    windows = _Windows(organization, subscription, period, at, units)
    grants = credits_queries.list_open_grants(subscription.marketplace) if subscription else []
    spendable = [each for each in grants if allocation.is_spendable(each, at)]
    return Posture(
        organization_id=organization.id,
        slug=organization.slug,
        name=organization.name,
        zone=organization.zone,
        is_sandbox=organization.is_sandbox,
        at=at,
        subscription=_subscription(subscription, period),
        period=Span(period.starts_at, period.ends_at) if period else None,
        next_renewal_at=period.ends_at if period and subscription and _renews(subscription) else None,
        entitlements=_entitlements(subscription, windows, units),
        use=windows.counters(units),
        credit_balance=subscription.marketplace.credit_balance if subscription else ZERO,
        credits_spendable=sum((each.remaining for each in spendable), ZERO),
        grants=tuple(
            GrantView(
                each.id, each.kind, each.granted, each.remaining, each.starts_at, each.expires_at, each in spendable
            )
            for each in grants
        ),
        entries=_entries(subscription) if with_entries else (),
        invoices=_invoices(organization),
    )


def _find_subscription(
    organization: Organization, product: str, at: datetime
) -> tuple[Subscription | None, SubscriptionPeriod | None]:
    """The live one, or else the one that ended last; and its period that holds ``at``."""
    is_live = Case(When(status__in=LIVE, then=Value(0)), default=Value(1), output_field=IntegerField())
    running = FilteredRelation("periods", condition=Q(periods__starts_at__lte=at, periods__ends_at__gt=at))
    found = (
        Subscription.objects.annotate(running=running)
        .select_related("plan", "pending_plan", "marketplace", "running")  # type: ignore[misc]  # unknown to the stubs
        .filter(organization=organization, product=product)
        .order_by(is_live, "-ended_at", "-created_at")
        .first()
    )
    return found, getattr(found, "running", None)


def _renews(subscription: Subscription) -> bool:
    return subscription.status in _RENEWING and not subscription.cancel_at_period_end


class _Windows:
    """The windows that hold ``at``, summed over the organization's subscriptions: one statement."""

    def __init__(
        self,
        organization: Organization,
        subscription: Subscription | None,
        period: SubscriptionPeriod | None,
        at: datetime,
        meters: Collection[str],
    ) -> None:
        zone = ZoneInfo(organization.zone)
        self.spans: dict[Cadence, Span] = {
            cadence: calendar_window(cadence, at, zone) for cadence in Cadence if cadence is not Cadence.PERIOD
        }
        wanted = Q()
        for cadence, span in self.spans.items():
            wanted |= Q(cadence=cadence.value, starts_at=span.starts_at)
        if period is not None:
            self.spans[Cadence.PERIOD] = Span(period.starts_at, period.ends_at)
            # A billing period is one subscription's own; the others' use of it is none.
            wanted |= Q(cadence=Cadence.PERIOD.value, starts_at=period.starts_at, subscription=subscription)
        rows = (
            # Naming the meters lets the index lead to each window, past all the days.
            UsageWindow.objects.filter(wanted, organization=organization, meter_id__in=meters)
            .values_list("meter_id", "cadence")
            .annotate(Sum("used"), Sum("overage"), Sum("events"))
        )
        self.sums: dict[tuple[str, str], tuple[Decimal, Decimal, int]] = {
            (meter, cadence): (used, overage, events) for meter, cadence, used, overage, events in rows
        }
        self.subscription = subscription
        self.holds = list(
            UsageReservation.objects.filter(
                organization=organization, status=ReservationStatus.OPEN, expires_at__gt=at
            ).values_list("meter_id", "subscription_id", "quantity", "reserved_at")
        )

    def read(self, meter: str, cadence: Cadence) -> tuple[Decimal, Decimal, int]:
        """Used, overage and number of events."""
        return self.sums.get((meter, cadence.value), (ZERO, ZERO, 0))

    def reserved(self, meter: str, cadence: Cadence) -> Decimal:
        """What reservations keep in the window: a hold stands in the one that it was made in."""
        span = self.spans.get(cadence)
        return sum(
            (
                quantity
                for held, subscription_id, quantity, reserved_at in self.holds
                if held == meter
                and span is not None
                and span.covers(reserved_at)
                and (cadence is not Cadence.PERIOD or (self.subscription and subscription_id == self.subscription.id))
            ),
            ZERO,
        )

    def counters(self, units: Mapping[str, str]) -> tuple[MeterUse, ...]:
        return tuple(
            MeterUse(
                meter=meter,
                unit=units.get(meter, ""),
                lifetime=lifetime,
                month=self.read(meter, Cadence.MONTHLY)[0],
                period=self.read(meter, Cadence.PERIOD)[0],
                events=events,
            )
            for (meter, cadence), (lifetime, _, events) in sorted(self.sums.items())
            if cadence == Cadence.NEVER
        )


def _subscription(subscription: Subscription | None, period: SubscriptionPeriod | None) -> SubscriptionView | None:
    if subscription is None:
        return None
    return SubscriptionView(
        id=subscription.id,
        status=subscription.status,
        plan_code=subscription.plan.code,
        plan_name=subscription.plan.name,
        plan_version=subscription.plan.version,
        version=subscription.version,
        currency=subscription.currency,
        starts_at=subscription.starts_at,
        trial_ends_at=subscription.trial_ends_at,
        ended_at=subscription.ended_at,
        is_confirmed=subscription.confirmed_at is not None,
        cancel_at_period_end=subscription.cancel_at_period_end,
        pending_plan_name=subscription.pending_plan.name if subscription.pending_plan else None,
        discount=_discount(representations.current_discount(subscription, period)),
    )


def _discount(found: DiscountDocument | None) -> DiscountView | None:
    if found is None:
        return None
    off = f"{found['amount']} {found['currency']}" if found["amount"] else f"{found['percent']} per cent"
    return DiscountView(found["code"], found["name"], off, found["from_period"], found["until_period"])


def _entitlements(
    subscription: Subscription | None, windows: _Windows, units: Mapping[str, str]
) -> tuple[EntitlementView, ...]:
    if subscription is None:
        return ()
    rows = PlanEntitlement.objects.filter(plan_id=subscription.plan_id).order_by("position", "key")
    return tuple(_entitlement(row, windows, units) for row in rows)


def _entitlement(row: PlanEntitlement, windows: _Windows, units: Mapping[str, str]) -> EntitlementView:
    is_metered = row.kind == EntitlementKind.METERED
    meter = row.meters[0] if is_metered and row.meters else ""
    cadence = Cadence(row.cadence)
    used, overage, _ = windows.read(meter, cadence) if meter else (ZERO, ZERO, 0)
    reserved = windows.reserved(meter, cadence) if meter else ZERO
    window = windows.spans.get(cadence) if is_metered else None
    return EntitlementView(
        key=row.key,
        kind=row.kind,
        enabled=row.enabled,
        meter=meter,
        unit=units.get(meter, ""),
        on_limit=row.on_limit if is_metered else "",
        cadence=row.cadence if is_metered else "",
        limit=row.limit if is_metered else None,
        used=used,
        reserved=reserved,
        remaining=None if row.limit is None or not is_metered else max(ZERO, row.limit - used - reserved),
        overage=overage,
        window=window,
        resets_at=window.ends_at if window is not None and window != LIFETIME else None,
    )


def _entries(subscription: Subscription | None) -> tuple[EntryView, ...]:
    if subscription is None:
        return ()
    return tuple(
        EntryView(row.sequence, row.kind, row.amount, row.balance_after, row.reason, row.booked_at)
        for row in credits_queries.list_entries(subscription.marketplace, limit=ENTRIES_SHOWN)
    )


def _invoices(organization: Organization) -> tuple[InvoiceView, ...]:
    # A draft that waits for a human is shown however old it is.
    waits = Case(When(status=InvoiceStatus.DRAFT, issue_due_at=None, then=Value(0)), default=Value(1))
    # Orders of credits are invoices once they are paid.
    invoices = Invoice.objects.filter(organization=organization).exclude(kind=InvoiceKind.PURCHASE, number=None)
    found = invoices.order_by(waits, "-drafted_at", "-id")[:INVOICES_SHOWN]
    rows = sorted(found, key=lambda row: (row.drafted_at, row.id), reverse=True)
    return tuple(
        InvoiceView(
            id=row.id,
            number=row.number,
            status=row.status,
            currency=row.currency,
            total=None if row.status == InvoiceStatus.DRAFT else format_minor(row.total_minor, row.currency),
            starts_at=row.starts_at if row.period_id else None,
            ends_at=row.ends_at if row.period_id else None,
            issued_at=row.issued_at,
            due_on=row.due_on,
            issue_due_at=row.issue_due_at,
            held_at=row.held_at if row.status == InvoiceStatus.DRAFT else None,
            parked_at=row.parked_at if row.status == InvoiceStatus.DRAFT else None,
            parked_reason=row.parked_reason if row.status == InvoiceStatus.DRAFT else "",
        )
        for row in rows
    )
