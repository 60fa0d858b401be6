"""The inbox: what providers deliver is verified, stored once by the provider's event id, and answered at once.

What it means is worked out later, from the rows (``lifecycle.provider_events``). Rows are kept for ever, so that no
event is ever taken for new again; bodies, which may name people, for ``BODY_KEPT`` after they were dealt with.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from uuid import UUID

from django.db.models import Q
from django.db.transaction import atomic

from billing.accounts.actors import Actor
from billing.infra import audit, logs
from billing.kernel import ids
from billing.kernel.errors import Conflict, NotFound
from billing.models import InboxStatus, ProviderInboxEvent
from billing.payments import registry
from billing.payments.protocol import VerifiedEvent

BODY_BYTES_MAX = 256_000
BODY_KEPT = timedelta(days=90)
REASON_LENGTH_MAX = 500
AWAITS_LENGTH_MAX = 300
# After each failed try the next waits this long; the one after the last parks the event.
DELAYS = (
    timedelta(seconds=10),
    timedelta(minutes=1),
    timedelta(minutes=5),
    timedelta(minutes=30),
    timedelta(hours=2),
    timedelta(hours=6),
    timedelta(hours=12),
)
ATTEMPTS_MAX = len(DELAYS) + 1


class EventNotFound(NotFound):
    """No such event of a provider."""


class EventBodyGone(Conflict):
    """The event was dealt with so long ago that its body is not kept any more."""

    code = "provider_event_body_gone"


def receive(*, provider: str, body: bytes, headers: Mapping[str, str], now: datetime) -> UUID | None:
    """Verify a delivery and store its event; the row's id, or None where the event is known already.

    Raises ``SignatureInvalid``, ``ProviderUnknown``. ``headers`` by lower-case name; ``now`` is real time.
    """
    verified = registry.get(provider).verify(body=body, headers=headers, now=now)
    row = ProviderInboxEvent(
        provider=provider,
        event_id=verified.id,
        type=verified.type,
        occurred_at=verified.created_at,
        received_at=now,
        body=body,
        next_attempt_at=now,
    )
    # Insert or ignore: of two deliveries at once the second waits for the first and then is a duplicate.
    ProviderInboxEvent.objects.bulk_create([row], ignore_conflicts=True)
    is_new = ProviderInboxEvent.objects.filter(id=row.id).exists()
    logs.event("provider.event_received", provider=provider, event_id=verified.id, type=verified.type, is_new=is_new)
    return row.id if is_new else None


def read(row: ProviderInboxEvent) -> VerifiedEvent:
    """The event of a stored row. Raises ``EventBodyGone``."""
    if row.body is None:
        raise EventBodyGone("The body of this event is not kept any more.")
    return registry.get(row.provider).read(bytes(row.body))


def lock_waiting(row_id: UUID) -> ProviderInboxEvent | None:
    """The row under its lock, if it still waits. In a transaction, after the organization's lock."""
    return ProviderInboxEvent.objects.select_for_update().filter(id=row_id, status=InboxStatus.WAITING).first()


def finish(
    row: ProviderInboxEvent, *, status: InboxStatus, now: datetime, organization_id: UUID | None, reason: str = ""
) -> None:
    """Write down that an event was applied or ignored."""
    ProviderInboxEvent.objects.filter(id=row.id).update(
        status=status,
        reason=reason[:REASON_LENGTH_MAX],
        organization_id=organization_id,
        attempts=row.attempts + 1,
        next_attempt_at=None,
        awaits="",
        finished_at=now,
    )


