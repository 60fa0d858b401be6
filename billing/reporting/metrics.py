"""What Prometheus reads about the books: counted from committed rows at the moment of the scrape.

So the figures equal the facts across processes, restarts and rollbacks. Nothing here grows with the number of events:
windows, counts per hour and states are summed, never events.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from django.db import connection, transaction
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric

from billing.models import SERVED, InvariantResult, Status

# A scrape that takes longer is of no use to the scraper, whose own time-out is about that.
STATEMENT_TIMEOUT = "8s"

Row = Sequence[Any]


def list_families(now: datetime) -> list[Metric]:
    """Read all figures. Raises ``django.db.Error`` if the database does not answer in time. ``now`` is real time."""
    with transaction.atomic():
        _query("SELECT set_config('statement_timeout', %s, true)", STATEMENT_TIMEOUT)
        return [family for source in _SOURCES for family in source(now)]


def _events(_: datetime) -> Iterable[Metric]:
    rows = _query("SELECT meter, sum(events) FROM subscription_usage_ledger WHERE cadence = 'never' GROUP BY meter")
    yield _counter("billing_events", "Usage events recorded, from lifetime windows.", ["meter"], rows)


def _violations(_: datetime) -> Iterable[Metric]:
    rows = _query("SELECT note, sum(count) FROM billing_refusal_counts GROUP BY note")
    yield _counter("plan_limit_violations", "Uses refused by a plan, by the note of the refusal.", ["note"], rows)


def _outbox(now: datetime) -> Iterable[Metric]:
    # The age is read off the identifier (real time, milliseconds): created_at of a sandbox follows its own clock. The
    # least identifier comes from the partial index as text, as PostgreSQL before 18 has no min(uuid).
    ((pending, oldest),) = _query("SELECT count(*), min(id::text) FROM billing_outbox WHERE processed_at IS NULL")
    age = (now - datetime.fromtimestamp((UUID(oldest).int >> 80) / 1000, UTC)).total_seconds() if oldest else 0.0
    yield _gauge("billing_outbox_pending", "Domain events that wait to be distributed.", [], [(pending,)])
    yield _gauge("billing_outbox_oldest_seconds", "Age of the oldest of them.", [], [(max(age, 0.0),)])


def _webhooks(_: datetime) -> Iterable[Metric]:
    rows = _query(
        """
        SELECT CASE WHEN paused_at IS NULL THEN 'active' ELSE 'paused_' || pause_reason END AS state, count(*)
        FROM webhook_endpoints WHERE disabled_at IS NULL GROUP BY state
        """
    )
    counts: dict[str, int] = dict.fromkeys(("active", "paused_manual", "paused_failing"), 0)
    counts.update((state, number) for state, number in rows)
    yield _gauge("billing_webhook_endpoints", "Webhook endpoints by state.", ["state"], list(counts.items()))
    rows = _query(
        """
        SELECT count(*) FROM webhook_deliveries AS delivery
        JOIN webhook_endpoints AS endpoint ON endpoint.id = delivery.endpoint_id AND endpoint.disabled_at IS NULL
        WHERE delivery.status = 'pending'
        """
    )
    yield _gauge("billing_webhook_deliveries_pending", "Messages that wait for an endpoint.", [], rows)


def _providers(now: datetime) -> Iterable[Metric]:
    rows = _query(
        "SELECT status, count(*) FROM billing_provider_events WHERE status <> ALL(%s) GROUP BY 1", _DEALT_WITH
    )
    counts: dict[str, int] = {"waiting": 0, "parked": 0}
    counts.update((status, number) for status, number in rows)
    yield _gauge(
        "billing_provider_events", "Providers' events not dealt with yet, by status.", ["status"], list(counts.items())
    )
    ((oldest,),) = _query("SELECT min(received_at) FROM billing_provider_events WHERE status = 'waiting'")
    age = max((now - oldest).total_seconds(), 0.0) if oldest else 0.0
    yield _gauge("billing_provider_events_oldest_seconds", "Age of the oldest that waits.", [], [(age,)])


def _subscriptions(_: datetime) -> Iterable[Metric]:
    rows = _query(
        """
        SELECT subscription.status, plan.code, count(*)
        FROM organization_subscriptions AS subscription JOIN billing_plans AS plan ON plan.id = subscription.plan_id
        GROUP BY subscription.status, plan.code
        """
    )
    yield _gauge("billing_subscriptions", "Subscriptions by status and plan.", ["status", "plan"], rows)


def _invoices(_: datetime) -> Iterable[Metric]:
    rows = _query("SELECT status, count(*) FROM marketplace_invoices GROUP BY status")
    yield _gauge("billing_invoices", "Invoices by status.", ["status"], rows)


# Beat looks every minute; a draft that is due for longer was missed, or the worker is down.
ISSUE_LATE_AFTER = timedelta(minutes=15)


def _drafts(now: datetime) -> Iterable[Metric]:
    ((held, parked, overdue),) = _query(
        """
        SELECT count(*) FILTER (WHERE invoice.held_at IS NOT NULL),
            count(*) FILTER (WHERE invoice.parked_at IS NOT NULL),
            count(*) FILTER (WHERE invoice.issue_due_at < %s)
        FROM marketplace_invoices AS invoice
        JOIN organizations AS organization ON organization.id = invoice.organization_id AND NOT organization.is_sandbox
        WHERE invoice.status = 'draft'
        """,
        now - ISSUE_LATE_AFTER,
    )
    for name, text, number in (
        ("billing_invoices_held", "Drafts that somebody keeps from issuing themselves, sandboxes left out.", held),
        (
            "billing_invoices_parked",
            "Drafts that wait for a human because they look wrong, sandboxes left out.",
            parked,
        ),
        ("billing_invoices_overdue_for_issue", "Drafts that should have issued themselves 15 minutes ago.", overdue),
    ):
        yield _gauge(name, text, [], [(number,)])


def _collecting(now: datetime) -> Iterable[Metric]:
    rows = _query(
        """
        SELECT figure, state, count(*) FROM (
            SELECT 'dunnings' AS figure, organization_id,
                CASE WHEN past_due_at IS NOT NULL AND lifted_at IS NULL THEN 'past_due' ELSE 'grace' END AS state
            FROM billing_collections WHERE closed_at IS NULL AND dunning_at IS NOT NULL
            UNION ALL
            SELECT 'overdue', organization_id, '' FROM billing_collections
            WHERE next_at < %s::timestamptz - interval '1 hour'
            UNION ALL
            SELECT 'charges', organization_id, status FROM billing_charge_attempts
            WHERE status IN ('started', 'pending', 'unknown')
        ) AS counted
        JOIN organizations AS organization ON organization.id = counted.organization_id AND NOT organization.is_sandbox
        GROUP BY figure, state
        """,
        now,
    )
    counts: dict[tuple[str, str], int] = dict.fromkeys(_COLLECTING, 0)
    counts |= {(figure, state): number for figure, state, number in rows}

    def of(figure: str) -> list[Row]:
        return [(state, number) for (its, state), number in counts.items() if its == figure]

    yield _gauge("billing_dunnings_open", "Open dunnings, sandboxes left out.", ["state"], of("dunnings"))
    yield _gauge("billing_charges_unanswered", "Charges without a final answer.", ["status"], of("charges"))
    overdue = [(counts["overdue", ""],)]
    yield _gauge("billing_collections_overdue", "Collections that were due an hour ago.", [], overdue)


def _mails(_: datetime) -> Iterable[Metric]:
    rows = _query("SELECT status, count(*) FROM billing_mails WHERE status IN ('pending', 'parked') GROUP BY status")
    counts: dict[str, int] = dict.fromkeys(("pending", "parked"), 0)
    counts.update((status, number) for status, number in rows)
    yield _gauge("billing_mails_unsent", "E-mail that waits, or was given up.", ["status"], list(counts.items()))


def _debit_holds(now: datetime) -> Iterable[Metric]:
    ((waiting, oldest),) = _query(
        """
        SELECT count(*), min(hold.held_at)
        FROM usage_debit_holds AS hold
        JOIN organizations AS organization ON organization.id = hold.organization_id AND NOT organization.is_sandbox
        WHERE NOT EXISTS (SELECT FROM usage_debit_resolutions AS done WHERE done.hold_id = hold.event_id)
        """
    )
    age = max((now - oldest).total_seconds(), 0.0) if oldest else 0.0
    yield _gauge("billing_debits_held", "Debits that a guardrail holds, sandboxes left out.", [], [(waiting,)])
    yield _gauge("billing_debits_held_oldest_seconds", "Age of the oldest of them.", [], [(age,)])


def _credits(_: datetime) -> Iterable[Metric]:
    rows = _query(
        """
        SELECT coalesce(sum(account.credit_balance), 0)
        FROM marketplace_subscriptions AS account
        JOIN organizations AS organization ON organization.id = account.organization_id AND NOT organization.is_sandbox
        WHERE account.credit_balance > 0
        """
    )
    yield _gauge("billing_credit_liability", "Credits granted and not yet used, sandboxes left out.", [], rows)


def _overdue(now: datetime) -> Iterable[Metric]:
    rows = _query(
        """
        SELECT count(*)
        FROM organization_subscriptions AS subscription
        JOIN organizations AS organization ON organization.id = subscription.organization_id
        WHERE subscription.status = ANY(%s) AND NOT organization.is_sandbox
            AND NOT EXISTS (
                SELECT FROM subscription_periods AS period
                WHERE period.subscription_id = subscription.id AND period.ends_at > %s
            )
        """,
        _RENEWING,
        now,
    )
    yield _gauge("billing_periods_overdue", "Subscriptions whose last period ended and was not renewed.", [], rows)


def _invariants(_: datetime) -> Iterable[Metric]:
    rows = list(InvariantResult.objects.order_by("name").values_list("name", "violations", "verified_at"))
    yield _gauge(
        "billing_invariant_violations",
        "Rows that broke an invariant when it was last asked of all books.",
        ["invariant"],
        [(name, violations) for name, violations, _at in rows],
    )
    yield _gauge(
        "billing_invariant_verified_timestamp_seconds",
        "When an invariant was last asked of all books, in seconds since 1970.",
        ["invariant"],
        [(name, at.timestamp()) for name, _violations, at in rows],
    )
    yield _gauge(
        "billing_verified_timestamp_seconds",
        "When all books were last verified, in seconds since 1970; 0 if never.",
        [],
        [(max((at.timestamp() for *_, at in rows), default=0),)],
    )


# Incomplete and paused subscriptions have no next period to wait for.
_RENEWING = [*(status.value for status in SERVED), Status.PAST_DUE.value]
_COLLECTING = (
    ("dunnings", "grace"),
    ("dunnings", "past_due"),
    ("charges", "started"),
    ("charges", "pending"),
    ("charges", "unknown"),
    ("overdue", ""),
)
_DEALT_WITH = ["applied", "ignored"]
_SOURCES: tuple[Callable[[datetime], Iterable[Metric]], ...] = (
    _events,
    _violations,
    _outbox,
    _webhooks,
    _providers,
    _subscriptions,
    _invoices,
    _drafts,
    _collecting,
    _mails,
    _debit_holds,
    _credits,
    _overdue,
    _invariants,
)


def _counter(name: str, text: str, labels: Sequence[str], rows: Iterable[Row]) -> Metric:
    family = CounterMetricFamily(name, text, labels=labels)
    for *values, value in rows:
        family.add_metric([str(label) for label in values], float(value))
    return family


def _gauge(name: str, text: str, labels: Sequence[str], rows: Iterable[Row]) -> Metric:
    family = GaugeMetricFamily(name, text, labels=labels)
    for *values, value in rows:
        family.add_metric([str(label) for label in values], float(value))
    return family


def _query(sql: str, *parameters: str | datetime | list[str]) -> list[Row]:
    with connection.cursor() as cursor:
        cursor.execute(sql, parameters)
        return list(cursor.fetchall())
