"""One offer against books in memory: which credits pay, what is held, what is told of limits and of credits."""

from decimal import Decimal
from uuid import UUID

import pytest

from billing.kernel.decimals import STORED_MAX
from billing.kernel.errors import InvariantViolation
from billing.kernel.periods import Cadence
from billing.metering.books import Debit
from billing.metering.decisions import CreditCrossing, Crossing, Decider, Judged
from billing.metering.offers import EventView, Offer, Outcome, Refusal
from tests.support.metering_books import (
    MARCH,
    NOW,
    PLAN,
    SUBSCRIPTION,
    TICK,
    decider,
    flags,
    grant,
    hold,
    limit,
    offer,
    on,
    over,
    period,
    subscription,
    window,
)

FIRST, SECOND = UUID(int=1001), UUID(int=1002)


def event_of(outcome: Outcome) -> EventView:
    assert outcome.status == "accepted"
    assert outcome.event is not None
    return outcome.event


def costly(credits: str = "1", **fields: object) -> Decider:
    """A blocking limit of 100 whose units cost credits."""
    return decider(limit("100", credits_per_unit=Decimal(credits)), **fields)  # type: ignore[arg-type]


def kept_for(decides: Decider, asked: Offer) -> Judged:
    outcome, judged = decides.reserve(asked)
    assert outcome.status == "accepted"
    assert judged is not None
    return judged


def test_credits_come_out_of_the_grants_in_their_order() -> None:
    some = subscription(grant("5", number=2), grant("1", number=1, priority=5))
    made = costly("0.5", subscriptions=[some])
    event = event_of(made.decide(offer("6")))
    assert (event.credits_due, event.credits_paid, event.credit_deficit) == (3, 3, 0)
    account = made.books.accounts[SUBSCRIPTION]
    assert account.debits == [
        Debit(SUBSCRIPTION, 3, FIRST, Decimal(1), Decimal(5), event.id),
        Debit(SUBSCRIPTION, 4, SECOND, Decimal(2), Decimal(3), event.id),
    ]
    assert (account.balance, account.entries) == (3, 4)
    assert [each.remaining for each in account.grants] == [0, 3]
    assert made.books.charges == {}


def test_a_grant_pays_at_the_time_of_use() -> None:
    expired = subscription(grant("5", expires_at=on(3, 5)))
    made = costly(subscriptions=[expired])
    assert made.decide(offer(key="b")).status == "refused"
    assert event_of(made.decide(offer(occurred_at=on(3, 5) - TICK))).credits_paid == 1


def test_use_told_ahead_of_its_period_is_paid_by_what_can_pay_now() -> None:
    now = on(4, 1) - TICK
    some = subscription(grant("2", expires_at=on(4, 1)), grant("1", number=2, starts_at=on(4, 1)))
    made = costly(subscriptions=[some], now=now)
    assert event_of(made.decide(offer("2", occurred_at=on(4, 1, 0, 1)))).credits_paid == 2
    assert made.decide(offer(key="b", occurred_at=on(4, 1, 0, 1))).status == "refused"


@pytest.mark.parametrize(("there", "status"), [("2.999999", "refused"), ("3", "accepted")])
def test_behind_a_blocking_limit_credits_are_there_or_nothing_is_counted(there: str, status: str) -> None:
    made = costly(subscriptions=[subscription(grant(there))])
    assert made.decide(offer("3")).status == status
    assert made.read("tokens", NOW)[0].used == (3 if status == "accepted" else 0)  # type: ignore[index]


def test_credits_that_are_missing_are_told() -> None:
    made = costly(subscriptions=[subscription(grant("1.25"))])
    outcome = made.decide(offer("3"))
    assert outcome.refusal == Refusal(
        "insufficient_credits",
        "billing:quota-exceeded:max_tokens",
        "max_tokens: 3 credits are needed and 1.25 are there.",
        "max_tokens",
        Decimal("1.75"),
    )
    assert (outcome.status, outcome.event) == ("refused", None)
    assert [each.key for each in outcome.guards] == ["max_tokens"]
    assert made.books.accounts[SUBSCRIPTION].debits == []


