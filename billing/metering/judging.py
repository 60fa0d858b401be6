"""Judging use that nobody has offered yet: what would be answered, from what state, and under which other plans."""

from __future__ import annotations

import copy
from collections.abc import Iterable, Sequence
from datetime import datetime
from decimal import Decimal
from typing import NamedTuple
from uuid import UUID

import msgspec

from billing.catalog.compiled import CompiledPlan
from billing.kernel.decimals import ZERO
from billing.metering.books import Books, GrantRow, PeriodRow, SpanRow, SubscriptionRow
from billing.metering.decisions import Catalog, Decider
from billing.metering.flaws import find_flaw
from billing.metering.offers import Offer, Outcome, Standing
from billing.metering.opening import open_books

_NOBODY = UUID(int=0)


class Judgement(NamedTuple):
    """The answer to one offer as if all before it were counted, and what stood before any of them was."""

    outcome: Outcome
    standing: Standing | None


class Alternative(NamedTuple):
    """Another plan version: what a subscription on it would have, and the end of a period that began now."""

    plan: CompiledPlan
    credit_allowance: Decimal
    period_ends_at: datetime


def judge(offers: Sequence[Offer], *, now: datetime) -> list[Judgement]:
    """Decide a list of one organization's offers together and write nothing. Raises ``RenewalDue``."""
    decider = _open(offers, now)
    products = decider.catalog.product_of
    standings = {
        offer.meter: decider.stand(offer.meter, decider.now) if offer.meter in products else None for offer in offers
    }
    return [Judgement(_decide(decider, offer), standings[offer.meter]) for offer in offers]


def list_admitting(
    offers: Sequence[Offer], alternatives: Iterable[Alternative], *, product: str, now: datetime
) -> list[CompiledPlan]:
    """Those of the plans under which all of ``offers`` would be admitted, with the use and the credits of now.

    Where no subscription of the product is there, one that began now, with the plan's allowance.
    """
    decider = _open(offers, now)
    return [each.plan for each in alternatives if _admits(decider, each, offers, product)]


def _open(offers: Sequence[Offer], now: datetime) -> Decider:
    organization_id = offers[0].organization.id
    return open_books({organization_id: offers}, now)[organization_id]


def _decide(decider: Decider, offer: Offer) -> Outcome:
    flaw = find_flaw(offer)
    return Outcome(offer, "refused", None, flaw) if flaw else decider.decide(offer)


def _admits(decider: Decider, alternative: Alternative, offers: Sequence[Offer], product: str) -> bool:
    # A copy: deciding changes windows and grants in place.
    row = copy.deepcopy(decider.books.row)
    if decider.books.subscription_at(product, decider.now) is None:
        row = msgspec.structs.replace(
            row, subscriptions=[*row.subscriptions, _newcomer(alternative, product, decider.now)]
        )
    tried = Decider(Books(row), Catalog(decider.catalog.product_of, lambda *_: alternative.plan), decider.now)
    return all(_decide(tried, offer).refusal is None for offer in offers)


def _newcomer(alternative: Alternative, product: str, now: datetime) -> SubscriptionRow:
    """A subscription to the alternative as it would be if it began now."""
    credits = alternative.credit_allowance
    return SubscriptionRow(
        id=_NOBODY,
        product=product,
        status="active",
        starts_at=now,
        ended_at=None,
        credit_balance=credits,
        entries=0,
        periods=[PeriodRow(_NOBODY, 1, "regular", now, alternative.period_ends_at, None)],
        spans=[SpanRow(alternative.plan.id, "", now, None, False)],
        grants=[GrantRow(_NOBODY, 0, now, None, credits)] if credits > ZERO else [],
    )
