"""The books of many periods at once, as ``assembly`` wants them: ten queries at most, however many periods.

A single draft is a list of one.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple, TypeAlias
from uuid import UUID
from zoneinfo import ZoneInfo

from billing.invoicing import billed
from billing.invoicing.books import (
    BilledPart,
    Charge,
    Discount,
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
    BaseFeeTiming,
    BillingProfile,
    EntitlementPrice,
    InvoiceKind,
    Meter,
    OnLimit,
    PeriodKind,
    Plan,
    PlanPrice,
    PlanSpan,
    SubscriptionDiscount,
    SubscriptionPeriod,
    UsageCharge,
)


@dataclass(frozen=True, slots=True)
class Claim:
    """An invoice that is, or is to be: of this kind, for this period. ``invoice_id`` is the stored one, if any."""

    period_id: UUID
    kind: InvoiceKind = InvoiceKind.CYCLE
    invoice_id: UUID | None = None


@dataclass(frozen=True, slots=True)
class Target:
    """What a claim is about: its subscription and period, their state, and the books. It ``ends_at`` the period's end,
    or where the subscription ended: a period that ended in its first instant keeps its own end."""

    claim: Claim
    organization_id: UUID
    subscription_id: UUID
    subscription_status: str
    period_id: UUID
    ends_at: datetime
    closed_at: datetime | None
    books: PeriodBooks
    tax: TaxTerms


_TermsOf: TypeAlias = Mapping[tuple[UUID, str], PlanTerms]


class _Loaded(NamedTuple):
    """What all targets of one load share."""

    terms: _TermsOf
    meters: Mapping[str, MeterLabel]
    spans: Mapping[UUID, Collection[PlanSpan]]
    charges: Mapping[UUID, Collection[UsageCharge]]
    following: Mapping[UUID, SubscriptionPeriod]
    discounts: Mapping[UUID, tuple[Discount, ...]]


def load(claims: Iterable[Claim], *, charges: Collection[UsageCharge] | None = None) -> list[Target]:
    """The books behind these claims, in order of organization, subscription and ordinal; unknown periods are left out.

    ``charges`` are the chargeable use of the claimed periods where the caller summed it itself.
    """
    wanted = list(claims)
    found = {
        period.id: period
        for period in SubscriptionPeriod.objects.filter(id__in=[claim.period_id for claim in wanted]).select_related(
            "subscription", "organization__billing_profile"
        )
    }
    ordered = sorted(
        (claim for claim in wanted if claim.period_id in found),
        key=lambda claim: (
            found[claim.period_id].organization_id,
            found[claim.period_id].subscription_id,
            found[claim.period_id].ordinal,
            claim.kind,
        ),
    )
    loaded = _load_along(list(found.values()), charges)
    carried = billed.load(
        billed.Wanted(number, claim.invoice_id, claim.period_id, service_id)
        for number, claim in enumerate(ordered)
        for service_id in _services(claim, loaded)
    )
    return [
        _target(claim, found[claim.period_id], loaded, carried.get(number, ())) for number, claim in enumerate(ordered)
    ]


def _load_along(periods: Collection[SubscriptionPeriod], charges: Collection[UsageCharge] | None) -> _Loaded:
    currencies = {period.subscription_id: period.subscription.currency for period in periods}
    spans = list(PlanSpan.objects.filter(subscription_id__in=currencies).order_by("subscription_id", "starts_at"))
    if charges is None:
        charges = list(
            # Most are of the claimed periods themselves: each is read once, and not beside each of its charges.
            UsageCharge.objects.filter(billed_period_id__in=[period.id for period in periods]).prefetch_related(
                "service_period"
            )
        )
    terms = prices(
        {(span.plan_id, currencies[span.subscription_id]) for span in spans}
        | {(charge.plan_id, currencies[charge.subscription_id]) for charge in charges}
    )
    spans_of, charges_of = defaultdict(list), defaultdict(list)
    for span in spans:
        spans_of[span.subscription_id].append(span)
    for charge in charges:
        charges_of[charge.billed_period_id].append(charge)
    return _Loaded(
        terms=terms,
        meters=_meters({charge.meter_id for charge in charges}),
        spans=spans_of,
        charges=charges_of,
        following=_following(periods) if any(each.in_advance for each in terms.values()) else {},
        discounts=_discounts(currencies),
    )


def _services(claim: Claim, loaded: _Loaded) -> set[UUID]:
    """The service periods that may stand on an invoice."""
    if claim.kind == InvoiceKind.CHANGE:
        return {claim.period_id}
    following = loaded.following.get(claim.period_id)
    late = {charge.service_period_id for charge in loaded.charges.get(claim.period_id, ())}
    return {claim.period_id, *late, *([] if following is None else [following.id])}


def _following(periods: Collection[SubscriptionPeriod]) -> dict[UUID, SubscriptionPeriod]:
    """The period after each, where it has begun to be."""
    after = {
        (period.subscription_id, period.prev_end): period
        for period in SubscriptionPeriod.objects.filter(
            subscription_id__in={period.subscription_id for period in periods},
            prev_end__in={period.ends_at for period in periods},
        )
    }
    pairs = ((period.id, after.get((period.subscription_id, period.ends_at))) for period in periods)
    return {period_id: following for period_id, following in pairs if following is not None}


def _discounts(subscription_ids: Collection[UUID]) -> dict[UUID, tuple[Discount, ...]]:
    found: dict[UUID, list[Discount]] = defaultdict(list)
    rows = SubscriptionDiscount.objects.filter(subscription_id__in=subscription_ids).order_by("from_ordinal")
    for row in rows:
        discount = Discount(
            row.code, row.name, row.percent, row.amount_minor, row.from_ordinal, row.until_ordinal, row.redeemed_at
        )
        found[row.subscription_id].append(discount)
    return {subscription_id: tuple(each) for subscription_id, each in found.items()}


def _target(claim: Claim, period: SubscriptionPeriod, loaded: _Loaded, carried: tuple[BilledPart, ...]) -> Target:
    subscription = period.subscription
    currency, ended_at = subscription.currency, subscription.ended_at
    terms, spans = loaded.terms, loaded.spans.get(period.subscription_id, ())
    is_change = claim.kind == InvoiceKind.CHANGE
    charges = () if is_change else loaded.charges.get(period.id, ())
    life = _life(period, ended_at, spans, terms, currency)
    late = {charge.service_period_id: charge.service_period for charge in charges}
    late.pop(period.id, None)
    following = None if is_change else loaded.following.get(period.id)
    return Target(
        claim=claim,
        organization_id=period.organization_id,
        subscription_id=period.subscription_id,
        subscription_status=subscription.status,
        period_id=period.id,
        ends_at=life.served.ends_at,
        closed_at=period.closed_at,
        tax=tax_terms(getattr(period.organization, "billing_profile", None)),
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
                    meter=loaded.meters[charge.meter_id],
                    overage=charge.overage,
                    credit_deficit=charge.credit_deficit,
                )
                for charge in charges
            ),
            late=tuple(_life(service, ended_at, spans, terms, currency) for service in late.values()),
            billed=carried,
            ahead=None if following is None else _life(following, ended_at, spans, terms, currency),
            only_advance=is_change,
            is_cycle=claim.kind == InvoiceKind.CYCLE,
            discounts=loaded.discounts.get(period.subscription_id, ()),
            plans={(each.code, each.version): each for each in (terms[span.plan_id, currency] for span in spans)},
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
        is_invoiced=period.closed_at is not None,
    )


def _service(period: SubscriptionPeriod) -> ServicePeriod:
    return ServicePeriod(period.ordinal, period.starts_at, period.ends_at, period.nominal_ends_at)


def _meters(codes: Collection[str]) -> dict[str, MeterLabel]:
    meters = Meter.objects.filter(code__in=codes) if codes else ()
    return {meter.code: MeterLabel(meter.code, meter.description or meter.code, meter.unit) for meter in meters}


def tax_terms(profile: BillingProfile | None) -> TaxTerms:
    return TaxTerms() if profile is None else TaxTerms(profile.tax_treatment, profile.tax_rate, profile.tax_label)


def prices(wanted: Collection[tuple[UUID, str]]) -> dict[tuple[UUID, str], PlanTerms]:
    """What each plan version asks in each currency that is wanted."""
    plan_ids = {plan_id for plan_id, _ in wanted}
    plans = {plan.id: plan for plan in Plan.objects.filter(id__in=plan_ids)}
    stored = {(price.plan_id, price.currency): price for price in PlanPrice.objects.filter(plan_id__in=plan_ids)}
    priced = {plan_id for plan_id, _ in stored}
    overage = _overage_prices(plan_ids)
    terms = {}
    for plan_id, currency in wanted:
        plan, price = plans[plan_id], stored.get((plan_id, currency))
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
            in_advance=plan.base_fee_timing == BaseFeeTiming.ADVANCE,
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
