"""``BillingService``: the in-process face of the engine. Each method finds the organization and makes one domain
call."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, datetime, timedelta
from decimal import Decimal
from uuid import UUID

from django.utils import timezone

from billing.accounts import queries as accounts_queries
from billing.accounts.actors import Actor
from billing.accounts.queries import Reference
from billing.infra import logs, refusals
from billing.lifecycle import quota, reservations, reversal, sla, upsert, usage
from billing.lifecycle import tenant_state as lifecycle_state
from billing.lifecycle.quota import BillingQuotaOutcome, PlanLimitError
from billing.metering import reserving
from billing.metering.offers import Offer, Outcome
from billing.metering.reversing import Reversal
from billing.models import Organization, Subscription, UsageReservation
from billing.reporting import tenant_state
from billing.reporting.tenant_state import EventUsage, PlanStatus
from billing.subscriptions import queries as subscriptions_queries

__all__ = ["BillingQuotaOutcome", "BillingService", "PlanLimitError"]


class BillingService:
    """Subscription lifecycle, quota enforcement and usage, for code that shares the database.

    ``organization`` is the row, its id, slug or external id; an unknown one raises ``NotFound``. ``now`` is for tests
    and imports: by default it is real time, and always a sandbox organization's own clock where it has one.
    """

    @staticmethod
    def active_subscription(organization: Reference, *, now: datetime | None = None) -> Subscription | None:
        """The latest subscription with its plan; None when it is not active or trialing or its period has passed."""
        found = accounts_queries.resolve(organization)
        return subscriptions_queries.find_active(found, at=_now(found, now))

    @staticmethod
    def enforce_quota(
        organization: Reference,
        entitlement_or_event: str,
        quantity: Decimal | int = 1,
        *,
        record_usage: bool = False,
        idempotency_key: str | None = None,
        source: str = "api",
        occurred_at: datetime | None = None,
        now: datetime | None = None,
    ) -> BillingQuotaOutcome:
        """Evaluate use against the plan; with ``record_usage``, count it in the same transaction.

        A name that is a declared event means the event, any other an entitlement.
        """
        is_event = quota.is_event(entitlement_or_event)
        return quota.enforce(
            accounts_queries.resolve(organization),
            now=now or timezone.now(),
            event=entitlement_or_event if is_event else "",
            entitlement="" if is_event else entitlement_or_event,
            quantity=Decimal(quantity),
            record_usage=record_usage,
            key=idempotency_key,
            source=source,
            occurred_at=occurred_at,
        )

    @staticmethod
    def record_usage(offers: Sequence[Offer], *, now: datetime | None = None) -> list[Outcome]:
        """Count a list of uses, each accepted, duplicate, refused or conflicting, in one transaction."""
        return usage.record(offers, now=now or timezone.now())

    @staticmethod
    def reserve_usage(
        organization: Reference,
        event: str,
        quantity: Decimal | int,
        *,
        idempotency_key: str,
        quantity_max: Decimal | int | None = None,
        expires_in: timedelta = reserving.EXPIRES_IN_DEFAULT,
        now: datetime | None = None,
    ) -> UsageReservation:
        """Keep quota, and the credits it would cost, for work whose size is known only when it is done.

        Raises ``PlanLimitError`` where the plan would not admit it, ``IdempotencyConflict``, ``ReservationInvalid``.
        """
        at = now or timezone.now()
        reserved = reservations.reserve(
            offer=Offer(accounts_queries.resolve(organization), event, Decimal(quantity), idempotency_key),
            quantity_max=None if quantity_max is None else Decimal(quantity_max),
            expires_in=expires_in,
            now=at,
        )
        return reservations.passed(reserved, now=at)

    @staticmethod
    def settle_reservation(
        reservation: UsageReservation, quantity: Decimal | int, *, now: datetime | None = None
    ) -> UsageReservation:
        """Count what the work took, and free the rest. Raises ``PlanLimitError`` (the reservation stays), and as
        ``metering.reserving.settle`` does."""
        at = now or timezone.now()
        settled = reservations.settle(reservation=reservation, quantity=Decimal(quantity), now=at)
        if settled.outcome.refusal is not None:
            quota.passed(quota.answer(settled.outcome, "", record_usage=True, now=at))
        return settled.reservation

    @staticmethod
    def release_reservation(reservation: UsageReservation, *, now: datetime | None = None) -> UsageReservation:
        """Give up what is kept. Raises ``ReservationSettled``."""
        return reserving.release(reservation=reservation, now=now or timezone.now())

    @staticmethod
    def reverse_usage(
        event_id: UUID,
        *,
        actor: Actor,
        reason: str,
        quantity: Decimal | int | None = None,
        idempotency_key: str | None = None,
        now: datetime | None = None,
    ) -> Reversal:
        """Take back a use by its event, all that is left of it or ``quantity``: windows, credits and money follow."""
        return reversal.reverse(
            event_id=event_id,
            quantity=None if quantity is None else Decimal(quantity),
            key=idempotency_key,
            actor=actor,
            reason=reason,
            now=now or timezone.now(),
        )

    @staticmethod
    def upsert_subscription(
        organization: Reference,
        plan_code: str,
        *,
        actor: Actor,
        expected_subscription_id: UUID | None = None,
        expected_version: int | None = None,
        currency: str | None = None,
        starts_at: datetime | None = None,
        status: str | None = None,
        at_period_end: bool | None = None,
        accepted: sla.Acceptance | None = None,
        now: datetime | None = None,
    ) -> Subscription:
        """Subscribe an organization, or move its live subscription of the plan's product to the plan.

        ``at_period_end`` None: a customer's change to a cheaper plan, or one of another rhythm, waits for the period's
        end, and any other is made now.
        Naming the subscription (and version) believed current makes it optimistic: ``StaleSubscription`` if it is
        another by now, and nothing is changed. ``status`` is for operators and maps to a legal transition.
        ``accepted`` terms are kept with the subscription; ``SlaVersionStale`` if the plan has others by now.
        """
        found = accounts_queries.resolve(organization)
        return upsert.upsert_subscription(
            organization=found,
            plan_code=plan_code,
            actor=actor,
            now=_now(found, now),
            expected_subscription_id=expected_subscription_id,
            expected_version=expected_version,
            currency=currency,
            starts_at=starts_at,
            status=status,
            at_period_end=at_period_end,
            accepted=accepted,
        )

    @staticmethod
    def get_plan_status(organization: Reference) -> PlanStatus:
        """Plan, subscription status, renewal date and limits: a row of ``tenant_billing_state``, and the plan's."""
        return tenant_state.plan_status(accounts_queries.resolve(organization))

    @staticmethod
    def set_plan_status(
        organization: Reference,
        *,
        actor: Actor,
        plan_code: str | None = None,
        status: str | None = None,
        renewal_date: date | None = None,
        now: datetime | None = None,
    ) -> PlanStatus:
        """Change plan, status or renewal date, whichever are named, all or none. Returns what is then.

        ``actor`` decides what is allowed: a customer chooses among plans on sale; a status maps to a legal transition
        and a renewal date to a period cut short, and both are for operators.
        """
        found = accounts_queries.resolve(organization)
        lifecycle_state.set_state(
            organization=found,
            actor=actor,
            now=_now(found, now),
            plan_code=plan_code,
            status=status,
            renewal_date=renewal_date,
        )
        return tenant_state.plan_status(found)

    @staticmethod
    def record_usage_event(
        organization: Reference,
        event_name: str,
        quantity: Decimal | int = 1,
        *,
        idempotency_key: str | None = None,
        now: datetime | None = None,
    ) -> BillingQuotaOutcome:
        """Count ``quantity`` of an event, exactly once for each key. Raises ``PlanLimitError`` where it is refused."""
        outcome = quota.enforce(
            accounts_queries.resolve(organization),
            now=now or timezone.now(),
            event=event_name,
            quantity=Decimal(quantity),
            record_usage=True,
            key=idempotency_key,
        )
        return quota.passed(outcome)

    @staticmethod
    def get_usage_snapshot(organization: Reference) -> dict[str, EventUsage]:
        """For each event that was used: the total, and the calendar months."""
        return tenant_state.usage_snapshot(accounts_queries.resolve(organization))

    @staticmethod
    def apply_plan_limits(
        organization: Reference, event_name: str, quantity: Decimal | int = 1, *, now: datetime | None = None
    ) -> BillingQuotaOutcome:
        """Pass if ``quantity`` more of an event, or of what an entitlement guards, would be admitted now; else raise
        ``PlanLimitError``. Counts no use.

        Between this and the recording another may come first: ``enforcement.enforce`` does both in one.
        """
        found = accounts_queries.resolve(organization)
        at = now or timezone.now()
        is_event = quota.is_event(event_name)
        outcome = quota.enforce(
            found,
            now=at,
            event=event_name if is_event else "",
            entitlement="" if is_event else event_name,
            quantity=Decimal(quantity),
        )
        if not outcome.allowed:
            refusals.count(found.id, outcome.notes, found.clock_at or at)
            logs.event("usage.refused", organization=found.id, notes=dict.fromkeys(outcome.notes, 1))
        return quota.passed(outcome)


def _now(organization: Organization, now: datetime | None) -> datetime:
    return organization.clock_at or now or timezone.now()
