from pathlib import Path

import pytest

from billing.models import AuditEntry, CatalogState, Plan
from tests.support import catalogs, cli


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "plans.yaml"
    path.write_text(catalogs.TEXT)
    return path


def test_the_shipped_file_is_sound_and_needs_no_database(tmp_path: Path) -> None:
    ran = cli.run_process("--data", tmp_path, "plans", "check", DATABASE_URL="")
    assert ran.code == 0
    assert "is sound" in ran.out


def test_check_names_file_line_and_reason_of_every_problem(tmp_path: Path) -> None:
    path = tmp_path / "bad.yaml"
    path.write_text("default_plan: gone\nplans:\n  a:\n    limits: {max_cases: -1}\n    colour: red\n")
    ran = cli.run("plans", "check", path)
    assert (ran.code, ran.out) == (2, "")
    for line in (1, 4, 5):
        assert f"{path}:{line}: " in ran.err
    problems = cli.run("plans", "check", path, "--json").problem["errors"]
    assert [(each["file"], each["line"]) for each in problems] == [(str(path), line) for line in (1, 4, 5)]


@pytest.mark.parametrize("command", ["check", "diff", "sync"])
@pytest.mark.parametrize("text", [b"", b"plans: [", b"\xff\xfe", b"default_plan: x", b"a: &a [*a]"])
def test_a_bad_file_is_refused_whole(catalog: str, tmp_path: Path, command: str, text: bytes) -> None:
    path = tmp_path / "bad.yaml"
    path.write_bytes(text)
    before = (CatalogState.objects.get().version, Plan.objects.count())
    ran = cli.run("plans", command, path)
    assert ran.code == 2
    assert str(path) in ran.err
    assert (CatalogState.objects.get().version, Plan.objects.count()) == before


def test_a_file_that_is_not_there_is_bad_input(tmp_path: Path) -> None:
    ran = cli.run("plans", "check", tmp_path / "none.yaml")
    assert ran.code == 2
    assert "none.yaml" in ran.err


def test_diff_tells_what_sync_then_does(acme: str, file: Path) -> None:
    assert cli.run("plans", "diff", file).out == "Nothing would change.\n"
    cli.shown("usage", "record", "acme", "case_created", "--quantity", "20")
    file.write_text(catalogs.TEXT.replace("max_cases: 500\n      max_evaluations_per_month: 100", "max_cases: 10"))
    told = cli.shown("plans", "diff", file)
    (team,) = told["plans"]
    assert (team["code"], team["step"], team["version"], team["organizations"]) == ("team", "versioned", 2, 1)
    assert team["over_limit"] == [
        {"organization": "acme", "entitlement": "max_cases", "used": "20", "limit_old": "500", "limit_new": "10"}
    ]
    text = cli.run("plans", "diff", file).out
    assert "team: versioned, version 2, 1 subscribed" in text
    assert "entitlements.max_cases.limit: 500 → 10" in text
    assert "acme used 20 of max_cases, which allows 10" in text

    assert "team: versioned, version 2" in cli.run("plans", "sync", file).out
    assert cli.shown("subscription", "show", "acme")["plan"]["version"] == 1
    assert AuditEntry.objects.get(act="plan.versioned").actor.startswith("cli:")
    assert cli.run("plans", "sync", file).out.startswith("Nothing changed")
    assert not cli.shown("plans", "sync", file)["changed"]


def test_list_shows_unsold_and_retired_plans_too(catalog: str) -> None:
    listed = cli.shown("plans", "list")
    assert listed["default_plan"] == "free"
    assert {plan["code"]: plan["is_on_sale"] for plan in listed["results"]}["hidden"] is False
    assert "by operators" in cli.run("plans", "list").out


def test_list_of_an_empty_catalog(real_db: str) -> None:
    assert cli.run("plans", "list").out == "The catalog is empty.\n"
