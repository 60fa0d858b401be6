"""``mcpctl billing invoices``, ``credit-notes`` and ``balance``: what happens to an invoice once it is issued."""

from pathlib import Path

import pytest

from billing.accounts import actors
from billing.invoicing import operations
from billing.models import AuditEntry, BalanceEntry, CreditNote, Invoice, Payment
from tests.support import cli
from tests.support.factories import at
from tests.support.invoicing import customer, team_plan

pytestmark = pytest.mark.django_db

APRIL = at("2026-04-01")


@pytest.fixture
def number() -> str:
    acme = customer(team_plan())
    draft = operations.draft(subscription=acme.subscription, actor=actors.SYSTEM, now=APRIL)
    return str(operations.issue(invoice=draft, actor=actors.SYSTEM, now=APRIL).number)


def test_paid_in_parts_once_per_reference(number: str) -> None:
    for _ in range(2):
        document = cli.shown("invoices", "pay", number, "9", "--reference", "bank-1")
        assert (document["status"], document["paid"], document["due"]) == ("issued", "9.00", "40.00")
    assert cli.shown("invoices", "pay", number, "40.00", "--reference", "bank-2")["status"] == "paid"
    refused = cli.run("invoices", "pay", number, "0.01", "--reference", "bank-3", "--json")
    assert refused.code != 0
    assert cli.run("invoices", "void", number, "--reason", "x").code != 0
    assert "due" in cli.run("invoices", "show", number).out


def test_credited_by_line_and_then_the_rest(number: str) -> None:
    part = cli.shown("invoices", "credit-note", number, "--reason", "an outage", "--line", "1=9.00")
    assert (part["number"], part["total"]) == ("CN-2026-000001", "9.00")
    rest = cli.run("invoices", "credit-note", number, "--reason", "all wrong")
    assert rest.code == 0
    assert "40.00" in rest.out
    assert Invoice.objects.get().status == "paid"
    assert cli.run("invoices", "credit-note", number, "--reason", "more").code != 0


def test_voided_with_a_reason(number: str) -> None:
    assert cli.run("invoices", "void", number).code != 0
    assert cli.shown("invoices", "void", number, "--reason", "wrong customer")["status"] == "void"


def test_the_profile_is_changed_in_part() -> None:
    acme = customer(team_plan())
    slug = acme.organization.slug
    first = cli.shown(
        "tenants", "profile", slug, "--legal-name", "Acme GmbH", "--address", "Hauptstr. 1", "--address", "Berlin",
        "--tax", "exclusive", "--rate", "19", "--tax-label", "VAT",
    )  # fmt: skip
    assert (first["address"], first["tax"]["rate"]) == (["Hauptstr. 1", "Berlin"], "19")
    assert cli.shown("tenants", "profile", slug, "--country", "de") == {**first, "country": "DE"}
    assert cli.run("tenants", "profile", slug, "--tax", "exempt").code != 0
    assert "VAT 19 % exclusive" in cli.run("tenants", "profile", slug).out


def facts() -> tuple[int, ...]:
    return tuple(model._default_manager.count() for model in (AuditEntry, BalanceEntry, CreditNote, Invoice, Payment))


def test_refunded_once_per_reference_and_due_again(number: str) -> None:
    cli.shown("invoices", "pay", number, "49", "--reference", "bank-1")
    told = ("invoices", "refund", number, "9", "--reference", "bank-2", "--reason", "bounced", "--method", "card")
    for _ in range(2):
        document = cli.shown(*told)
        assert (document["status"], document["paid"], document["due"]) == ("issued", "40.00", "9.00")
    listed = cli.shown("invoices", "payments", number)["results"]
    assert [(row["kind"], row["amount"], row["method"], row["reason"]) for row in listed] == [
        ("payment", "49.00", "transfer", ""), ("refund", "9.00", "card", "bounced"),
    ]  # fmt: skip
    text = cli.run("invoices", "payments", number).out
    assert "bank-2" in text
    assert "bounced" in text


def test_given_up_on_and_still_paid(number: str) -> None:
    assert cli.run("invoices", "payments", number).out == "No payments.\n"
    assert cli.shown("invoices", "uncollectible", number, "--reason", "insolvent")["status"] == "uncollectible"
    assert cli.shown("invoices", "uncollectible", number, "--reason", "insolvent")["status"] == "uncollectible"
    assert cli.shown("invoices", "pay", number, "49", "--reference", "bank-1")["status"] == "paid"


def test_credit_notes_are_listed_shown_and_written_as_pdf(number: str, tmp_path: Path) -> None:
    assert cli.run("credit-notes", "list", number).out == "No credit notes.\n"
    cli.shown("invoices", "credit-note", number, "--reason", "an outage", "--line", "1=9.00")
    (note,) = cli.shown("credit-notes", "list", number)["results"]
    assert cli.shown("credit-notes", "show", note["number"]) == note
    assert cli.shown("credit-notes", "show", note["id"]) == note
    assert "an outage" in cli.run("credit-notes", "list", number).out
    assert cli.run("credit-notes", "show", note["number"], "--csv").out.startswith("row,credit_note,number")
    for command, name in (("credit-notes", note["number"]), ("invoices", number)):
        file = tmp_path / f"{name}.pdf"
        assert cli.run(command, "show", name, "--pdf", file).code == 0
        assert file.read_bytes().startswith(b"%PDF-")


