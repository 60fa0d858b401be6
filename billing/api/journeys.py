"""What else happens in a subscription's life: going on after all, pausing, and renewals that wait for an operator."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, TypedDict

from msgspec import Meta

from billing.accounts.actors import Act, Actor
from billing.api.endpoint import Answer, ApiView, Call, endpoint
from billing.api.subscriptions import Version, answer, expected_of
from billing.api.wire import Nothing, Request
from billing.lifecycle import pause, pending, renew
from billing.models import Subscription
from billing.reporting.shapes import SubscriptionDocument
from billing.subscriptions import queries as subscriptions_queries


class Step(Request, frozen=True):
    version: Version | None = None


class Pause(Request, frozen=True):
    reason: Annotated[str, Meta(max_length=500)] = ""
    version: Version | None = None


class ReactivateSubscription(ApiView):
    @endpoint(
        "Go on as before",
        responses={200: SubscriptionDocument},
        act=Act.SUBSCRIBE,
        idempotent=True,
        tag="subscriptions",
        problems=(409,),
    )
    def post(self, call: Call[Step, Nothing], subscription_id: str) -> Answer:
        """Withdraws what was scheduled for the period's end: a change of plan, or the end of the subscription."""
        found = call.subscription(subscription_id, Act.SUBSCRIBE)
        return answer(call, pending.withdraw(**_named(call, found)))


class PauseSubscription(ApiView):
    @endpoint(
        "Pause",
        responses={200: SubscriptionDocument},
        act=Act.SUBSCRIPTIONS,
        idempotent=True,
        tag="subscriptions",
        problems=(409,),
    )
    def post(self, call: Call[Pause, Nothing], subscription_id: str) -> Answer:
        """For operators: from now on nothing is served and no base fee runs. Periods keep their days."""
        found = call.subscription(subscription_id, Act.SUBSCRIPTIONS)
        return answer(call, pause.pause(**_named(call, found), reason=call.body.reason))


class ResumeSubscription(ApiView):
    @endpoint(
        "Resume",
        responses={200: SubscriptionDocument},
        act=Act.SUBSCRIPTIONS,
        idempotent=True,
        tag="subscriptions",
        problems=(409,),
    )
    def post(self, call: Call[Step, Nothing], subscription_id: str) -> Answer:
        """For operators: serves a paused subscription again, from now on."""
        found = call.subscription(subscription_id, Act.SUBSCRIPTIONS)
        return answer(call, pause.resume(**_named(call, found)))


class ReleaseSubscription(ApiView):
    @endpoint(
        "Let renewals run",
        responses={200: SubscriptionDocument},
        act=Act.SUBSCRIPTIONS,
        idempotent=True,
        tag="subscriptions",
    )
    def post(self, call: Call[Step, Nothing], subscription_id: str) -> Answer:
        """For operators: runs renewals that were held (a start in the past) or parked (one failed). If one fails again,
        the answer says so in ``parked``."""
        found = call.subscription(subscription_id, Act.SUBSCRIPTIONS)
        renew.release(**_named(call, found))
        return answer(call, subscriptions_queries.get_subscription(found.id))


class _Named(TypedDict):
    subscription: Subscription
    actor: Actor
    now: datetime
    expected_version: int | None


def _named(call: Call[Step, Nothing] | Call[Pause, Nothing], found: Subscription) -> _Named:
    """What every step is told: which subscription, who, when, and the version believed current."""
    return {
        "subscription": found,
        "actor": call.actor,
        "now": call.now(found.organization),
        "expected_version": expected_of(call, found, call.body.version),
    }
