"""One offer against books in memory: whom it is counted for, against which limits, in which period."""

from datetime import datetime
from decimal import Decimal
from uuid import UUID

import pytest

from billing.catalog.compiled import BooleanGuard, CompiledPlan
from billing.kernel.errors import InvariantViolation
from billing.kernel.periods import Cadence
from billing.metering.decisions import Decider, RenewalDue, past_due
from billing.metering.offers import AHEAD_MAX, LATE_MAX, EventView, Outcome, Refusal
from tests.support.metering_books import (
    FEBRUARY,
    MARCH,
    NOW,
    PLAN,
    SUBSCRIPTION,
    TICK,
    decider,
    hold,
    limit,
    offer,
    on,
    over,
    period,
    plan,
    span,
    subscription,
    window,
)

MISSING = Refusal("subscription_missing", "billing:subscription-missing", "No subscription in service covers this use.")


def event_of(outcome: Outcome) -> EventView:
    assert outcome.status == "accepted"
    assert outcome.refusal is None
    assert outcome.event is not None
    return outcome.event


def refusal_of(outcome: Outcome) -> Refusal:
    assert outcome.status == "refused"
    assert outcome.event is None
    assert outcome.refusal is not None
    return outcome.refusal


def period_of(decides: Decider, at: datetime) -> UUID:
    return event_of(decides.decide(offer(key=str(at), occurred_at=at))).period_id


def test_what_is_accepted_says_what_it_counts_for_whom_and_where() -> None:
    made = decider(limit("100"))
    outcome = made.decide(offer("2.5"))
    event = event_of(outcome)
    assert (event.subscription_id, event.plan_id, event.period_id, event.billed_period_id) == (
        SUBSCRIPTION,
        PLAN,
        MARCH,
        MARCH,
    )
    assert (event.meter, event.quantity, event.overage, event.credits_due, event.credits_paid) == (
        "tokens",
        Decimal("2.5"),
        0,
        0,
        0,
    )
    assert (event.occurred_at, event.recorded_at) == (NOW, NOW)
    assert not outcome.bills_closed
    (accepted,) = made.accepted
    assert accepted[:3] == (offer("2.5"), event, offer("2.5").fingerprint().hex())
    terms = accepted.stretch.terms
    assert (terms.period.id, terms.billed.id, terms.span.plan_id) == (
        event.period_id,
        event.billed_period_id,
        event.plan_id,
    )
    assert made.held == made.crossings == []


def test_an_offer_keeps_the_time_that_it_names() -> None:
    event = event_of(decider().decide(offer(occurred_at=on(3, 2, 7))))
    assert (event.occurred_at, event.recorded_at) == (on(3, 2, 7), NOW)


def test_the_answer_tells_every_guard_as_it_stands_after_it() -> None:
    made = decider(
        BooleanGuard("agents", True),
        limit("100", cadence=Cadence.DAILY, key="max_daily"),
        over(None, key="max_monthly", cadence=Cadence.MONTHLY),
        windows=[window("7", cadence=Cadence.DAILY, starts_at=on(3, 10))],
        holds=[hold("4")],
    )
    guards = made.decide(offer("3")).guards
    assert [list(guard) for guard in guards] == [
        ["agents", False, True, None, 0, 0, "", None, None],
        ["max_daily", True, True, 100, 10, 4, "daily", on(3, 10), on(3, 11)],
        ["max_monthly", True, True, None, 3, 4, "monthly", on(3, 1), on(4, 1)],
    ]
    assert [guard.remaining for guard in guards] == [None, 86, None]


def test_where_nobody_reads_the_guards_they_are_not_told() -> None:
    assert decider(limit()).decide(offer(), is_read=False).guards == ()


