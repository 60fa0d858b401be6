"""Tax on invoices: from the profile onto the lines, copied in at issue, and the same in every document."""

import csv
import io
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from billing.accounts import profiles
from billing.accounts.actors import SYSTEM, Actor
from billing.accounts.profiles import Profile
from billing.invoicing import documents, operations, pdf, queries
from billing.kernel.errors import Forbidden, Invalid
from billing.models import AuditEntry, BillingProfile, Invoice
from billing.reporting import doctor
from tests.support import factories, invoice_sums
from tests.support import second_calculator as second
from tests.support.factories import at
from tests.support.invoicing import Customer, customer, team_plan, traffic

pytestmark = pytest.mark.django_db

APRIL = at("2026-04-01")
VAT = Profile(
    legal_name="Acme GmbH",
    address=("Hauptstr. 1", "10115 Berlin"),
    country="DE",
    vat_number="DE123456789",
    purchase_order="PO-77",
    tax_treatment="exclusive",
    tax_rate=Decimal("19"),
    tax_label="VAT",
    payment_terms_days=30,
)


@pytest.fixture
def acme() -> Customer:
    made = customer(team_plan())
    traffic(made)
    return made


def set_profile(acme: Customer, profile: Profile = VAT, **changes: Any) -> Profile:
    said = {name: getattr(profile, name) for name in Profile.__slots__} | changes
    return profiles.set_profile(organization=acme.organization, profile=Profile(**said), actor=SYSTEM, now=APRIL)


def drafted(acme: Customer) -> Invoice:
    return operations.draft(subscription=acme.subscription, actor=SYSTEM, now=APRIL)


def issued(acme: Customer) -> Invoice:
    return operations.issue(invoice=drafted(acme), actor=SYSTEM, now=APRIL)


def sums(invoice: Invoice) -> tuple[int, int, int]:
    return invoice.subtotal_minor, invoice.tax_minor, invoice.total_minor


def sound(acme: Customer) -> None:
    assert invoice_sums.verify_totals() == []
    assert [v for v in doctor.verify(organization=acme.organization) if v.name != "charges-equal-events"] == []


def test_on_top(acme: Customer) -> None:
    set_profile(acme)
    invoice = issued(acme)
    # 49.00 + 1.53 + 0.09 + 1.00, each taxed and rounded on its own: 9.31 + 0.29 + 0.02 + 0.19
    assert sums(invoice) == (5162, 981, 6143)
    assert [line.tax_minor for line in invoice.lines.all()] == [931, 29, 2, 19]
    assert documents.as_dict(invoice)["taxes"] == [
        {"treatment": "exclusive", "label": "VAT", "rate": "19", "net": "51.62", "tax": "9.81"}
    ]
    sound(acme)


def test_contained(acme: Customer) -> None:
    set_profile(acme, tax_treatment="inclusive")
    invoice = issued(acme)
    assert invoice.total_minor == 5162
    assert [line.tax_minor for line in invoice.lines.all()] == [782, 24, 1, 16]
    assert sums(invoice) == (5162 - 823, 823, 5162)
    sound(acme)


@pytest.mark.parametrize("treatment", ["exclusive", "inclusive"])
@pytest.mark.parametrize(("currency", "rate"), [("JPY", "10"), ("USD", "8.875"), ("KWD", "5")])
def test_every_currency_equals_the_second_calculator(currency: str, rate: str, treatment: str) -> None:
    acme = customer(team_plan(), currency=currency, organization=factories.organization(currency=currency))
    traffic(acme)
    set_profile(acme, tax_treatment=treatment, tax_rate=Decimal(rate))
    shown = documents.as_dict(issued(acme))
    taxed = [
        second.tax(line["amount"], currency=currency, rate=rate, included=treatment == "inclusive")
        for line in shown["lines"]
    ]
    assert [line["tax"] for line in shown["lines"]] == [levied for _, levied in taxed]
    net, levied = sum(Decimal(n) for n, _ in taxed), sum(Decimal(t) for _, t in taxed)
    assert (Decimal(shown["subtotal"]), Decimal(shown["tax"])) == (net, levied)
    assert Decimal(shown["total"]) == net + levied
    sound(acme)


def test_a_draft_follows_the_profile_and_an_issued_invoice_does_not(acme: Customer) -> None:
    draft = drafted(acme)
    assert draft.tax_minor == 0
    set_profile(acme)
    assert operations.read_invoice(reference=str(draft.id), actor=SYSTEM).tax_minor == 981
    assert operations.preview(subscription=acme.subscription, actor=SYSTEM, now=APRIL).tax_minor == 981
    final = issued(acme)
    set_profile(acme, tax_treatment="none", tax_rate=Decimal(0), legal_name="Acme AG")
    read = operations.read_invoice(reference=str(final.id), actor=SYSTEM)
    assert (read.tax_minor, read.customer["name"]) == (981, "Acme GmbH")
    sound(acme)


