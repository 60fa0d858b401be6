"""The second person's approval from the shell: a login is a name as any other."""

from decimal import Decimal

import pytest
from pytest_django import Settings

from tests.support import cli


@pytest.fixture(autouse=True)
def limit(acme: str, settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    settings.BILLING_APPROVAL_ABOVE_CREDITS = Decimal(1000)
    monkeypatch.setenv("LOGNAME", "ada")


def test_a_login_asks_and_another_one_approves(monkeypatch: pytest.MonkeyPatch) -> None:
    ran = cli.run("credits", "adjust", "acme", "5000", "--reason", "migration")
    assert (ran.code, ran.out.startswith("Nothing is booked yet: 5,000 credits wait")) == (0, True)
    (waiting,) = cli.shown("credits", "requests", "acme", "--state", "waiting")["results"]
    assert waiting["id"] in ran.out
    assert waiting["requested_by"] == "cli:ada"
    assert "migration" in cli.run("credits", "requests").out
    assert cli.run("credits", "approve", waiting["id"]).code == 1
    monkeypatch.setenv("LOGNAME", "grace")
    done = cli.run("credits", "approve", waiting["id"])
    assert (done.code, done.out.startswith("5,000 credits booked; the balance is 5,0")) == (0, True)
    assert cli.run("credits", "approve", waiting["id"]).code == 4
    assert cli.run("credits", "requests", "--state", "waiting").out.strip() == "No requests."


def test_a_rejection_needs_a_reason() -> None:
    request = cli.shown("credits", "adjust", "acme", "-1000.5", "--reason", "r")["id"]
    assert cli.run("credits", "reject", request).code == 2
    assert cli.run("credits", "reject", request, "--reason", "a slip").out.strip() == "Rejected; nothing is booked."
    assert cli.run("credits", "reject", "nothing", "--reason", "x").code == 3
    assert cli.shown("credits", "requests", "acme")["results"][0]["state"] == "rejected"
