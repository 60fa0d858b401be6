"""The statement that writes what was decided of lists: any number of events, of any kind, of several organizations.

Events and their debits, of which there are as many as offers, go as columns; what most of them have in common stands
once, and each names its place. The few rows beside them (windows, grants, accounts, charges, messages, payloads) are
one JSON document.
"""

from __future__ import annotations

from collections.abc import Collection, Hashable
from decimal import Decimal
from itertools import islice
from typing import Any, Generic, NamedTuple, TypeVar

import msgspec

from billing.infra import columns
from billing.kernel.decimals import plain
from billing.kernel.ids import new_id, new_ids
from billing.metering.books import Account, Debit
from billing.metering.decisions import Accepted, Decider

WRITE = """
WITH new_events AS (
    INSERT INTO marketplace_usage_events (id, organization_id, subscription_id, period_id, billed_period_id, plan_id,
        meter, service, source, guardrail_flags, recorded_at, key, fingerprint, quantity, overage, credits_due,
        credits_paid, occurred_at)
    SELECT e.id, (%s::uuid[])[e.kind], (%s::uuid[])[e.kind], (%s::uuid[])[e.kind], (%s::uuid[])[e.kind],
        (%s::uuid[])[e.kind], (%s::text[])[e.kind], (%s::text[])[e.kind], (%s::text[])[e.kind],
        (%s::text[])[e.kind]::text[], (%s::timestamptz[])[e.kind], e.key, decode(e.fingerprint, 'hex'), e.quantity,
        e.overage, e.credits_due, e.credits_paid, e.occurred_at
    FROM unnest(%s::int[], %s::uuid[], %s::text[], %s::text[], %s::numeric[], %s::numeric[], %s::numeric[],
        %s::numeric[], %s::timestamptz[])
        AS e(kind, id, key, fingerprint, quantity, overage, credits_due, credits_paid, occurred_at)
    RETURNING 1),
debits AS (
    INSERT INTO marketplace_credit_ledger (id, organization_id, subscription_id, sequence, kind, amount, balance_after,
        grant_id, event_id, actor, reason, booked_at)
    SELECT x.id, (%s::uuid[])[x.kind], (%s::uuid[])[x.kind], x.sequence, 'debit', -x.credits, x.balance_after,
        (%s::uuid[])[x.kind], x.event_id, '', '', (%s::timestamptz[])[x.kind]
    FROM unnest(%s::int[], %s::uuid[], %s::bigint[], %s::numeric[], %s::numeric[], %s::uuid[])
        AS x(kind, id, sequence, credits, balance_after, event_id)
    RETURNING 1),
doc AS MATERIALIZED (SELECT %s::jsonb AS d),
new_payloads AS (
    INSERT INTO usage_event_payloads (event_id, organization_id, payload)
    SELECT p.event_id, p.organization_id, p.payload
    FROM doc, jsonb_to_recordset(d->'payloads') AS p(event_id uuid, organization_id uuid, payload jsonb)
    RETURNING 1),
new_windows AS (
    INSERT INTO subscription_usage_ledger (organization_id, subscription_id, meter, cadence, starts_at, ends_at, used,
        overage, events)
    SELECT w.organization_id, w.subscription_id, w.meter, w.cadence, w.starts_at, w.ends_at, w.used, w.overage, w.events
    FROM doc, jsonb_to_recordset(d->'new_windows') AS w(organization_id uuid, subscription_id uuid, meter text,
        cadence text, starts_at timestamptz, ends_at timestamptz, used numeric, overage numeric, events bigint)
    RETURNING 1),
-- "used = was" is the last guard: should anyone ever write without the lock, this finds no row and all is undone.
grown_windows AS (
    UPDATE subscription_usage_ledger usage SET used = w.used, overage = w.overage, events = w.events
    FROM doc, jsonb_to_recordset(d->'windows') AS w(id bigint, was numeric, used numeric, overage numeric,
        events bigint)
    WHERE usage.id = w.id AND usage.used = w.was
    RETURNING 1),
drained_grants AS (
    UPDATE marketplace_credit_grants g SET remaining = g.remaining - x.credits, consumed = g.consumed + x.credits
    FROM doc, jsonb_to_recordset(d->'grants') AS x(id uuid, credits numeric)
    WHERE g.id = x.id AND g.remaining >= x.credits
    RETURNING 1),
accounts AS (
    UPDATE marketplace_subscriptions a SET credit_balance = x.balance, entries = x.entries, told = x.told
    FROM doc, jsonb_to_recordset(d->'accounts') AS x(id uuid, was numeric, balance numeric, entries bigint,
        told smallint)
    WHERE a.subscription_id = x.id AND a.credit_balance = x.was
    RETURNING 1),
charges AS (
    INSERT INTO billing_usage_charges AS c (organization_id, subscription_id, billed_period_id, service_period_id,
        plan_id, meter, overage, credit_deficit)
    SELECT x.organization_id, x.subscription_id, x.billed_period_id, x.service_period_id, x.plan_id, x.meter,
        x.overage, x.credit_deficit
    FROM doc, jsonb_to_recordset(d->'charges') AS x(organization_id uuid, subscription_id uuid, billed_period_id uuid,
        service_period_id uuid, plan_id uuid, meter text, overage numeric, credit_deficit numeric)
    ON CONFLICT (organization_id, subscription_id, billed_period_id, service_period_id, plan_id, meter) DO UPDATE
        SET overage = c.overage + excluded.overage, credit_deficit = c.credit_deficit + excluded.credit_deficit
    RETURNING 1),
messages AS (
    INSERT INTO billing_outbox (id, organization_id, topic, payload, created_at)
    SELECT x.id, x.organization_id, x.topic, x.payload, x.created_at
    FROM doc, jsonb_to_recordset(d->'outbox') AS x(id uuid, organization_id uuid, topic text, payload jsonb,
        created_at timestamptz)
    RETURNING 1)
SELECT (SELECT count(*) FROM new_events), (SELECT count(*) FROM debits), (SELECT count(*) FROM new_payloads),
    (SELECT count(*) FROM new_windows), (SELECT count(*) FROM grown_windows), (SELECT count(*) FROM drained_grants),
    (SELECT count(*) FROM accounts), (SELECT count(*) FROM charges), (SELECT count(*) FROM messages)
"""