def test_the_profile_is_copied_in(acme: Customer) -> None:
    set_profile(acme)
    invoice = issued(acme)
    assert invoice.customer["address"] == ["Hauptstr. 1", "10115 Berlin"]
    assert (invoice.customer["vat_number"], invoice.customer["purchase_order"]) == ("DE123456789", "PO-77")
    assert str(invoice.due_on) == "2026-05-01"
    text = repr(pdf._shown(documents.as_dict(invoice), ZoneInfo("UTC")))
    for shown in ("Acme GmbH", "Hauptstr. 1", "VAT DE123456789", "PO-77", "VAT 19 % on 51.62", "9.81", "61.43"):
        assert shown in text


def test_reverse_charge_and_exemption_say_so_and_tax_nothing(acme: Customer) -> None:
    set_profile(acme, tax_treatment="reverse_charge", tax_rate=Decimal(0), tax_note="Steuerschuldnerschaft")
    invoice = issued(acme)
    assert sums(invoice) == (5162, 0, 5162)
    shown = documents.as_dict(invoice)
    assert shown["taxes"][0]["treatment"] == "reverse_charge"
    assert "Steuerschuldnerschaft" in pdf._shown(shown, ZoneInfo("UTC"))["notes"]
    assert pdf.render(shown, zone=ZoneInfo("UTC")).startswith(b"%PDF-")


def test_csv_has_the_tax_of_each_line(acme: Customer) -> None:
    set_profile(acme)
    rows = list(csv.DictReader(io.StringIO(documents.as_csv(issued(acme)), newline="")))
    assert [(row["tax_rate"], row["tax"]) for row in rows[:4]] == [
        ("19", "9.31"), ("19", "0.29"), ("19", "0.02"), ("19", "0.19"),
    ]  # fmt: skip
    assert [row["amount"] for row in rows[4:]] == ["51.62", "9.81", "61.43"]


@pytest.mark.parametrize("treatment", ["exclusive", "inclusive"])
def test_credited_with_its_tax(acme: Customer, treatment: str) -> None:
    set_profile(acme, tax_treatment=treatment)
    invoice = issued(acme)

    def credit(lines: dict[int, int | None] | None = None) -> int:
        return operations.credit(invoice=invoice, lines=lines, reason="r", actor=SYSTEM, now=APRIL).total_minor

    parts = [credit({1: 1000}), credit({1: 1000}), credit({2: None}), credit()]
    assert sum(parts) == invoice.total_minor
    assert queries.get_invoice(str(invoice.id)).status == "paid"
    sound(acme)


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"country": "Germany"}, "country"),
        ({"vat_number": "#1"}, "vat_number"),
        ({"address": ("x",) * 7}, "address"),
        ({"address": ("x" * 101,)}, "address"),
        ({"legal_name": "a\x00b"}, "legal_name"),
        ({"tax_treatment": "maybe"}, "tax.treatment"),
        ({"tax_rate": Decimal(0)}, "tax.rate"),
        ({"tax_rate": Decimal("100.001")}, "tax.rate"),
        ({"tax_rate": Decimal("19.0001")}, "tax.rate"),
        ({"tax_treatment": "none"}, "tax.rate"),
        ({"tax_treatment": "exempt", "tax_rate": Decimal(0)}, "tax.note"),
        ({"tax_treatment": "reverse_charge", "tax_rate": Decimal(0), "vat_number": ""}, "vat_number"),
        ({"payment_terms_days": 366}, "payment_terms_days"),
    ],
)
def test_profiles_that_are_refused(acme: Customer, changes: dict[str, Any], field: str) -> None:
    with pytest.raises(Invalid) as refused:
        set_profile(acme, **changes)
    assert refused.value.details["field"] == field
    assert BillingProfile.objects.count() == 0


def test_setting_is_audited_once_and_for_finance(acme: Customer) -> None:
    assert set_profile(acme) == set_profile(acme)
    entry = AuditEntry.objects.get(act="profile.set")
    assert entry.details["to"]["tax"]["rate"] == "19"
    owner = Actor("user:1", roles={acme.organization.id: "owner"})
    with pytest.raises(Forbidden):
        profiles.set_profile(organization=acme.organization, profile=Profile(), actor=owner, now=APRIL)
    assert profiles.read_profile(organization=acme.organization, actor=owner).legal_name == "Acme GmbH"
