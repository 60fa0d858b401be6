"""Revenue and liability against figures worked out by hand."""

from __future__ import annotations

from datetime import date, datetime
from decimal import Decimal

import pytest

from billing.accounts import actors
from billing.credits import operations as credits_operations
from billing.kernel.periods import Interval
from billing.models import (
    CreditGrant,
    GrantKind,
    Invoice,
    InvoiceLine,
    InvoiceStatus,
    MarketplaceSubscription,
    Organization,
    PeriodKind,
    Plan,
    PlanSpan,
    Status,
    Subscription,
    SubscriptionPeriod,
)
from billing.reporting import revenue
from billing.reporting.revenue import Amount, Open
from tests.support import factories
from tests.support.factories import at

pytestmark = pytest.mark.django_db
OPERATOR = actors.operator("op")
NOW = at("2026-03-15 12:00:00")


def plan(fee: int, every: Interval = Interval.MONTH, currency: str = "USD") -> Plan:
    return factories.plan(base_fees={currency: fee}, billing_period=every.value)


def live(
    of: Plan,
    since: str,
    until: str | None = None,
    *,
    currency: str = "USD",
    kind: PeriodKind = PeriodKind.REGULAR,
    paused: bool = False,
    organization: Organization | None = None,
    **fields: object,
) -> Subscription:
    starts, ends = at(since), None if until is None else at(until)
    organization = organization or factories.organization()
    made = Subscription.objects.create(
        organization=organization, product="platform", plan=of, currency=currency, starts_at=starts, anchor_at=starts,
        **{"status": Status.CANCELED if ends else Status.ACTIVE, "ended_at": ends} | fields,
    )  # fmt: skip
    PlanSpan.objects.create(
        organization=organization, subscription=made, plan=of, starts_at=starts, ends_at=ends, is_paused=paused
    )
    SubscriptionPeriod.objects.create(
        organization=organization, subscription=made, ordinal=1, kind=kind, starts_at=starts,
        ends_at=at("2030-01-01"), nominal_ends_at=at("2030-01-01"),
    )  # fmt: skip
    return made


def recurring(regions: tuple[str, ...] | None = None, now: datetime = NOW) -> dict[tuple[str, str], int]:
    return {(f"{each.month:%Y-%m}", each.currency): each.minor for each in revenue.recurring(now=now, regions=regions)}


def test_fees_of_any_rhythm_count_by_the_month() -> None:
    live(plan(4900), "2026-03-01")
    # 100.00 a year is 8.33…, 29.95 a quarter 9.98…: summed before anything is rounded, 49 + 8.333 + 9.983 = 67.3166.
    live(plan(10000, Interval.YEAR), "2026-03-02")
    live(plan(2995, Interval.QUARTER), "2026-03-03")
    assert recurring() == {("2026-03", "USD"): 6732}


def test_halves_go_to_the_even_cent() -> None:
    # 0.06 a year is half a cent a month, 0.18 is one and a half.
    first = live(plan(6, Interval.YEAR), "2026-03-01")
    assert recurring() == {("2026-03", "USD"): 0}
    live(plan(12, Interval.YEAR), "2026-03-01", organization=factories.organization())
    assert recurring() == {("2026-03", "USD"): 2}
    assert first.status == "active"


def test_each_currency_is_summed_alone() -> None:
    live(plan(4900), "2026-03-01")
    live(plan(4900), "2026-03-01")
    live(plan(500000, Interval.YEAR, "JPY"), "2026-03-01", currency="JPY")
    assert recurring() == {("2026-03", "JPY"): 41667, ("2026-03", "USD"): 9800}


def test_months_are_told_as_they_ended() -> None:
    cheap, dear = plan(1000), plan(3000)
    moved = live(cheap, "2026-01-10")
    # Upgraded on 20 February; another one came in December and left on 31 January.
    PlanSpan.objects.filter(subscription=moved).update(ends_at=at("2026-02-20"))
    PlanSpan.objects.create(organization=moved.organization, subscription=moved, plan=dear, starts_at=at("2026-02-20"))
    live(cheap, "2025-12-05", "2026-01-31")
    assert recurring() == {
        ("2025-12", "USD"): 1000,
        ("2026-01", "USD"): 1000,
        ("2026-02", "USD"): 3000,
        ("2026-03", "USD"): 3000,
    }


def test_the_last_instant_of_a_month_is_the_month_s() -> None:
    live(plan(1000), "2026-01-01", "2026-03-01")
    live(plan(200), "2026-03-01")
    # The first one left, and the second came, in the instant in which February ended.
    assert recurring() == {("2026-01", "USD"): 1000, ("2026-02", "USD"): 1000, ("2026-03", "USD"): 200}


def test_trials_paused_and_unconfirmed_ones_are_no_revenue_and_past_due_is() -> None:
    live(plan(100), "2026-03-01", kind=PeriodKind.TRIAL)
    live(plan(200), "2026-03-01", paused=True)
    unconfirmed = live(plan(400), "2026-03-01", status=Status.INCOMPLETE)
    SubscriptionPeriod.objects.filter(subscription=unconfirmed).delete()
    live(plan(800), "2026-03-01", status=Status.PAST_DUE, past_due_at=at("2026-03-10"))
    assert recurring() == {("2026-03", "USD"): 800}