def test_what_reservations_keep_pays_for_nothing_else() -> None:
    kept = hold("1", credits={1: "2"})
    made = costly(subscriptions=[subscription(grant("5"))], holds=[kept])
    assert made.decide(offer("3.000001")).status == "refused"
    assert event_of(made.decide(offer("3"))).credits_paid == 3


def test_where_units_are_sold_credits_that_are_missing_are_a_charge() -> None:
    made = decider(over("100", credits="1"), subscriptions=[subscription(grant("2"))], windows=[window("95")])
    event = event_of(made.decide(offer("8")))
    # Five are inside and cost credits, three are over and cost money.
    assert (event.overage, event.credits_due, event.credits_paid, event.credit_deficit) == (3, 5, 2, 3)
    ((_, charge),) = made.books.charges.items()
    assert (charge.overage, charge.credit_deficit) == (3, 3)


def test_a_deficit_alone_is_charged_too() -> None:
    made = decider(over("100", credits="1"))
    made.decide(offer("2"))
    made.decide(offer("3", key="b"))
    ((key, charge),) = made.books.charges.items()
    assert key == (SUBSCRIPTION, MARCH, MARCH, PLAN, "tokens")
    assert (charge.overage, charge.credit_deficit) == (0, 5)


def test_a_trial_sells_no_credits() -> None:
    trial = subscription(grant("2"), status="trialing", periods=[period(3, kind="trial")])
    made = decider(over("100", credits="1"), subscriptions=[trial])
    refused = made.decide(offer("3"))
    assert refused.refusal is not None
    assert refused.refusal.code == "insufficient_credits"
    assert event_of(made.decide(offer("2"))).credits_paid == 2


def test_more_credits_than_a_column_holds_are_refused() -> None:
    # 99,999,999 × 1,000,001 is just within the column, one unit more is not.
    made = decider(over(None, credits="1000001"), subscriptions=[subscription(grant("0"))])
    most = Decimal(int(STORED_MAX / 1000001))
    assert event_of(made.decide(offer(str(most)))).credits_due == most * 1000001
    refused = made.decide(offer(str(most + 1), key="b"))
    assert refused.refusal == Refusal(
        "quantity_invalid",
        "billing:error:quantity-invalid",
        "The quantity costs more credits than can be counted.",
    )
    assert (refused.status, refused.event, len(refused.guards)) == ("refused", None, 1)


def test_exactly_what_a_column_holds_is_counted() -> None:
    made = decider(over(None, credits=str(STORED_MAX)))
    assert event_of(made.decide(offer("1"))).credits_due == STORED_MAX


def test_an_account_that_has_less_than_its_grants_is_a_broken_invariant() -> None:
    made = costly(subscriptions=[subscription(grant("5"), credit_balance=Decimal("2.999999"))])
    with pytest.raises(InvariantViolation) as caught:
        made.decide(offer("3"))
    assert str(caught.value) == f"account {SUBSCRIPTION} has less than its grants"


def test_a_flag_that_the_plan_waives_makes_the_use_free() -> None:
    rules = flags(unsafe="waive", slow="annotate", odd="hold")
    made = decider(over("1", credits="1", **rules), subscriptions=[subscription(grant("9"))])
    event = event_of(made.decide(offer("5", guardrail_flags=("odd", "unsafe"))))
    assert (event.quantity, event.overage, event.credits_due, event.credits_paid) == (5, 0, 0, 0)
    assert made.read("tokens", NOW)[0].used == 5  # type: ignore[index]
    assert made.held == []
    assert event_of(made.decide(offer("5", key="b", guardrail_flags=("slow",)))).overage == 5


