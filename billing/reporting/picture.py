"""What a posture shows: frozen values, ready for a page, a terminal or the wire."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import date, datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

from billing.kernel.decimals import plain
from billing.kernel.periods import Span
from billing.reporting.representations import instant


@dataclass(frozen=True, slots=True)
class SubscriptionView:
    id: UUID
    status: str
    plan_code: str
    plan_name: str
    plan_version: int
    version: int
    currency: str
    starts_at: datetime
    trial_ends_at: datetime | None
    ended_at: datetime | None
    # Whether payment was vouched for: a trial that nobody pays for ends with its time.
    is_confirmed: bool
    # What happens when the running period ends, instead of going on as before.
    cancel_at_period_end: bool
    pending_plan_name: str | None
    discount: DiscountView | None


@dataclass(frozen=True, slots=True)
class DiscountView:
    """A coupon in force, or about to be: ``off`` in words, until the period of this ordinal (None: for ever)."""

    code: str
    name: str
    off: str
    from_ordinal: int
    until_ordinal: int | None


@dataclass(frozen=True, slots=True)
class EntitlementView:
    """One line of the plan. Metered: ``limit`` None is unlimited; ``remaining`` is what is neither used nor reserved,
    and never below zero."""

    key: str
    kind: str
    enabled: bool
    meter: str
    unit: str
    on_limit: str
    cadence: str
    limit: Decimal | None
    used: Decimal
    reserved: Decimal
    remaining: Decimal | None
    overage: Decimal
    window: Span | None
    resets_at: datetime | None


@dataclass(frozen=True, slots=True)
class MeterUse:
    """Counters of one meter, over all subscriptions of the organization except ``period``, which is this one's."""

    meter: str
    unit: str
    lifetime: Decimal
    month: Decimal
    period: Decimal
    events: int


@dataclass(frozen=True, slots=True)
class GrantView:
    id: UUID
    kind: str
    granted: Decimal
    remaining: Decimal
    starts_at: datetime
    expires_at: datetime | None
    is_spendable: bool


@dataclass(frozen=True, slots=True)
class EntryView:
    sequence: int
    kind: str
    amount: Decimal
    balance_after: Decimal
    reason: str
    booked_at: datetime


@dataclass(frozen=True, slots=True)
class InvoiceView:
    """``total`` is None for a draft: what it says is derived when it is opened, and may change until it is issued.

    A draft issues itself at ``issue_due_at``, or waits for a human: held, parked for a reason, or after a void. A
    purchase of credits has no period.
    """

    id: UUID
    number: str | None
    status: str
    currency: str
    total: str | None
    starts_at: datetime | None
    ends_at: datetime | None
    issued_at: datetime | None
    due_on: date | None
    issue_due_at: datetime | None
    held_at: datetime | None
    parked_at: datetime | None
    parked_reason: str


@dataclass(frozen=True, slots=True)
class Posture:
    """A picture of the books at ``at`` (a sandbox's own clock). Without a subscription most of it is empty."""

    organization_id: UUID
    slug: str
    name: str
    zone: str
    is_sandbox: bool
    at: datetime
    subscription: SubscriptionView | None
    period: Span | None
    next_renewal_at: datetime | None
    entitlements: tuple[EntitlementView, ...]
    use: tuple[MeterUse, ...]
    credit_balance: Decimal
    credits_spendable: Decimal
    grants: tuple[GrantView, ...]
    entries: tuple[EntryView, ...]
    invoices: tuple[InvoiceView, ...]

    def as_dict(self) -> dict[str, Any]:
        """Plain JSON: decimals and instants as strings, spans as ``{"starts_at", "ends_at"}``."""
        document: dict[str, Any] = _wire(asdict(self))
        return document


def _wire(value: Any) -> Any:
    if isinstance(value, Span):
        return {"starts_at": instant(value.starts_at), "ends_at": instant(value.ends_at)}
    if isinstance(value, Mapping):
        return {key: _wire(each) for key, each in value.items()}
    if isinstance(value, Sequence) and not isinstance(value, str):
        return [_wire(each) for each in value]
    if isinstance(value, Decimal):
        return plain(value)
    if isinstance(value, datetime):
        return instant(value)
    if isinstance(value, UUID | date):
        return str(value)
    return value
