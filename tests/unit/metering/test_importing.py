"""Reading files of use: what counts, what a row's identity is, and what is refused, by line."""

import io
import tracemalloc
from collections import Counter
from datetime import UTC, datetime
from decimal import Decimal
from zoneinfo import ZoneInfo

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from billing.metering import csv_rows, importing
from billing.metering.importing import FileInvalid, Layout, Survey, Use

UTC_ZONE = ZoneInfo("UTC")
LAYOUT = Layout("at", (("n", "calls"), ("m", "tokens")), UTC_ZONE)


def file(text: str | bytes) -> io.BytesIO:
    return io.BytesIO(text.encode() if isinstance(text, str) else text)


def survey(text: str | bytes, layout: Layout = LAYOUT) -> Survey:
    return importing.survey(file(text), layout)


def uses(text: str | bytes, layout: Layout = LAYOUT) -> list[Use]:
    found = survey(text, layout)
    return list(importing.iterate_uses(file(text), layout, is_ordered=found.is_ordered))


def keys(text: str | bytes, layout: Layout = LAYOUT) -> set[str]:
    return {use.key for use in uses(text, layout)}


def problems(text: str | bytes, layout: Layout = LAYOUT) -> list[tuple[int, str]]:
    with pytest.raises(FileInvalid) as refused:
        survey(text, layout)
    return [(problem.line, problem.reason) for problem in refused.value.problems]


def test_each_mapped_cell_is_a_use() -> None:
    found = uses("at,n,m\n2023-11-16 18:17:03.9799600,4808,10\n2023-11-16 18:17:04,1,0.5")
    assert [(use.line, use.meter, use.quantity) for use in found] == [
        (2, "calls", Decimal(4808)),
        (2, "tokens", Decimal(10)),
        (3, "calls", Decimal(1)),
        (3, "tokens", Decimal("0.5")),
    ]
    assert found[0].occurred_at == datetime(2023, 11, 16, 18, 17, 3, 979_960, tzinfo=UTC)
    assert len({use.key for use in found}) == 4


def test_empty_and_zero_cells_are_nothing_to_count() -> None:
    text = "at,n,m\n2023-11-16,0,\n2023-11-16,0.000,7\n2023-11-17, ,1\n"
    found = survey(text)
    assert (found.rows, found.uses) == (3, 2)
    assert (found.meters["calls"].uses, found.meters["calls"].skipped) == (0, 3)
    assert (found.meters["tokens"].quantity, found.meters["tokens"].skipped) == (8, 1)
    assert [use.line for use in uses(text)] == [3, 4]


def test_a_survey_knows_the_range_and_whether_it_is_ordered() -> None:
    ordered = survey("at,n,m\n2023-01-01,1,1\n2023-01-01,1,1\n2023-01-02,1,1")
    assert ordered.is_ordered
    assert (ordered.first_at, ordered.last_at) == (datetime(2023, 1, 1, tzinfo=UTC), datetime(2023, 1, 2, tzinfo=UTC))
    mixed = survey("at,n,m\n2023-01-02,1,1\n2023-01-03,1,1\n2023-01-01,1,1")
    assert not mixed.is_ordered
    assert (mixed.first_at, mixed.last_at) == (datetime(2023, 1, 1, tzinfo=UTC), datetime(2023, 1, 3, tzinfo=UTC))


def test_only_a_header_is_a_sound_file_without_uses() -> None:
    assert survey("at,n,m").rows == 0
    assert uses("at,n,m\n\n\n") == []


def test_equal_rows_all_count_and_keep_their_identity() -> None:
    row = "2023-01-01 00:00:00,1,1\n"
    twice = keys(f"at,n,m\n{row}{row}")
    assert len(twice) == 4
    assert keys(f"at,n,m\n{row}") < twice
    assert keys(f"at,n,m\n{row}2023-01-02,1,1\n{row}") > twice


