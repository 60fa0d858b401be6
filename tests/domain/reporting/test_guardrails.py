"""Use by flag adds up to all use, whatever flags were raised and whatever became of it."""

import random
from collections import Counter
from datetime import timedelta
from decimal import Decimal

import pytest

from billing.accounts import actors
from billing.lifecycle import guardrails as lifecycle_guardrails
from billing.lifecycle import onboard, reversal, usage
from billing.metering.offers import Offer
from billing.models import UsageDebitHold, UsageEvent, UsageWindow
from billing.reporting import guardrails
from billing.reporting.doctor import verify
from billing.reporting.guardrails import Figures, SpanInvalid
from tests.support import factories
from tests.support import guardrails as guarded

pytestmark = pytest.mark.django_db
START = factories.at("2026-03-01")
END = factories.at("2026-04-01")
OPERATOR = actors.operator("test")
FLAGS = ("review", "vendor_fault", "drift", "pii", "other")
METERS = ("tokens", "tokens", "api_call", "free_form")
NOTHING = Figures(0, *[Decimal(0)] * 6)


@pytest.mark.parametrize("seed", range(4))
def test_rows_add_up_to_the_totals_and_the_totals_to_the_windows(seed: int) -> None:
    rng = random.Random(seed)  # noqa: S311 - repeatable by seed
    guarded.sync()
    now = START + timedelta(days=20)
    organization = factories.sandbox(clock_at=START)
    onboard.subscribe(organization=organization, plan_code="team", actor=OPERATOR, now=START)
    organization.clock_at = now
    organization.save()
    offers = [
        Offer(
            organization,
            rng.choice(METERS),
            Decimal(rng.randint(1, 40)) / rng.choice((1, 4)),
            f"use-{number}",
            occurred_at=START + timedelta(minutes=rng.randrange(20 * 24 * 60)),
            guardrail_flags=tuple(rng.choices(FLAGS, k=rng.choice((0, 0, 1, 1, 2, 3)))),
        )
        for number in range(150)
    ]
    # No more than five calls a day are admitted: some are refused, and are in no report.
    accepted = [outcome.event for outcome in usage.record(offers, now=now) if outcome.event is not None]
    assert len(accepted) > 100
    for hold in UsageDebitHold.objects.all():
        act = rng.choice((lifecycle_guardrails.clear, lifecycle_guardrails.reject, None))
        if act is not None:
            act(organization=organization, event_id=hold.event_id, actor=OPERATOR, reason="test", now=now)
    undone = UsageEvent.objects.filter(reverses=None, clears=None, debit_hold=None)
    for event in rng.sample(list(undone), 20):
        part = rng.choice((None, event.quantity / 2))
        reversal.reverse(event_id=event.id, actor=OPERATOR, reason="test", quantity=part, now=now)

    found = guardrails.report(organization, starts_at=START, ends_at=END)

    sums: dict[str, Figures] = {}
    for row in found.rows:
        sums[row.meter] = sums.get(row.meter, NOTHING).plus(row.figures)
    assert sums == {row.meter: row.figures for row in found.totals}
    windows = UsageWindow.objects.filter(cadence="billing_period")
    assert {each.meter_id: (each.used, each.overage) for each in windows} == {
        row.meter: (row.figures.quantity, row.figures.overage) for row in found.totals
    }
    assert sum(row.figures.events for row in found.totals) == len(accepted)
    told = Counter((event.meter_id, tuple(event.guardrail_flags)) for event in uses())
    assert {(row.meter, row.flags): row.figures.events for row in found.rows} == told
    by_flag = Counter((event.meter_id, flag) for event in uses() for flag in event.guardrail_flags)
    assert {(row.meter, row.flags[0]): row.figures.events for row in found.by_flag} == by_flag
    waiting = UsageDebitHold.objects.filter(resolution=None)
    assert sum(row.figures.held_overage for row in found.rows) == sum(each.overage for each in waiting)
    assert verify() == []


def uses() -> list[UsageEvent]:
    return list(UsageEvent.objects.filter(reverses=None, clears=None))


def test_the_span_is_half_open_and_another_organization_is_not_in_it() -> None:
    guarded.sync()
    for _ in range(2):
        organization = factories.sandbox(clock_at=END)
        onboard.subscribe(organization=organization, plan_code="team", actor=OPERATOR, now=START, starts_at=START)
    noon = START + timedelta(days=10, hours=12)
    edges = (noon - timedelta(microseconds=1), noon, noon + timedelta(hours=1))
    offers = [
        Offer(organization, "tokens", Decimal(1), f"use-{n}", occurred_at=at, guardrail_flags=("drift",))
        for n, at in enumerate(edges)
    ]
    usage.record(offers, now=END)
    found = guardrails.report(organization, starts_at=noon, ends_at=noon + timedelta(hours=1))
    assert [(row.flags, row.figures.events) for row in found.rows] == [(("drift",), 1)]
    empty = guardrails.report(factories.organization(), starts_at=START, ends_at=END)
    assert (empty.rows, empty.totals) == ([], [])
    with pytest.raises(SpanInvalid):
        guardrails.report(organization, starts_at=START, ends_at=START)