def test_a_flag_that_the_plan_holds_makes_the_debit_wait() -> None:
    rules = flags(unsafe="hold", odd="hold", slow="annotate")
    made = decider(over("3", credits="2", **rules), subscriptions=[subscription(grant("9"))])
    event = event_of(made.decide(offer("5", guardrail_flags=("unsafe", "slow", "odd", "unheard"))))
    assert (event.quantity, event.overage, event.credits_due, event.credits_paid) == (5, 0, 0, 0)
    ((held_event, asking, units, credits),) = made.held
    assert (held_event, asking, units, credits) == (event, ("odd", "unsafe"), 2, 6)
    assert made.books.charges == {}
    assert made.books.accounts[SUBSCRIPTION].debits == []
    assert {each.used for each in made.books.windows.values()} == {5}


def test_a_debit_of_nothing_need_not_wait() -> None:
    made = decider(over("5", **flags(unsafe="hold")))
    made.decide(offer("5", guardrail_flags=("unsafe",)))
    assert made.held == []
    made.decide(offer("1", key="b", guardrail_flags=("unsafe",)))
    ((_, _, units, credits),) = made.held
    assert (units, credits) == (1, 0)


def test_a_debit_of_credits_alone_waits() -> None:
    made = decider(
        limit("9", credits_per_unit=Decimal(1), **flags(unsafe="hold")), subscriptions=[subscription(grant("9"))]
    )
    made.decide(offer("1", guardrail_flags=("unsafe",)))
    ((_, _, units, credits),) = made.held
    assert (units, credits) == (0, 1)


def test_a_flag_opens_no_limit() -> None:
    made = decider(limit("5", credits_per_unit=Decimal(1), **flags(unsafe="waive")))
    assert made.decide(offer("6", guardrail_flags=("unsafe",))).status == "refused"
    assert made.decide(offer("5", guardrail_flags=("unsafe",))).status == "accepted"


def test_each_line_of_a_limit_is_told_once() -> None:
    made = decider(limit("100"), windows=[window("79.999999")])
    made.decide(offer("0.000001"))
    made.decide(offer("19.999999", key="b"))
    assert made.crossings == [
        Crossing("quota.threshold", SUBSCRIPTION, "tokens", "max_tokens", 80, Decimal(80), Decimal(100), on(3, 1))
    ]
    made.decide(offer("0.000001", key="c"))
    assert made.crossings[1:] == [
        Crossing("quota.exhausted", SUBSCRIPTION, "tokens", "max_tokens", 100, Decimal(100), Decimal(100), on(3, 1))
    ]


def test_what_was_taken_back_and_is_used_again_crosses_no_line_anew() -> None:
    made = decider(limit("100"), windows=[window("10", peak=Decimal("80"))])
    made.decide(offer("75"))
    assert made.crossings == []
    made.decide(offer("15", key="b"))
    assert [each.topic for each in made.crossings] == ["quota.exhausted"]


def test_every_limit_has_lines_of_its_own_and_no_limit_has_none() -> None:
    made = decider(
        limit("100", key="a"),
        limit(None, key="b"),
        over("10", key="c", cadence=Cadence.DAILY),
    )
    made.decide(offer("9"))
    ((topic, *_, entitlement, percent, used, most, begins),) = [tuple(each) for each in made.crossings]
    assert (topic, entitlement, percent, used, most, begins) == ("quota.threshold", "c", 80, 9, 10, on(3, 10))


def test_credits_that_get_low_and_run_out_are_told_once_each() -> None:
    some = subscription(grant("10"), filled=Decimal(10))
    made = costly(subscriptions=[some], low_percent=20)
    for number, quantity in enumerate(("7.999999", "0.000001", "1", "1")):
        made.decide(offer(quantity, key=str(number)))
    assert made.crossings == [
        CreditCrossing("credits.low", SUBSCRIPTION, Decimal(2), Decimal(10)),
        CreditCrossing("credits.exhausted", SUBSCRIPTION, Decimal(0), Decimal(10)),
    ]
    assert made.books.accounts[SUBSCRIPTION].told == 2


@pytest.mark.parametrize(
    ("told", "topics"), [(0, ["credits.low", "credits.exhausted"]), (1, ["credits.exhausted"]), (2, [])]
)
def test_what_was_told_before_is_not_told_again(told: int, topics: list[str]) -> None:
    some = subscription(grant("3"), filled=Decimal(10), told=told)
    made = costly(subscriptions=[some], low_percent=50)
    made.decide(offer("3"))
    assert [each.topic for each in made.crossings] == topics


