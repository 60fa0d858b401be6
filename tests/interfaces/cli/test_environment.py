"""How the command finds its installation, and what it says when there is none."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support import cli

NOWHERE = "postgres://someone:hidden-word@127.0.0.1:1/nowhere"


def test_help_needs_neither_django_nor_a_database() -> None:
    code = (
        "import sys\n"
        "from billing.cli.application import mcpctl\n"
        "try:\n"
        "    mcpctl.main(['billing', '--help'])\n"
        "except SystemExit as end:\n"
        "    assert end.code == 0\n"
        "assert 'django' not in sys.modules\n"
    )
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stderr
    assert "posture" in ended.stdout


def test_without_a_database_it_says_what_to_do(tmp_path: Path) -> None:
    ran = cli.run_process("--data", tmp_path, "tenants", "list", DATABASE_URL="")
    assert ran.code == 5
    assert ran.err.count("\n") == 1
    assert "make run" in ran.err
    assert "DATABASE_URL" in ran.err


def test_it_takes_the_database_of_a_running_product(real_db: str, tmp_path: Path) -> None:
    facts = {"url": "http://127.0.0.1:1", "database_url": real_db, "redis_url": "redis://127.0.0.1:1/0"}
    (tmp_path / "run.json").write_text(json.dumps(facts))
    by_option = cli.run_process("--data", tmp_path, "tenants", "list", DATABASE_URL="")
    assert (by_option.code, by_option.out, by_option.err) == (0, "No organizations.\n", "")
    by_variable = cli.run_process("tenants", "list", "--json", DATABASE_URL="", DATA=str(tmp_path))
    assert by_variable.document == {"results": [], "next": None}


def test_the_environment_comes_before_the_data_folder(real_db: str, tmp_path: Path) -> None:
    facts = {"database_url": NOWHERE, "redis_url": "redis://127.0.0.1:1/0"}
    (tmp_path / "run.json").write_text(json.dumps(facts))
    assert cli.run_process("--data", tmp_path, "tenants", "list", DATABASE_URL=real_db).code == 0


@pytest.mark.parametrize("facts", ["", "[]", "{", '{"url": "x"}', "null"])
def test_a_broken_run_json_is_one_sentence(tmp_path: Path, facts: str) -> None:
    (tmp_path / "run.json").write_text(facts)
    ran = cli.run_process("--data", tmp_path, "tenants", "list", DATABASE_URL="")
    assert ran.code == 5
    assert ran.err.count("\n") == 1
    assert "run.json" in ran.err


@pytest.mark.parametrize("as_json", [False, True])
def test_an_unreachable_database_is_one_sentence_without_its_password(as_json: bool) -> None:
    ran = cli.run_process("posture", "acme", *(["--json"] if as_json else []), DATABASE_URL=NOWHERE)
    assert (ran.code, ran.out) == (5, "")
    assert ran.err.count("\n") == 1
    assert "hidden-word" not in ran.err
    assert "cannot be reached" in (ran.problem["detail"] if as_json else ran.err)


def test_an_unreadable_address_is_one_sentence() -> None:
    ran = cli.run_process("tenants", "list", DATABASE_URL="postgres://x:hidden-word@host:notaport/name")
    assert ran.code == 5
    assert ran.err.count("\n") == 1
    assert "hidden-word" not in ran.err


def test_a_database_without_tables_is_one_sentence(database_server_url: str) -> None:
    empty = database_server_url.rpartition("/")[0] + "/postgres"
    ran = cli.run_process("tenants", "list", "--json", DATABASE_URL=empty)
    assert ran.code == 5
    assert ran.problem["code"] == "unavailable"
    assert "migrate" in ran.problem["detail"]


def test_a_process_works_and_logs_nothing_between_the_lines(real_db: str) -> None:
    made = cli.run_process("tenants", "bootstrap", "acme", "--no-plan", "--json", DATABASE_URL=real_db)
    assert (made.code, made.err) == (0, "")
    assert made.document["organization"]["slug"] == "acme"


def test_a_reader_that_goes_away_is_no_crash(real_db: str) -> None:
    process = cli.start("plans", "list", "--json", DATABASE_URL=real_db)
    assert process.stdout is not None
    process.stdout.close()
    assert process.stderr is not None
    errors = process.stderr.read()
    process.wait(timeout=60)
    assert "Traceback" not in errors
