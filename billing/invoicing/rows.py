"""What drafting reads of periods, plans in force and chargeable use, as plain rows.

Of thousands, making instances of models takes longer than all that is then done with them.
"""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime
from decimal import Decimal
from typing import Any, NamedTuple
from uuid import UUID

from billing.infra import columns, statements
from billing.invoicing.tax import TaxTerms
from billing.models import UsageCharge


class PeriodRow(NamedTuple):
    id: UUID
    ordinal: int
    kind: str
    starts_at: datetime
    ends_at: datetime
    nominal_ends_at: datetime
    closed_at: datetime | None


class Claimed(NamedTuple):
    """A period that is claimed, and whose it is."""

    period: PeriodRow
    organization_id: UUID
    subscription_id: UUID
    status: str
    currency: str
    ended_at: datetime | None
    zone: str
    tax: TaxTerms


class SpanRow(NamedTuple):
    subscription_id: UUID
    plan_id: UUID
    starts_at: datetime
    ends_at: datetime | None
    is_paused: bool


class ChargeRow(NamedTuple):
    billed_period_id: UUID
    service_period_id: UUID
    subscription_id: UUID
    plan_id: UUID
    meter: str
    overage: Decimal
    credit_deficit: Decimal


_CLAIMED = """SELECT profile.tax_treatment, profile.tax_rate, profile.tax_label,
    period.organization_id, period.subscription_id, subscription.status, subscription.currency,
    subscription.ended_at, organization.zone,
    period.id, period.ordinal, period.kind, period.starts_at, period.ends_at, period.nominal_ends_at, period.closed_at
FROM subscription_periods period
JOIN organization_subscriptions subscription ON subscription.id = period.subscription_id
JOIN organizations organization ON organization.id = period.organization_id
LEFT JOIN organization_billing_profiles profile ON profile.organization_id = period.organization_id
WHERE period.id = ANY(%s::uuid[])
"""
_PERIODS = """SELECT id, ordinal, kind, starts_at, ends_at, nominal_ends_at, closed_at
FROM subscription_periods WHERE id = ANY(%s::uuid[])
"""
_FOLLOWING = """SELECT before.id, period.id, period.ordinal, period.kind, period.starts_at, period.ends_at,
    period.nominal_ends_at, period.closed_at
FROM subscription_periods before
JOIN subscription_periods period ON period.subscription_id = before.subscription_id
    AND period.prev_end = before.ends_at
WHERE before.id = ANY(%s::uuid[])
"""
_CHARGES = """SELECT billed_period_id, service_period_id, subscription_id, plan_id, meter, overage, credit_deficit
FROM billing_usage_charges WHERE billed_period_id = ANY(%s::uuid[])
"""
_SPANS = """SELECT subscription_id, plan_id, starts_at, ends_at, is_paused
FROM subscription_plan_spans WHERE subscription_id = ANY(%s::uuid[]) ORDER BY subscription_id, starts_at
"""

_DISCOUNTS = """SELECT subscription_id, code, name, percent, amount_minor, from_ordinal, until_ordinal, redeemed_at
FROM subscription_discounts WHERE subscription_id = ANY(%s::uuid[]) ORDER BY from_ordinal
"""

_TAKEN = """SELECT subscription_id, kind, occurrence, status, number FROM marketplace_invoices
WHERE subscription_id = ANY(%s::uuid[]) AND (status = 'void' OR kind <> 'cycle')
"""

_OWNERS = "SELECT id, organization_id FROM subscription_periods WHERE id = ANY(%s::uuid[])"


def list_owners(period_ids: Collection[UUID]) -> dict[UUID, UUID]:
    """The organization of each period."""
    return dict(_fetch(_OWNERS, period_ids))


def list_claimed(period_ids: Collection[UUID]) -> dict[UUID, Claimed]:
    found = {}
    for treatment, rate, label, organization_id, subscription_id, status, currency, ended_at, zone, *own in _fetch(
        _CLAIMED, period_ids
    ):
        # Nobody has to have a profile.
        tax = TaxTerms() if treatment is None else TaxTerms(treatment, rate, label)
        period = PeriodRow(*own)
        found[period.id] = Claimed(period, organization_id, subscription_id, status, currency, ended_at, zone, tax)
    return found


def list_periods(period_ids: Collection[UUID]) -> dict[UUID, PeriodRow]:
    return {row[0]: PeriodRow(*row) for row in _fetch(_PERIODS, period_ids)}


def list_charges(period_ids: Collection[UUID]) -> list[ChargeRow]:
    return [ChargeRow(*row) for row in _fetch(_CHARGES, period_ids)]


def list_following(period_ids: Collection[UUID]) -> dict[UUID, PeriodRow]:
    """The period after each, where it has begun to be."""
    return {before_id: PeriodRow(*row) for before_id, *row in _fetch(_FOLLOWING, period_ids)}


def list_spans(subscription_ids: Collection[UUID]) -> list[SpanRow]:
    """Which plans were in force when, in order, subscription by subscription."""
    return [SpanRow(*row) for row in _fetch(_SPANS, subscription_ids)]


def list_discounts(subscription_ids: Collection[UUID]) -> list[tuple[Any, ...]]:
    """The subscription's identifier, and the fields of ``books.Discount``."""
    return _fetch(_DISCOUNTS, subscription_ids)


def list_taken(subscription_ids: Collection[UUID]) -> list[tuple[Any, ...]]:
    """Subscription, kind, occurrence, status and number of their invoices that are void or of no cycle."""
    return _fetch(_TAKEN, subscription_ids)


def _fetch(sql: str, ids: Collection[UUID]) -> list[tuple[Any, ...]]:
    """Of thousands of ids: bound as one array, where the ORM would bind and check each."""
    return statements.fetch_texts(sql, [columns.of_ids(ids)]) if ids else []


def charge_of(summed: UsageCharge) -> ChargeRow:
    """As if it had been read: a charge that the caller summed."""
    return ChargeRow(
        summed.billed_period_id,
        summed.service_period_id,
        summed.subscription_id,
        summed.plan_id,
        summed.meter_id,
        summed.overage,
        summed.credit_deficit,
    )
