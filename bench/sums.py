"""The books after a load: events = used = debits = ledger, or the figure is worth nothing."""

from __future__ import annotations

import psycopg

from bench.contests import Spoiled

_BOOKS = """
SELECT
    (SELECT count(*) FROM marketplace_usage_events WHERE meter = 'calls') AS events,
    (SELECT coalesce(sum(quantity), 0) FROM marketplace_usage_events WHERE meter = 'calls') AS units,
    (SELECT coalesce(sum(used), 0) FROM subscription_usage_ledger
        WHERE meter = 'calls' AND cadence = 'never') AS used,
    (SELECT coalesce(sum(credits_paid), 0) FROM marketplace_usage_events WHERE meter = 'calls') AS paid,
    (SELECT coalesce(-sum(amount), 0) FROM marketplace_credit_ledger
        WHERE kind = 'debit' AND event_id IS NOT NULL) AS debited,
    (SELECT coalesce(sum(amount), 0) FROM marketplace_credit_ledger) AS booked,
    (SELECT coalesce(sum(credit_balance), 0) FROM marketplace_subscriptions) AS balance
"""


class BooksDisagree(Spoiled):
    """Something was lost or counted twice."""


class Books:
    """Watches the books of one database between loads. ``told`` are events that were answered as recorded, ``asked``
    those that were sent at all: at its end a load leaves some whose answer nobody waits for."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._events = self._read()["events"]
        self.told = self.asked = 0
        # Sent by the end of an earlier load, and perhaps recorded after the books were looked at.
        self._late = 0

    def check(self) -> None:
        """Raises ``BooksDisagree``."""
        found = self._read()
        recorded = found["events"] - self._events
        self._events += recorded
        told, asked = self.told, self.asked + self._late
        self.told = self.asked = 0
        self._late = asked - recorded
        if not told <= recorded <= asked:
            raise BooksDisagree(f"{asked} events were sent, {told} answered, {recorded} recorded")
        if found["units"] != found["used"]:
            raise BooksDisagree(f"{found['units']} units in events, {found['used']} in windows")
        if not found["paid"] == found["debited"] or found["booked"] != found["balance"]:
            raise BooksDisagree(
                f"{found['paid']} credits paid, {found['debited']} debited; "
                f"{found['booked']} booked, {found['balance']} on balances"
            )

    def _read(self) -> dict[str, int]:
        with psycopg.connect(self._url, row_factory=psycopg.rows.dict_row) as connection:
            found: dict[str, int] | None = connection.execute(_BOOKS).fetchone()
        assert found is not None  # noqa: S101 - one row of totals
        return found
