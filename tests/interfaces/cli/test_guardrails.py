"""``guardrails``: held debits and use by flag from the shell."""

import csv
from pathlib import Path

import pytest

from tests.support import cli
from tests.support import guardrails as guarded

SPAN = ("--from", "2000-01-01", "--to", "2100-01-01")


@pytest.fixture(autouse=True)
def rules(acme: str) -> None:
    guarded.sync()
    cli.shown("subscription", "set", "acme", "--plan", "scale")
    cli.shown("subscription", "set", "acme", "--plan", "team")


def held() -> str:
    record = ("usage", "record", "acme", "tokens", "--quantity", "500", "--flag", "Review")
    return str(cli.shown(*record)["event"]["id"])


def test_a_held_debit_is_listed_and_cleared_once() -> None:
    event = held()
    (listed,) = cli.shown("guardrails", "list", "acme", "--state", "open")["results"]
    assert (listed["event_id"], listed["credits_due"], listed["flags"]) == (event, "5", ["review"])
    assert event in cli.run("guardrails", "list", "acme").out
    assert cli.run("guardrails", "clear", "acme", event).code == 2
    done = cli.run("guardrails", "clear", "acme", event, "--reason", "looked at")
    assert (done.code, "5 of 5 credits debited" in done.out) == (0, True)
    assert cli.shown("guardrails", "clear", "acme", event, "--reason", "again")["reason"] == "looked at"
    assert cli.run("guardrails", "reject", "acme", event, "--reason", "x").code == 4
    assert cli.run("guardrails", "clear", "acme", "nothing", "--reason", "x").code == 3
    assert cli.run("guardrails", "list", "acme", "--state", "open").out.strip() == "No debit is held."


def test_a_held_debit_is_rejected() -> None:
    event = held()
    done = cli.run("guardrails", "reject", "acme", event, "--reason", "not ours")
    assert (done.code, "500 units taken back" in done.out) == (0, True)
    assert cli.run("guardrails", "clear", "acme", event, "--reason", "x").code == 4


def test_use_by_flag_is_shown_and_written(tmp_path: Path) -> None:
    held()
    cli.shown("usage", "record", "acme", "tokens", "--quantity", "7")
    shown = cli.shown("guardrails", "report", "acme", *SPAN)
    assert [(row["flags"], row["quantity"]) for row in shown["rows"]] == [([], "7"), (["review"], "500")]
    assert "in all" in cli.run("guardrails", "report", "acme", *SPAN).out
    file = tmp_path / "use.csv"
    assert cli.shown("guardrails", "report", "acme", *SPAN, "--csv", str(file)) == {"file": str(file), "rows": 2}
    with file.open(newline="") as stream:
        assert [(row["flags"], row["quantity"]) for row in csv.DictReader(stream)] == [("", "7"), ("review", "500")]
    assert cli.run("guardrails", "report", "acme", *SPAN, "--csv", str(file)).code == 2
    assert cli.run("guardrails", "report", "acme", "--from", "2100-01-01", "--to", "2000-01-01").code == 2
