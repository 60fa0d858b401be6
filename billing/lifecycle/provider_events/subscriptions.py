"""Subscriptions as a provider has them, brought into ours: which organization, which plan, which status."""

from __future__ import annotations

from uuid import UUID

from billing.catalog import queries as catalog_queries
from billing.kernel.errors import Conflict
from billing.lifecycle import pending, upsert
from billing.lifecycle.happenings import tell
from billing.lifecycle.provider_events import routes
from billing.lifecycle.provider_events.believing import believe
from billing.lifecycle.provider_events.outcomes import OUTDATED, PROVIDER, UNVOUCHED, Context, Outcome, Waits
from billing.models import LIVE, Collection, Status, Subscription
from billing.payments.events import SubscriptionChanged, SubscriptionConfirmed, SubscriptionDeleted
from billing.subscriptions import operations, queries

ENDED = (Status.CANCELED.value, Status.EXPIRED.value)
# What usually comes later within one second of the provider's clock.
_RANKS = {
    status: rank
    for rank, status in enumerate(("", "incomplete", "trialing", "past_due", "active", "paused", "expired", "canceled"))
}
# Where a plan can be changed; from elsewhere the way leads through active.
_CHANGEABLE = (Status.INCOMPLETE, Status.TRIALING, Status.ACTIVE)


class SubscriptionNotLinked(Conflict):
    """The organization has a live subscription that the provider was not told of: are both one? Nobody knows."""

    code = "subscription_not_linked"


def confirmed(event: SubscriptionConfirmed, context: Context) -> Outcome:
    """The customer went through with a sign-up. Told after it lapsed or was left, it is noted and revives nothing."""
    subscription = _own(event.subscription_id, context)
    if subscription is None:
        return Outcome(is_applied=False, reason="No such subscription of this organization.")
    if subscription.status not in LIVE:
        return Outcome(
            is_applied=False, reason=f"Confirmed after it had ended ({subscription.status}): nothing was begun again."
        )
    if subscription.status == Status.INCOMPLETE:
        routes.go(subscription, (Status.ACTIVE.value,), actor=PROVIDER, now=context.now)
    elif subscription.confirmed_at is None:
        _vouch(subscription, context)
    return Outcome(is_applied=True, known=(f"subscription:{event.subscription_id}",))


def changed(event: SubscriptionChanged, context: Context) -> Outcome:
    """Bring our subscription to the plan and status that the provider reports; make it where there is none."""
    rank = event.rank * len(_RANKS) + _RANKS.get(event.status, 0)
    if not believe(context, event, state=event.status or "unknown", is_final=event.status in ENDED, rank=rank):
        return OUTDATED
    known = (event.subject,)
    subscription = _find(event, context)
    if event.status in ENDED:
        return _end(subscription, event.status, context, known)
    if subscription is None:
        subscription = _make(event, context)
    elif subscription.status not in LIVE:
        return Outcome(
            is_applied=False, reason=f"It has ended here ({subscription.status}), and stays so.", known=known
        )
    _link(subscription, event.reference, context)
    subscription, reason = _bring(subscription, event, context)
    _schedule(subscription, event, context)
    return Outcome(is_applied=True, reason=reason, known=known)


def deleted(event: SubscriptionDeleted, context: Context) -> Outcome:
    """End our subscription; whatever is reported of it from now on, or was before and comes late, is outdated."""
    believe(context, event, state="deleted", is_final=True)
    return _end(_find(event, context), Status.CANCELED.value, context, (event.subject,))


def _end(subscription: Subscription | None, status: str, context: Context, known: tuple[str, ...]) -> Outcome:
    if subscription is None:
        return Outcome(is_applied=True, reason="It was never begun here.", known=known)
    if subscription.status not in LIVE:
        return Outcome(is_applied=True, reason="It has ended here already.", known=known)
    steps = routes.route(subscription.status, status) or (Status.CANCELED.value,)
    routes.go(subscription, steps, actor=PROVIDER, now=context.now)
    return Outcome(is_applied=True, known=known)


