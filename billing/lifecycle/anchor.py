"""Moving the day on which a subscription renews."""

from __future__ import annotations

from datetime import UTC, date, datetime, time
from zoneinfo import ZoneInfo

from django.db import transaction

from billing.accounts import actors
from billing.accounts.actors import Act, Actor
from billing.credits import operations as credits_operations
from billing.kernel.errors import Invalid, InvariantViolation
from billing.kernel.periods import Cadence, calendar_window
from billing.lifecycle import allowance, renew
from billing.lifecycle.happenings import tell
from billing.metering.offers import AHEAD_MAX
from billing.models import Status, Subscription
from billing.subscriptions import operations, queries, transitions

# Earlier days are as little ahead, and the first of all have no instant in some zones.
_FIRST = date(1970, 1, 1)


class RenewalDateInvalid(Invalid):
    """The subscription cannot renew on that day."""

    code = "renewal_date_invalid"


def renew_on(
    *, subscription: Subscription, renewal_date: date, actor: Actor, now: datetime, expected_version: int | None = None
) -> Subscription:
    """End the running period where ``renewal_date`` begins in the organization's zone, and count periods from there.

    For operators, and for active subscriptions. The period is cut short and its base fee prorated; its allowance stays
    what it was and ends with it. The day lies in the running period (and its running stretch of allowance), so that the
    period only ever becomes shorter. The day that it renews on already changes nothing. Raises ``RenewalDateInvalid``
    and ``IllegalTransition``.
    """
    actors.require(actor, Act.SUBSCRIPTIONS, subscription.organization)
    zone = ZoneInfo(subscription.organization.zone)
    with transaction.atomic():
        current = renew.lock_current(subscription, now=now, actor=actor, expected_version=expected_version)
        if current.status != Status.ACTIVE or current.cancel_at_period_end:
            raise transitions.IllegalTransition("Only an active subscription that goes on has a renewal to move.")
        last = queries.find_last_period(current)
        if last is None:
            raise InvariantViolation(f"active subscription {current.id} has no period")
        if last.ends_at.astimezone(zone).date() == renewal_date:
            return queries.get_subscription(current.id)
        stretch = allowance.span_at(current, zone=zone, at=now)
        ends_at = min(last.ends_at, stretch.ends_at if stretch else last.ends_at)
        at = _midnight(renewal_date, zone) if renewal_date <= ends_at.astimezone(zone).date() else ends_at
        # Use may be told minutes ahead, and must not stand behind the end of its period.
        if not max(now + AHEAD_MAX, queries.change_instant(current, now)) < at < ends_at:
            raise RenewalDateInvalid(
                f"The renewal can move to a day after today and before {ends_at.astimezone(zone).date()}.",
                field="renewal_date",
            )
        before = last.ends_at
        operations.cut(current, at)
        credits_operations.shorten_allowances(account=current.marketplace, ends_at=at)
        operations.update(current, anchor_at=at)
        renew.schedule(current, zone=zone, after=now)
        tell(
            current,
            "subscription.renewal_moved",
            actor=actor,
            at=now,
            plan=current.plan.code,
            renews_at=at.isoformat(),
            renews_at_before=before.isoformat(),
        )
    return queries.get_subscription(subscription.id)


def _midnight(day: date, zone: ZoneInfo) -> datetime:
    """Where ``day`` begins in ``zone``; there are days without a midnight."""
    noon = datetime.combine(max(day, _FIRST), time(12), zone)
    return calendar_window(Cadence.DAILY, noon.astimezone(UTC), zone).starts_at
