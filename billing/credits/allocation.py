"""Which grants pay: a pure rule.

Lowest priority number first, then earliest expiry (never-expiring last), then oldest. A grant can pay for an instant
that lies in ``[starts_at, expires_at)``, however late the use is reported, as long as its expiry is not yet booked.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from decimal import Decimal
from typing import NamedTuple, Protocol, TypeVar
from uuid import UUID

from billing.kernel.decimals import ZERO
from billing.kernel.errors import InvariantViolation

_NEVER = datetime(9999, 12, 31, tzinfo=UTC)


class Spendable(Protocol):
    """What the rule looks at; ``remaining`` of a grant whose expiry is booked is zero."""

    @property
    def id(self) -> UUID: ...
    @property
    def priority(self) -> int: ...
    @property
    def starts_at(self) -> datetime: ...
    @property
    def expires_at(self) -> datetime | None: ...
    @property
    def remaining(self) -> Decimal: ...


Grant = TypeVar("Grant", bound=Spendable)


class Share(NamedTuple):
    """``credits`` to take from one grant."""

    grant_id: UUID
    credits: Decimal


def is_spendable(grant: Spendable, at: datetime) -> bool:
    return grant.starts_at <= at and (grant.expires_at is None or at < grant.expires_at)


def in_drain_order(grants: Iterable[Grant]) -> list[Grant]:
    return sorted(grants, key=lambda grant: (grant.priority, grant.expires_at or _NEVER, grant.starts_at, grant.id))


def give_back(paid: Iterable[Share], *, before: Mapping[UUID, Decimal], credits: Decimal) -> list[Share]:
    """Which grants get ``credits`` back of what they ``paid``, in that order: the last to pay is the first to get.

    ``before`` is what each got back already. Raises ``InvariantViolation`` where they did not pay as much.
    """
    shares: list[Share] = []
    missing = credits
    for share in reversed(list(paid)):
        back = min(missing, share.credits - before.get(share.grant_id, ZERO))
        if back > ZERO:
            shares.append(Share(share.grant_id, back))
            missing -= back
    if missing:
        raise InvariantViolation(f"{missing} credits to give back that no grant paid")
    return shares


def allocate(grants: Sequence[Spendable], *, credits: Decimal, at: datetime) -> tuple[list[Share], Decimal]:
    """Split ``credits`` over ``grants``, which are in drain order. Returns the shares and what nobody pays for."""
    shares: list[Share] = []
    missing = credits
    for grant in grants:
        if missing <= ZERO:
            break
        remaining = grant.remaining
        if remaining > ZERO and is_spendable(grant, at):
            share = missing if missing < remaining else remaining
            shares.append(Share(grant.id, share))
            missing -= share
    return shares, missing