def test_the_same_again_is_a_duplicate_with_the_first_answer() -> None:
    made = decider(limit("100"))
    first = event_of(made.decide(offer("60")))
    again = made.decide(offer("60.000"))
    assert (again.status, again.event, again.refusal) == ("duplicate", first, None)
    assert again.offer == offer("60")
    assert len(made.accepted) == 1
    assert made.read("tokens", NOW)[0].used == 60  # type: ignore[index]


def test_another_use_under_the_same_key_is_a_conflict() -> None:
    made = decider()
    made.decide(offer("60"))
    outcome = made.decide(offer("61"))
    assert (outcome.status, outcome.event) == ("conflict", None)
    assert outcome.refusal == Refusal("idempotency_conflict", "", "The key 'a' was used for another event.")
    assert made.decide(offer("61", source="csv")).status == "accepted"
    assert made.decide(offer("61", key="b")).status == "accepted"


def test_a_refused_key_is_free() -> None:
    made = decider(limit("10"))
    assert made.decide(offer("11")).status == "refused"
    assert made.decide(offer("10")).status == "accepted"


def test_a_meter_that_nobody_declared_is_refused() -> None:
    refusal = refusal_of(decider().decide(offer(meter="unheard")))
    assert refusal == Refusal("meter_undeclared", "billing:error:meter-undeclared", "No event 'unheard' is declared.")


def test_use_is_told_up_to_thirty_five_days_late() -> None:
    early = [period(1, closed=True), period(2, closed=True), period(3)]
    made = decider(subscriptions=[subscription(starts_at=on(1, 1), periods=early)])
    assert made.decide(offer(occurred_at=NOW - LATE_MAX)).status == "accepted"
    assert refusal_of(made.decide(offer(key="b", occurred_at=NOW - LATE_MAX - TICK))) == Refusal(
        "occurred_at_too_old", "billing:error:occurred-at-too-old", "Use can be reported up to 35 days late."
    )


def test_use_is_told_up_to_five_minutes_ahead() -> None:
    made = decider()
    assert made.decide(offer(occurred_at=NOW + AHEAD_MAX)).status == "accepted"
    assert refusal_of(made.decide(offer(key="b", occurred_at=NOW + AHEAD_MAX + TICK))) == Refusal(
        "occurred_at_in_future",
        "billing:error:occurred-at-in-future",
        "occurred_at is more than 5 minutes ahead.",
    )


def test_without_a_subscription_of_the_meters_product_nothing_is_counted() -> None:
    assert refusal_of(decider(subscriptions=[]).decide(offer())) == MISSING
    assert refusal_of(decider(subscriptions=[subscription(product="other")]).decide(offer())) == MISSING


def test_the_subscription_of_the_time_of_use_answers() -> None:
    old, new = UUID(int=50), UUID(int=51)
    made = decider(
        subscriptions=[
            subscription(id=old, status="canceled", ended_at=on(3, 5), periods=[period(3, ends_at=on(3, 5))]),
            subscription(id=new, starts_at=on(3, 5), periods=[period(3, starts_at=on(3, 5))]),
        ]
    )
    before = event_of(made.decide(offer(occurred_at=on(3, 5) - TICK)))
    after = event_of(made.decide(offer(key="b", occurred_at=on(3, 5))))
    assert (before.subscription_id, after.subscription_id) == (old, new)


def test_before_it_starts_and_once_it_has_ended_it_answers_for_nothing() -> None:
    made = decider(subscriptions=[subscription(starts_at=on(3, 2), ended_at=on(3, 8), status="canceled")])
    for number, (at, status) in enumerate(
        [
            (on(3, 2) - TICK, "refused"),
            (on(3, 2), "accepted"),
            (on(3, 8) - TICK, "accepted"),
            (on(3, 8), "refused"),
        ]
    ):
        assert made.decide(offer(key=str(number), occurred_at=at)).status == status


@pytest.mark.parametrize("status", ["trialing", "active", "past_due", "paused", "canceled", "expired"])
def test_use_of_a_period_is_counted_whatever_became_of_the_subscription(status: str) -> None:
    made = decider(subscriptions=[subscription(status=status)])
    assert made.decide(offer(occurred_at=on(3, 2))).status == "accepted"


