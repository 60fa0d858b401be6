"""One call for "this organization is on this plan": subscribe it, or move the subscription that it has."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from django.db import transaction

from billing.accounts.actors import Actor
from billing.catalog import queries as catalog_queries
from billing.lifecycle import cancel, change_plan, onboard, pending, sla, statuses
from billing.models import Organization, Subscription
from billing.subscriptions import operations, queries


@transaction.atomic
def upsert_subscription(
    *,
    organization: Organization,
    plan_code: str,
    actor: Actor,
    now: datetime,
    expected_subscription_id: UUID | None = None,
    expected_version: int | None = None,
    currency: str | None = None,
    starts_at: datetime | None = None,
    status: str | None = None,
    at_period_end: bool | None = None,
    accepted: sla.Acceptance | None = None,
) -> Subscription:
    """Subscribe ``organization``, or move its live subscription of the plan's product to the plan.

    As ``BillingService.upsert_subscription`` says; ``now`` is the organization's time. A customer who leaves a free
    plan for one with a trial, and never had a trial, gets it: a subscription of its own.
    """
    plan = catalog_queries.find_current_plan(plan_code)
    live = queries.find_live(organization, plan.product) if plan is not None else None
    believes_live = expected_subscription_id is not None or expected_version is not None
    if believes_live and (live is None or expected_subscription_id not in (None, live.id)):
        raise operations.StaleSubscription("Another subscription is current by now.")
    if live is None or plan is None:
        subscription = onboard.subscribe(
            organization=organization,
            plan_code=plan_code,
            actor=actor,
            now=now,
            currency=currency,
            starts_at=starts_at,
            accepted=accepted,
        )
    elif at_period_end is not True and onboard.begins_trial(live, plan, actor=actor):
        cancel.cancel_now(
            subscription=live, actor=actor, now=now, reason=f"trial of {plan.code}", expected_version=expected_version
        )
        subscription = onboard.subscribe(
            organization=organization,
            plan_code=plan_code,
            actor=actor,
            now=now,
            currency=live.currency,
            accepted=accepted,
        )
    else:
        waits = change_plan.waits_for_period_end(live, plan, actor=actor) if at_period_end is None else at_period_end
        change = pending.change_at_period_end if waits else change_plan.change_now
        subscription = change(
            subscription=live, plan_code=plan_code, actor=actor, now=now, expected_version=expected_version
        )
        chosen = subscription.pending_plan if waits and subscription.pending_plan else subscription.plan
        sla.accept(subscription=subscription, plan=chosen, acceptance=accepted, actor=actor, now=now)
    if status is None:
        return subscription
    return statuses.set_status(subscription=subscription, status=status, actor=actor, now=now)
