"""The documents: JSON, CSV and rows hold the same numbers, and no text in them runs in a spreadsheet."""

import csv
import io
from collections.abc import Iterator
from decimal import Decimal

import pytest

from billing.accounts.actors import SYSTEM
from billing.invoicing import documents, operations
from billing.models import Invoice, Meter
from tests.support import factories
from tests.support.factories import Overage, at
from tests.support.invoicing import Customer, customer, team_plan, traffic

pytestmark = pytest.mark.django_db

APRIL = at("2026-04-01")


@pytest.fixture
def invoice() -> Invoice:
    acme = customer(team_plan())
    traffic(acme)
    return issued(acme)


def issued(acme: Customer) -> Invoice:
    draft = operations.draft(subscription=acme.subscription, actor=SYSTEM, now=APRIL)
    return operations.issue(invoice=draft, actor=SYSTEM, now=APRIL)


def rows(text: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(text, newline="")))


def test_json_has_everything_as_strings(invoice: Invoice) -> None:
    shown = documents.as_dict(invoice)
    assert shown["number"] == "INV-2026-000001"
    assert shown["period"] == {"starts_at": "2026-03-01T00:00:00Z", "ends_at": "2026-04-01T00:00:00Z"}
    assert (shown["subtotal"], shown["tax"], shown["total"], shown["currency"]) == ("51.62", "0.00", "51.62", "USD")
    assert (shown["issued_at"], shown["due_on"]) == ("2026-04-01T00:00:00Z", "2026-04-15")
    assert [(line["charge"], line["meter"], line["amount"]) for line in shown["lines"]] == [
        ("base", None, "49.00"),
        ("overage", "context", "1.53"),
        ("overage", "generated", "0.09"),
        ("credits", None, "1.00"),
    ]
    line = shown["lines"][1]
    assert (line["quantity"], line["rate"], line["per"]) == ("3059974", "0.5", "1000000")
    assert line["plan"] == {"code": "team", "version": 1}
    assert line["position"] == 2


def test_csv_json_and_rows_agree(invoice: Invoice) -> None:
    shown = documents.as_dict(invoice)
    *lines, subtotal, tax, total = rows(documents.as_csv(invoice))
    for row, line, stored in zip(lines, shown["lines"], invoice.lines.all(), strict=True):
        for name in ("charge", "description", "quantity", "rate", "per", "amount"):
            assert row[name] == line[name]
        assert Decimal(row["amount"]) * 100 == stored.amount_minor
        assert Decimal(row["quantity"]) == stored.quantity
        assert Decimal(row["rate"]) == stored.rate
    assert [(row["row"], row["amount"]) for row in (subtotal, tax, total)] == [
        ("subtotal", "51.62"),
        ("tax", "0.00"),
        ("total", "51.62"),
    ]
    assert sum(Decimal(row["amount"]) for row in lines) == Decimal(total["amount"])
    assert {row["invoice"] for row in rows(documents.as_csv(invoice))} == {str(invoice.id)}


def test_many_share_one_header_and_are_streamed(invoice: Invoice) -> None:
    asked = []

    def invoices() -> Iterator[Invoice]:
        for number in range(3):
            asked.append(number)
            yield invoice

    stream = documents.stream_csv(invoices())
    assert next(stream).startswith("row,invoice,number")
    next(stream)
    assert asked == [0]
    assert len(rows("".join([documents.as_csv(invoice), *stream]))) == 7 + 20


@pytest.mark.parametrize(
    "text", ["=1+1", "+1+1", "-1+1", "@SUM(A1)", "\t=1", "\r=1", "\n=1", " =1", "|cmd", "=HYPERLINK('x')", "-", "+49"]
)
def test_text_that_a_spreadsheet_would_run_is_made_inert(text: str) -> None:
    assert documents.inert(text) == f"'{text}"


@pytest.mark.parametrize("text", ["-12.50", "0.00", "-3", "12", "Team, base fee", "2026-03-01T00:00:00Z", ""])
def test_numbers_and_ordinary_text_stay(text: str) -> None:
    assert documents.inert(text) == text


def test_a_formula_in_a_name_is_inert_in_the_file() -> None:
    plan = factories.plan(name="=cmd|' /C calc'!A0", overages=[Overage("runs", "1")])
    Meter.objects.update(description='@SUM("x")')
    acme = customer(plan)
    factories.charge(acme.period, plan=plan, meter="runs", overage="1")
    for row in rows(documents.as_csv(issued(acme)))[:2]:
        assert row["description"].startswith("'")


@pytest.mark.parametrize(("currency", "total"), [("JPY", "7393"), ("KWD", "16.304")])
def test_amounts_have_the_minor_digits_of_their_currency(currency: str, total: str) -> None:
    acme = customer(team_plan(), currency=currency)
    traffic(acme)
    assert documents.as_dict(issued(acme))["total"] == total
