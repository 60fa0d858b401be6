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

from billing.invoicing import billed, rows, terms
from billing.invoicing.books import (
    BilledPart,
    Charge,
    Discount,
    Life,
    MeterLabel,
    PeriodBooks,
    PlanStretch,
    PlanTerms,
    ServicePeriod,
)
from billing.invoicing.rows import ChargeRow, Claimed, PeriodRow, SpanRow
from billing.invoicing.tax import TaxTerms
from billing.kernel.periods import Span
from billing.models import InvoiceKind, PeriodKind, UsageCharge


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
    """What all targets of one load share. ``periods`` are those of the charges."""

    terms: _TermsOf
    meters: Mapping[str, MeterLabel]
    spans: Mapping[UUID, Collection[SpanRow]]
    charges: Mapping[UUID, Collection[ChargeRow]]
    periods: Mapping[UUID, PeriodRow]
    following: Mapping[UUID, PeriodRow]
    discounts: Mapping[UUID, tuple[Discount, ...]]


def load(claims: Iterable[Claim], *, charges: Collection[UsageCharge] | None = None) -> list[Target]:
    """The books behind these claims, in order of organization, subscription and ordinal; unknown periods are left out.

    ``charges`` are the chargeable use of the claimed periods where the caller summed it itself.
    """
    wanted = list(claims)
    found = rows.list_claimed([claim.period_id for claim in wanted])
    ordered = sorted(
        (claim for claim in wanted if claim.period_id in found),
        key=lambda claim: (
            found[claim.period_id].organization_id,
            found[claim.period_id].subscription_id,
            found[claim.period_id].period.ordinal,
            claim.kind,
        ),
    )
    loaded = _load_along(found, charges)
    carried = billed.load(
        billed.Wanted(number, claim.invoice_id, claim.period_id, service_id)
        for number, claim in enumerate(ordered)
        for service_id in _services(claim, loaded)
    )
    return [
        _target(claim, found[claim.period_id], loaded, carried.get(number, ())) for number, claim in enumerate(ordered)
    ]


def _load_along(claimed: Mapping[UUID, Claimed], summed: Collection[UsageCharge] | None) -> _Loaded:
    currencies = {each.subscription_id: each.currency for each in claimed.values()}
    charges = rows.list_charges(claimed) if summed is None else [rows.charge_of(each) for each in summed]
    spans = rows.list_spans(currencies)
    periods = {period_id: each.period for period_id, each in claimed.items()}
    # Most use is of the claimed periods themselves.
    periods |= rows.list_periods({charge.service_period_id for charge in charges} - periods.keys())
    prices = terms.prices(
        {(span.plan_id, currencies[span.subscription_id]) for span in spans}
        | {(charge.plan_id, currencies[charge.subscription_id]) for charge in charges}
    )
    spans_of, charges_of = defaultdict(list), defaultdict(list)
    for span in spans:
        spans_of[span.subscription_id].append(span)
    for charge in charges:
        charges_of[charge.billed_period_id].append(charge)
    is_in_advance = any(each.in_advance for each in prices.values())
    return _Loaded(
        terms=prices,
        meters=terms.meters({charge.meter for charge in charges}),
        spans=spans_of,
        charges=charges_of,
        periods=periods,
        following=rows.list_following(claimed) if is_in_advance else {},
        discounts=_discounts(currencies),
    )


def _services(claim: Claim, loaded: _Loaded) -> set[UUID]:
    """The service periods that may stand on an invoice."""
    if claim.kind == InvoiceKind.CHANGE:
        return {claim.period_id}
    following = loaded.following.get(claim.period_id)
    late = {charge.service_period_id for charge in loaded.charges.get(claim.period_id, ())}
    return {claim.period_id, *late, *([] if following is None else [following.id])}


def _discounts(subscription_ids: Collection[UUID]) -> dict[UUID, tuple[Discount, ...]]:
    found: dict[UUID, list[Discount]] = defaultdict(list)
    for subscription_id, *discount in rows.list_discounts(subscription_ids):
        found[subscription_id].append(Discount(*discount))
    return {subscription_id: tuple(each) for subscription_id, each in found.items()}


def _target(claim: Claim, claimed: Claimed, loaded: _Loaded, carried: tuple[BilledPart, ...]) -> Target:
    period, currency, ended_at = claimed.period, claimed.currency, claimed.ended_at
    prices, spans = loaded.terms, loaded.spans.get(claimed.subscription_id, ())
    is_change = claim.kind == InvoiceKind.CHANGE
    charges = () if is_change else loaded.charges.get(period.id, ())
    life = _life(period, ended_at, spans, prices, currency)
    late = dict.fromkeys(charge.service_period_id for charge in charges if charge.service_period_id != period.id)
    following = None if is_change else loaded.following.get(period.id)
    return Target(
        claim=claim,
        organization_id=claimed.organization_id,
        subscription_id=claimed.subscription_id,
        subscription_status=claimed.status,
        period_id=period.id,
        ends_at=life.served.ends_at,
        closed_at=period.closed_at,
        tax=claimed.tax,
        books=PeriodBooks(
            currency=currency,
            zone=ZoneInfo(claimed.zone),
            period=life.service,
            served=life.served,
            is_trial=life.is_trial,
            stretches=life.stretches,
            charges=tuple(
                Charge(
                    service=_service(loaded.periods[charge.service_period_id]),
                    terms=prices[charge.plan_id, currency],
                    meter=loaded.meters[charge.meter],
                    overage=charge.overage,
                    credit_deficit=charge.credit_deficit,
                )
                for charge in charges
            ),
            late=tuple(_life(loaded.periods[each], ended_at, spans, prices, currency) for each in late),
            billed=carried,
            ahead=None if following is None else _life(following, ended_at, spans, prices, currency),
            only_advance=is_change,
            is_cycle=claim.kind == InvoiceKind.CYCLE,
            discounts=loaded.discounts.get(claimed.subscription_id, ()),
            plans={(each.code, each.version): each for each in (prices[span.plan_id, currency] for span in spans)},
        ),
    )


def _life(
    period: PeriodRow, ended_at: datetime | None, spans: Iterable[SpanRow], prices: _TermsOf, currency: str
) -> Life:
    return Life(
        service=_service(period),
        served=Span(
            period.starts_at,
            period.ends_at if ended_at is None else max(period.starts_at, min(period.ends_at, ended_at)),
        ),
        is_trial=period.kind == PeriodKind.TRIAL,
        stretches=tuple(
            PlanStretch(prices[span.plan_id, currency], span.starts_at, span.ends_at, span.is_paused)
            for span in spans
            if span.starts_at < period.ends_at and (span.ends_at is None or span.ends_at > period.starts_at)
        ),
        is_invoiced=period.closed_at is not None,
    )


def _service(period: PeriodRow) -> ServicePeriod:
    return ServicePeriod(period.ordinal, period.starts_at, period.ends_at, period.nominal_ends_at)
