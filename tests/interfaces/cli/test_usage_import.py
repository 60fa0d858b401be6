"""Importing files of use: what is counted, what is refused, and what is said about it."""

import json
import os
import pty
from decimal import Decimal
from pathlib import Path

import pytest
from django.db.models import Sum

from billing.models import UsageEvent
from tests.support import cli

HEADER = "at,n,m\n"
ROWS = "2026-01-10 08:00:00,100,1\n2026-01-10 09:00:00,200,\n2026-01-11 08:00:00,0,2\n"


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "use.csv"
    path.write_text(HEADER + ROWS)
    return path


def arguments(file: Path, *more: object) -> tuple[object, ...]:
    return (
        *("usage", "import", file, "--organization", "acme", "--time-column", "at"),
        *("--map", "n=tokens", "--map", "m=task_run", *more),
    )


def counted() -> dict[str, Decimal]:
    return dict(UsageEvent.objects.order_by("meter_id").values_list("meter_id").annotate(Sum("quantity")))


def test_it_counts_and_tells(acme: str, file: Path) -> None:
    report = cli.shown(*arguments(file, "--service", "planner"))
    assert (report["rows"], report["uses"], report["accepted"], report["refused"]) == (3, 4, 4, 0)
    assert (report["first_at"], report["last_at"]) == ("2026-01-10T08:00:00Z", "2026-01-11T08:00:00Z")
    assert report["meters"] == [
        {
            "meter": meter,
            "column": column,
            "uses": 2,
            "skipped": 1,
            "quantity": quantity,
            "accepted": 2,
            "accepted_quantity": quantity,
            "duplicates": 0,
            "refused": 0,
            "refusals": {},
        }
        for column, meter, quantity in (("n", "tokens", "300"), ("m", "task_run", "3"))
    ]
    assert counted() == {"task_run": 3, "tokens": 300}
    assert set(UsageEvent.objects.values_list("source", "service")) == {("csv", "planner")}
    assert "0 accepted, 4 duplicates, 0 refused" in cli.run(*arguments(file, "--service", "planner")).out


def test_a_dry_run_counts_nothing_and_foresees(acme: str, file: Path) -> None:
    file.write_text(HEADER + "2025-11-01,5,\n" + ROWS + "2026-02-01,7,\n")
    told = cli.shown(*arguments(file, "--dry-run"))
    assert (told["dry_run"], told["uses"], told["accepted"]) == (True, 6, 0)
    assert [each["quantity"] for each in told["meters"]] == ["312", "3"]
    assert [warning.split(" ")[1] for warning in told["warnings"]] == ["before", "after"]
    text = cli.run(*arguments(file, "--dry-run")).out
    assert "Dry run: nothing was counted." in text
    assert "312" in text
    assert not UsageEvent.objects.exists()


def test_refused_uses_are_named_by_line_and_the_others_count(acme: str, file: Path) -> None:
    file.write_text(HEADER + "2025-11-01,5,\n" + ROWS + "2026-01-12,,3\n2026-02-01,7,\n")
    ran = cli.run(*arguments(file, "--json"))
    assert ran.code == 1
    assert [(each["line"], each["meter"], each["code"]) for each in ran.document["first_refused"]] == [
        (2, "tokens", "occurred_at_too_old"),
        (7, "tokens", "occurred_at_in_future"),
    ]
    assert ran.document["accepted"] == 5
    assert counted() == {"task_run": 6, "tokens": 300}
    text = cli.run(*arguments(file))
    assert text.code == 1
    assert "refused, occurred_at_too_old: 1" in text.out
    assert "line 2, tokens: " in text.out


def test_a_limit_is_exact_within_one_file(acme: str, file: Path) -> None:
    # Five tasks a week are allowed.
    file.write_text(HEADER + "".join(f"2026-01-13 0{hour}:00:00,,1\n" for hour in range(7)))
    ran = cli.run(*arguments(file, "--batch", "2", "--json"))
    assert (ran.code, ran.document["accepted"], ran.document["meters"][1]["refusals"]) == (1, 5, {"quota_exceeded": 2})
    # What was refused may be tried again; what was counted is not counted twice.
    again = cli.run(*arguments(file, "--json"))
    assert (again.code, again.document["accepted"], again.document["duplicates"]) == (1, 0, 5)
    assert counted() == {"task_run": 5}


def test_only_the_first_refusals_are_listed(acme: str, file: Path) -> None:
    file.write_text(HEADER + "".join(f"2025-01-01 00:00:{second:02},1,\n" for second in range(30)))
    ran = cli.run(*arguments(file))
    assert ran.code == 1
    assert ran.out.count("  line ") == 20
    assert "and 10 more" in ran.out


