"""Prices from the catalog file to the invoice line: late use over three invoices, plan changes, voids."""

from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal
from fractions import Fraction

import pytest

from billing.accounts import actors
from billing.accounts.actors import SYSTEM
from billing.catalog import operations as catalog_operations
from billing.catalog import parsing
from billing.invoicing import drafts, loading, operations
from billing.kernel.ids import new_id
from billing.lifecycle import change_plan, onboard, renew
from billing.metering import operations as metering_operations
from billing.metering.offers import Offer
from billing.models import Invoice, InvoiceLine, InvoiceStatus, Organization, Subscription
from billing.reporting import doctor
from tests.support import factories, invoice_sums
from tests.support import second_calculator as second
from tests.support.factories import at

OPERATOR = actors.operator("ada")
MARCH, APRIL, MAY, JUNE = (at(f"2026-0{month}-01") for month in (3, 4, 5, 6))

TEXT = """\
default_plan: models
events:
  graduated_use: [graduated]
  volume_use: [volume]
  package_use: [packages]
  payment: [payments]
  plain_use: [plain]
plans:
  models:
    price: {USD: "10.00", JPY: 1000, KWD: "3.100"}
    minimum: {USD: "20.00", JPY: 2000, KWD: "6.000"}
    entitlements:
"""
ENTITLEMENTS = """\
      graduated:
        limit: 100
        cadence: billing_period
        on_limit: overage
        overage_price:
          USD: {model: graduated, tiers: [{up_to: 10, rate: "0.333", flat: "1.00"}, {rate: "0.2"}]}
          JPY: {model: graduated, tiers: [{up_to: 10, rate: "33.3", flat: 100}, {rate: 20}]}
          KWD: {model: graduated, tiers: [{up_to: 10, rate: "0.0999", flat: "0.300"}, {rate: "0.06"}]}
      volume:
        limit: 0
        cadence: billing_period
        on_limit: overage
        overage_price:
          USD: {model: volume, tiers: [{up_to: 10, rate: "0.50"}, {rate: "0.333"}]}
          JPY: {model: volume, tiers: [{up_to: 10, rate: 50}, {rate: "33.3"}]}
          KWD: {model: volume, tiers: [{up_to: 10, rate: "0.15"}, {rate: "0.0999"}]}
      packages:
        limit: 0
        cadence: billing_period
        on_limit: overage
        overage_price:
          USD: {model: package, rate: "2.50", per: 10}
          JPY: {model: package, rate: 250, per: 10}
          KWD: {model: package, rate: "0.750", per: 10}
      payments:
        limit: 0
        cadence: billing_period
        on_limit: overage
        overage_price:
          USD: {model: percentage, percent: "2.5"}
          JPY: {model: percentage, percent: "2.5"}
          KWD: {model: percentage, percent: "2.5"}
      plain:
        limit: 0
        cadence: billing_period
        on_limit: overage
        overage_price: {USD: "0.005", JPY: "0.5", KWD: "0.0015"}
"""
CATALOG = (
    TEXT
    + ENTITLEMENTS
    + '  bigger:\n    price: {USD: "31.00", JPY: 3100, KWD: "9.300"}\n    entitlements:\n'
    + ENTITLEMENTS.replace("limit: 100", "limit: 0")
)

# The same prices, told to the calculator: (models by currency) and what is included.
TIERS = {
    "USD": ((("10", "0.333", "1.00"), (None, "0.2", "0")), (("10", "0.50", "0"), (None, "0.333", "0"))),
    "JPY": ((("10", "33.3", "100"), (None, "20", "0")), (("10", "50", "0"), (None, "33.3", "0"))),
    "KWD": ((("10", "0.0999", "0.300"), (None, "0.06", "0")), (("10", "0.15", "0"), (None, "0.0999", "0"))),
}
PACKAGES = {"USD": "2.50", "JPY": "250", "KWD": "0.750"}
PLAIN = {"USD": "0.005", "JPY": "0.5", "KWD": "0.0015"}
BASE = {"USD": 1000, "JPY": 1000, "KWD": 3100}
MINIMUM = {"USD": 2000, "JPY": 2000, "KWD": 6000}

pytestmark = pytest.mark.django_db


def models(currency: str) -> Mapping[str, tuple[str, str] | second.Model]:
    graduated, volume = TIERS[currency]
    return {
        "graduated_use": second.Model("graduated", tiers=graduated),
        "volume_use": second.Model("volume", tiers=volume),
        "package_use": second.Model("package", PACKAGES[currency], "10"),
        "payment": second.Model("percentage", "2.5"),
        "plain_use": (PLAIN[currency], "1"),
    }


