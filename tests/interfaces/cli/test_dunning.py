"""``mcpctl billing dunning`` and ``mail``."""

from tests.support import cli


def test_a_customer_that_does_not_pay(acme: str) -> None:
    cli.shown("tenants", "profile", "acme", "--collection", "automatic")
    cli.shown("clock", "advance", "acme", "--to", "2026-02-17")
    (listed,) = cli.shown("dunning", "list", "acme", "--state", "open")["results"]
    number = listed["invoice_number"]
    assert cli.shown("subscription", "show", "acme")["status"] == "past_due"
    assert [each["code"] for each in listed["attempts"]] == ["no_payment_method"] * 5
    assert "no_payment_method" in cli.run("dunning", "show", number).out
    assert "past due" in cli.run("dunning", "list", "acme").out

    failed = cli.shown("dunning", "retry", number)
    assert [each["step"] for each in failed["attempts"]] == [0, 1, 2, 3, 4, None]
    assert cli.run("dunning", "stop", number).code == 2
    assert cli.shown("dunning", "stop", number, "--reason", "a promise")["closed_because"] == "stopped"
    assert cli.shown("subscription", "show", "acme")["status"] == "active"
    refused = cli.run("dunning", "retry", number, "--json")
    assert (refused.code, refused.problem["code"]) == (4, "dunning_closed")
    assert cli.run("dunning", "show", "INV-0", "--json").code == 3
    assert cli.run("verify").code == 0


def test_mail_says_what_was_not_sent_and_why(acme: str) -> None:
    assert cli.run("mail", "list", "acme").out == "No e-mail.\n"
    cli.shown("clock", "advance", "acme", "--to", "2026-02-03")
    (written,) = cli.shown("mail", "list", "acme", "--status", "skipped")["results"]
    assert (written["kind"], written["reason"]) == ("invoice_issued", "sandbox")
    refused = cli.run("mail", "resend", written["id"], "--json")
    assert (refused.code, refused.problem["code"]) == (4, "no_recipient")
