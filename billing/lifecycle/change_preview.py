"""What a change of plan would come to, before anybody decides: rehearsed by the operation itself, and taken back.

A second calculation beside the engine's would agree with it until the day it did not. So the change is made, time is
moved to the next period, the invoices are derived, and all of it is rolled back: nothing is written, told or logged.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any, Literal

from django.db import transaction
from django.db.models import Sum

from billing.accounts import actors
from billing.accounts.actors import Act, Actor
from billing.catalog import queries as catalog_queries
from billing.infra import locks, logs
from billing.invoicing import documents
from billing.invoicing import operations as invoicing_operations
from billing.invoicing.operations import Preview
from billing.kernel.decimals import ZERO, plain
from billing.kernel.errors import BillingError
from billing.lifecycle import renew, upsert
from billing.models import (
    LIVE,
    CreditGrant,
    GrantKind,
    Invoice,
    InvoiceKind,
    InvoiceStatus,
    MarketplaceSubscription,
    Plan,
    PlanSpan,
    Status,
    Subscription,
    SubscriptionPeriod,
)
from billing.subscriptions import operations, queries, transitions


@dataclass(frozen=True, slots=True)
class NextPeriod:
    """The period after the running one, if nothing more happens: ``invoice`` is without use, ``credits`` its
    allowance, granted at its start."""

    starts_at: datetime
    ends_at: datetime
    invoice: Preview
    credits: Decimal


@dataclass(frozen=True, slots=True)
class ChangePreview:
    """``version`` is the subscription's that was looked at: the change may be made dependent on it.

    ``due_now`` are fees in advance that the change asks for at once, None where it asks for none. ``running`` is the
    invoice of the running period as it would be without and with the change, None before there is a period.
    ``credits`` is what the change adds to the account (or takes: an allowance that lapses with it). Of a trial that
    nobody pays for yet, ``next_period`` is as if somebody did; None where nothing follows.
    """

    version: int
    plan_before: Plan
    plan: Plan
    when: Literal["now", "period_end"]
    takes_effect_at: datetime
    status: str
    due_now: Preview | None
    running: tuple[Preview, Preview] | None
    credits: Decimal
    next_period: NextPeriod | None


def preview_change(
    *,
    subscription: Subscription,
    plan_code: str,
    actor: Actor,
    now: datetime,
    at_period_end: bool | None = None,
    expected_version: int | None = None,
) -> ChangePreview:
    """What ``upsert_subscription`` would do to ``subscription`` at ``now``. Writes nothing.

    Raises whatever the change would. The organization's books are locked for as long as it takes.
    """
    actors.require(actor, Act.SUBSCRIBE, subscription.organization)
    catalog_queries.get_plan(plan_code)
    with logs.rehearsal(), transaction.atomic():
        try:
            locks.lock_organization(subscription.organization_id)
            # Renewals that fell due meanwhile count it up; the change is asked of the version that is stored.
            version = queries.get_subscription(subscription.id).version
            current = renew.lock_current(subscription, now=now, actor=actor, expected_version=expected_version)
            if current.status not in LIVE:
                raise transitions.IllegalTransition(f"A subscription that is {current.status} has no plan to change.")
            return _rehearse(current, plan_code, version, actor=actor, now=now, at_period_end=at_period_end)
        finally:
            transaction.set_rollback(True)


def as_dict(preview: ChangePreview) -> dict[str, Any]:
    """Plain values for the wire; the invoices in the shape of an invoice's preview."""
    running, following = preview.running, preview.next_period
    return {
        "plan_before": _reference(preview.plan_before),
        "plan": _reference(preview.plan),
        "when": preview.when,
        "takes_effect_at": _instant(preview.takes_effect_at),
        "status": preview.status,
        "version": preview.version,
        "due_now": documents.preview_as_dict(preview.due_now) if preview.due_now else None,
        "running_period": {
            "without": documents.preview_as_dict(running[0]),
            "with_change": documents.preview_as_dict(running[1]),
        }
        if running
        else None,
        "credits": plain(preview.credits),
        "next_period": {
            "starts_at": _instant(following.starts_at),
            "ends_at": _instant(following.ends_at),
            "invoice": documents.preview_as_dict(following.invoice),
            "credits": plain(following.credits),
        }
        if following
        else None,
    }