def _bring(subscription: Subscription, event: SubscriptionChanged, context: Context) -> tuple[Subscription, str]:
    """The subscription on the reported plan and status, and why a part of that was left out, if it was."""
    reason = ""
    if event.plan_code and subscription.plan.code != event.plan_code:
        if subscription.status not in _CHANGEABLE and not _is_held(subscription):
            subscription = _to(subscription, Status.ACTIVE.value, context)
        subscription = upsert.upsert_subscription(
            organization=context.organization,
            plan_code=event.plan_code,
            actor=PROVIDER,
            now=context.now,
            expected_subscription_id=subscription.id,
            at_period_end=False,
        )
    if event.status and event.status != subscription.status:
        if routes.route(subscription.status, event.status) is None:
            reason = _why_not(subscription.status, event.status)
        elif subscription.status == Status.PAST_DUE and _is_held(subscription):
            reason = "An unpaid invoice keeps it past due here."
        else:
            subscription = _to(subscription, event.status, context)
    vouches = event.status in (Status.ACTIVE, Status.TRIALING, Status.PAST_DUE, Status.PAUSED)
    if vouches and subscription.confirmed_at is None and queries.costs(subscription):
        subscription = _vouch(subscription, context)
    return subscription, reason


def _why_not(before: str, after: str) -> str:
    if (before, after) == (Status.TRIALING, Status.ACTIVE):
        return "Paid for; the trial runs to its end."
    return f"A subscription that is {before} cannot become {after}."


def _to(subscription: Subscription, status: str, context: Context) -> Subscription:
    steps = routes.route(subscription.status, status) or ()
    return routes.go(subscription, steps, actor=PROVIDER, now=context.now)


def _is_held(subscription: Subscription) -> bool:
    """Whether an invoice of ours keeps it past due: only money, or finance, lets go of it."""
    return Collection.objects.filter(
        subscription=subscription, past_due_at__isnull=False, lifted_at__isnull=True
    ).exists()


def _make(event: SubscriptionChanged, context: Context) -> Subscription:
    """Subscribe the organization, incomplete unless the provider vouches for payment."""
    plan = catalog_queries.get_plan(event.plan_code, must_be_on_sale=False)
    live = queries.find_live(context.organization, plan.product)
    if live is not None:
        if live.provider == context.provider and live.provider_reference:
            # The one before it has to end first, and its end may be on its way.
            raise Waits(
                f"subscription:{live.provider_reference}", f"{live.provider_reference} is live: it has to end first."
            )
        raise SubscriptionNotLinked(
            "The organization has a live subscription that this one does not name in its metadata."
        )
    return upsert.upsert_subscription(
        organization=context.organization,
        plan_code=event.plan_code,
        actor=UNVOUCHED if event.status in ("", Status.INCOMPLETE) else PROVIDER,
        now=context.now,
        currency=event.currency or None,
    )


def _find(event: SubscriptionChanged | SubscriptionDeleted, context: Context) -> Subscription | None:
    """Ours of the provider's reference, or the one that the event names."""
    linked = (
        Subscription.objects.filter(
            organization=context.organization, provider=context.provider, provider_reference=event.reference
        )
        .order_by("-created_at")
        .values_list("id", flat=True)
        .first()
    )
    if linked is not None:
        return queries.get_subscription(linked)
    return None if event.subscription_id is None else _own(event.subscription_id, context)


def _own(subscription_id: UUID, context: Context) -> Subscription | None:
    found = Subscription.objects.filter(id=subscription_id, organization=context.organization).first()
    return None if found is None else queries.get_subscription(found.id)


def _link(subscription: Subscription, reference: str, context: Context) -> None:
    if (subscription.provider, subscription.provider_reference) == (context.provider, reference):
        return
    if subscription.provider_reference:
        raise SubscriptionNotLinked(f"This subscription is {subscription.provider_reference} at the provider already.")
    operations.update(subscription, provider=context.provider, provider_reference=reference)


def _schedule(subscription: Subscription, event: SubscriptionChanged, context: Context) -> None:
    """Whether it ends with the running period, as the provider says."""
    wanted = event.cancel_at_period_end
    if wanted is None or wanted == subscription.cancel_at_period_end or subscription.status not in pending.MAY_WAIT:
        return
    act = pending.cancel_at_period_end if wanted else pending.withdraw
    act(subscription=subscription, actor=PROVIDER, now=context.now)


def _vouch(subscription: Subscription, context: Context) -> Subscription:
    operations.update(subscription, confirmed_at=context.now)
    tell(subscription, "subscription.confirmed", actor=PROVIDER, at=context.now, plan=subscription.plan.code)
    return queries.get_subscription(subscription.id)
