"""The running state of one organization: windows that share their use, accounts, periods and who answers when."""

from decimal import Decimal
from uuid import UUID

import pytest

from billing.credits.allocation import Share
from billing.kernel.periods import Cadence, Span
from billing.metering.books import Account, Books, Window, billing_period_of, period_at, span_at
from tests.support.metering_books import (
    NOW,
    SUBSCRIPTION,
    TICK,
    books,
    decider,
    grant,
    hold,
    limit,
    offer,
    on,
    period,
    plan,
    span,
    subscription,
    window,
)

OTHER = UUID(int=50)
ONE, TWO, THREE = (UUID(int=1000 + number) for number in (1, 2, 3))
MONTH = Span(on(3, 1), on(4, 1))


def found(made: Books, cadence: Cadence = Cadence.PERIOD, *, of: UUID = SUBSCRIPTION, meter: str = "tokens") -> Window:
    return made.window(of, meter, cadence, MONTH)


def test_a_window_goes_on_from_its_row() -> None:
    row = window("7", overage=Decimal(2), events=3, peak=Decimal(9))
    made = found(books(windows=[row]))
    assert made.row is row
    assert (made.used, made.overage, made.events, made.ends_at) == (7, 2, 3, on(4, 1))
    assert (made.taken, made.committed, made.reached) == (7, 7, 9)
    made.add(Decimal(4), Decimal(1))
    assert (made.used, made.overage, made.events) == (11, 3, 4)
    assert (made.taken, made.committed, made.reached) == (11, 11, 11)


def test_a_window_without_a_row_begins_at_nothing() -> None:
    made = found(books())
    assert made.row is None
    figures = (made.used, made.overage, made.taken, made.reserved, made.committed, made.reached)
    assert set(figures) == {0}
    assert {type(figure) for figure in figures} == {Decimal}
    assert made.events == 0


def test_the_same_window_is_the_same() -> None:
    made = books()
    assert found(made) is found(made)
    assert found(made) is not found(made, meter="calls")


def test_subscriptions_share_the_use_of_a_calendar_window_while_it_grows() -> None:
    made = books(windows=[window("7", cadence=Cadence.MONTHLY, subscription_id=OTHER, peak=Decimal(8))])
    mine, theirs = (found(made, Cadence.MONTHLY, of=who) for who in (SUBSCRIPTION, OTHER))
    mine.add(Decimal(5), Decimal(0))
    assert (mine.used, theirs.used) == (5, 7)
    assert mine.taken == theirs.taken == 12
    assert mine.row is None
    assert theirs.row is not None


def test_rows_of_all_subscriptions_are_added_and_the_highest_peak_counts() -> None:
    rows = [
        window("7", cadence=Cadence.MONTHLY, peak=Decimal(20)),
        window("6", cadence=Cadence.MONTHLY, subscription_id=OTHER, peak=Decimal(30)),
    ]
    made = found(books(windows=rows), Cadence.MONTHLY)
    assert (made.used, made.taken, made.reached) == (7, 13, 30)


@pytest.mark.parametrize(
    "fields", [{"meter": "calls"}, {"cadence": Cadence.WEEKLY}, {"starts_at": on(2, 1)}, {"subscription_id": OTHER}]
)
def test_another_stretch_is_not_this_one(fields: dict[str, object]) -> None:
    made = books(windows=[window("7", **fields)])  # type: ignore[arg-type]
    assert found(made).taken == 0


def test_a_late_event_of_the_plan_that_was_left_counts_against_the_one_that_followed() -> None:
    old = subscription(id=OTHER, status="canceled", ended_at=on(3, 5), periods=[period(3)])
    new = subscription(starts_at=on(3, 5), periods=[period(3)])
    made = decider(limit("10", cadence=Cadence.MONTHLY), subscriptions=[old, new])
    assert made.decide(offer("6", occurred_at=on(3, 6))).status == "accepted"
    assert made.decide(offer("3", key="b", occurred_at=on(3, 4))).status == "accepted"
    assert made.decide(offer("2", key="c", occurred_at=on(3, 6))).status == "refused"
    assert made.decide(offer("1", key="d", occurred_at=on(3, 6))).status == "accepted"


