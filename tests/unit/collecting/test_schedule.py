from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from billing.lifecycle.collecting import schedule
from billing.lifecycle.collecting.schedule import Schedule

OPENED = datetime(2026, 2, 2, 9, 30, tzinfo=UTC)
SECOND, DAY = timedelta(seconds=1), timedelta(days=1)
USUAL = Schedule()


@pytest.mark.parametrize(("step", "days"), [(1, 1), (2, 3), (3, 5), (4, 7)])
def test_a_step_is_due_to_the_second(step: int, days: int) -> None:
    at = OPENED + days * DAY
    assert USUAL.step_at(OPENED, step) == at
    assert USUAL.latest_due(OPENED, behind=step - 1, now=at - SECOND) == step - 1
    assert USUAL.latest_due(OPENED, behind=step - 1, now=at) == step
    assert USUAL.latest_due(OPENED, behind=step, now=at + SECOND) == step


def test_who_comes_late_takes_the_last_step_that_is_due_and_no_other() -> None:
    assert USUAL.latest_due(OPENED, behind=0, now=OPENED + 6 * DAY) == 3
    assert USUAL.latest_due(OPENED, behind=1, now=OPENED + 60 * DAY) == 4


def test_there_is_no_step_before_the_first_or_after_the_last() -> None:
    assert USUAL.step_at(OPENED, 0) is None
    assert USUAL.step_at(OPENED, 5) is None
    assert USUAL.next_at(OPENED, behind=4) is None
    assert Schedule(step_days=()).next_at(OPENED, behind=0) is None


def test_grace_ends_after_its_days_and_cancellation_only_where_it_is_set() -> None:
    assert USUAL.grace_ends_at(OPENED) == OPENED + 14 * DAY
    assert USUAL.cancels_at(OPENED) is None
    assert Schedule(cancel_days=30).cancels_at(OPENED) == OPENED + 30 * DAY


@pytest.mark.parametrize(
    "said", [{"step_days": (0, 1)}, {"step_days": (3, 1)}, {"step_days": (1, 1)}, {"grace_days": 0}, {"cancel_days": 0}]
)
def test_a_schedule_that_cannot_be_is_refused(said: dict[str, object]) -> None:
    with pytest.raises(ValueError, match="day") as refused:
        Schedule(**said)  # type: ignore[arg-type]
    assert str(refused.value) == (
        "steps of dunning are days that rise from 1 on"
        if "step_days" in said
        else "grace, and what comes after it, is at least a day"
    )


def test_a_day_is_enough() -> None:
    shortest = Schedule(step_days=(1,), grace_days=1, cancel_days=1)
    assert shortest.step_at(OPENED, 1) == shortest.grace_ends_at(OPENED) == shortest.cancels_at(OPENED) == OPENED + DAY


@pytest.mark.parametrize(
    ("zone", "at"),
    [
        ("UTC", datetime(2026, 3, 29, 0, 0, tzinfo=UTC)),
        ("Europe/Berlin", datetime(2026, 3, 28, 23, 0, tzinfo=UTC)),
        ("America/New_York", datetime(2026, 3, 29, 4, 0, tzinfo=UTC)),
        ("Pacific/Kiritimati", datetime(2026, 3, 28, 10, 0, tzinfo=UTC)),
    ],
)
def test_an_invoice_is_overdue_once_its_day_is_over_where_the_customer_is(zone: str, at: datetime) -> None:
    found = schedule.overdue_at(date(2026, 3, 28), ZoneInfo(zone))
    assert found == at
    assert found.tzinfo is UTC


def test_a_day_that_begins_at_one_in_the_morning_begins_then() -> None:
    # Cairo's clocks skip the first hour of 24 April 2026.
    overdue = schedule.overdue_at(date(2026, 4, 23), ZoneInfo("Africa/Cairo"))
    assert overdue == datetime(2026, 4, 23, 22, 0, tzinfo=UTC)


def test_a_provider_without_an_answer_is_asked_less_and_less_often_while_its_key_is_good() -> None:
    waits = [schedule.ask_again_at(OPENED, asked=n) - OPENED for n in range(1, 7)]
    assert waits == [timedelta(minutes=m) for m in (5, 15, 60, 180, 180, 180)]
    assert not schedule.is_key_forgotten(OPENED, OPENED + timedelta(hours=23) - SECOND)
    assert schedule.is_key_forgotten(OPENED, OPENED + timedelta(hours=23))


@given(
    days=st.lists(st.integers(1, 60), unique=True, max_size=8).map(sorted),
    behind=st.integers(0, 8),
    late=st.integers(0, 90 * 86400),
)
def test_the_latest_due_step_is_due_and_the_one_after_is_not(days: list[int], behind: int, late: int) -> None:
    plan, now = Schedule(step_days=days), OPENED + timedelta(seconds=late)
    behind = min(behind, plan.steps)
    step = plan.latest_due(OPENED, behind=behind, now=now)
    following = plan.next_at(OPENED, behind=step)
    assert behind <= step <= plan.steps
    assert following is None or following > now
    at = plan.step_at(OPENED, step)
    assert step == behind or (at is not None and at <= now)


def test_an_invoice_that_opened_again_waits_a_week() -> None:
    assert timedelta(days=7) == schedule.REOPENED_WAITS
