"""Metrics: what they tell is what the books hold, counted in another way."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from django.db import connection, transaction
from django.utils import timezone

from billing.reporting import metrics
from billing.reporting.doctor.invariant import Check

# Each figure again, from the evidence rather than from sums that were kept of it.
_FACTS = {
    "billing_events": "SELECT meter, count(*) FROM marketplace_usage_events GROUP BY meter",
    "billing_credit_liability": """
        SELECT coalesce(sum(entry.amount), 0) FROM marketplace_credit_ledger AS entry
        JOIN organizations AS organization ON organization.id = entry.organization_id
        WHERE NOT organization.is_sandbox
    """,
    "billing_subscriptions": """
        SELECT subscription.status, plan.code, count(DISTINCT subscription.id)
        FROM subscription_plan_spans AS span
        JOIN organization_subscriptions AS subscription ON subscription.id = span.subscription_id
        JOIN billing_plans AS plan ON plan.id = span.plan_id
        WHERE span.id = (
            SELECT latest.id FROM subscription_plan_spans AS latest WHERE latest.subscription_id = subscription.id
            ORDER BY latest.starts_at DESC, latest.ends_at DESC NULLS FIRST, latest.id DESC LIMIT 1)
        GROUP BY subscription.status, plan.code
    """,
    "billing_invoices": "SELECT status, count(DISTINCT id) FROM marketplace_invoices GROUP BY status",
}


def _differing() -> Iterator[dict[str, Any]]:
    with _one_state():
        told = {
            (family.name, *sample.labels.values()): sample.value
            for family in metrics.list_families(timezone.now())
            for sample in family.samples
        }
        counted = {key: value for name, sql in _FACTS.items() for key, value in _count(name, sql)}
    for key in sorted(counted.keys() | {key for key in told if key[0] in _FACTS}):
        if told.get(key, 0.0) != counted.get(key, 0.0):
            name, *labels = key
            figures = {"told": told.get(key, 0.0), "counted": counted.get(key, 0.0)}
            yield {"metric": name, "labels": ", ".join(labels), **figures}


@contextmanager
def _one_state() -> Iterator[None]:
    """Both are read from one state of the books, while work goes on."""
    is_outermost = not connection.in_atomic_block
    with transaction.atomic():
        if is_outermost:
            _execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
        yield


def _count(name: str, sql: str) -> Iterator[tuple[tuple[str, ...], float]]:
    # The collector's is for a scrape: counting all events may take longer.
    _execute("SELECT set_config('statement_timeout', '0', true)")
    for *labels, value in _execute(sql):
        yield (name, *map(str, labels)), float(value)


def _execute(sql: str) -> list[tuple[Any, ...]]:
    with connection.cursor() as cursor:
        cursor.execute(sql)
        return list(cursor.fetchall()) if cursor.description else []


FACTS = (
    Check(
        name="metrics-equal-facts",
        sentence="The figures that Prometheus reads are those of the rows that they are about, counted anew.",
        hint="A sum that is kept differs from its evidence, or the collector counts something else: compare both.",
        find=_differing,
        is_whole_only=True,
    ),
)