@pytest.mark.parametrize(
    "text",
    [
        "",
        "at,n\n2026-01-10,1\n",
        "at,n,m,n\n2026-01-10,1,1,1\n",
        HEADER + ROWS + "2026-01-10,1\n",
        HEADER + ROWS + "soon,1,1\n",
        HEADER + ROWS + "2026-01-10,-1,1\n",
        HEADER + ROWS + "2026-01-10,1_0,1\n",
        HEADER + ROWS + "2026-01-10,1,\0\n",
        HEADER + ROWS + '"2026-01-10,1,1\n',
    ],
)
def test_of_a_bad_file_nothing_is_counted(acme: str, file: Path, text: str) -> None:
    file.write_text(text)
    for dry in ((), ("--dry-run",)):
        ran = cli.run(*arguments(file, *dry, "--json"))
        assert (ran.code, ran.problem["code"]) == (2, "file_invalid")
        assert all(set(each) == {"line", "reason"} for each in ran.problem["errors"])
        assert "line " in cli.run(*arguments(file, *dry)).err
    assert not UsageEvent.objects.exists()


def test_a_file_of_another_encoding_is_refused(acme: str, file: Path) -> None:
    file.write_bytes((HEADER + ROWS).encode("utf-16"))
    assert cli.run(*arguments(file)).code == 2


@pytest.mark.parametrize(
    ("more", "exit_code", "code"),
    [
        (("--map", "m=tokens"), 2, "usage"),
        (("--map", "nothing"), 2, "usage"),
        (("--map", "n=unheard_of"), 2, "meter_undeclared"),
        (("--zone", "Mars/Olympus"), 2, "usage"),
        (("--batch", "1001"), 2, "usage"),
        (("--organization", "nobody"), 3, "not_found"),
        (("--key", "id"), 2, "file_invalid"),
        (("--time-column", "when"), 2, "file_invalid"),
    ],
)
def test_bad_options_are_bad_input(acme: str, file: Path, more: tuple[str, ...], exit_code: int, code: str) -> None:
    ran = cli.run(*arguments(file, *more, "--json"))
    assert (ran.code, ran.problem["code"]) == (exit_code, code)
    assert not UsageEvent.objects.exists()


def test_a_file_that_is_not_there_is_bad_input(acme: str, tmp_path: Path) -> None:
    for path in (tmp_path / "none.csv", tmp_path):
        assert cli.run(*arguments(path)).code == 2


def test_a_key_column_names_the_rows(acme: str, file: Path) -> None:
    file.write_text("id,at,n,m\na,2026-01-10,1,\nb,2026-01-10,1,\n")
    assert cli.shown(*arguments(file, "--key", "id"))["accepted"] == 2
    # The same names with other content are no new uses, and no silent change of the old ones either.
    file.write_text("id,at,n,m\na,2026-01-10,5,\nb,2026-01-10,1,\n")
    ran = cli.run(*arguments(file, "--key", "id", "--json"))
    assert ran.code == 1
    assert (ran.document["duplicates"], ran.document["meters"][0]["refusals"]) == (1, {"idempotency_conflict": 1})
    assert counted() == {"tokens": 2}


def test_a_zone_places_times_that_have_no_offset(acme: str, file: Path) -> None:
    file.write_text("at,n,m\n2026-01-10 08:00:00,1,\n")
    cli.shown(*arguments(file, "--zone", "America/New_York"))
    assert UsageEvent.objects.get().occurred_at.isoformat() == "2026-01-10T13:00:00+00:00"
    # The same file read in another zone is the same rows, now said to have happened at another time.
    ran = cli.run(*arguments(file, "--json"))
    assert ran.document["meters"][0]["refusals"] == {"idempotency_conflict": 1}
    assert UsageEvent.objects.count() == 1


def test_a_person_at_a_terminal_sees_it_move(acme: str, file: Path) -> None:
    terminal, far_end = pty.openpty()
    process = cli.start(*arguments(file, "--json"), stderr=far_end, DATABASE_URL=acme)
    os.close(far_end)
    out, _ = process.communicate(timeout=120)
    seen = os.read(terminal, 100_000).decode()
    os.close(terminal)
    assert process.returncode == 0, seen
    assert json.loads(out)["accepted"] == 4
    assert "Checking" in seen
    assert "Counting" in seen
    assert "100%" in seen