def test_a_reservation_stands_in_the_windows_of_its_instant_and_meter() -> None:
    made = books(
        holds=[
            hold("1", id=UUID(int=1)),
            hold("2", id=UUID(int=2), meter="calls"),
            hold("4", id=UUID(int=3), at=on(2, 20)),
            hold("8", id=UUID(int=4), subscription_id=OTHER),
            hold("16", id=UUID(int=5), at=on(4, 1)),
        ]
    )
    assert found(made).reserved == 1
    assert found(made, Cadence.MONTHLY).reserved == 9
    assert found(made, of=OTHER).reserved == 8
    assert found(made, meter="calls").reserved == 2
    assert found(made, Cadence.MONTHLY).committed == 9
    assert found(made, Cadence.MONTHLY).taken == 0


def test_what_reservations_keep_is_added_up_grant_by_grant() -> None:
    made = books(
        holds=[hold("1", id=UUID(int=1), credits={1: "2", 2: "1"}), hold("1", id=UUID(int=2), credits={1: "3"})]
    )
    assert made.held_credits() == {ONE: 5, TWO: 1}
    assert books().held_credits() == {}


def test_what_is_kept_of_a_grant_cannot_pay() -> None:
    account = Account(subscription(grant("5", number=1), grant("5", number=2), grant("5", number=3)))
    left = account.payable({ONE: Decimal(2), TWO: Decimal(9)})
    assert [(each.id, each.remaining) for each in left] == [(ONE, 3), (TWO, 0), (THREE, 5)]
    assert [each.remaining for each in account.grants] == [5, 5, 5]
    assert account.payable({}) is account.grants


def test_an_account_knows_what_it_could_spend_now() -> None:
    account = Account(subscription(grant("5"), grant("3", number=2, starts_at=on(4, 1)), grant("1", number=3)))
    assert (account.spendable(NOW), account.spendable(on(4, 1))) == (6, 9)
    assert type(Account(subscription()).spendable(NOW)) is Decimal


def test_who_answers_is_asked_by_product_and_time() -> None:
    old = subscription(id=OTHER, ended_at=on(3, 5))
    new = subscription(starts_at=on(3, 5))
    foreign = subscription(id=UUID(int=51), product="other")
    made = books(foreign, old, new)
    assert made.subscription_at("suite", on(2, 1) - TICK) is None
    assert made.subscription_at("suite", on(2, 1)) is old
    assert made.subscription_at("suite", on(3, 5) - TICK) is old
    assert made.subscription_at("suite", on(3, 5)) is new
    assert made.subscription_at("other", on(3, 5)) is foreign


def test_a_period_is_found_by_its_half_open_bounds() -> None:
    made = subscription(periods=[period(2), period(3)])
    assert period_at(made, on(2, 1) - TICK) is None
    assert [each.ordinal for at in (on(2, 1), on(3, 1) - TICK, on(3, 1)) if (each := period_at(made, at))] == [2, 2, 3]
    assert period_at(made, on(4, 1)) is None


def test_a_plan_is_found_by_its_half_open_bounds() -> None:
    first, last = span(on(2, 1), on(3, 1)), span(on(3, 1))
    made = subscription(spans=[first, last])
    assert span_at(made, on(2, 1) - TICK) is None
    assert span_at(made, on(2, 1)) is first
    assert span_at(made, on(3, 1) - TICK) is first
    assert span_at(made, on(3, 1)) is last
    assert span_at(made, on(12, 31)) is last


def test_the_first_period_that_is_not_closed_bills() -> None:
    made = subscription(periods=[period(5), period(4), period(3, closed=True), period(2)])
    assert [billing_period_of(made, period(month)) for month in (2, 3, 4)] == [period(2), period(4), period(4)]


def test_where_all_are_closed_a_final_invoice_bills_or_the_next_period_is_awaited() -> None:
    closed = [period(3, closed=True), period(4, closed=True), period(2, closed=True)]
    assert billing_period_of(subscription(periods=closed, ended_at=on(5, 1)), period(2)) == period(4, closed=True)
    assert billing_period_of(subscription(periods=closed), period(2)) is None


def test_a_plan_that_is_gone_guards_nothing() -> None:
    assert plan(limit("1")).guards("calls").metered == ()


def test_what_was_paid_is_told_grant_by_grant() -> None:
    account = Account(subscription(grant("5", number=1), grant("5", number=2), grant("5", number=3)))
    assert account.drained() == []
    account.pay([Share(ONE, Decimal(5)), Share(TWO, Decimal(1))], OTHER)
    account.pay([Share(TWO, Decimal("0.5"))], OTHER)
    assert account.drained() == [(ONE, 5), (TWO, Decimal("1.5"))]
    assert account.balance == Decimal("8.5")
    assert [(debit.sequence, debit.balance_after) for debit in account.debits] == [(4, 10), (5, 9), (6, Decimal("8.5"))]