def test_the_balance_is_shown_and_paid_out_once_per_reference(number: str) -> None:
    slug = Invoice.objects.get().organization.slug
    assert cli.run("balance", "show", slug).out == "Nothing in USD.\n"
    cli.shown("invoices", "pay", number, "49", "--reference", "bank-1")
    cli.shown("invoices", "credit-note", number, "--reason", "all wrong")
    told = ("balance", "payout", slug, "20", "--reference", "bank-2", "--reason", "asked for")
    first = cli.shown(*told)
    assert (first["amount"], first["balance_after"]) == ("-20.00", "29.00")
    assert cli.shown(*told) == first
    assert "20.00 USD paid out; the balance is 29.00." in cli.run(*told).out
    shown = cli.shown("balance", "show", slug, "--limit", 1)
    assert (shown["currency"], shown["results"], shown["next"]) == ("USD", [first], first["sequence"])
    older = cli.shown("balance", "show", slug, "--before", shown["next"])["results"]
    assert [row["balance_after"] for row in older] == ["49.00"]
    assert "… more with --before 2" in cli.run("balance", "show", slug, "--limit", 1).out


def test_a_preview_writes_nothing(number: str) -> None:
    slug = Invoice.objects.get().organization.slug
    before = facts()
    preview = cli.shown("invoices", "draft", slug, "--preview", "--period", "2026-03-15")
    assert (preview["status"], preview["id"], preview["number"]) == ("preview", None, None)
    assert "preview" in cli.run("invoices", "draft", slug, "--preview").out
    assert facts() == before


REFUSALS: list[tuple[tuple[str, ...], int, str]] = [
    (("invoices", "refund", "{paid}", "49.01", "--reference", "r", "--reason", "x"), 4, "refund_exceeds_paid"),
    (("invoices", "refund", "{paid}", "1", "--reference", "bank-1", "--reason", "x"), 4, "payment_reference_taken"),
    (("invoices", "refund", "{paid}", "0.001", "--reference", "r", "--reason", "x"), 2, "invalid"),
    (("invoices", "refund", "{paid}", "-1", "--reference", "r", "--reason", "x"), 2, "usage"),
    (("invoices", "refund", "{paid}", "1", "--reference", "r"), 2, "usage"),
    (("invoices", "refund", "{paid}", "1", "--reference", "r", "--reason", "x", "--received-at", "2199-01-01"), 2,
     "invalid"),
    (("invoices", "refund", "{paid}", "1", "--reference", "r", "--reason", "x", "--provider", "balance"), 2, "invalid"),
    (("invoices", "pay", "{paid}", "0.01", "--reference", "r"), 4, "payment_exceeds_due"),
    (("invoices", "pay", "INV-1999-000001", "1", "--reference", "r"), 3, "not_found"),
    (("invoices", "void", "{paid}", "--reason", "x"), 4, "invoice_paid"),
    (("invoices", "uncollectible", "{paid}", "--reason", "x"), 4, "invoice_paid"),
    (("invoices", "uncollectible", "{paid}", "--reason", " "), 2, "usage"),
    (("invoices", "credit-note", "{paid}", "--reason", "x", "--line", "1=49.01"), 4, "credit_exceeds_line"),
    (("invoices", "credit-note", "{paid}", "--reason", "x", "--line", "9"), 2, "invalid"),
    (("invoices", "credit-note", "{paid}", "--reason", "x", "--line", "1=0"), 2, "usage"),
    (("invoices", "credit-note", "{paid}", "--reason", "x", "--line", "1", "--line", "1"), 2, "usage"),
    (("invoices", "credit-note", "{paid}", "--reason", "x", "--line", "one"), 2, "usage"),
    (("credit-notes", "show", "CN-1999-000001"), 3, "not_found"),
    (("credit-notes", "list", "INV-1999-000001"), 3, "not_found"),
    (("balance", "payout", "{slug}", "1", "--reference", "r", "--reason", "x"), 4, "balance_insufficient"),
    (("balance", "payout", "{slug}", "1", "--reference", "r", "--reason", "x", "--currency", "XXX"), 2, "invalid"),
    (("balance", "show", "{slug}", "--currency", "usd"), 2, "invalid"),
    (("balance", "show", "nobody"), 3, "not_found"),
]  # fmt: skip


def test_what_is_refused_has_a_code_and_writes_nothing(number: str, subtests: pytest.Subtests) -> None:
    cli.shown("invoices", "pay", number, "49", "--reference", "bank-1")
    names = {"paid": number, "slug": Invoice.objects.get().organization.slug}
    before = facts()
    for arguments, exit_code, code in REFUSALS:
        with subtests.test(arguments=arguments):
            ran = cli.run(*(each.format(**names) for each in arguments), "--json")
            assert (ran.code, ran.problem["code"], ran.out) == (exit_code, code, "")
            assert facts() == before
