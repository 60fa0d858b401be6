"""``BillingService``: the in-process face of the engine. Each method finds the organization and makes one domain
call."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from decimal import Decimal
from uuid import UUID

from django.utils import timezone

from billing.accounts import queries as accounts_queries
from billing.accounts.actors import Actor
from billing.accounts.queries import Reference
from billing.lifecycle import quota, upsert, usage
from billing.lifecycle.quota import BillingQuotaOutcome
from billing.metering.offers import Offer, Outcome
from billing.models import Organization, Subscription
from billing.subscriptions import queries as subscriptions_queries

__all__ = ["BillingQuotaOutcome", "BillingService"]


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
        now: datetime | None = None,
    ) -> Subscription:
        """Subscribe an organization, or move its live subscription of the plan's product to the plan.

        ``at_period_end`` None: a customer's change to a cheaper plan, or one of another rhythm, waits for the period's
        end, and any other is made now.
        Naming the subscription (and version) believed current makes it optimistic: ``StaleSubscription`` if it is
        another by now, and nothing is changed. ``status`` is for operators and maps to a legal transition.
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
        )


def _now(organization: Organization, now: datetime | None) -> datetime:
    return organization.clock_at or now or timezone.now()
