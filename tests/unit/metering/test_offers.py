"""What names an offer, what its content comes to, and what an outcome says."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

import pytest

from billing.metering.offers import AHEAD_MAX, LATE_MAX, GuardReading, Offer, Outcome, Refusal
from billing.models import Organization

ACME, OTHER = (Organization(id=UUID(int=number), slug="org") for number in (1, 2))
FULL = Offer(
    organization=ACME,
    meter="tokens",
    quantity=Decimal("12.50"),
    key="k-1",
    source="csv",
    occurred_at=datetime(2026, 3, 10, 12, 30, 0, 250_000, tzinfo=UTC),
    service="search",
    guardrail_flags=("Slow Answer", "unsafe"),
    payload={"b": [1, None], "a": "ü"},
)
LEAST = Offer(ACME, "tokens", Decimal(1), "k-1")


def test_a_fingerprint_that_is_stored_stays_what_it_is() -> None:
    # Rows of past years are compared by these: a change here makes every repeated delivery a conflict.
    assert FULL.fingerprint().hex() == "5c00d3f956f9cc8116cf9ccc9029421c30b4597b6e90233a1c04ae044ccd0148"
    assert LEAST.fingerprint().hex() == "a507c179439656b42ef0fdf2589f217d326c80ab103b9605b92fcc08480f691c"


@pytest.mark.parametrize(
    "changes",
    [
        {"organization": OTHER},
        {"meter": "calls"},
        {"quantity": Decimal("12.500001")},
        {"key": "k-2"},
        {"source": "api"},
        {"occurred_at": None},
        {"occurred_at": FULL.occurred_at + timedelta(microseconds=1)},  # type: ignore[operator]
        {"service": ""},
        {"guardrail_flags": ("unsafe",)},
        {"payload": {"a": "ü"}},
        {"payload": None},
    ],
)
def test_each_part_of_the_content_is_in_it(changes: dict[str, Any]) -> None:
    assert replace(FULL, **changes).fingerprint() != FULL.fingerprint()


@pytest.mark.parametrize(
    "changes",
    [
        {"quantity": Decimal("1.25E+1")},
        {"guardrail_flags": ("unsafe", "slow.answer", "UNSAFE")},
        {"payload": {"a": "ü", "b": [1, None]}},
    ],
)
def test_another_spelling_of_the_same_is_the_same(changes: dict[str, Any]) -> None:
    assert replace(FULL, **changes).fingerprint() == FULL.fingerprint()


def test_flags_have_one_spelling_from_the_start() -> None:
    assert FULL.guardrail_flags == ("slow_answer", "unsafe")
    assert LEAST.guardrail_flags == ()


def test_how_late_and_how_early_use_is_told() -> None:
    assert (timedelta(days=35), timedelta(minutes=5)) == (LATE_MAX, AHEAD_MAX)


def test_an_outcome_speaks_for_its_refusal() -> None:
    refused = Outcome(LEAST, "refused", None, Refusal("late", "billing:late", "Too late.", detail_note="billing:more"))
    assert (refused.code, refused.message, refused.notes) == ("late", "Too late.", ("billing:late", "billing:more"))
    silent = Outcome(LEAST, "conflict", None, Refusal("conflict", "", "Taken."))
    assert (silent.code, silent.notes) == ("conflict", ())
    accepted = Outcome(LEAST, "accepted", None, None)
    assert (accepted.code, accepted.message, accepted.notes) == ("", "", ())


@pytest.mark.parametrize(
    ("limit", "used", "reserved", "remaining"),
    [(None, "5", "5", None), ("10", "4", "3", 3), ("10", "7", "3", 0), ("10", "9", "3", 0), ("0", "0", "0", 0)],
)
def test_what_remains_of_a_limit_is_never_less_than_nothing(
    limit: str | None, used: str, reserved: str, remaining: int | None
) -> None:
    most = None if limit is None else Decimal(limit)
    reading = GuardReading("max", True, True, most, Decimal(used), Decimal(reserved), "daily", None, None)
    assert reading.remaining == remaining
