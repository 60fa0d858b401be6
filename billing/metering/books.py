"""One organization's books as one decision needs them: loaded whole, changed in memory, written back whole.

The classes with ``Row`` in their name are what ``store`` reads. ``Books`` keeps the running state while a list of
offers is decided, so that the second offer of a list sees what the first one took.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from typing import NamedTuple, Protocol
from uuid import UUID

import msgspec

from billing.credits.allocation import Share, Spendable, in_drain_order, is_spendable
from billing.kernel.decimals import ZERO
from billing.kernel.errors import InvariantViolation
from billing.kernel.periods import Cadence, Span
from billing.metering.offers import EventView


class PeriodRow(msgspec.Struct, frozen=True):
    id: UUID
    ordinal: int
    kind: str
    starts_at: datetime
    ends_at: datetime
    closed_at: datetime | None


class SpanRow(msgspec.Struct, frozen=True):
    plan_id: UUID
    content_digest: str
    starts_at: datetime
    ends_at: datetime | None
    is_paused: bool


class GrantRow(msgspec.Struct):
    id: UUID
    priority: int
    starts_at: datetime
    expires_at: datetime | None
    remaining: Decimal


class SubscriptionRow(msgspec.Struct, frozen=True):
    id: UUID
    product: str
    status: str
    starts_at: datetime
    ended_at: datetime | None
    credit_balance: Decimal
    entries: int
    periods: list[PeriodRow]
    spans: list[SpanRow]
    grants: list[GrantRow]
    filled: Decimal = ZERO
    told: int = 0
    past_due_at: datetime | None = None


class WindowRow(msgspec.Struct, frozen=True):
    id: int
    subscription_id: UUID
    meter: str
    cadence: str
    starts_at: datetime
    used: Decimal
    overage: Decimal
    events: int
    peak: Decimal = ZERO


class Known(Protocol):
    """What a key stands for: an event, and the SHA-256 (hex) of the content that took it."""

    @property
    def fingerprint(self) -> str: ...
    @property
    def event(self) -> EventView: ...


class KnownEvent(msgspec.Struct, frozen=True):
    """A key that was taken before, by ``Known``."""

    source: str
    key: str
    fingerprint: str
    event: EventView


class HeldCredits(msgspec.Struct, frozen=True):
    """What a reservation keeps of a grant."""

    grant_id: UUID
    credits: Decimal


class HoldRow(msgspec.Struct, frozen=True):
    """A reservation that is open and has not expired: it stands against limits in the windows of ``at``."""

    id: UUID
    subscription_id: UUID
    meter: str
    quantity: Decimal
    at: datetime
    credits: list[HeldCredits]


class BooksRow(msgspec.Struct, frozen=True):
    """``products`` are those of the meters that were asked for and are declared."""

    organization_id: UUID
    zone: str
    clock_at: datetime | None
    known: list[KnownEvent]
    subscriptions: list[SubscriptionRow]
    windows: list[WindowRow]
    holds: list[HoldRow] = []
    products: dict[str, str] = {}


class WindowKey(NamedTuple):
    subscription_id: UUID
    meter: str
    cadence: str
    starts_at: datetime


class Taken:
    """What stands against limits in one stretch of time: the use of all subscriptions that share it. ``peak`` is the
    most that stood there before some of it was taken back."""

    __slots__ = ("peak", "quantity")

    def __init__(self, quantity: Decimal, peak: Decimal) -> None:
        self.quantity = quantity
        self.peak = peak


class Window:
    """A usage window while it is decided on. ``row`` is None until its first event.

    ``taken`` is shared with the windows of the organization's other subscriptions over the same calendar stretch: a
    late event of the one that was left counts at once against the limit of the one that followed.
    """

    __slots__ = ("_shared", "ends_at", "events", "key", "overage", "reserved", "row", "used")

    def __init__(
        self, key: WindowKey, ends_at: datetime, row: WindowRow | None, shared: Taken, reserved: Decimal
    ) -> None:
        self.key = key
        self.ends_at = ends_at
        self.row = row
        self.used = row.used if row else ZERO
        self.overage = row.overage if row else ZERO
        self.events = row.events if row else 0
        # What unexpired reservations keep here.
        self.reserved = reserved
        self._shared = shared

    @property
    def taken(self) -> Decimal:
        """All use that stands against a limit here: this subscription's and the other ones'."""
        return self._shared.quantity

    @property
    def committed(self) -> Decimal:
        """What a further use has to fit beside: use, and what is reserved."""
        return self._shared.quantity + self.reserved

    @property
    def reached(self) -> Decimal:
        """The most that ever stood here."""
        return max(self._shared.quantity, self._shared.peak)

    def add(self, quantity: Decimal, overage: Decimal) -> None:
        self.used += quantity
        if overage:
            self.overage += overage
        self.events += 1
        self._shared.quantity += quantity


class Debit(NamedTuple):
    """One ledger entry to be written: ``credits`` out of a grant for an event."""

    subscription_id: UUID
    sequence: int
    grant_id: UUID
    credits: Decimal
    balance_after: Decimal
    event_id: UUID


class Account:
    """The credit account of one subscription while it is decided on."""

    __slots__ = ("_by_id", "_had", "balance", "debits", "entries", "grants", "quiet_for", "row", "told")

    def __init__(self, row: SubscriptionRow) -> None:
        self.row = row
        self.balance = row.credit_balance
        self.entries = row.entries
        self.grants = in_drain_order(row.grants)
        self._by_id = {grant.id: grant for grant in self.grants}
        self._had = {grant.id: grant.remaining for grant in self.grants}
        # So much can be paid before there is anything to tell of what is left.
        self.quiet_for = ZERO
        self.debits: list[Debit] = []
        self.told = row.told

    def payable(self, held: Mapping[UUID, Decimal]) -> Sequence[Spendable]:
        """The grants in drain order, without what reservations keep of them."""
        if not held:
            return self.grants
        return [
            msgspec.structs.replace(grant, remaining=max(ZERO, grant.remaining - held.get(grant.id, ZERO)))
            for grant in self.grants
        ]

    def drained(self) -> list[tuple[UUID, Decimal]]:
        """What was paid out of each grant."""
        return [(grant.id, paid) for grant in self.grants if (paid := self._had[grant.id] - grant.remaining)]

    def spendable(self, at: datetime) -> Decimal:
        return sum((grant.remaining for grant in self.grants if is_spendable(grant, at)), ZERO)

    def pay(self, shares: Iterable[Share], event_id: UUID) -> None:
        for share in shares:
            self._by_id[share.grant_id].remaining -= share.credits
            self.balance -= share.credits
            self.entries += 1
            self.debits.append(Debit(self.row.id, self.entries, share.grant_id, share.credits, self.balance, event_id))
        if self.balance < ZERO:
            raise InvariantViolation(f"account {self.row.id} has less than its grants")


class ChargeKey(NamedTuple):
    subscription_id: UUID
    billed_period_id: UUID
    service_period_id: UUID
    plan_id: UUID
    meter: str


class Charge:
    __slots__ = ("credit_deficit", "overage")

    def __init__(self) -> None:
        self.overage = ZERO
        self.credit_deficit = ZERO


class Books:
    """The running state of one organization."""

    def __init__(self, row: BooksRow) -> None:
        self.row = row
        self.known: dict[tuple[str, str], Known] = {(known.source, known.key): known for known in row.known}
        self.accounts = {subscription.id: Account(subscription) for subscription in row.subscriptions}
        self.windows: dict[WindowKey, Window] = {}
        self.charges: dict[ChargeKey, Charge] = {}
        self.holds = {hold.id: hold for hold in row.holds}
        self._shared: dict[tuple[object, ...], Taken] = {}
        self._rows = {
            WindowKey(window.subscription_id, window.meter, window.cadence, window.starts_at): window
            for window in row.windows
        }

    def subscription_at(self, product: str, at: datetime) -> SubscriptionRow | None:
        """The subscription of ``product`` that ``at`` falls to, whatever its status."""
        for subscription in self.row.subscriptions:
            if (
                subscription.product == product
                and subscription.starts_at <= at
                and (subscription.ended_at is None or at < subscription.ended_at)
            ):
                return subscription
        return None

    def window(self, subscription_id: UUID, meter: str, cadence: Cadence, span: Span) -> Window:
        key = WindowKey(subscription_id, meter, cadence.value, span.starts_at)
        window = self.windows.get(key)
        if window is None:
            window = self.windows[key] = Window(
                key, span.ends_at, self._rows.get(key), self._taken(key), self._reserved(key, span)
            )
        return window

    def held_credits(self) -> dict[UUID, Decimal]:
        """What reservations keep of each grant."""
        held: dict[UUID, Decimal] = {}
        for hold in self.holds.values():
            for share in hold.credits:
                held[share.grant_id] = held.get(share.grant_id, ZERO) + share.credits
        return held

    def _reserved(self, key: WindowKey, span: Span) -> Decimal:
        return sum(
            (
                hold.quantity
                for hold in self.holds.values()
                if hold.meter == key.meter
                and span.covers(hold.at)
                and (key.cadence != Cadence.PERIOD.value or hold.subscription_id == key.subscription_id)
            ),
            ZERO,
        )

    def _taken(self, key: WindowKey) -> Taken:
        # Coming back to a product resets nothing: what other subscriptions used in a calendar window counts. A billing
        # period is its subscription's own.
        is_own = key.cadence == Cadence.PERIOD.value
        stretch = key if is_own else key[1:]
        taken = self._shared.get(stretch)
        if taken is None:
            rows = [row for other, row in self._rows.items() if (other if is_own else other[1:]) == stretch]
            used = sum((row.used for row in rows), ZERO)
            taken = self._shared[stretch] = Taken(used, max((row.peak for row in rows), default=ZERO))
        return taken

    def charge(self, key: ChargeKey) -> Charge:
        return self.charges.setdefault(key, Charge())


def period_at(subscription: SubscriptionRow, at: datetime) -> PeriodRow | None:
    for period in subscription.periods:
        if period.starts_at <= at < period.ends_at:
            return period
    return None


def billing_period_of(subscription: SubscriptionRow, period: PeriodRow) -> PeriodRow | None:
    """The period that bills use of ``period``: itself, or the first later one that is not closed. Where all are closed
    and no more will come, the last, by a final invoice."""
    later = (p for p in subscription.periods if p.ordinal >= period.ordinal)
    unclosed = min((p for p in later if p.closed_at is None), key=lambda p: p.ordinal, default=None)
    if unclosed is None and subscription.ended_at is not None:
        return max(subscription.periods, key=lambda p: p.ordinal)
    return unclosed


def span_at(subscription: SubscriptionRow, at: datetime) -> SpanRow | None:
    for span in subscription.spans:
        if span.starts_at <= at and (span.ends_at is None or at < span.ends_at):
            return span
    return None
