"""Months as addresses name them, in a zone whose midnights are not those of UTC."""

from datetime import UTC, date, datetime
from zoneinfo import ZoneInfo

import pytest

from billing.kernel.periods import Cadence, calendar_window
from marketplace.dashboard import months

BERLIN = ZoneInfo("Europe/Berlin")
NOW = datetime(2026, 3, 10, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    ("text", "first", "before", "after"),
    [
        ("2026-03", date(2026, 3, 1), "2026-02", ""),
        ("2026-02", date(2026, 2, 1), "2026-01", "2026-03"),
        ("2026-01", date(2026, 1, 1), "2025-12", "2026-02"),
        ("2025-12", date(2025, 12, 1), "2025-11", "2026-01"),
        ("1970-01", date(1970, 1, 1), "1969-12", "1970-02"),
    ],
)
@pytest.mark.parametrize("zone", ["UTC", "Europe/Berlin", "America/Los_Angeles", "Pacific/Apia", "Pacific/Kiritimati"])
def test_a_month_knows_its_days_and_its_neighbours(text: str, first: date, before: str, after: str, zone: str) -> None:
    found = months.read(text, at=NOW, zone=ZoneInfo(zone))
    assert (found.first, found.before, found.after) == (first, before, after)
    assert found.following == date(first.year + first.month // 12, first.month % 12 + 1, 1)
    inside = datetime(first.year, first.month, 15, tzinfo=UTC)
    assert found.span == calendar_window(Cadence.MONTHLY, inside, ZoneInfo(zone))


@pytest.mark.parametrize(
    "text",
    [
        "",
        "2026",
        "2026-3",
        "2026-13",
        "2026-00",
        "1969-12",
        "2200-01",
        "2026-04",
        "2199-12",
        "2026-03-01",
        "２０２６-01",
        "x",
    ],
)
def test_what_is_no_month_or_one_to_come_is_the_one_that_runs(text: str) -> None:
    found = months.read(text, at=NOW, zone=BERLIN)
    assert (found.first, found.after) == (date(2026, 3, 1), "")


def test_the_month_that_runs_is_the_zones() -> None:
    turn = datetime(2026, 3, 31, 22, tzinfo=UTC)
    assert months.read("", at=turn, zone=BERLIN).first == date(2026, 4, 1)
    assert months.read("", at=turn, zone=ZoneInfo("UTC")).first == date(2026, 3, 1)
    ended = months.read("2026-03", at=turn, zone=BERLIN)
    assert (ended.first, ended.after) == (date(2026, 3, 1), "2026-04")


def test_a_year_to_come_is_read_once_it_is_there() -> None:
    far = datetime(2199, 12, 31, tzinfo=UTC)
    assert months.read("2199-12", at=far, zone=BERLIN).first == date(2199, 12, 1)
    assert months.read("2199-11", at=far, zone=BERLIN).after == "2199-12"
