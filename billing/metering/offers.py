"""What a caller offers to be counted, and what became of it."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Literal, NamedTuple
from uuid import UUID

import msgspec

from billing.kernel import guardrails
from billing.kernel.decimals import ZERO, plain

if TYPE_CHECKING:
    from billing.models import Organization

# Use may be reported this late, and a caller's clock may run this far ahead.
LATE_MAX = timedelta(days=35)
AHEAD_MAX = timedelta(minutes=5)

Status = Literal["accepted", "duplicate", "refused", "conflict"]


@dataclass(frozen=True, slots=True)
class Offer:
    """One use to be counted.

    ``(organization, source, key)`` is its identity for ever. ``occurred_at`` None means now. ``quantity`` is positive
    with at most six decimal places. ``payload``, a JSON object, is kept beside the event and read by no rule. What no
    offer may be is refused by ``flaws``.
    """

    organization: Organization
    meter: str
    quantity: Decimal
    key: str
    source: str = "api"
    occurred_at: datetime | None = None
    service: str = ""
    guardrail_flags: tuple[str, ...] = ()
    payload: Mapping[str, Any] | None = None

    def __post_init__(self) -> None:
        # No spelling of a flag may slip past a plan's rule for it.
        if self.guardrail_flags:
            object.__setattr__(self, "guardrail_flags", guardrails.in_order(self.guardrail_flags))

    def fingerprint(self) -> bytes:
        """SHA-256 of the content: "1" equals "1.000", and the time counts only if the caller sent one.

        Salted with what names the event: equal payloads of different events have nothing in common, so that a digest
        that outlives its payload tells nothing by being compared.
        """
        content = [
            [self.organization.id, self.source, self.key],
            self.meter,
            plain(self.quantity),
            # The same instant is the same content, whatever offset it was written with.
            None if self.occurred_at is None else self.occurred_at.astimezone(UTC),
            self.service,
            sorted(self.guardrail_flags),
            self.payload,
        ]
        return hashlib.sha256(msgspec.json.encode(content, order="sorted")).digest()


class EventView(msgspec.Struct, frozen=True):
    """An accepted event as its row tells it; enough to give the first answer again."""

    id: UUID
    subscription_id: UUID
    plan_id: UUID
    period_id: UUID
    billed_period_id: UUID
    meter: str
    quantity: Decimal
    overage: Decimal
    credits_due: Decimal
    credits_paid: Decimal
    occurred_at: datetime
    recorded_at: datetime

    @property
    def credit_deficit(self) -> Decimal:
        return self.credits_due - self.credits_paid


class GuardReading(NamedTuple):
    """One entitlement as it stood after the decision. ``used`` includes what earlier subscriptions used in the
    window."""

    key: str
    is_metered: bool
    enabled: bool
    limit: Decimal | None
    used: Decimal
    reserved: Decimal
    cadence: str
    starts_at: datetime | None
    ends_at: datetime | None

    @property
    def remaining(self) -> Decimal | None:
        """Units left inside the limit; None if it is unlimited."""
        return None if self.limit is None else max(ZERO, self.limit - self.used - self.reserved)


class Standing(NamedTuple):
    """What answers for a meter at an instant: subscription, plan version, and all guards as they stand."""

    subscription_id: UUID
    plan_id: UUID
    guards: tuple[GuardReading, ...]


class Refusal(NamedTuple):
    """Why not: a stable code, the ``billing:…`` note, a sentence, the entitlement that said so, the credits that were
    missing where that was why, and a second note where one says more than the first."""

    code: str
    note: str
    message: str
    entitlement: str = ""
    credits_short: Decimal = ZERO
    detail_note: str = ""

    @property
    def notes(self) -> tuple[str, ...]:
        return tuple(filter(None, (self.note, self.detail_note)))


class Outcome(NamedTuple):
    """What became of one offer. ``event`` is set if it is accepted or a duplicate, ``refusal`` otherwise.

    ``guards`` tells how all guards stand after it: where it was refused, or offered alone.
    """

    offer: Offer
    status: Status
    event: EventView | None
    refusal: Refusal | None
    guards: tuple[GuardReading, ...] = ()
    # The period that bills it has its invoice out already: a final invoice has to follow.
    bills_closed: bool = False

    @property
    def code(self) -> str:
        return self.refusal.code if self.refusal else ""

    @property
    def message(self) -> str:
        return self.refusal.message if self.refusal else ""

    @property
    def notes(self) -> tuple[str, ...]:
        return self.refusal.notes if self.refusal else ()
