"""Many offers one after another: each is judged by what held in its own instant, whatever was judged before it."""

from collections.abc import Callable
from datetime import datetime, timedelta
from itertools import permutations
from uuid import UUID

import pytest

from billing.kernel.periods import Cadence
from billing.metering.decisions import Decider, Stretch
from tests.support.metering_books import TICK, decider, limit, offer, on, period, plan, span, subscription

OTHER_PLAN, OTHER = UUID(int=60), UUID(int=61)
EDGE = on(3, 5, 9)
Says = tuple[str, UUID | None, UUID | None, UUID | None, datetime | None]


def of_a_day() -> Decider:
    return decider(limit("100", cadence=Cadence.DAILY), now=on(3, 6), zone="Europe/Berlin")


def of_a_period() -> Decider:
    cut = [period(2, ends_at=EDGE), period(3, starts_at=EDGE)]
    return decider(limit("100"), subscriptions=[subscription(periods=cut)], now=on(3, 6))


def of_a_plan() -> Decider:
    spans = [span(ends_at=EDGE), span(EDGE, plan_id=OTHER_PLAN)]
    both = {plan().id: plan(), OTHER_PLAN: plan(plan_id=OTHER_PLAN)}
    return decider(subscriptions=[subscription(spans=spans)], plans=both, now=on(3, 6))


def of_a_pause() -> Decider:
    spans = [span(ends_at=EDGE), span(EDGE, is_paused=True)]
    return decider(subscriptions=[subscription(spans=spans)], now=on(3, 6))


def of_a_subscription() -> Decider:
    old = subscription(status="canceled", ended_at=EDGE, periods=[period(3)])
    new = subscription(id=OTHER, starts_at=EDGE, periods=[period(3)])
    return decider(subscriptions=[old, new], now=on(3, 6))


def of_an_end() -> Decider:
    return decider(subscriptions=[subscription(status="canceled", ended_at=EDGE)], now=on(3, 6))


def of_a_payment_that_is_missing() -> Decider:
    return decider(subscriptions=[subscription(status="past_due", past_due_at=EDGE)], now=on(3, 6))


def told(made: Decider, at: datetime, key: str) -> Says:
    outcome = made.decide(offer(key=key, occurred_at=at))
    event = outcome.event
    starts = outcome.guards[0].starts_at if outcome.guards else None
    if event is None:
        return outcome.code, None, None, None, starts
    return "", event.subscription_id, event.plan_id, event.period_id, starts


@pytest.mark.parametrize(
    ("make", "edge"),
    [
        (of_a_day, on(3, 4, 23)),
        (of_a_period, EDGE),
        (of_a_plan, EDGE),
        (of_a_pause, EDGE),
        (of_a_subscription, EDGE),
        (of_an_end, EDGE),
        (of_a_payment_that_is_missing, EDGE),
    ],
)
def test_no_edge_is_lost_in_any_order(make: Callable[[], Decider], edge: datetime) -> None:
    instants = [edge - timedelta(hours=30), edge - TICK, edge, edge + TICK]
    alone = {at: told(make(), at, "alone") for at in instants}
    assert alone[edge - TICK] != alone[edge]
    assert alone[edge] == alone[edge + TICK]
    for order in permutations(instants):
        made = make()
        assert {at: told(made, at, str(at)) for at in order} == {at: alone[at] for at in order}


def stretch_of(made: Decider) -> Stretch:
    (found,) = made._stretches.values()
    return found


def test_a_list_of_one_day_is_of_one_stretch() -> None:
    made = of_a_day()
    made.decide(offer(occurred_at=on(3, 4, 23)))
    first = stretch_of(made)
    made.decide(offer(key="b", occurred_at=on(3, 5, 23) - TICK))
    assert stretch_of(made) is first
    assert (first.starts_at, first.ends_at) == (on(3, 4, 23), on(3, 5, 23))
    made.decide(offer(key="c", occurred_at=on(3, 5, 23)))
    assert stretch_of(made) is not first


@pytest.mark.parametrize(
    ("make", "bounds"),
    [
        (of_a_period, (EDGE, on(3, 6))),
        (of_a_plan, (EDGE, on(3, 6))),
        (of_a_subscription, (EDGE, on(3, 6))),
    ],
)
def test_a_stretch_begins_where_what_it_is_judged_by_does(
    make: Callable[[], Decider], bounds: tuple[datetime, datetime]
) -> None:
    made = make()
    made.decide(offer(occurred_at=EDGE + TICK))
    assert (stretch_of(made).starts_at, stretch_of(made).ends_at) == bounds


@pytest.mark.parametrize("make", [of_a_period, of_a_plan, of_a_subscription, of_an_end, of_a_payment_that_is_missing])
def test_a_stretch_ends_where_what_it_is_judged_by_does(make: Callable[[], Decider]) -> None:
    made = make()
    made.decide(offer(occurred_at=EDGE - TICK))
    assert (stretch_of(made).starts_at, stretch_of(made).ends_at) == (on(3, 5), EDGE)


def test_each_meter_has_a_stretch_of_its_own() -> None:
    made = decider(limit("1"))
    assert made.decide(offer("1")).status == "accepted"
    assert made.decide(offer("5", key="b", meter="calls")).status == "accepted"
    assert made.decide(offer("1", key="c")).status == "refused"


def test_use_told_ahead_leaves_no_stretch_behind() -> None:
    made = decider(now=on(4, 1) - TICK)
    made.decide(offer(occurred_at=on(4, 1)))
    assert made._stretches == {}