def _reference(plan: Plan) -> dict[str, Any]:
    return {"code": plan.code, "version": plan.version, "name": plan.name}


def _instant(at: datetime) -> str:
    return at.astimezone(UTC).isoformat().replace("+00:00", "Z")


def _rehearse(
    current: Subscription, plan_code: str, version: int, *, actor: Actor, now: datetime, at_period_end: bool | None
) -> ChangePreview:
    plan_before, balance = current.plan, _balance(current)
    period = queries.find_period(current, now)
    # A fee in advance that is out already is none of what the change asks for.
    _issue_advance(current, now)
    before = _invoice(current, period, now)
    changed = upsert.upsert_subscription(
        organization=current.organization,
        plan_code=plan_code,
        actor=actor,
        now=now,
        expected_subscription_id=current.id,
        at_period_end=at_period_end,
    )
    when: Literal["now", "period_end"] = "period_end" if changed.pending_plan is not None else "now"
    status = changed.status
    running = queries.find_period(changed, now)
    advance = None if running is None else _invoice(changed, running, now, kind=InvoiceKind.CHANGE)
    credits = _balance(changed) - balance
    takes_effect_at = running.ends_at if when == "period_end" and running else _since(changed)
    _issue_advance(changed, now)
    after = _invoice(current, period, now)
    return ChangePreview(
        version=version,
        plan_before=plan_before,
        plan=changed.pending_plan or changed.plan,
        when=when,
        takes_effect_at=takes_effect_at,
        status=status,
        due_now=advance if advance is not None and advance.subtotal_minor > 0 else None,
        running=(before, after) if before is not None and after is not None else None,
        credits=credits,
        next_period=_next_period(queries.get_subscription(changed.id), now),
    )


def _next_period(changed: Subscription, now: datetime) -> NextPeriod | None:
    last = queries.find_last_period(changed)
    if last is None or changed.status == Status.INCOMPLETE:
        return None
    if changed.status == Status.TRIALING and changed.confirmed_at is None:
        operations.update(changed, confirmed_at=now)
    renew.run(changed, now=last.ends_at, actor=renew.RENEWAL)
    period = queries.find_period(changed, last.ends_at)
    invoice = _invoice(changed, period, last.ends_at)
    if period is None or invoice is None:
        return None
    granted = CreditGrant.objects.filter(
        account=changed.marketplace, kind=GrantKind.ALLOWANCE, starts_at=period.starts_at
    ).aggregate(sum=Sum("granted"))["sum"]
    return NextPeriod(period.starts_at, period.ends_at, invoice, granted or ZERO)


def _invoice(
    subscription: Subscription,
    period: SubscriptionPeriod | None,
    now: datetime,
    *,
    kind: InvoiceKind = InvoiceKind.CYCLE,
) -> Preview | None:
    if period is None:
        return None
    return invoicing_operations.preview(
        subscription=subscription, actor=renew.RENEWAL, now=now, period=period, kind=kind
    )


def _issue_advance(subscription: Subscription, now: datetime) -> None:
    drafts = Invoice.objects.filter(
        subscription_id=subscription.id, kind=InvoiceKind.CHANGE, status=InvoiceStatus.DRAFT
    ).select_related("organization")
    for invoice in drafts:
        try:
            invoicing_operations.issue(invoice=invoice, actor=renew.RENEWAL, now=now)
        except BillingError:
            # Parked in earnest: whoever looks after it decides, and the customer is not asked for it now.
            continue


def _balance(subscription: Subscription) -> Decimal:
    return MarketplaceSubscription.objects.get(subscription_id=subscription.id).credit_balance


def _since(subscription: Subscription) -> datetime:
    return PlanSpan.objects.get(subscription_id=subscription.id, ends_at__isnull=True).starts_at