_OF_DOCUMENT = ("payloads", "new_windows", "windows", "grants", "accounts", "charges", "outbox")
# In the order in which ``WRITE`` counts them.
PARTS = ("events", "debits", *_OF_DOCUMENT)

Row = TypeVar("Row", bound=Hashable)


class Statement(NamedTuple):
    """The values of ``WRITE``, and how many rows of each of ``PARTS`` it has to tell of."""

    values: list[str]
    rows: tuple[int, ...]


def statement(deciders: Collection[Decider]) -> Statement | None:
    """What writes all that was decided; None where nothing was accepted."""
    if not any(decider.accepted for decider in deciders):
        return None
    events, debits = _Events(), _Debits()
    document: dict[str, list[Any]] = {part: [] for part in _OF_DOCUMENT}
    for decider in deciders:
        events.add(decider)
        for account in decider.books.accounts.values():
            debits.add(decider, account)
        _collect(decider, document)
    values = [*events.columns(), *debits.columns(), msgspec.json.encode(document).decode()]
    counts = (len(events.rows), len(debits.rows), *(len(document[part]) for part in _OF_DOCUMENT))
    return Statement(values, counts)


class _Kinds(Generic[Row]):
    """Different rows, each once; the first has the place 1."""

    def __init__(self) -> None:
        self._places: dict[Row, int] = {}

    def place(self, row: Row) -> int:
        return self._places.setdefault(row, len(self._places) + 1)

    def columns(self, width: int) -> list[tuple[Any, ...]]:
        return list(zip(*self._places, strict=True)) or [()] * width