class Acme:
    """A sandbox on ``models`` since 1 March, whose clock goes where it is told."""

    def __init__(self, currency: str = "USD") -> None:
        catalog_operations.sync(spec=parsing.load(CATALOG), actor="test", now=MARCH)
        self.organization: Organization = factories.sandbox(clock_at=MARCH, currency=currency)
        self.subscription: Subscription = onboard.subscribe(
            organization=self.organization, plan_code="models", actor=OPERATOR, now=MARCH, currency=currency
        )

    def clock(self, now: datetime) -> None:
        self.organization.clock_at = now
        self.organization.save(update_fields=["clock_at"])
        renew.renew_due(organization_id=self.organization.id, now=now)

    def use(self, meter: str, quantity: str, occurred_at: datetime, now: datetime) -> None:
        self.clock(now)
        offer = Offer(self.organization, meter, Decimal(quantity), key=new_id().hex, occurred_at=occurred_at)
        (outcome,) = metering_operations.record([offer], now=now)
        assert outcome.status == "accepted", outcome

    def draft(self, starts_at: datetime, now: datetime) -> Invoice:
        period = self.subscription.periods.get(starts_at=starts_at)
        return operations.draft(subscription=self.subscription, actor=SYSTEM, now=now, period=period)

    def issue(self, starts_at: datetime, now: datetime) -> Invoice:
        return operations.issue(invoice=self.draft(starts_at, now), actor=SYSTEM, now=now)


def rows(invoice: Invoice, *charges: str) -> list[tuple[str, str | None, str, Decimal, int]]:
    return [
        (line.charge, line.meter_id, line.details.get("tier", ""), line.quantity, line.amount_minor)
        for line in invoice.lines.all()
        if not charges or line.charge in charges
    ]


def test_each_model_has_the_lines_that_explain_it() -> None:
    acme = Acme()
    day = at("2026-03-10")
    for meter, quantity in (
        ("graduated_use", "115"),
        ("volume_use", "11"),
        ("package_use", "21"),
        ("payment", "80.10"),
        ("plain_use", "3"),
    ):
        acme.use(meter, quantity, day, day)
    acme.clock(APRIL)
    invoice = acme.draft(MARCH, APRIL)
    assert rows(invoice) == [
        ("base", None, "", 1, 1000),
        ("overage", "graduated_use", "1", 10, 333),
        ("flat", "graduated_use", "1", 1, 100),
        ("overage", "graduated_use", "2", 5, 100),
        ("overage", "package_use", "", 21, 750),
        ("overage", "payment", "", Decimal("80.1"), 200),
        ("overage", "plain_use", "", 3, 2),
        ("overage", "volume_use", "2", 11, 366),
    ]
    described = {(line.meter_id, line.details.get("tier"), line.charge): line for line in invoice.lines.all()}
    assert [line.description.removesuffix(", 1 Mar 2026 – 31 Mar 2026") for line in invoice.lines.all()][1:] == [
        "graduated_use beyond the included 100, up to 10",
        "graduated_use beyond the included 100, flat fee for up to 10",
        "graduated_use beyond the included 100, above 10",
        "package_use beyond the included 0, in packages of 10",
        "payment beyond the included 0, 2.5 per cent",
        "plain_use beyond the included 0",
        "volume_use beyond the included 0, all at the rate for above 10",
    ]
    tier = described["graduated_use", "2", "overage"]
    assert (tier.rate, tier.per) == (Decimal("0.2"), 1)
    assert tier.details == {
        "model": "graduated",
        "tier": "2",
        "above": "10",
        "up_to": "",
        "unit": "unit",
        "entitlement": "graduated",
        "included": "100",
        "cadence": "billing_period",
        "plan": "models v1",
        "quantity": "5",
        "rate": "0.2",
        "per": "1",
        "unrounded": "1",
    }
    assert described["package_use", None, "overage"].details["packages"] == "3"
    # 10.00 + 18.51 are beyond the minimum of 20.00.
    assert invoice.total_minor == 2851
    assert doctor.verify() == []


@pytest.mark.parametrize("currency", ["USD", "JPY", "KWD"])
def test_late_use_over_three_invoices_comes_to_the_price_of_the_whole(currency: str) -> None:
    acme = Acme(currency)
    last_day = at("2026-03-31")
    parts = {
        "graduated_use": ("107", "2.5", "4"),
        "volume_use": ("9", "1", "1.5"),
        "package_use": ("8", "2", "0.5"),
        "payment": ("0.2", "0.2", "0.6"),
        "plain_use": ("1", "1", "1"),
    }
    invoices = []
    for index, (starts_at, now) in enumerate(((MARCH, APRIL), (APRIL, MAY), (MAY, JUNE))):
        # March's use is reported in March, after its invoice went out, and after April's did.
        recorded = (last_day, at("2026-04-02"), at("2026-05-03"))[index]
        for meter, quantities in parts.items():
            acme.use(meter, quantities[index], last_day, recorded)
        acme.clock(now)
        first = acme.draft(starts_at, now)
        lines = list(InvoiceLine.objects.filter(invoice=first).values_list("id", flat=True))
        assert acme.draft(starts_at, now).id == first.id
        assert list(InvoiceLine.objects.filter(invoice=first).values_list("id", flat=True)) == lines
        invoices.append(acme.issue(starts_at, now))
        assert doctor.verify() == []
        assert invoice_sums.verify_totals() == []
    of_march = InvoiceLine.objects.filter(invoice__in=invoices, starts_at=MARCH)
    assert of_march.values("invoice").distinct().count() == 3
    for meter, model in models(currency).items():
        used = sum((Fraction(part) for part in parts[meter]), Fraction(0)) - (100 if meter == "graduated_use" else 0)
        billed = sum(line.amount_minor for line in of_march.filter(meter_id=meter))
        assert billed == second.settled(model, used, currency), meter
        assert sum(line.quantity for line in of_march.filter(meter_id=meter, charge="overage")) == used
    usage = sum(line.amount_minor for line in of_march.filter(charge__in=("overage", "flat")))
    march = sum(line.amount_minor for line in of_march)
    assert march == max(MINIMUM[currency], BASE[currency] + usage)
    # An issued invoice derives as it did, whatever was billed after it.
    for invoice in invoices:
        assert invoice.period_id is not None
        (target,) = loading.load([loading.Claim(invoice.period_id, invoice_id=invoice.id)])
        assert drafts.is_current(invoice, drafts.derive(target))


