"""What a filled-in form about a plan does: the operations that the API calls, once however often it is sent."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from django.db import transaction
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from billing.accounts import actors
from billing.accounts.actors import Act, Actor
from billing.catalog import queries as catalog_queries
from billing.catalog.queries import PlanRetired
from billing.infra import locks
from billing.kernel import ids
from billing.kernel.errors import Conflict
from billing.lifecycle import onboard, sla, upsert
from billing.lifecycle.onboard import SubscriptionExists
from billing.models import Organization, Subscription
from billing.subscriptions import queries as subscriptions_queries
from billing.subscriptions.operations import StaleSubscription

STALE = gettext_lazy("Something about this subscription has changed since you opened the page. Look at it again.")


class TermsChanged(Conflict):
    """The terms have another version than the one that was read."""

    code = "sla_version_stale"


class OfferChanged(Conflict):
    """The plan has another version, and maybe another price, than the one that was looked at."""

    code = "plan_moved"


@dataclass(frozen=True, slots=True)
class Order:
    """A plan as somebody saw it (``version``) and wants it, on terms that they read."""

    organization: Organization
    plan_code: str
    version: int | None
    accepted: sla.Acceptance | None
    actor: Actor


def number(text: str) -> int | None:
    """A version as a form carries it; None for what is none."""
    return int(text) if text.isascii() and text.isdigit() and len(text) < 10 else None


def expected(text: str) -> tuple[UUID | None, int | None]:
    """The subscription and version that a form believes in; nothing where it believes in none.

    Raises ``StaleSubscription`` for what no form of ours says.
    """
    if not text:
        return None, None
    reference, _dot, version = text.partition(".")
    subscription_id = ids.parse_uuid(reference)
    if subscription_id is None or number(version) is None:
        raise StaleSubscription(str(STALE))
    return subscription_id, number(version)


def subscribe(order: Order, *, currency: str, now: datetime) -> Subscription:
    """Put the organization on the plan. Sent twice, the second finds what the first made.

    Raises as ``onboard.subscribe`` does, ``OfferChanged``, ``TermsChanged``, and ``SubscriptionExists`` where another
    plan was chosen meanwhile.
    """
    try:
        with _as_seen(order):
            return onboard.subscribe(
                organization=order.organization,
                plan_code=order.plan_code,
                actor=order.actor,
                now=now,
                currency=currency or None,
                accepted=order.accepted,
            )
    except SubscriptionExists as refusal:
        live = subscriptions_queries.find_live(order.organization)
        if live is not None and live.plan.code == order.plan_code:
            return live
        raise SubscriptionExists(
            _("Another plan was chosen for this organization meanwhile. Nothing was changed.")
        ) from refusal


def change(
    order: Order,
    *,
    subscription_id: UUID,
    subscription_version: int | None,
    now: datetime,
    at_period_end: bool | None = None,
) -> Subscription:
    """Move a subscription as it was looked at. Sent twice, the second finds that it is there.

    Raises as ``upsert_subscription`` does, ``OfferChanged``, ``TermsChanged``.
    """
    try:
        with _as_seen(order):
            return upsert.upsert_subscription(
                organization=order.organization,
                plan_code=order.plan_code,
                actor=order.actor,
                now=now,
                expected_subscription_id=subscription_id,
                expected_version=subscription_version,
                at_period_end=at_period_end,
                accepted=order.accepted,
            )
    except StaleSubscription as stale:
        live = subscriptions_queries.find_live(order.organization)
        if live is not None and (live.pending_plan or live.plan).code == order.plan_code:
            return live
        raise StaleSubscription(str(STALE)) from stale


@contextmanager
def _as_seen(order: Order) -> Iterator[None]:
    """The plan stays what it is until the transaction ends, and that is what was looked at."""
    try:
        with transaction.atomic():
            # Before the plan, as everybody who writes to an organization's books.
            locks.lock_organization(order.organization.id)
            plan = catalog_queries.get_plan(order.plan_code)
            is_operator = actors.may(order.actor, Act.SUBSCRIPTIONS, order.organization)
            if not plan.is_on_sale and not is_operator:
                raise PlanRetired(_("This plan is not offered any more. Nothing was changed."))
            if order.version != plan.version:
                raise OfferChanged(
                    _("The plan has changed since you opened the page. Look at it again; nothing was changed.")
                )
            yield
    except sla.SlaVersionStale as stale:
        raise TermsChanged(
            _("The terms have changed since you opened the page. Read them again; nothing was changed.")
        ) from stale