def test_one_that_was_never_confirmed_counts_nothing() -> None:
    made = decider(subscriptions=[subscription(status="incomplete")])
    assert refusal_of(made.decide(offer())) == MISSING


def test_from_the_instant_it_is_past_due_nobody_is_served() -> None:
    made = decider(subscriptions=[subscription(status="past_due", past_due_at=on(3, 9))])
    assert made.decide(offer(occurred_at=on(3, 9) - TICK)).status == "accepted"
    refusal = refusal_of(made.decide(offer(key="b", occurred_at=on(3, 9))))
    assert refusal == past_due()
    assert refusal == Refusal(
        "subscription_past_due",
        "billing:subscription-missing",
        "The subscription is past due: an invoice is unpaid.",
        detail_note="billing:subscription-past-due",
    )
    assert refusal.notes == ("billing:subscription-missing", "billing:subscription-past-due")


@pytest.mark.parametrize("status", ["trialing", "active", "past_due"])
def test_a_period_that_is_missing_has_to_be_opened_first(status: str) -> None:
    made = decider(subscriptions=[subscription(status=status, periods=[period(2)])])
    with pytest.raises(RenewalDue):
        made.decide(offer())


@pytest.mark.parametrize("status", ["paused", "canceled", "expired"])
def test_of_one_that_does_not_go_on_none_is_missing(status: str) -> None:
    made = decider(subscriptions=[subscription(status=status, periods=[period(2)])])
    assert refusal_of(made.decide(offer())) == MISSING


def test_a_period_begins_in_its_first_instant_and_ends_before_its_last() -> None:
    made = decider(subscriptions=[subscription(periods=[period(2), period(3)])])
    assert period_of(made, on(3, 1) - TICK) == FEBRUARY
    assert period_of(made, on(3, 1)) == MARCH


def test_while_it_is_paused_nothing_is_counted() -> None:
    paused = [span(ends_at=on(3, 5)), span(on(3, 5), on(3, 7), is_paused=True), span(on(3, 7))]
    made = decider(subscriptions=[subscription(spans=paused)])
    assert made.decide(offer(key="b", occurred_at=on(3, 5) - TICK)).status == "accepted"
    assert refusal_of(made.decide(offer(occurred_at=on(3, 5)))) == MISSING
    assert refusal_of(made.decide(offer(occurred_at=on(3, 7) - TICK))) == MISSING
    assert made.decide(offer(occurred_at=on(3, 7))).status == "accepted"


def test_a_subscription_without_a_plan_is_a_broken_invariant() -> None:
    made = decider(subscriptions=[subscription(spans=[span(on(3, 11))])])
    with pytest.raises(InvariantViolation) as caught:
        made.decide(offer())
    assert str(caught.value) == f"subscription {SUBSCRIPTION} has no plan at {NOW}"


def test_the_plan_of_the_time_of_use_decides() -> None:
    strict, generous = UUID(int=60), UUID(int=61)
    made = decider(
        subscriptions=[subscription(spans=[span(ends_at=on(3, 9), plan_id=strict), span(on(3, 9), plan_id=generous)])],
        plans={strict: plan(limit("0"), plan_id=strict), generous: plan(limit("100"), plan_id=generous)},
    )
    assert event_of(made.decide(offer())).plan_id == generous
    assert refusal_of(made.decide(offer(key="b", occurred_at=on(3, 9) - TICK))).code == "quota_exceeded"
    assert made.decide(offer(key="c", occurred_at=on(3, 9))).status == "accepted"


def test_the_plan_is_asked_for_by_its_content_too() -> None:
    asked = []
    made = decider()

    def look_up(plan_id: UUID, digest: str) -> CompiledPlan:
        asked.append((plan_id, digest))
        return plan()

    made.catalog = made.catalog._replace(plan=look_up)
    made.decide(offer())
    assert asked == [(PLAN, "digest")]


