"""What waits for a person: counts of rows that ask for somebody, each by an index of just those rows.

Sandboxes are left out. ``regions`` are those that the reader is cleared for; None is all.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime

from django.db import connection

from billing.models import InvariantResult

_OURS = """
    JOIN organizations AS organization ON organization.id = {0}.organization_id AND NOT organization.is_sandbox
        AND (%(regions)s::text[] IS NULL OR organization.residency_region = ANY(%(regions)s))
"""
_SQL = f"""
SELECT * FROM
    (SELECT count(*) FILTER (WHERE subscription.parked_at IS NOT NULL),
        count(*) FILTER (WHERE subscription.held_at IS NOT NULL)
    FROM organization_subscriptions AS subscription {_OURS.format("subscription")}
    WHERE subscription.parked_at IS NOT NULL OR subscription.held_at IS NOT NULL) AS renewals (parked, held),
    (SELECT count(*) FILTER (WHERE invoice.parked_at IS NOT NULL),
        count(*) FILTER (WHERE invoice.held_at IS NOT NULL), count(*)
    FROM marketplace_invoices AS invoice {_OURS.format("invoice")}
    -- An order of credits waits for its customer, and for nobody here.
    WHERE invoice.status = 'draft' AND invoice.issue_due_at IS NULL AND invoice.kind <> 'purchase')
        AS drafts (parked, held, waiting),
    (SELECT count(*) FROM marketplace_invoices AS invoice {_OURS.format("invoice")}
    WHERE invoice.status = 'issued' AND invoice.due_on < %(today)s) AS late (overdue),
    (SELECT count(*) FILTER (WHERE collection.closed_at IS NULL),
        count(*) FILTER (WHERE collection.past_due_at IS NOT NULL AND collection.lifted_at IS NULL)
    FROM billing_collections AS collection {_OURS.format("collection")}
    WHERE collection.dunning_at IS NOT NULL AND (collection.closed_at IS NULL
        OR collection.past_due_at IS NOT NULL AND collection.lifted_at IS NULL)) AS dunned (dunnings, past_due),
    (SELECT count(*) FROM billing_credit_requests AS request {_OURS.format("request")}
    WHERE request.status = 'waiting' AND request.lapses_at > %(now)s) AS asked (approvals),
    (SELECT count(*) FROM webhook_deliveries AS delivery {_OURS.format("delivery")}
    WHERE delivery.status = 'pending' AND delivery.failures > 0) AS failing (deliveries),
    (SELECT count(*) FROM webhook_endpoints AS endpoint {_OURS.format("endpoint")}
    WHERE endpoint.pause_reason = 'failing' AND endpoint.disabled_at IS NULL) AS given_up (endpoints),
    (SELECT count(*) FROM billing_provider_events WHERE status = 'parked') AS inbox (parked)
"""  # noqa: S608 - put together from constants


@dataclass(frozen=True, slots=True)
class Today:
    """How many of each wait. ``drafts`` are all drafts that nobody issues, parked and held ones among them."""

    renewals_parked: int
    renewals_held: int
    drafts_parked: int
    drafts_held: int
    drafts: int
    overdue: int
    dunnings: int
    past_due: int
    approvals: int
    deliveries_failing: int
    endpoints_paused: int
    # Of no organization before they are applied: the reader's regions say nothing of them.
    provider_events_parked: int


@dataclass(frozen=True, slots=True)
class Verified:
    """How the books stood when they were verified last, all of them: rows that broke each invariant. ``at`` None:
    never."""

    at: datetime | None
    violations: Mapping[str, int]

    @property
    def broken(self) -> dict[str, int]:
        return {name: rows for name, rows in self.violations.items() if rows}


def today(*, now: datetime, regions: Collection[str] | None) -> Today:
    """One statement. ``now`` is real time."""
    with connection.cursor() as cursor:
        cursor.execute(_SQL, {"now": now, "today": now.date(), "regions": None if regions is None else sorted(regions)})
        return Today(*cursor.fetchone())


def last_verified() -> Verified:
    """What the last verification left of each invariant; nothing is verified here."""
    rows = list(InvariantResult.objects.order_by("name").values_list("name", "violations", "verified_at"))
    return Verified(max((at for *_, at in rows), default=None), {name: violations for name, violations, _at in rows})
