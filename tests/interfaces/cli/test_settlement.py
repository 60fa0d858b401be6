"""``mcpctl billing invoices pay|credit-note|void``."""

import pytest

from billing.accounts import actors
from billing.invoicing import operations
from billing.models import Invoice
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
    part = cli.shown("invoices", "credit-note", number, "--reason", "an outage", "--line", 1, "--amount", "9.00")
    assert (part["number"], part["total"]) == ("CN-2026-000001", "9.00")
    rest = cli.run("invoices", "credit-note", number, "--reason", "all wrong")
    assert rest.code == 0
    assert "40.00" in rest.out
    assert Invoice.objects.get().status == "paid"
    assert cli.run("invoices", "credit-note", number, "--reason", "more").code != 0
    assert cli.run("invoices", "credit-note", number, "--reason", "r", "--amount", "1").code != 0


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