def test_use_of_a_period_whose_invoice_is_out_is_billed_by_the_next() -> None:
    outcome = decider().decide(offer(occurred_at=on(2, 20)))
    event = event_of(outcome)
    assert (event.period_id, event.billed_period_id) == (FEBRUARY, MARCH)
    assert not outcome.bills_closed


def test_use_of_one_that_ended_and_is_billed_asks_for_a_final_invoice() -> None:
    ended = subscription(
        status="canceled", ended_at=on(3, 5), periods=[period(2, closed=True), period(3, closed=True, ends_at=on(3, 5))]
    )
    outcome = decider(subscriptions=[ended]).decide(offer(occurred_at=on(2, 20)))
    event = event_of(outcome)
    assert (event.period_id, event.billed_period_id) == (FEBRUARY, MARCH)
    assert outcome.bills_closed


def test_use_with_all_periods_closed_and_more_to_come_waits_for_the_renewal() -> None:
    made = decider(subscriptions=[subscription(periods=[period(2, closed=True), period(3, closed=True)])])
    with pytest.raises(RenewalDue):
        made.decide(offer())


def test_use_told_ahead_of_a_period_that_has_not_begun_stands_in_the_one_that_runs() -> None:
    now = on(4, 1) - TICK
    made = decider(limit("100", cadence=Cadence.DAILY), now=now)
    ahead = event_of(made.decide(offer("60", occurred_at=on(4, 1, 0, 3))))
    assert (ahead.period_id, ahead.billed_period_id, ahead.occurred_at) == (MARCH, MARCH, on(4, 1, 0, 3))
    # It is of the first of April, though: there the day's limit is.
    assert made.decide(offer("60", key="b", occurred_at=now)).status == "accepted"
    assert refusal_of(made.decide(offer("60", key="c", occurred_at=on(4, 1, 0, 4)))).code == "quota_exceeded"
    assert made.decide(offer("40", key="d", occurred_at=on(4, 1, 0, 4))).status == "accepted"


def test_use_told_ahead_of_an_end_that_is_known_is_refused() -> None:
    made = decider(subscriptions=[subscription(status="canceled", ended_at=on(3, 31))], now=on(3, 31) - TICK)
    assert refusal_of(made.decide(offer(occurred_at=on(3, 31)))) == MISSING


def test_use_told_ahead_with_no_period_running_waits_for_the_renewal() -> None:
    made = decider(subscriptions=[subscription(periods=[period(2)])], now=on(3, 31))
    with pytest.raises(RenewalDue):
        made.decide(offer(occurred_at=on(3, 31, 0, 1)))


def test_of_the_past_due_use_ahead_of_the_period_waits_for_the_renewal() -> None:
    made = decider(subscriptions=[subscription(status="past_due")], now=on(4, 1) - TICK)
    with pytest.raises(RenewalDue):
        made.decide(offer(occurred_at=on(4, 1)))


def test_a_feature_that_the_plan_does_not_have_is_refused() -> None:
    made = decider(BooleanGuard("search", True), BooleanGuard("agents", False), limit("0"))
    outcome = made.decide(offer())
    assert outcome.refusal == Refusal(
        "feature_disabled", "billing:feature-disabled:agents", "The plan does not include agents.", "agents"
    )
    assert [guard.key for guard in outcome.guards] == ["search", "agents", "max_tokens"]
    assert decider(BooleanGuard("agents", True)).decide(offer()).status == "accepted"


@pytest.mark.parametrize(
    ("quantity", "status"), [("39.999999", "accepted"), ("40", "accepted"), ("40.000001", "refused")]
)
def test_a_blocking_limit_takes_all_or_nothing(quantity: str, status: str) -> None:
    made = decider(limit("100"), windows=[window("60")])
    assert made.decide(offer(quantity)).status == status
    assert made.read("tokens", NOW)[0].used == 60 + (Decimal(quantity) if status == "accepted" else 0)  # type: ignore[index]


