"""What drafting reads of periods, plans in force and chargeable use, as plain rows.

Of thousands, making instances of models takes longer than all that is then done with them.
"""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime
from decimal import Decimal
from typing import NamedTuple
from uuid import UUID

from billing.invoicing.tax import TaxTerms
from billing.models import PlanSpan, SubscriptionPeriod, UsageCharge

_PERIOD = ("id", "ordinal", "kind", "starts_at", "ends_at", "nominal_ends_at", "closed_at")


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


def list_claimed(period_ids: Collection[UUID]) -> dict[UUID, Claimed]:
    rows = SubscriptionPeriod.objects.filter(id__in=period_ids).values_list(
        "organization__billing_profile__tax_treatment",
        "organization__billing_profile__tax_rate",
        "organization__billing_profile__tax_label",
        "organization_id",
        "subscription_id",
        "subscription__status",
        "subscription__currency",
        "subscription__ended_at",
        "organization__zone",
        *_PERIOD,
    )
    found = {}
    for treatment, rate, label, organization_id, subscription_id, status, currency, ended_at, zone, *period in rows:
        # Nobody has to have a profile.
        tax = TaxTerms() if treatment is None else TaxTerms(treatment, rate, label)
        whose = organization_id, subscription_id, status, currency, ended_at, zone
        row = PeriodRow(*period)
        found[row.id] = Claimed(row, *whose, tax)
    return found


def list_periods(period_ids: Collection[UUID]) -> dict[UUID, PeriodRow]:
    rows = SubscriptionPeriod.objects.filter(id__in=period_ids).values_list(*_PERIOD) if period_ids else ()
    return {row[0]: PeriodRow(*row) for row in rows}


def list_charges(period_ids: Collection[UUID]) -> list[ChargeRow]:
    rows = UsageCharge.objects.filter(billed_period_id__in=period_ids).values_list(
        "billed_period_id",
        "service_period_id",
        "subscription_id",
        "plan_id",
        "meter_id",
        "overage",
        "credit_deficit",
    )
    return [ChargeRow(*row) for row in rows]


def list_following(claimed: Collection[Claimed]) -> dict[UUID, PeriodRow]:
    """The period after each, where it has begun to be."""
    rows = SubscriptionPeriod.objects.filter(
        subscription_id__in={each.subscription_id for each in claimed},
        prev_end__in={each.period.ends_at for each in claimed},
    ).values_list("subscription_id", "prev_end", *_PERIOD)
    after = {(subscription_id, prev_end): PeriodRow(*row) for subscription_id, prev_end, *row in rows}
    pairs = ((each.period.id, after.get((each.subscription_id, each.period.ends_at))) for each in claimed)
    return {period_id: following for period_id, following in pairs if following is not None}


def list_spans(subscription_ids: Collection[UUID]) -> list[SpanRow]:
    """Which plans were in force when, in order, subscription by subscription."""
    rows = (
        PlanSpan.objects.filter(subscription_id__in=subscription_ids)
        .order_by("subscription_id", "starts_at")
        .values_list("subscription_id", "plan_id", "starts_at", "ends_at", "is_paused")
    )
    return [SpanRow(*row) for row in rows]


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