def postpone(row: ProviderInboxEvent, *, reason: str, now: datetime, awaits: str = "") -> InboxStatus:
    """Write down that a try failed: it is tried again later, or parked after ``ATTEMPTS_MAX``."""
    attempts = row.attempts + 1
    is_last = attempts >= ATTEMPTS_MAX
    status = InboxStatus.PARKED if is_last else InboxStatus.WAITING
    written = ProviderInboxEvent.objects.filter(id=row.id, status=InboxStatus.WAITING, attempts=row.attempts).update(
        status=status,
        attempts=attempts,
        reason=reason[:REASON_LENGTH_MAX],
        awaits=awaits[:AWAITS_LENGTH_MAX],
        next_attempt_at=None if is_last else now + DELAYS[attempts - 1],
        finished_at=now if is_last else None,
    )
    if written and is_last:
        logs.event(
            "provider.event_parked",
            level=logging.ERROR,
            provider=row.provider,
            event_id=row.event_id,
            type=row.type,
            reason=reason,
        )
    return status


def wake(provider: str, known: Sequence[str], *, now: datetime) -> None:
    """Have what waited for one of ``known`` (``customer:…``, ``payment:…``) tried at once.

    Rows that another worker has in hand are left to it: waiting for them here could be a circle.
    """
    if not known:
        return
    waiting = (
        ProviderInboxEvent.objects.select_for_update(skip_locked=True)
        .filter(provider=provider, status=InboxStatus.WAITING, awaits__in=known)
        .order_by("id")
        .values_list("id", flat=True)
    )
    ProviderInboxEvent.objects.filter(id__in=list(waiting)).update(next_attempt_at=now)


def list_due(*, now: datetime, limit: int) -> Sequence[UUID]:
    """Events to be tried, longest due first."""
    due = ProviderInboxEvent.objects.filter(status=InboxStatus.WAITING, next_attempt_at__lte=now)
    return list(due.order_by("next_attempt_at", "id").values_list("id", flat=True)[:limit])


def list_events(
    *,
    provider: str | None = None,
    status: str | None = None,
    before_id: UUID | None = None,
    limit: int = 50,
) -> Sequence[ProviderInboxEvent]:
    """Last received first, without bodies; ``before_id`` is the last row of the page before."""
    rows = ProviderInboxEvent.objects.defer("body").select_related("organization").order_by("-id")
    if provider is not None:
        rows = rows.filter(provider=provider)
    if status is not None:
        rows = rows.filter(status=status)
    if before_id is not None:
        rows = rows.filter(id__lt=before_id)
    return list(rows[:limit])


def get_event(reference: str) -> ProviderInboxEvent:
    """By our id or the provider's. Raises ``EventNotFound``."""
    given = ids.parse_uuid(reference)
    named = Q(event_id=reference) if given is None else Q(id=given)
    found = None
    if "\x00" not in reference:
        found = ProviderInboxEvent.objects.select_related("organization").filter(named).order_by("id").first()
    if found is None:
        raise EventNotFound("No such event of a provider.")
    return found


@atomic
def replay(*, event: ProviderInboxEvent, actor: Actor, reason: str, now: datetime) -> ProviderInboxEvent:
    """Have an event tried again, with all tries ahead: a parked one, or one that was ignored or applied before.

    Applying is safe to repeat. One that waits is tried at once. Raises ``EventBodyGone``.
    """
    row = ProviderInboxEvent.objects.select_for_update().get(id=event.id)
    if row.body is None:
        raise EventBodyGone("The body of this event is not kept any more.")
    was = row.status
    ProviderInboxEvent.objects.filter(id=row.id).update(
        status=InboxStatus.WAITING, attempts=0, next_attempt_at=now, awaits="", finished_at=None
    )
    audit.record(
        actor=actor.name,
        act="provider_event.replay",
        object_type="provider_event",
        object_id=row.id,
        organization_id=row.organization_id,
        reason=reason,
        details={"provider": row.provider, "event_id": row.event_id, "type": row.type, "was": was},
    )
    return get_event(str(row.id))


def prune(*, now: datetime) -> int:
    """Drop the bodies of events applied or ignored longer ago than ``BODY_KEPT``; returns how many.

    Parked ones are kept whole: somebody has to look at them.
    """
    return ProviderInboxEvent.objects.filter(
        status__in=(InboxStatus.APPLIED, InboxStatus.IGNORED), finished_at__lt=now - BODY_KEPT, body__isnull=False
    ).update(body=None)
