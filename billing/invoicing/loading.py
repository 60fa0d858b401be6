"""The books of many periods at once, as ``assembly`` wants them: eight queries, however many periods.

A single draft is a list of one.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import TypeAlias
from uuid import UUID
from zoneinfo import ZoneInfo

from billing.invoicing import billed
from billing.invoicing.books import (
    BilledPart,
    Charge,
    Life,
    MeterLabel,
    OveragePrice,
    PeriodBooks,
    PlanStretch,
    PlanTerms,
    ServicePeriod,
)
from billing.invoicing.tax import TaxTerms
from billing.kernel.periods import Span
from billing.kernel.pricing import PricingModel, tiers_of
from billing.models import (
    BillingProfile,
    EntitlementPrice,
    Meter,
    OnLimit,
    PeriodKind,
    Plan,
    PlanPrice,
    PlanSpan,
    SubscriptionPeriod,
    UsageCharge,
)


@dataclass(frozen=True, slots=True)
class Target:
    """One period to be billed: its identity, its state, and its books."""

    organization_id: UUID
    subscription_id: UUID
    subscription_status: str
    period_id: UUID
    ends_at: datetime
    closed_at: datetime | None
    books: PeriodBooks
    tax: TaxTerms


_TermsOf: TypeAlias = Mapping[tuple[UUID, str], PlanTerms]


def load(period_ids: Iterable[UUID]) -> list[Target]:
    """The books of these periods, in order of organization, subscription and ordinal; unknown ids are left out."""
    periods = list(
        SubscriptionPeriod.objects.filter(id__in=list(period_ids))
        .select_related("subscription", "organization__billing_profile")
        .order_by("organization_id", "subscription_id", "ordinal")
    )
    currencies = {period.subscription_id: period.subscription.currency for period in periods}
    spans = list(PlanSpan.objects.filter(subscription_id__in=currencies).order_by("subscription_id", "starts_at"))
    charges = list(
        UsageCharge.objects.filter(billed_period_id__in=[period.id for period in periods]).select_related(
            "service_period"
        )
    )
    terms = _terms(
        {(span.plan_id, currencies[span.subscription_id]) for span in spans}
        | {(charge.plan_id, currencies[charge.subscription_id]) for charge in charges}
    )
    meters = _meters({charge.meter_id for charge in charges})
    carried = billed.load(
        [(period.id, period.id) for period in periods]
        + [(charge.billed_period_id, charge.service_period_id) for charge in charges]
    )
    spans_of, charges_of = defaultdict(list), defaultdict(list)
    for span in spans:
        spans_of[span.subscription_id].append(span)
    for charge in charges:
        charges_of[charge.billed_period_id].append(charge)
    return [
        _target(
            period,
            spans_of[period.subscription_id],
            charges_of[period.id],
            terms,
            meters,
            carried.get(period.id, ()),
        )
        for period in periods
    ]


def _target(
    period: SubscriptionPeriod,
    spans: Collection[PlanSpan],
    charges: Iterable[UsageCharge],
    terms: _TermsOf,
    meters: Mapping[str, MeterLabel],
    carried: tuple[BilledPart, ...],
) -> Target:
    currency = period.subscription.currency
    ended_at = period.subscription.ended_at
    life = _life(period, ended_at, spans, terms, currency)
    late = {charge.service_period_id: charge.service_period for charge in charges}
    late.pop(period.id, None)
    return Target(
        organization_id=period.organization_id,
        subscription_id=period.subscription_id,
        subscription_status=period.subscription.status,
        period_id=period.id,
        ends_at=period.ends_at,
        closed_at=period.closed_at,
        tax=_tax(getattr(period.organization, "billing_profile", None)),
        books=PeriodBooks(
            currency=currency,
            zone=ZoneInfo(period.organization.zone),
            period=life.service,
            served=life.served,
            is_trial=life.is_trial,
            stretches=life.stretches,
            charges=tuple(
                Charge(
                    service=_service(charge.service_period),
                    terms=terms[charge.plan_id, currency],
                    meter=meters[charge.meter_id],
                    overage=charge.overage,
                    credit_deficit=charge.credit_deficit,
                )
                for charge in charges
            ),
            late=tuple(_life(service, ended_at, spans, terms, currency) for service in late.values()),
            billed=carried,
        ),
    )


def _life(
    period: SubscriptionPeriod, ended_at: datetime | None, spans: Iterable[PlanSpan], terms: _TermsOf, currency: str
) -> Life:
    return Life(
        service=_service(period),
        served=Span(
            period.starts_at,
            period.ends_at if ended_at is None else max(period.starts_at, min(period.ends_at, ended_at)),
        ),
        is_trial=period.kind == PeriodKind.TRIAL,
        stretches=tuple(
            PlanStretch(terms[span.plan_id, currency], span.starts_at, span.ends_at, span.is_paused)
            for span in spans
            if span.starts_at < period.ends_at and (span.ends_at is None or span.ends_at > period.starts_at)
        ),
    )


def _service(period: SubscriptionPeriod) -> ServicePeriod:
    return ServicePeriod(period.ordinal, period.starts_at, period.ends_at, period.nominal_ends_at)


def _meters(codes: Collection[str]) -> dict[str, MeterLabel]:
    meters = Meter.objects.filter(code__in=codes) if codes else ()
    return {meter.code: MeterLabel(meter.code, meter.description or meter.code, meter.unit) for meter in meters}


def _tax(profile: BillingProfile | None) -> TaxTerms:
    return TaxTerms() if profile is None else TaxTerms(profile.tax_treatment, profile.tax_rate, profile.tax_label)


def _terms(wanted: Collection[tuple[UUID, str]]) -> dict[tuple[UUID, str], PlanTerms]:
    """Prices of each plan version in each currency that is asked for."""
    plan_ids = {plan_id for plan_id, _ in wanted}
    plans = {plan.id: plan for plan in Plan.objects.filter(id__in=plan_ids)}
    prices = {(price.plan_id, price.currency): price for price in PlanPrice.objects.filter(plan_id__in=plan_ids)}
    priced = {plan_id for plan_id, _ in prices}
    overage = _overage_prices(plan_ids)
    terms = {}
    for plan_id, currency in wanted:
        plan, price = plans[plan_id], prices.get((plan_id, currency))
        # A plan that names no price at all is free; one that has prices but none in this currency cannot be billed.
        free = 0 if plan_id not in priced else None
        terms[plan_id, currency] = PlanTerms(
            id=plan_id,
            code=plan.code,
            version=plan.version,
            name=plan.name,
            base_fee_minor=price.base_fee_minor if price else free,
            credit_rate=price.credit_rate if price else None,
            overage=overage.get((plan_id, currency), {}),
            minimum_minor=price.minimum_minor if price else 0,
        )
    return terms


def _overage_prices(plan_ids: Collection[UUID]) -> dict[tuple[UUID, str], dict[str, OveragePrice]]:
    found: dict[tuple[UUID, str], dict[str, OveragePrice]] = defaultdict(dict)
    rows = EntitlementPrice.objects.filter(
        entitlement__plan_id__in=plan_ids, entitlement__on_limit=OnLimit.OVERAGE, entitlement__limit__isnull=False
    ).select_related("entitlement")
    for row in rows:
        entitlement = row.entitlement
        assert entitlement.limit is not None  # noqa: S101 - the filter above, for the type checker
        for meter in entitlement.meters:
            found[entitlement.plan_id, row.currency][meter] = OveragePrice(
                entitlement.key,
                entitlement.limit,
                entitlement.cadence,
                row.rate,
                row.per,
                PricingModel(row.model),
                tiers_of(row.tiers),
            )
    return found
