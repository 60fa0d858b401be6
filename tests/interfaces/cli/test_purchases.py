"""Buying credits from the shell."""

import pytest

from tests.support import cli

pytestmark = pytest.mark.usefixtures("acme")


def test_ordered_linked_paid_and_withdrawn() -> None:
    ordered = cli.shown("credits", "buy", "acme", "12.5", "--key", "form")
    assert cli.shown("credits", "buy", "acme", "12.5", "--key", "form")["id"] == ordered["id"]
    assert cli.run("credits", "buy", "acme", "13", "--key", "form").code == 4
    assert "125.00 USD" in cli.run("credits", "buy", "acme", "12.5", "--key", "form").out
    link = cli.run("credits", "checkout", ordered["id"], "--return-url", "https://x.example/")
    assert (link.code, link.out.startswith("/payments/orders/")) == (0, True)
    other = cli.shown("credits", "buy", "acme", "5")
    # An order is none of the drafts that somebody issues.
    assert cli.run("invoices", "issue", "acme").code == 3
    assert "with its payment" in cli.run("invoices", "show", ordered["invoice"]["id"]).out
    paid = cli.run("invoices", "pay", ordered["invoice"]["id"], "125.00", "--reference", "bank 1")
    assert paid.code == 0, paid.err
    for _ in range(2):
        assert cli.shown("credits", "withdraw", other["id"])["state"] == "withdrawn"
    assert cli.run("credits", "withdraw", ordered["id"]).code == 4
    listed = cli.shown("credits", "purchases", "acme")["results"]
    assert [(each["id"], each["state"]) for each in listed] == [(other["id"], "withdrawn"), (ordered["id"], "paid")]
    assert listed[1]["invoice"]["number"] in cli.run("credits", "purchases", "acme").out
    assert cli.run("invoices", "list", "acme").code == 0
    verified = cli.shown("invoices", "verify", listed[1]["invoice"]["number"])
    assert verified["agrees"]
    assert cli.run("verify").code == 0


def test_what_is_not_sold_says_why() -> None:
    assert cli.run("credits", "buy", "acme", "0.5").code == 2
    assert cli.run("credits", "withdraw", "nothing").code == 3
    assert cli.run("credits", "purchases", "acme").out.strip() == "Nothing was ordered."