def test_identity_is_content_and_not_place() -> None:
    first, second = "2023-01-01 00:00:00,1,2", "2023-01-02 00:00:00,3,4"
    known = keys(f"at,n,m\n{first}\n{second}\n")
    assert keys(f"at,n,m\n{second}\n{first}") == known
    assert keys(f"at,n,m\r\n{first}\r\n\r\n{second}\r\n") == known
    assert keys("m,at,n\n2,2023-01-01 00:00:00,1\n4,2023-01-02 00:00:00,3") == known
    assert keys(f'at,n,m\n"2023-01-01T00:00:00", 1 ,"2"\n{second}') == known
    assert keys("\ufeff" + f"at,n,m\n{first}\n{second}") == known
    assert keys(f"at,n,m\n{first}\n2023-01-02 00:00:00,3,5") != known
    assert keys(f"at,n,m,o\n{first},\n{second},") != known


def test_identity_does_not_hang_on_options() -> None:
    text = "at,n,m\n2023-01-01 12:00:00,1,2\n"
    known = keys(text)
    assert keys(text, Layout("at", LAYOUT.meters, ZoneInfo("Asia/Tokyo"))) == known
    # One column now and the other later is the same as both at once.
    alone = [keys(text, Layout("at", (pair,), UTC_ZONE)) for pair in LAYOUT.meters]
    assert alone[0] | alone[1] == known


def test_times_without_an_offset_are_read_in_the_zone() -> None:
    (use,) = uses("at,n\n2023-07-01 12:00:00,1", Layout("at", (("n", "calls"),), ZoneInfo("Europe/Berlin")))
    assert use.occurred_at == datetime(2023, 7, 1, 10, tzinfo=UTC)
    (use,) = uses("at,n\n2023-07-01T12:00:00-04:00,1", Layout("at", (("n", "calls"),), ZoneInfo("Europe/Berlin")))
    assert use.occurred_at == datetime(2023, 7, 1, 16, tzinfo=UTC)


def test_a_key_column_names_the_row() -> None:
    layout = Layout("at", LAYOUT.meters, UTC_ZONE, "id")
    assert [use.key for use in uses("id,at,n,m\nr-1,2023-01-01,1,2\n", layout)] == ["r-1:calls", "r-1:tokens"]
    assert keys("id,at,n,m\nr-1,2023-01-01,5,6\n", layout) == {"r-1:calls", "r-1:tokens"}
    assert problems("id,at,n,m\n,2023-01-01,1,2\n", layout) == [(2, "id is empty")]
    longest = "x" * (csv_rows.KEY_LENGTH_MAX - len(":tokens"))
    assert max(map(len, keys(f"id,at,n,m\n{longest},2023-01-01,1,2\n", layout))) == csv_rows.KEY_LENGTH_MAX
    assert problems(f"id,at,n,m\n{longest}x,2023-01-01,1,2\n", layout)[0][0] == 2


@pytest.mark.parametrize(
    ("cell", "reason"),
    [
        ("-1", "is negative"),
        ("1_0", "is not a plain decimal number"),
        ("１", "is not a plain decimal number"),
        ("1e3", "is not a plain decimal number"),
        ("NaN", "is not a plain decimal number"),
        ("+1", "is not a plain decimal number"),
        ("1.0000001", "has more than 6 decimal places"),
        ("1000000000001", "is larger than"),
        ("none", "is not a plain decimal number"),
    ],
)
def test_a_bad_number_is_named(cell: str, reason: str) -> None:
    ((line, said),) = problems(f"at,n,m\n2023-01-01,1,1\n2023-01-02,{cell},1\n")
    assert line == 3
    assert said.startswith(f"n {cell!r} {reason}")