def test_sandboxes_and_other_regions_are_left_out() -> None:
    live(plan(100), "2026-03-01", organization=factories.sandbox(clock_at=NOW))
    live(plan(200), "2026-03-01", organization=factories.organization(residency_region="us"))
    live(plan(400), "2026-03-01", organization=factories.organization(residency_region="eu"))
    assert recurring() == {("2026-03", "USD"): 600}
    assert recurring(("eu",)) == {("2026-03", "USD"): 400}
    assert recurring(("eu", "us")) == {("2026-03", "USD"): 600}
    assert recurring(()) == {}


def test_twelve_months_across_the_turn_of_years() -> None:
    assert revenue.months_until(at("2026-01-31 23:59:59"), 3) == [
        date(2025, 11, 1),
        date(2025, 12, 1),
        date(2026, 1, 1),
    ]
    assert revenue.months_until(NOW)[0] == date(2025, 4, 1)
    live(plan(1000), "2020-01-01")
    shown = recurring()
    assert (len(shown), set(shown.values())) == (12, {1000})


def invoiced(
    issued: str, lines: dict[str, int], *, status: str = "issued", currency: str = "USD", **fields: object
) -> Invoice:
    of = plan(100, currency=currency)
    subscription = live(of, "2025-01-01", currency=currency, **fields)  # type: ignore[arg-type]
    total = sum(lines.values())
    invoice = Invoice.objects.create(
        organization=subscription.organization, subscription=subscription, period=subscription.periods.get(),
        kind="cycle", occurrence=1, currency=currency, starts_at=at("2025-01-01"), ends_at=at("2025-02-01"),
        subtotal_minor=total, total_minor=total, drafted_at=at(issued),
    )  # fmt: skip
    for position, (charge, amount) in enumerate(lines.items(), start=1):
        InvoiceLine.objects.create(
            organization=subscription.organization, invoice=invoice, position=position, charge=charge.rstrip("'"),
            description=charge, plan=of, starts_at=at("2025-01-01"), ends_at=at("2025-02-01"), quantity=1, rate=1,
            amount_minor=amount, **({"tax_included": True, "tax_minor": 19, "tax_rate": 19} if "'" in charge else {}),
        )  # fmt: skip
    if status != InvoiceStatus.DRAFT:
        issued_as = {"status": "issued", "issued_at": at(issued), "number": f"N-{invoice.id}"}
        Invoice.objects.filter(id=invoice.id).update(**issued_as)
        Invoice.objects.filter(id=invoice.id).exclude(status=status).update(status=status)
    return invoice


def test_overage_is_what_was_invoiced_beyond_limits_and_credits() -> None:
    invoiced(
        "2026-02-28 23:59:59", {"base": 100, "overage": 250, "flat": 30, "credits": 7, "discount": -50, "minimum": 9}
    )
    invoiced("2026-03-01", {"overage": 1000}, status="paid")
    invoiced("2026-03-02", {"overage": 1}, status="uncollectible")
    # Taxed within the price: 119 contain 19.
    invoiced("2026-03-03", {"overage'": 119})
    invoiced("2026-03-04", {"overage": 5}, currency="EUR")
    for status in ("draft", "void"):
        invoiced("2026-03-05", {"overage": 9999}, status=status)
    invoiced("2025-03-31", {"overage": 9999})
    invoiced("2026-03-06", {"overage": 9999}, organization=factories.sandbox(clock_at=NOW))
    assert revenue.overage(now=NOW, regions=None) == [
        Amount(date(2026, 2, 1), "USD", 287),
        Amount(date(2026, 3, 1), "EUR", 5),
        Amount(date(2026, 3, 1), "USD", 1101),
    ]
    assert revenue.overage(now=NOW, regions=("mars",)) == []


def granted(credits: str, expires: str | None, kind: GrantKind = GrantKind.ADJUSTMENT, **fields: object) -> CreditGrant:
    subscription = live(plan(100), "2026-01-01", **fields)  # type: ignore[arg-type]
    account, _ = MarketplaceSubscription.objects.get_or_create(
        subscription=subscription, organization=subscription.organization
    )
    made = credits_operations.grant(
        account=account, kind=kind, credits=Decimal(credits), starts_at=at("2026-01-01"),
        expires_at=None if expires is None else at(expires), actor="cli:op", reason="r", now=NOW,
    )  # fmt: skip
    assert made is not None
    return made


def test_liability_is_what_could_still_be_used() -> None:
    granted("10", "2026-03-20")
    granted("2.5", "2026-03-31", GrantKind.PURCHASE)
    granted("1", "2026-04-01")
    half = granted("8", None, GrantKind.PURCHASE)
    CreditGrant.objects.filter(id=half.id).update(remaining=3, consumed=5)
    # Over by now, in this instant or before, booked or not.
    granted("100", "2026-03-15 12:00:00")
    granted("100", "2026-03-01")
    granted("100", None, organization=factories.sandbox(clock_at=NOW))
    assert revenue.liability(now=NOW, regions=None) == [
        Open(date(2026, 3, 1), "adjustment", Decimal(10)),
        Open(date(2026, 3, 1), "purchase", Decimal("2.5")),
        Open(date(2026, 4, 1), "adjustment", Decimal(1)),
        Open(None, "purchase", Decimal(3)),
    ]
    assert revenue.liability(now=NOW, regions=("mars",)) == []