def test_a_refusal_says_what_is_used_reserved_and_asked_for() -> None:
    made = decider(limit("100"), windows=[window("60.5")])
    outcome = made.decide(offer("50"))
    assert outcome.refusal == Refusal(
        "quota_exceeded",
        "billing:quota-exceeded:max_tokens",
        "max_tokens: 60.5 of 100 are used and 50 more were asked for.",
        "max_tokens",
    )
    assert outcome.guards[0].used == Decimal("60.5")
    kept = decider(limit("100"), windows=[window("60.5")], holds=[hold("10")])
    assert (
        refusal_of(kept.decide(offer("30"))).message
        == "max_tokens: 60.5 of 100 are used, 10 reserved and 30 more were asked for."
    )


def test_what_is_reserved_stands_against_the_limit() -> None:
    made = decider(limit("100"), windows=[window("60")], holds=[hold("15")])
    assert made.decide(offer("25.000001")).status == "refused"
    assert made.decide(offer("25")).status == "accepted"


def test_the_first_limit_in_the_catalogs_order_says_no() -> None:
    made = decider(limit(None, key="free"), limit("5", key="second"), limit("1", key="third", cadence=Cadence.DAILY))
    assert refusal_of(made.decide(offer("6"))).entitlement == "second"
    assert refusal_of(made.decide(offer("2"))).entitlement == "third"
    assert made.decide(offer("1")).status == "accepted"


def test_an_unlimited_meter_and_one_without_any_guard_take_everything() -> None:
    assert decider(limit(None)).decide(offer("1000000000000")).status == "accepted"
    assert decider(limit("0")).decide(offer("1000000000000", meter="calls")).status == "accepted"


def test_every_cadence_counts_in_a_window_of_its_own() -> None:
    made = decider(zone="America/New_York")
    made.decide(offer("3"))
    made.decide(offer("4", key="b", occurred_at=on(3, 8, 4, 59)))  # Saturday evening there, and still winter time
    starts = {(key.cadence, key.starts_at): window.used for key, window in made.books.windows.items()}
    assert starts == {
        ("daily", on(3, 10, 4)): 3,
        ("daily", on(3, 7, 5)): 4,
        ("weekly", on(3, 9, 4)): 3,
        ("weekly", on(3, 2, 5)): 4,
        ("monthly", on(3, 1, 5)): 7,
        ("billing_period", on(3, 1)): 7,
        ("never", datetime(1970, 1, 1, tzinfo=NOW.tzinfo)): 7,
    }
    assert {window.events for window in made.books.windows.values()} == {1, 2}


def test_units_beyond_an_overage_limit_are_split_and_charged() -> None:
    made = decider(over("100"), windows=[window("95")])
    first, second = event_of(made.decide(offer("8"))), event_of(made.decide(offer("2", key="b")))
    assert (first.overage, second.overage) == (3, 2)
    ((key, charge),) = made.books.charges.items()
    assert key == (SUBSCRIPTION, MARCH, MARCH, PLAN, "tokens")
    assert (charge.overage, charge.credit_deficit) == (5, 0)
    assert {window.overage for window in made.books.windows.values()} == {5}


def test_what_is_reserved_leaves_less_inside_an_overage_limit() -> None:
    made = decider(over("100"), windows=[window("90")], holds=[hold("6")])
    assert event_of(made.decide(offer("5"))).overage == 1


def test_use_inside_the_limit_is_charged_to_nobody() -> None:
    made = decider(over("100"))
    made.decide(offer("100"))
    assert made.books.charges == {}


def test_a_trial_gives_no_credit() -> None:
    trial = subscription(status="trialing", periods=[period(3, kind="trial")])
    made = decider(over("100"), subscriptions=[trial])
    assert refusal_of(made.decide(offer("100.5"))).code == "quota_exceeded"
    assert event_of(made.decide(offer("100"))).overage == 0