class _Events:
    def __init__(self) -> None:
        self._kinds: _Kinds[tuple[Hashable, ...]] = _Kinds()
        self.rows: list[Accepted] = []
        self._places: list[int] = []

    def add(self, decider: Decider) -> None:
        organization_id = decider.books.row.organization_id
        # A stretch lives as long as what was accepted in it, so no two share an ``id``; and they are few, where asking
        # for the identifiers of each event would hash five of them.
        known: dict[tuple[int, str, str, tuple[str, ...]], int] = {}
        for each in decider.accepted:
            offer = each.offer
            said = (id(each.stretch), offer.source, offer.service, offer.guardrail_flags)
            place = known.get(said)
            if place is None:
                terms = each.stretch.terms
                place = known[said] = self._kinds.place(
                    (
                        organization_id,
                        each.event.subscription_id,
                        terms.period.id,
                        terms.billed.id,
                        terms.span.plan_id,
                        offer.meter,
                        offer.service,
                        offer.source,
                        offer.guardrail_flags,
                        decider.now,
                    )
                )
            self._places.append(place)
        self.rows += decider.accepted

    def columns(self) -> list[str]:
        *identifiers, meters, services, sources, flags, recorded = self._kinds.columns(10)
        events = [each.event for each in self.rows]
        return [
            *map(columns.of_ids, identifiers),
            *map(columns.of_texts, (meters, services, sources, [columns.of_texts(each) for each in flags])),
            columns.of_instants(recorded),
            columns.of_plain(self._places),
            columns.of_ids(event.id for event in events),
            columns.of_texts([each.offer.key for each in self.rows]),
            columns.of_plain([each.fingerprint for each in self.rows]),
            columns.of_plain([event.quantity for event in events]),
            columns.of_plain([event.overage for event in events]),
            columns.of_plain([event.credits_due for event in events]),
            columns.of_plain([event.credits_paid for event in events]),
            columns.of_instants([event.occurred_at for event in events]),
        ]


class _Debits:
    def __init__(self) -> None:
        self._kinds: _Kinds[tuple[Hashable, ...]] = _Kinds()
        self.rows: list[Debit] = []
        self._places: list[int] = []

    def add(self, decider: Decider, account: Account) -> None:
        organization_id = decider.books.row.organization_id
        last, place = None, 0
        for debit in account.debits:
            if debit.grant_id is not last:
                last = debit.grant_id
                place = self._kinds.place((organization_id, debit.subscription_id, last, decider.now))
            self._places.append(place)
        self.rows += account.debits

    def columns(self) -> list[str]:
        *identifiers, booked = self._kinds.columns(4)
        rows = self.rows
        return [
            *map(columns.of_ids, identifiers),
            columns.of_instants(booked),
            columns.of_plain(self._places),
            columns.of_ids(islice(new_ids(len(rows) or 1), len(rows))),
            columns.of_plain([debit.sequence for debit in rows]),
            columns.of_plain([debit.credits for debit in rows]),
            columns.of_plain([debit.balance_after for debit in rows]),
            columns.of_ids(debit.event_id for debit in rows),
        ]


def _collect(decider: Decider, document: dict[str, list[Any]]) -> None:
    """The few rows that a decider leaves beside events and debits."""
    organization_id = decider.books.row.organization_id
    document["payloads"].extend(
        {"event_id": each.event.id, "organization_id": organization_id, "payload": each.offer.payload}
        for each in decider.accepted
        if each.offer.payload is not None
    )
    for window in decider.books.windows.values():
        grown = {"used": window.used, "overage": window.overage, "events": window.events}
        if window.row is not None and window.events != window.row.events:
            document["windows"].append({"id": window.row.id, "was": window.row.used, **grown})
        elif window.row is None and window.events:
            document["new_windows"].append(
                {**window.key._asdict(), "organization_id": organization_id, "ends_at": window.ends_at, **grown}
            )
    for account in decider.books.accounts.values():
        if account.debits or account.told != account.row.told:
            document["accounts"].append(
                {
                    "id": account.row.id,
                    "was": account.row.credit_balance,
                    "balance": account.balance,
                    "entries": account.entries,
                    "told": account.told,
                }
            )
            document["grants"].extend({"id": grant_id, "credits": credits} for grant_id, credits in account.drained())
    for key, charge in decider.books.charges.items():
        document["charges"].append(
            {
                **key._asdict(),
                "organization_id": organization_id,
                "overage": charge.overage,
                "credit_deficit": charge.credit_deficit,
            }
        )
    for crossing in decider.crossings:
        fields = {
            key: plain(value) if isinstance(value, Decimal) else value
            for key, value in crossing._asdict().items()
            if key != "topic"
        }
        document["outbox"].append(
            {
                "id": new_id(),
                "organization_id": organization_id,
                "topic": crossing.topic,
                "payload": fields,
                "created_at": decider.now,
            }
        )