def test_late_use_gives_the_minimum_back() -> None:
    acme = Acme()
    acme.clock(APRIL)
    assert rows(acme.issue(MARCH, APRIL)) == [("base", None, "", 1, 1000), ("minimum", None, "", 1, 1000)]
    acme.use("payment", "240", at("2026-03-31"), at("2026-04-02"))
    acme.clock(MAY)
    april = acme.draft(APRIL, MAY)
    assert rows(april, "overage", "minimum") == [
        ("overage", "payment", "", 240, 600),
        ("minimum", None, "", 1, 1000),
        ("minimum", None, "", -1, -600),
    ]
    # April costs its own 20.00, March nothing more.
    assert april.total_minor == 2000


def test_a_plan_change_inside_a_period_starts_the_tiers_anew_and_shares_the_minimum_out() -> None:
    acme = Acme()
    change = at("2026-03-11")
    acme.use("graduated_use", "112", at("2026-03-05"), at("2026-03-05"))
    acme.clock(change)
    acme.subscription = change_plan.change_now(
        subscription=acme.subscription, plan_code="bigger", actor=OPERATOR, now=change
    )
    # The window goes on: all of these are beyond the new limit.
    acme.use("graduated_use", "11", at("2026-03-20"), at("2026-03-20"))
    acme.clock(APRIL)
    invoice = acme.draft(MARCH, APRIL)
    plans = [
        (line.plan.code, line.details.get("tier", ""), line.quantity, line.amount_minor) for line in invoice.lines.all()
    ]
    assert plans == [
        ("models", "", 864000, 323),
        ("bigger", "", 1814400, 2100),
        ("bigger", "1", 10, 333),
        ("bigger", "1", 1, 100),
        ("bigger", "2", 1, 20),
        ("models", "1", 10, 333),
        ("models", "1", 1, 100),
        ("models", "2", 2, 40),
    ]
    assert doctor.verify() == []
    operations.issue(invoice=invoice, actor=SYSTEM, now=APRIL)
    acme.use("graduated_use", "1", at("2026-03-06"), at("2026-04-02"))
    acme.clock(MAY)
    late = [line for line in acme.issue(APRIL, MAY).lines.all() if line.starts_at == MARCH]
    assert [(line.plan.code, line.details["tier"], line.amount_minor) for line in late] == [("models", "2", 20)]
    assert doctor.verify() == []


def test_a_period_drafted_anew_counts_what_later_invoices_carry_of_it() -> None:
    acme = Acme()
    acme.use("volume_use", "9", at("2026-03-31"), at("2026-03-31"))
    acme.use("plain_use", "1", at("2026-03-31"), at("2026-03-31"))
    acme.clock(APRIL)
    march = acme.issue(MARCH, APRIL)
    acme.use("volume_use", "2", at("2026-03-31"), at("2026-04-02"))
    acme.use("plain_use", "1", at("2026-03-31"), at("2026-04-02"))
    acme.clock(MAY)
    april = acme.issue(APRIL, MAY)
    assert rows(april, "overage") == [
        ("overage", "plain_use", "", 1, 1),
        ("overage", "volume_use", "1", -9, -450),
        ("overage", "volume_use", "2", 11, 366),
    ]
    operations.void(invoice=march, actor=SYSTEM, reason="wrong customer", now=MAY)
    # The period is open again: use reported now is its own.
    acme.use("volume_use", "1", at("2026-03-31"), at("2026-05-02"))
    again = acme.issue(MARCH, at("2026-05-02"))
    live = InvoiceLine.objects.filter(starts_at=MARCH).exclude(invoice__status=InvoiceStatus.VOID)
    for meter, used in (("volume_use", 12), ("plain_use", 2)):
        lines = live.filter(meter_id=meter)
        assert sum(line.amount_minor for line in lines) == second.settled(models("USD")[meter], Fraction(used), "USD")
        assert sum(line.quantity for line in lines) == used
    assert again.status != InvoiceStatus.DRAFT
    assert sum(line.amount_minor for line in live) == 2000
    assert doctor.verify() == []
