from datetime import UTC, datetime, timedelta
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
    assert instants.settle(instants.read(text), BERLIN) == settled


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
    with pytest.raises(ValueError, match="is not"):
        instants.read(text)


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
    with pytest.raises(ValueError, match="is not a length of time"):
        instants.read_length(text)
