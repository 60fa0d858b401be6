"""``BillingService``: the in-process face of the engine. Each method finds the organization and makes one domain
call."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from decimal import Decimal
from uuid import UUID

from django.db import transaction
from django.utils import timezone

from billing.accounts import queries as accounts_queries
from billing.accounts.actors import Actor
from billing.accounts.queries import Reference
from billing.catalog import queries as catalog_queries
from billing.lifecycle import change_plan, onboard, pending, quota, statuses, usage
from billing.lifecycle.quota import BillingQuotaOutcome
from billing.metering.offers import Offer, Outcome
from billing.models import Organization, Subscription
from billing.subscriptions import operations as subscriptions_operations
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
    @transaction.atomic
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
        at = _now(found, now)
        plan = catalog_queries.find_current_plan(plan_code)
        live = subscriptions_queries.find_live(found, plan.product) if plan is not None else None
        believes_live = expected_subscription_id is not None or expected_version is not None
        if believes_live and (live is None or expected_subscription_id not in (None, live.id)):
            raise subscriptions_operations.StaleSubscription("Another subscription is current by now.")
        if live is None or plan is None:
            subscription = onboard.subscribe(
                organization=found, plan_code=plan_code, actor=actor, now=at, currency=currency, starts_at=starts_at
            )
        else:
            waits = (
                change_plan.waits_for_period_end(live, plan, actor=actor) if at_period_end is None else at_period_end
            )
            change = pending.change_at_period_end if waits else change_plan.change_now
            subscription = change(
                subscription=live, plan_code=plan_code, actor=actor, now=at, expected_version=expected_version
            )
        if status is None:
            return subscription
        return statuses.set_status(subscription=subscription, status=status, actor=actor, now=at)


def _now(organization: Organization, now: datetime | None) -> datetime:
    return organization.clock_at or now or timezone.now()