def test_every_problem_is_named_by_its_line() -> None:
    text = (
        b"at,n,m\n"
        b"yesterday,1,1\n"
        b"2023-01-01,x,y\n"
        b"2023-01-01,1\n"
        b"2023-01-01,1,1,1\n"
        b"2023-01-01,1,1\n"
        b'"2023-01-01","1\n\n2",1\n'
        b"2023-01-01,\xff,1\n"
        b"2023-01-01,1\0,1\n"
    )
    found = problems(text)
    assert [line for line, _ in found] == [2, 3, 3, 4, 5, 7, 10, 10, 11, 11]
    assert found[3][1] == "has 2 cells, the header has 3"
    assert (10, "byte 12 is not UTF-8") in found
    assert (11, "contains a NUL character") in found


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "the file is empty"),
        ("at,n\n2023-01-01,1\n", "the header has no column 'm'"),
        ("at,n,m,n\n2023-01-01,1,1,1\n", "the column 'n' stands in the header 2 times"),
        ("2023-01-01,1,1\n", "the header has no column 'at'"),
        ("AT,n,m\n", "the header has no column 'at'"),
        ("at;n;m\n2023-01-01;1;1\n", "the header has no column 'at'"),
    ],
)
def test_a_bad_header_is_named(text: str, reason: str) -> None:
    assert (1, reason) in problems(text)


@pytest.mark.parametrize(
    "text", ['at,n,m\n"2023-01-01,1,1\n', 'at,n,m\n"2023-01-01"x,1,1\n', "at,n,m\r2023-01-01,1,1\r"]
)
def test_broken_quoting_is_named(text: str) -> None:
    assert any("is not CSV" in reason for _, reason in problems(text))


def test_an_endless_line_is_not_read_to_its_end() -> None:
    stream = file("at,n,m\n" + "x" * (3 * csv_rows.LINE_LENGTH_MAX_BYTES))
    with pytest.raises(FileInvalid):
        importing.survey(stream, LAYOUT)
    assert stream.tell() < 2 * csv_rows.LINE_LENGTH_MAX_BYTES


def test_problems_without_end_are_counted_and_not_kept() -> None:
    with pytest.raises(FileInvalid) as refused:
        survey("at,n,m\n" + "x,1,1\n" * 5000)
    assert len(refused.value.problems) == csv_rows.PROBLEMS_KEPT_MAX
    assert refused.value.total == 5000
    assert "4900 more" in str(refused.value)


def test_a_file_that_changed_after_the_survey_is_refused() -> None:
    changed = importing.iterate_uses(file("at,n,m\n2023-01-01,1,1\nx,1,1\n2023-01-02,1,1\n"), LAYOUT, is_ordered=True)
    with pytest.raises(FileInvalid):
        list(changed)


ROWS = st.lists(
    st.tuples(st.sampled_from(["2023-01-01", "2023-01-02 03:04:05", "2023-01-02T03:04:05Z"]), st.integers(0, 2)),
    max_size=8,
)


# A busy machine takes its time over the first examples; that says nothing of the code.
@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(orders=ROWS.flatmap(lambda rows: st.tuples(st.just(rows), st.permutations(rows))))
def test_any_order_gives_the_same_keys_and_none_twice(
    orders: tuple[list[tuple[str, int]], list[tuple[str, int]]],
) -> None:
    layout = Layout("at", (("n", "calls"),), UTC_ZONE)
    known, again = (
        Counter(use.key for use in uses("at,n\n" + "".join(f"{at},{n}\n" for at, n in rows), layout)) for rows in orders
    )
    assert again == known
    assert set(known.values()) <= {1}
    assert known.total() == sum(1 for _, n in orders[0] if n)


class Rows:
    """A file of as many rows as wanted, which is nowhere as a whole."""

    def __init__(self, rows: int) -> None:
        self.left = rows
        self.header = b"at,n,m\n"

    def readline(self, size: int, /) -> bytes:
        if self.header:
            line, self.header = self.header, b""
            return line
        if not self.left:
            return b""
        self.left -= 1
        return f"{datetime.fromtimestamp(1_700_000_000 - self.left, UTC):%Y-%m-%d %H:%M:%S},1,1\n".encode()


def test_memory_does_not_grow_with_an_ordered_file() -> None:
    def peak(rows: int) -> int:
        tracemalloc.start()
        assert importing.survey(Rows(rows), LAYOUT).is_ordered
        assert sum(1 for _ in importing.iterate_uses(Rows(rows), LAYOUT, is_ordered=True)) == 2 * rows
        _, highest = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        return highest

    peak(100)
    assert peak(4_000) < peak(400) + 20_000
