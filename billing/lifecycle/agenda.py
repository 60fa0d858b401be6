"""All that time alone brings about for an organization, in order.

A source knows when it next has something to do, and does what is due by a time. Beat runs each source's sweep over
everybody; a sandbox's clock runs them all for one organization, each on its own instant.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Protocol
from uuid import UUID

from billing.accounts.actors import Actor
from billing.invoicing import operations as invoicing_operations
from billing.invoicing import queries as invoicing_queries
from billing.lifecycle import renew
from billing.lifecycle.collecting import operations as collecting_operations
from billing.lifecycle.collecting import queries as collecting_queries
from billing.lifecycle.happenings import Happening
from billing.lifecycle.purchasing import operations as purchasing_operations
from billing.lifecycle.purchasing import queries as purchasing_queries
from billing.models import Invoice


class Source(Protocol):
    def next_due(self, organization_id: UUID) -> datetime | None:
        """When something of this source next falls due; None if nothing will."""
        ...

    def run(self, organization_id: UUID, *, now: datetime, actor: Actor) -> list[Happening]:
        """Do what is due by ``now``. Afterwards ``next_due`` is later, or None."""
        ...


class Renewals:
    def next_due(self, organization_id: UUID) -> datetime | None:
        return renew.next_due(organization_id)

    def run(self, organization_id: UUID, *, now: datetime, actor: Actor) -> list[Happening]:
        return renew.renew_due(organization_id=organization_id, now=now, actor=actor)


class Issuing:
    def next_due(self, organization_id: UUID) -> datetime | None:
        return invoicing_queries.next_issue_due(organization_id)

    def run(self, organization_id: UUID, *, now: datetime, actor: Actor) -> list[Happening]:
        moved = invoicing_operations.issue_due(
            organization_id=organization_id, now=now, actor=invoicing_operations.ISSUING
        )
        return [_told(invoice, now) for invoice in moved]


class Collecting:
    def next_due(self, organization_id: UUID) -> datetime | None:
        return collecting_queries.next_due(organization_id)

    def run(self, organization_id: UUID, *, now: datetime, actor: Actor) -> list[Happening]:
        return collecting_operations.run(organization_id=organization_id, now=now)


class Purchases:
    def next_due(self, organization_id: UUID) -> datetime | None:
        return purchasing_queries.next_lapse(organization_id)

    def run(self, organization_id: UUID, *, now: datetime, actor: Actor) -> list[Happening]:
        return purchasing_operations.withdraw_due(organization_id=organization_id, now=now)


# At one instant in this order: a period's draft is there before it could be issued, and issued before it is collected.
SOURCES: Sequence[Source] = (Renewals(), Issuing(), Collecting(), Purchases())


def run_until(organization_id: UUID, *, to: datetime, actor: Actor, at: Clock) -> list[Happening]:
    """Run all that falls due up to ``to``, the earliest first, telling ``at`` each instant before it is lived."""
    happenings: list[Happening] = []
    while (due := _next(organization_id, to)) is not None:
        due_at, source = due
        at(due_at)
        happenings += source.run(organization_id, now=due_at, actor=actor)
    return happenings


class Clock(Protocol):
    def __call__(self, at: datetime, /) -> None: ...


def _next(organization_id: UUID, to: datetime) -> tuple[datetime, Source] | None:
    found = [
        (due_at, place)
        for place, source in enumerate(SOURCES)
        if (due_at := source.next_due(organization_id)) is not None and due_at <= to
    ]
    if not found:
        return None
    due_at, place = min(found)
    return due_at, SOURCES[place]


def _told(invoice: Invoice, at: datetime) -> Happening:
    topic = "invoice.parked" if invoice.parked_at else f"invoice.{invoice.status}"
    return Happening(at, topic, str(invoice.subscription_id), {"invoice_id": str(invoice.id), "number": invoice.number})
