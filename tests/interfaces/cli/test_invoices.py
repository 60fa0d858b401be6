import csv
import io

from django.db import connection

from billing.models import Invoice
from tests.support import cli


def test_draft_show_issue_list(acme: str) -> None:
    cli.shown("clock", "advance", "acme", "--to", "2026-02-01T12:00:00Z")
    draft = cli.shown("invoices", "draft", "acme")
    assert (draft["status"], draft["number"], draft["total"]) == ("draft", None, "49.00")
    assert cli.shown("invoices", "draft", "acme")["id"] == draft["id"]
    assert cli.shown("invoices", "draft", "acme", "--period", "2026-01-15")["id"] == draft["id"]
    assert cli.shown("invoices", "show", "acme") == draft
    issued = cli.shown("invoices", "issue", draft["id"])
    assert issued["status"] == "issued"
    # Twice, and by whatever name.
    assert cli.shown("invoices", "issue", issued["number"]) == issued
    assert cli.shown("invoices", "show", issued["number"]) == issued
    assert Invoice.objects.count() == 1
    listed = cli.shown("invoices", "list", "acme")["results"]
    assert listed == [issued]
    assert cli.shown("invoices", "list", "acme", "--status", "draft")["results"] == []
    assert issued["number"] in cli.run("invoices", "list", "acme").out
    text = cli.run("invoices", "show", "acme").out
    assert issued["number"] in text
    assert "49.00" in text


def test_show_as_csv(acme: str) -> None:
    cli.shown("clock", "advance", "acme", "--to", "2026-02-02")
    rows = list(csv.DictReader(io.StringIO(cli.run("invoices", "show", "acme", "--csv").out)))
    assert [(row["row"], row["amount"]) for row in rows] == [
        ("line", "49.00"),
        ("subtotal", "49.00"),
        ("tax", "0.00"),
        ("total", "49.00"),
    ]


def test_issue_of_an_organization_wants_one_draft(acme: str) -> None:
    none = cli.run("invoices", "issue", "acme")
    assert (none.code, "acme has no draft" in none.err) == (3, True)
    for day in ("2026-02-01T12:00:00Z", "2026-03-01T12:00:00Z"):
        cli.shown("clock", "advance", "acme", "--to", day)
        if day < "2026-03":
            cli.shown("invoices", "hold", "acme", "--reason", "until the second one is there")
    several = cli.run("invoices", "issue", "acme", "--json")
    assert (several.code, several.problem["code"]) == (4, "invoice_ambiguous")
    first = cli.shown("invoices", "list", "acme")["results"][-1]
    cli.shown("invoices", "issue", first["id"])
    assert cli.shown("invoices", "issue", "acme")["status"] == "issued"
    assert cli.run("invoices", "issue", "acme").code == 3


def test_no_invoices(acme: str) -> None:
    assert cli.run("invoices", "list", "acme").out == "No invoices.\n"


def test_a_draft_that_is_held_is_issued_by_nobody_until_released(acme: str) -> None:
    cli.shown("clock", "advance", "acme", "--to", "2026-02-01T12:00:00Z")
    assert cli.run("invoices", "hold", "acme").code == 2
    for _ in range(2):
        assert cli.shown("invoices", "hold", "acme", "--reason", "a question is open")["status"] == "draft"
    cli.shown("clock", "advance", "acme", "--by", "1w")
    assert cli.shown("invoices", "release", "acme")["status"] == "draft"
    cli.shown("clock", "advance", "acme", "--by", "1h")
    issued = cli.shown("invoices", "show", "acme")
    assert issued["status"] == "issued"
    held = cli.run("invoices", "hold", issued["number"], "--reason", "late", "--json")
    assert (held.code, held.problem["code"]) == (4, "invoice_frozen")


def test_verify_rates_them_again(acme: str) -> None:
    assert "No invoice is issued yet." in cli.run("invoices", "verify", "acme").out
    cli.shown("clock", "advance", "acme", "--to", "2026-03-03")
    document = cli.shown("invoices", "verify", "acme")
    assert (document["agrees"], len(document["invoices"])) == (True, 2)
    number = document["invoices"][0]["number"]
    said = cli.run("invoices", "verify", number)
    assert (said.code, f"{number}: 49.00 USD, 1 lines, 0 events: agrees" in said.out) == (0, True)
    with connection.cursor() as cursor:
        cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")
        cursor.execute("ALTER TABLE marketplace_invoice_lines DISABLE TRIGGER USER")
        cursor.execute("UPDATE marketplace_invoice_lines SET amount_minor = amount_minor + 1")
    said = cli.run("invoices", "verify", number)
    assert (said.code, "amount_minor: 4,901, by the events 4900" in said.out.replace("4901", "4,901")) == (1, True)
    assert cli.run("invoices", "verify", "nobody").code == 3


def test_drafts_say_when_they_issue_and_what_keeps_them(acme: str) -> None:
    cli.shown("clock", "advance", "acme", "--to", "2026-02-01T12:00:00Z")
    (draft,) = cli.shown("invoices", "list")["results"]
    assert draft["issue_due_at"] == "2026-02-02T00:00:00Z"
    assert "issues itself  2026-02-02T00:00:00Z" in cli.run("invoices", "show", "acme").out
    assert cli.run("invoices", "list", "--parked").out == "No invoices.\n"
    held = cli.run("invoices", "hold", "acme", "--reason", "a question is open").out
    assert "held     2026-02-01T12:00:00Z" in held
    assert "draft, held" in cli.run("invoices", "list", "acme", "--status", "held").out
    Invoice.objects.update(held_at=None, parked_at="2026-02-02T00:00:00Z", parked_reason="It is odd.")
    listed = cli.run("invoices", "list", "--parked").out.splitlines()
    assert listed[0].split() == ["organization", "invoice", "status", "from", "to", "total", "currency"]
    assert listed[1].split()[:4] == ["acme", draft["id"], "draft,", "parked"]
    assert listed[-1] == f"{draft['id']} It is odd."
    assert "parked   2026-02-02T00:00:00Z It is odd." in cli.run("invoices", "show", "acme").out
    (parked,) = cli.shown("invoices", "list", "--parked")["results"]
    assert parked["parked"] == {"at": "2026-02-02T00:00:00Z", "reason": "It is odd."}