def test_what_other_subscriptions_used_in_a_calendar_window_counts() -> None:
    other = UUID(int=50)
    made = decider(
        limit("100", cadence=Cadence.MONTHLY),
        windows=[window("70", cadence=Cadence.MONTHLY, subscription_id=other, starts_at=on(3, 1))],
    )
    assert made.decide(offer("31")).status == "refused"
    assert made.decide(offer("30")).status == "accepted"


def test_a_billing_period_is_its_subscriptions_own() -> None:
    made = decider(limit("100"), windows=[window("70", subscription_id=UUID(int=50))])
    assert made.decide(offer("100")).status == "accepted"


def test_no_answer_for_a_meter_is_none() -> None:
    made = decider(limit("100"), windows=[window("1")])
    assert made.read("tokens", on(1, 1)) is None
    assert made.stand("tokens", on(1, 1)) is None
    standing = made.stand("tokens", NOW)
    assert standing is not None
    assert (standing.subscription_id, standing.plan_id) == (SUBSCRIPTION, PLAN)
    assert standing.guards == made.read("tokens", NOW)
    assert standing.guards[0].used == 1


def test_looking_counts_nothing() -> None:
    made = decider(limit("100"))
    for _ in range(3):
        made.stand("tokens", NOW)
    assert made.decide(offer("100")).status == "accepted"


def test_a_product_is_asked_for_by_its_own_meter() -> None:
    made = decider(subscriptions=[subscription(product="other")])
    made.catalog = made.catalog._replace(product_of={"tokens": "other", "calls": "suite"})
    assert made.decide(offer()).status == "accepted"
    assert refusal_of(made.decide(offer(key="b", meter="calls"))) == MISSING


def test_every_answer_names_its_offer() -> None:
    made = decider(limit("5"), BooleanGuard("agents", True))
    first = offer("5")
    for asked, status in (
        (first, "accepted"),
        (first, "duplicate"),
        (offer("4"), "conflict"),
        (offer("1", key="b"), "refused"),
        (offer("1", key="c", meter="unheard"), "refused"),
        (offer("1", key="d", occurred_at=on(1, 1)), "refused"),
    ):
        outcome = made.decide(asked)
        assert outcome.offer is asked
        assert outcome.status == status
    missing = decider(subscriptions=[])
    assert missing.decide(first).offer is first
    poor = decider(limit(None, credits_per_unit=Decimal(100)))
    for asked in (offer("1", key="e"), offer("1000000000000", key="f")):
        outcome = poor.decide(asked)
        assert outcome.offer is asked
        assert outcome.status == "refused"
    assert missing.reserve(first)[0].offer is first


def test_every_event_has_an_id_of_its_own() -> None:
    made = decider()
    ids = [event_of(made.decide(offer(key=str(number)))).id for number in range(3)]
    assert {each.version for each in ids} == {7}
    assert len(set(ids)) == 3


def test_what_was_accepted_is_known_by_its_source_and_key() -> None:
    made = decider()
    event = event_of(made.decide(offer("2", source="csv")))
    ((name, known),) = made.books.known.items()
    assert name == ("csv", "a")
    assert known.event == event
    assert known.fingerprint == offer("2", source="csv").fingerprint().hex()


def test_a_limit_beyond_which_units_are_sold_lets_the_next_one_say_no() -> None:
    made = decider(over("1"), limit("5", key="hard"))
    assert refusal_of(made.decide(offer("6"))).entitlement == "hard"
    assert event_of(made.decide(offer("5"))).overage == 4


def test_past_due_is_told_to_a_reservation_too() -> None:
    made = decider(subscriptions=[subscription(status="past_due", past_due_at=on(3, 9))])
    outcome, judged = made.reserve(offer())
    assert (outcome.refusal, judged) == (past_due(), None)
