"""The statement that writes one event of the usual kind: nothing new but the event and, where credits paid, its debit.

The same rows as ``writing_many`` writes of a list, with each value bound by itself: what a list is taken apart by costs
half of the time of a list of one. Whatever is not of this kind (a first use in a window, overage, two grants, a line
that was crossed, a payload, flags) is a list.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

from billing.infra import columns
from billing.kernel.ids import new_id
from billing.metering.books import Account, Window
from billing.metering.decisions import Decider

_EVENT_AND_WINDOWS = """
WITH new_event AS (
    INSERT INTO marketplace_usage_events (id, organization_id, subscription_id, period_id, billed_period_id, plan_id,
        meter, service, source, key, fingerprint, quantity, overage, credits_due, credits_paid, guardrail_flags,
        occurred_at, recorded_at)
    VALUES (%s::uuid, %s::uuid, %s::uuid, %s::uuid, %s::uuid, %s::uuid, %s::text, %s::text, %s::text, %s::text,
        decode(%s::text, 'hex'), %s::numeric, 0, %s::numeric, %s::numeric, '{}', %s::timestamptz, %s::timestamptz)),
wanted AS MATERIALIZED (
    SELECT * FROM unnest(%s::bigint[], %s::numeric[], %s::numeric[], %s::bigint[]) AS w(id, was, used, events)),
grown_windows AS (
    UPDATE subscription_usage_ledger usage SET used = w.used, events = w.events
    FROM wanted w WHERE usage.id = w.id AND usage.used = w.was
    RETURNING 1)"""
_CREDITS = """,
drained_grant AS (
    UPDATE marketplace_credit_grants g SET remaining = g.remaining - x.credits, consumed = g.consumed + x.credits
    FROM (SELECT %s::uuid AS id, %s::numeric AS credits) x
    WHERE g.id = x.id AND g.remaining >= x.credits
    RETURNING 1),
account AS (
    UPDATE marketplace_subscriptions a SET credit_balance = x.balance, entries = x.entries
    FROM (SELECT %s::uuid AS id, %s::numeric AS was, %s::numeric AS balance, %s::bigint AS entries) x
    WHERE a.subscription_id = x.id AND a.credit_balance = x.was
    RETURNING 1),
debit AS (
    INSERT INTO marketplace_credit_ledger (id, organization_id, subscription_id, sequence, kind, amount, balance_after,
        grant_id, event_id, actor, reason, booked_at)
    VALUES (%s::uuid, %s::uuid, %s::uuid, %s::bigint, 'debit', -%s::numeric, %s::numeric, %s::uuid, %s::uuid, '', '',
        %s::timestamptz))"""
# The last guard, as in a list: where a row was not as it was loaded, the division fails and all is undone.
_GUARDED = """
SELECT 1 / ((SELECT count(*) FROM grown_windows) = (SELECT count(*) FROM wanted){})::int"""
USE = _EVENT_AND_WINDOWS + _GUARDED.format("")
PAID_USE = (
    _EVENT_AND_WINDOWS
    + _CREDITS
    + _GUARDED.format(" AND (SELECT count(*) FROM drained_grant) = 1 AND (SELECT count(*) FROM account) = 1")
)


def statement(decider: Decider) -> tuple[str, list[str]] | None:
    """The statement that writes what was decided, and its values as text; None where it takes a list's."""
    if len(decider.accepted) != 1 or decider.held or decider.crossings or decider.books.charges:
        return None
    offer, event, fingerprint, _ = decider.accepted[0]
    grown = [window for window in decider.books.windows.values() if window.row is None or _has_grown(window)]
    changed = [account for account in decider.books.accounts.values() if _has_changed(account)]
    is_usual = (
        offer.payload is None
        and not offer.guardrail_flags
        and all(window.row is not None or not window.events for window in grown)
        and len(changed) <= 1
        and all(len(account.debits) == 1 and account.told == account.row.told for account in changed)
        # What libpq would take for the end of the text is refused long before.
        and "\0" not in offer.source + offer.key + offer.service
    )
    if not is_usual:
        return None
    organization_id = str(decider.books.row.organization_id)
    values = [
        str(event.id), organization_id, str(event.subscription_id), str(event.period_id),
        str(event.billed_period_id), str(event.plan_id), event.meter, offer.service, offer.source, offer.key,
        fingerprint, str(event.quantity), str(event.credits_due), str(event.credits_paid), _instant(event.occurred_at),
        _instant(event.recorded_at), *_windows(window for window in grown if window.row is not None),
    ]  # fmt: skip
    if not changed:
        return USE, values
    account = changed[0]
    debit = account.debits[0]
    grant_id, subscription_id, credits = str(debit.grant_id), str(debit.subscription_id), str(debit.credits)
    sequence, balance_after = str(debit.sequence), str(debit.balance_after)
    values += [
        grant_id, credits,
        subscription_id, str(account.row.credit_balance), str(account.balance), str(account.entries),
        str(new_id()), organization_id, subscription_id, sequence, credits, balance_after, grant_id, str(event.id),
        _instant(decider.now),
    ]  # fmt: skip
    return PAID_USE, values


def _has_grown(window: Window) -> bool:
    return window.row is not None and window.events != window.row.events


def _has_changed(account: Account) -> bool:
    return bool(account.debits) or account.told != account.row.told


def _windows(grown: Iterable[Window]) -> tuple[str, str, str, str]:
    """Arrays of ids, of what was used before and after, and of events."""
    rows = [(window.row.id, window.row.used, window.used, window.events) for window in grown if window.row is not None]
    ids, was, used, events = zip(*rows, strict=True) if rows else ((), (), (), ())
    return columns.of_plain(ids), columns.of_plain(was), columns.of_plain(used), columns.of_plain(events)


def _instant(at: datetime) -> str:
    return at.isoformat()
