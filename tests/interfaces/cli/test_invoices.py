import csv
import io

from billing.models import Invoice
from tests.support import cli


def test_draft_show_issue_list(acme: str) -> None:
    cli.shown("clock", "advance", "acme", "--to", "2026-02-02")
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
    cli.shown("clock", "advance", "acme", "--to", "2026-03-02")
    several = cli.run("invoices", "issue", "acme", "--json")
    assert (several.code, several.problem["code"]) == (4, "invoice_ambiguous")
    first = cli.shown("invoices", "list", "acme")["results"][-1]
    cli.shown("invoices", "issue", first["id"])
    assert cli.shown("invoices", "issue", "acme")["status"] == "issued"
    assert cli.run("invoices", "issue", "acme").code == 3


def test_no_invoices(acme: str) -> None:
    assert cli.run("invoices", "list", "acme").out == "No invoices.\n"
