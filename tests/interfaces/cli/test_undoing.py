"""``usage reverse``, ``credits void`` and ``export``."""

import json
from pathlib import Path

import pytest

from billing.models import UsageEvent
from tests.support import cli

pytestmark = pytest.mark.usefixtures("acme")


def test_a_use_is_taken_back_by_its_id() -> None:
    event = cli.shown("usage", "record", "acme", "tokens", "--quantity", "1500")["event"]["id"]
    told = cli.shown("usage", "reverse", event, "--reason", "a mistake", "--quantity", "600", "--key", "k")
    assert (told["overage"], told["credits_returned"], told["left"]) == ("500", "1", "900")
    assert cli.shown("usage", "reverse", event, "--reason", "a mistake", "--quantity", "600", "--key", "k") == told
    assert cli.run("usage", "reverse", event, "--reason", "x", "--quantity", "901").code == 4
    assert cli.run("usage", "reverse", event, "--reason", "x", "--quantity", "0").code == 2
    assert cli.run("usage", "reverse", event).code == 2
    assert cli.run("usage", "reverse", str(UsageEvent.objects.get(source="reversal").id), "--reason", "x").code == 4
    text = cli.run("usage", "reverse", event, "--reason", "the rest").out
    assert "credits returned" in text


def test_a_grant_is_voided_by_its_id() -> None:
    (grant,) = cli.shown("credits", "show", "acme")["grants"]
    assert cli.shown("credits", "void", "acme", grant["id"], "--reason", "fraud")["voided"] == "10"
    assert cli.shown("credits", "show", "acme")["balance"] == "0"
    assert cli.run("credits", "void", "acme", "one", "--reason", "x").code == 3


def test_an_export_goes_to_standard_output_or_a_new_file(tmp_path: Path) -> None:
    rows = cli.run("export", "ledger", "--organization", "acme", "--format", "jsonl").out.splitlines()
    assert [json.loads(row)["kind"] for row in rows] == ["grant"]
    file = tmp_path / "windows.csv"
    told = cli.shown("export", "windows", "--organization", "acme", "--output", str(file))
    assert told == {"file": str(file), "bytes": file.stat().st_size}
    assert file.read_text().startswith("organization,subscription,product,meter")
    assert cli.run("export", "windows", "--organization", "acme", "--output", str(file)).code == 2
    assert cli.run("export", "windows", "--organization", "acme", "--json").code == 2
    assert cli.run("export", "windows", "--organization", "nobody").code == 3
    assert cli.run("export", "windows", "--organization", "acme", "--from", "2030-01-01").out.count("\n") == 1
