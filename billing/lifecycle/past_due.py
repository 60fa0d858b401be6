"""Past due and back: a subscription that is not paid for serves nothing until it is.

Periods and base fee go on meanwhile, no allowance is granted, and what is left of the running stretch's allowance comes
with the way back. The caller holds the organization's lock, and what fell due is done.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

from billing.accounts.actors import Actor
from billing.lifecycle import allowance, renew
from billing.lifecycle.happenings import Happening, tell
from billing.models import Subscription
from billing.subscriptions import operations, queries


def enter(subscription: Subscription, *, actor: Actor, at: datetime, **details: Any) -> Happening:
    """Stop service at ``at``. Raises ``IllegalTransition`` for a subscription that is not active."""
    operations.become_past_due(subscription, at)
    return tell(subscription, "subscription.past_due", actor=actor, at=at, plan=subscription.plan.code, **details)


def leave(subscription: Subscription, *, actor: Actor, at: datetime, reason: str = "") -> Happening:
    """Serve again from ``at`` on, with the allowance of what is left of the stretch if it had none yet."""
    zone = ZoneInfo(subscription.organization.zone)
    operations.recover(subscription)
    from_at = queries.change_instant(subscription, at)
    allowance.grant_rest(subscription, zone=zone, at=from_at, actor=actor.name)
    renew.schedule(subscription, zone=zone, after=from_at)
    return tell(subscription, "subscription.recovered", actor=actor, at=at, reason=reason, plan=subscription.plan.code)
