"""Who else acts when an invoice is issued or its status moves, in the transaction that moved it.

Invoicing stands below whoever collects, and must not know of it. So they register here, once, as the application
starts. A follower that raises refuses the move.
"""

from __future__ import annotations

from datetime import datetime
from typing import Protocol

from billing.models import Invoice


class Follower(Protocol):
    def __call__(self, invoice: Invoice, *, was: str, now: datetime) -> None:
        """``invoice`` has its new status and is loaded with what ``settlement`` reads; the lock is held."""
        ...


_followers: list[Follower] = []


def register(follower: Follower) -> None:
    if follower not in _followers:
        _followers.append(follower)


def tell(invoice: Invoice, *, was: str, now: datetime) -> None:
    for follower in _followers:
        follower(invoice, was=was, now=now)
