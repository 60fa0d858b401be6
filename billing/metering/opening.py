"""Opening the books: loading them for the clock that their organizations really live by."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from uuid import UUID

from django.conf import settings

from billing.catalog import queries as catalog_queries
from billing.metering import store
from billing.metering.books import Books
from billing.metering.decisions import Catalog, Decider
from billing.metering.offers import Offer
from billing.metering.store import Clock


def open_books(
    offers_of: Mapping[UUID, Sequence[Offer]], now: datetime, *, locking: bool = False
) -> dict[UUID, Decider]:
    """A decider for each organization; ``now`` is real time, which a sandbox's clock replaces.

    ``locking`` takes the organizations' locks first, as whoever is going to write does. Raises ``Busy``.
    """
    clocks = {
        organization_id: Clock(offers[0].organization.zone, offers[0].organization.clock_at or now)
        for organization_id, offers in offers_of.items()
    }
    books = store.load(offers_of, clocks, locking=locking)
    # The caller's copy of the organization may be older than the lock: a moved clock or zone means other windows.
    moved = {key: current for key, row in books.items() if (current := _clock(row, now)) != clocks[key]}
    if moved:
        clocks |= moved
        books |= store.load({key: offers_of[key] for key in moved}, clocks)
    low_percent = settings.BILLING_CREDITS_LOW_PERCENT
    return {
        key: Decider(
            books[key],
            Catalog(books[key].row.products, catalog_queries.compiled_plan),
            clocks[key].now,
            low_percent=low_percent,
            about=len(offers_of[key]),
        )
        for key in offers_of
    }


def _clock(books: Books, now: datetime) -> Clock:
    return Clock(books.row.zone, books.row.clock_at or now)
