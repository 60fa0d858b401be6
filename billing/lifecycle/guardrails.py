"""Debits that guardrails hold, decided on by hand: cleared or rejected, each once."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from django.db import transaction

from billing.accounts import actors
from billing.accounts.actors import Act, Actor, system
from billing.infra import audit, locks, logs
from billing.invoicing import operations as invoicing_operations
from billing.kernel.decimals import plain
from billing.kernel.errors import Invalid
from billing.lifecycle import renew, reversal
from billing.lifecycle.reversal import REASON_LENGTH_MAX
from billing.lifecycle.usage import RenewalStuck
from billing.metering import holding
from billing.metering.decisions import RenewalDue
from billing.models import Organization, Resolution, UsageDebitResolution

LATE_USE = system("late-use")


class ReasonMissing(Invalid):
    """Why it is cleared or rejected has to be told."""

    code = "reason_invalid"


def clear(
    *, organization: Organization, event_id: UUID, actor: Actor, reason: str, now: datetime
) -> UsageDebitResolution:
    """Let a held debit be made, now and once; for who may adjust credits. Twice gives the first answer.

    ``now`` is real time; a sandbox's clock replaces it. Raises ``HoldNotFound`` and as ``holding.clear`` does.
    """
    _check(actor, organization, reason)
    with transaction.atomic():
        locks.lock_organization(organization.id)
        at = Organization.objects.get(id=organization.id).clock_at or now
        # What fell due comes first: a grant that expired an hour ago pays nothing.
        renew.renew_due(organization_id=organization.id, now=at)
        hold = holding.get_hold(organization.id, event_id)
        try:
            cleared = holding.clear(hold, actor=actor.name, reason=reason, now=at)
        except RenewalDue as stuck:
            raise RenewalStuck("The subscription's next period has not begun yet; try again.") from stuck
        resolution = cleared.resolution
        if not cleared.is_duplicate:
            _tell(resolution, actor=actor, reason=reason)
    if cleared.bills_closed and resolution.booked is not None:
        invoicing_operations.draft_finals(period_ids={resolution.booked.billed_period_id}, actor=LATE_USE, now=now)
    return resolution


def reject(
    *, organization: Organization, event_id: UUID, actor: Actor, reason: str, now: datetime
) -> UsageDebitResolution:
    """Take back all that is left of a use whose debit is held; for who may adjust credits. Twice is once.

    Raises ``HoldNotFound``, ``HoldCleared``, and as ``reversal.reverse`` does.
    """
    _check(actor, organization, reason)
    with transaction.atomic():
        locks.lock_organization(organization.id)
        hold = holding.get_hold(organization.id, event_id)
        known = holding.find_resolution(hold)
        if known is not None:
            if known.state != Resolution.REJECTED:
                raise holding.HoldCleared("This use was debited: reverse it instead.")
            return known
        # The reversal that leaves nothing of a held use resolves its debit.
        reversal.reverse(event_id=event_id, actor=actor, reason=reason, now=now, key=f"guardrail:{event_id}")
        resolution = UsageDebitResolution.objects.select_related("booked").get(hold=hold)
        _tell(resolution, actor=actor, reason=reason)
    return resolution


def _check(actor: Actor, organization: Organization, reason: str) -> None:
    actors.require(actor, Act.CREDITS, organization)
    if not reason.strip() or len(reason) > REASON_LENGTH_MAX:
        raise ReasonMissing(f"A reason of 1 to {REASON_LENGTH_MAX} characters is needed.", field="reason")


def _tell(resolution: UsageDebitResolution, *, actor: Actor, reason: str) -> None:
    booked = resolution.booked
    details = {"event_id": str(resolution.hold_id), "quantity": plain(resolution.quantity)}
    if booked is not None:
        details["booked_id"] = str(booked.id)
        if resolution.state == Resolution.CLEARED:
            details["overage"] = plain(booked.overage)
            details["credits_due"] = plain(booked.credits_due)
            details["credits_paid"] = plain(booked.credits_paid)
    audit.record(
        actor=actor.name,
        act="guardrail.clear" if resolution.state == Resolution.CLEARED else "guardrail.reject",
        object_type="usage_event",
        object_id=resolution.hold_id,
        organization_id=resolution.organization_id,
        reason=reason,
        details=details,
    )
    logs.event(f"guardrail.{resolution.state}", organization=resolution.organization_id, usage_event=resolution.hold_id)
