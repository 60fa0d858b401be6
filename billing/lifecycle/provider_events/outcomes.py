"""How an event went, and what its application needs to know."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from billing.accounts.actors import Act, Actor, system
from billing.models import Organization

# The provider vouches for payment, so it acts with an operator's rights.
PROVIDER = system("provider")
# It tells of a sign-up, and vouches for nothing yet.
UNVOUCHED = Actor(name=PROVIDER.name, scopes=frozenset({Act.READ, Act.SUBSCRIBE}))


class Waits(Exception):
    """The event names something that is not known yet: ``awaits``, such as ``payment:pi_1``. Not an error."""

    def __init__(self, awaits: str, reason: str) -> None:
        super().__init__(reason)
        self.awaits = awaits


@dataclass(frozen=True, slots=True)
class Context:
    """``now`` is the organization's time; ``event_id`` the provider's."""

    provider: str
    event_id: str
    organization: Organization
    now: datetime

    def no_later(self, at: datetime) -> datetime:
        """``at``, or now where the provider's clock is ahead of ours (or a sandbox's behind it)."""
        return min(at, self.now)


@dataclass(frozen=True, slots=True)
class Outcome:
    """``reason`` says why nothing, or not all, was done. ``known`` is what others may have waited for."""

    is_applied: bool
    reason: str = ""
    known: tuple[str, ...] = ()


OUTDATED = Outcome(is_applied=False, reason="Something later is known of it.")
