"""One call for all that a tenant's billing state consists of: plan, status and renewal date, together or not at all."""

from __future__ import annotations

from datetime import date, datetime

from django.db import transaction

from billing.accounts.actors import Actor
from billing.kernel.errors import Invalid
from billing.lifecycle import anchor, statuses, upsert
from billing.models import Organization, Subscription
from billing.subscriptions import queries


class NothingToSet(Invalid):
    """Neither a plan, nor a status, nor a renewal date was named."""

    code = "nothing_to_set"


@transaction.atomic
def set_state(
    *,
    organization: Organization,
    actor: Actor,
    now: datetime,
    plan_code: str | None = None,
    status: str | None = None,
    renewal_date: date | None = None,
) -> None:
    """Change what is named, in this order, each as its own journey would; where one cannot, nothing is changed.

    A plan on sale is for whoever may choose plans; a status and a renewal date are for operators. Raises what the
    journeys raise, and ``SubscriptionNotFound`` where a status or a date is set and no subscription is live.
    """
    if plan_code is None and status is None and renewal_date is None:
        raise NothingToSet("Name a plan, a status or a renewal date.", field="plan_code")
    if plan_code is not None:
        upsert.upsert_subscription(organization=organization, plan_code=plan_code, actor=actor, now=now)
    if status is not None:
        statuses.set_status(subscription=_live(organization), status=status, actor=actor, now=now)
    if renewal_date is not None:
        anchor.renew_on(subscription=_live(organization), renewal_date=renewal_date, actor=actor, now=now)


def _live(organization: Organization) -> Subscription:
    live = queries.find_live(organization)
    if live is None:
        raise queries.SubscriptionNotFound("There is no live subscription.")
    return live