def test_use_that_costs_no_credits_tells_nothing_of_them() -> None:
    made = decider(limit("100"), subscriptions=[subscription(grant("1"), filled=Decimal(10))], low_percent=50)
    made.decide(offer("3"))
    assert made.crossings == []


def test_credits_are_low_by_what_could_pay_now() -> None:
    some = subscription(grant("5", expires_at=on(3, 5)), grant("5", number=2, expires_at=on(3, 20)), filled=Decimal(10))
    made = costly(subscriptions=[some], low_percent=49)
    made.decide(offer("1", occurred_at=on(3, 2)))
    assert made.crossings == []
    made.decide(offer("1", key="b"))
    assert made.crossings == [CreditCrossing("credits.low", SUBSCRIPTION, Decimal(4), Decimal(10))]


def test_a_reservation_keeps_units_and_credits_and_changes_nothing() -> None:
    made = costly("0.5", subscriptions=[subscription(grant("9"))], windows=[window("10")])
    outcome, judged = made.reserve(offer("6"))
    assert (outcome.status, outcome.event, outcome.refusal) == ("accepted", None, None)
    assert outcome.offer == offer("6")
    assert outcome.guards[0].used == 10
    assert judged is not None
    assert (judged.over, judged.due, judged.shares) == (0, 3, [(FIRST, 3)])
    assert judged.stretch.account is made.books.accounts[SUBSCRIPTION]
    assert judged.stretch.guards == made.catalog.plan(PLAN, "").guards("tokens")
    assert judged.stretch.windows[Cadence.PERIOD].key.starts_at == on(3, 1)
    assert made.books.accounts[SUBSCRIPTION].balance == 9
    assert made.accepted == made.crossings == []
    assert kept_for(made, offer("18")).due == 9  # not a bit of it is gone


def test_a_reservation_is_refused_as_the_use_would_be() -> None:
    made = decider(limit("10"), windows=[window("8")])
    outcome, judged = made.reserve(offer("3"))
    assert judged is None
    assert outcome == made.decide(offer("3"))
    outcome, judged = made.reserve(offer("1", meter="unheard"))
    assert judged is None
    assert outcome == made.decide(offer("1", meter="unheard"))
    alone = decider(subscriptions=[])
    outcome, judged = alone.reserve(offer("1"))
    assert judged is None
    assert outcome == alone.decide(offer("1"))


def test_a_reservation_is_judged_now_whatever_its_offer_names() -> None:
    made = decider(limit("10", cadence=Cadence.DAILY))
    judged = kept_for(made, offer("3", occurred_at=on(3, 2)))
    assert judged.stretch.windows[Cadence.DAILY].key.starts_at == on(3, 10)


@pytest.mark.parametrize("credits", ["0", "1"])
def test_figures_are_decimals_even_of_nothing(credits: str) -> None:
    made = decider(limit("9", credits_per_unit=Decimal(credits)))
    outcome, judged = made.reserve(offer("1"))
    if judged is not None:
        assert {type(judged.over), type(judged.due)} == {Decimal}
        event = event_of(made.decide(offer("1")))
        assert {type(event.overage), type(event.credits_due), type(event.credits_paid)} == {Decimal}
    assert {type(each.used) for each in outcome.guards} == {Decimal}
    assert {type(each.reserved) for each in outcome.guards} == {Decimal}


def test_nothing_is_low_unless_a_share_is_named() -> None:
    some = subscription(grant("100"), filled=Decimal(100))
    known = decider(limit(None, credits_per_unit=Decimal(1)), subscriptions=[some])
    made = Decider(known.books, known.catalog, NOW)
    for number, quantity in enumerate(("99", "0.5", "0.499999")):
        made.decide(offer(quantity, key=str(number)))
        assert made.crossings == []
    made.decide(offer("0.000001", key="last"))
    assert [each.topic for each in made.crossings] == ["credits.low", "credits.exhausted"]
