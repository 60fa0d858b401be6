"""When an unpaid invoice is charged or reminded of again, when grace ends, and how long an answer is waited for.

Pure. A dunning opens at the first failed charge, or once an invoice that is paid by hand is overdue. From then on its
steps are counted in days of 24 hours, so that they do not depend on any zone.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

# A provider is asked again under the same key after each of these, then after the last of them again and again.
ASK_AGAIN = (timedelta(minutes=5), timedelta(minutes=15), timedelta(hours=1), timedelta(hours=3))
# Providers forget keys after a day. Asked later, the same key would be a second charge.
KEY_KEPT = timedelta(hours=23)
# An invoice that was paid opens again because money went back: whoever sent it back talks to the customer first.
REOPENED_WAITS = timedelta(days=7)


@dataclass(frozen=True, slots=True)
class Schedule:
    """Days after the opening: of each step, rising; and of the end of grace. ``cancel_days`` after that the
    subscription ends, None for never."""

    step_days: Sequence[int] = (1, 3, 5, 7)
    grace_days: int = 14
    cancel_days: int | None = None

    def __post_init__(self) -> None:
        days = list(self.step_days)
        if any(day < 1 for day in days) or days != sorted(set(days)):
            raise ValueError("steps of dunning are days that rise from 1 on")
        if self.grace_days < 1 or (self.cancel_days is not None and self.cancel_days < 1):
            raise ValueError("grace, and what comes after it, is at least a day")

    @property
    def steps(self) -> int:
        return len(self.step_days)

    def step_at(self, opened_at: datetime, step: int) -> datetime | None:
        """When step number ``step`` (from 1) is due; None if there is no such step."""
        return opened_at + timedelta(days=self.step_days[step - 1]) if 1 <= step <= self.steps else None

    def next_at(self, opened_at: datetime, *, behind: int) -> datetime | None:
        """When the step after ``behind`` steps is due; None once all are behind."""
        return self.step_at(opened_at, behind + 1)

    def latest_due(self, opened_at: datetime, *, behind: int, now: datetime) -> int:
        """The last step that is due at ``now``, or ``behind`` if none is.

        Whoever comes late takes that one step and leaves those before it out: two charges and two letters within a
        minute help nobody.
        """
        due = behind
        while (at := self.next_at(opened_at, behind=due)) is not None and at <= now:
            due += 1
        return due

    def grace_ends_at(self, opened_at: datetime) -> datetime:
        return opened_at + timedelta(days=self.grace_days)

    def cancels_at(self, past_due_at: datetime) -> datetime | None:
        return None if self.cancel_days is None else past_due_at + timedelta(days=self.cancel_days)


def overdue_at(due_on: date, zone: ZoneInfo) -> datetime:
    """The first instant after the day of ``due_on`` in ``zone``."""
    return datetime.combine(due_on + timedelta(days=1), time.min, tzinfo=zone).astimezone(UTC)


def ask_again_at(now: datetime, *, asked: int) -> datetime:
    """When to ask again after the provider was asked ``asked`` times (at least once) and gave no answer."""
    return now + ASK_AGAIN[min(asked, len(ASK_AGAIN)) - 1]


def is_key_forgotten(started_at: datetime, now: datetime) -> bool:
    return now - started_at >= KEY_KEPT
