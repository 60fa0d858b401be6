"""From the status that a subscription has to the one that a provider reports: only along the transition table."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime

from billing.accounts.actors import Actor
from billing.lifecycle import cancel, onboard, past_due, pause, renew
from billing.lifecycle.happenings import tell
from billing.models import LIVE, Status, Subscription
from billing.subscriptions import operations, queries, transitions

Step = Callable[[Subscription, Actor, datetime], None]


def route(before: str, after: str) -> Sequence[str] | None:
    """The shortest chain of statuses from ``before`` (left out) to ``after``; None if no legal one leads there.

    So "paused, then past due" and "past due" alone end the same, though nothing goes from one to the other at once.
    """
    ways: dict[str, tuple[str, ...]] = {before: ()}
    waiting = deque([before])
    while waiting:
        at = waiting.popleft()
        if at == after:
            return ways[at]
        for following in sorted(transitions.TRANSITIONS[at]):
            passes = following == after or following in LIVE
            if passes and following not in ways and (at, following) in STEPS:
                ways[following] = (*ways[at], following)
                waiting.append(following)
    return None


def go(subscription: Subscription, steps: Sequence[str], *, actor: Actor, now: datetime) -> Subscription:
    """Take these steps, one journey each."""
    for following in steps:
        STEPS[subscription.status, following](subscription, actor, now)
        subscription = queries.get_subscription(subscription.id)
    return subscription


def _activate(subscription: Subscription, actor: Actor, now: datetime) -> None:
    onboard.activate(subscription=subscription, actor=actor, now=now)


def _pause(subscription: Subscription, actor: Actor, now: datetime) -> None:
    pause.pause(subscription=subscription, actor=actor, now=now, reason="paused at the provider")


def _resume(subscription: Subscription, actor: Actor, now: datetime) -> None:
    pause.resume(subscription=subscription, actor=actor, now=now)


def _fall_due(subscription: Subscription, actor: Actor, now: datetime) -> None:
    current = renew.lock_current(subscription, now=now, actor=actor, expected_version=None)
    past_due.enter(current, actor=actor, at=now, reason="past due at the provider")


def _recover(subscription: Subscription, actor: Actor, now: datetime) -> None:
    current = renew.lock_current(subscription, now=now, actor=actor, expected_version=None)
    past_due.leave(current, actor=actor, at=now, reason="active at the provider")


def _cancel(subscription: Subscription, actor: Actor, now: datetime) -> None:
    cancel.cancel_now(subscription=subscription, actor=actor, now=now, reason="ended at the provider")


def _expire(subscription: Subscription, actor: Actor, now: datetime) -> None:
    current = renew.lock_current(subscription, now=now, actor=actor, expected_version=None)
    if current.status != Status.INCOMPLETE:
        return
    operations.end(current, status=Status.EXPIRED, at=queries.change_instant(current, now))
    tell(current, "subscription.expired", actor=actor, at=now, plan=current.plan.code)


STEPS: Mapping[tuple[str, str], Step] = {
    ("incomplete", "active"): _activate,
    ("incomplete", "expired"): _expire,
    ("active", "past_due"): _fall_due,
    ("past_due", "active"): _recover,
    ("active", "paused"): _pause,
    ("paused", "active"): _resume,
    **{(status.value, "canceled"): _cancel for status in LIVE},
}
