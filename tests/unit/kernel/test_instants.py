from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from billing.kernel import instants

BERLIN = ZoneInfo("Europe/Berlin")


@pytest.mark.parametrize(
    ("text", "settled"),
    [
        ("2023-11-16", datetime(2023, 11, 15, 23, tzinfo=UTC)),
        ("2023-11-16 18:17", datetime(2023, 11, 16, 17, 17, tzinfo=UTC)),
        ("2023-11-16 18:17:03", datetime(2023, 11, 16, 17, 17, 3, tzinfo=UTC)),
        ("2023-11-16T18:17:03.9", datetime(2023, 11, 16, 17, 17, 3, 900_000, tzinfo=UTC)),
        ("2023-11-16 18:17:03.9799609", datetime(2023, 11, 16, 17, 17, 3, 979_960, tzinfo=UTC)),
        ("2023-11-16 18:17:03.979960999", datetime(2023, 11, 16, 17, 17, 3, 979_960, tzinfo=UTC)),
        ("2023-11-16T18:17:03Z", datetime(2023, 11, 16, 18, 17, 3, tzinfo=UTC)),
        ("2023-11-16T18:17:03+05:30", datetime(2023, 11, 16, 12, 47, 3, tzinfo=UTC)),
        ("2023-11-16 18:17:03-0100", datetime(2023, 11, 16, 19, 17, 3, tzinfo=UTC)),
        # The clocks were turned back: the first of the two hours is meant.
        ("2023-10-29 02:30:00", datetime(2023, 10, 29, 0, 30, tzinfo=UTC)),
    ],
)
def test_a_written_time_is_one_instant(text: str, settled: datetime) -> None:
    found = instants.settle(instants.read(text), BERLIN)
    assert found == settled
    assert found.tzinfo is UTC


@pytest.mark.parametrize(
    "text",
    [
        "", " ", "now", "2023", "20231116", "20231116T181703", "2023-W46-4", "2023-11-16T", "2023-11-16 18",
        "2023-11-16 18:17:03,5", "2023-11-16 18:17:03.", "2023-11-16 18:17:03.9799609990", "2023-11-16_18:17:03",
        "2023-11-16 18:17:03 Z", "2023-11-16 18:17:03z", "2023-11-16 18:17:03+5", " 2023-11-16", "2023-11-16\n",
        "２０２３-11-16", "2023-02-30", "2023-13-01", "2023-11-16 24:00:00", "2023-11-16 18:60:00",
        "2023-11-16 18:17:03+24:00", "1969-12-31", "2200-01-01", "0001-01-01T00:00:00+14:00", "1700150000",
    ],
)  # fmt: skip
def test_anything_else_is_refused_with_a_sentence(text: str) -> None:
    with pytest.raises(ValueError, match="is not") as caught:
        instants.read(text)
    assert str(caught.value) in (
        "is not a time such as 2026-01-31T09:00:00Z",
        "is not a time that exists",
        "is not between the years 1970 and 2199",
    )


def test_a_time_that_the_clocks_skipped_is_refused() -> None:
    skipped = instants.read("2023-03-26 02:30:00")
    with pytest.raises(ValueError, match="is not a time that exists in Europe/Berlin"):
        instants.settle(skipped, BERLIN)
    assert instants.settle(skipped, ZoneInfo("UTC")) == datetime(2023, 3, 26, 2, 30, tzinfo=UTC)


@pytest.mark.parametrize(
    ("text", "length"),
    [
        ("30d", timedelta(days=30)),
        ("2w", timedelta(weeks=2)),
        ("12h", timedelta(hours=12)),
        ("90m", timedelta(minutes=90)),
        ("45s", timedelta(seconds=45)),
    ],
)
def test_a_length_has_one_unit(text: str, length: timedelta) -> None:
    assert instants.read_length(text) == length


@pytest.mark.parametrize("text", ["", "30", "d", "0d", "-1d", "1.5d", "1d12h", "1y", "30 d", "３d", "1000000d"])
def test_any_other_length_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"^is not a length of time such as 30d, 2w, 12h, 90m or 45s$"):
        instants.read_length(text)


def test_times_are_of_the_years_1970_to_2199() -> None:
    assert instants.read("1970-01-01").year == 1970
    assert instants.read("2199-12-31").year == 2199


def test_a_day_is_read() -> None:
    assert instants.read_day("2026-01-31") == date(2026, 1, 31)


@pytest.mark.parametrize("text", ["", "2026-1-31", "2026-01-31 ", "2026-01-31T00:00", "31.01.2026", "２０２６-01-31"])
def test_what_is_no_day_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"^is not a day such as 2026-01-31$"):
        instants.read_day(text)


@pytest.mark.parametrize("text", ["2026-02-29", "2026-00-01"])
def test_a_day_that_does_not_exist_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"^is not a time that exists$"):
        instants.read_day(text)
