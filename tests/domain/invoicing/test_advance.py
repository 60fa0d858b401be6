"""Fees in advance: billed when a period begins, and set right by what then happens."""

import random
from datetime import datetime, timedelta
from decimal import Decimal
from fractions import Fraction
from itertools import pairwise

import pytest

from billing.accounts import actors
from billing.accounts.actors import SYSTEM
from billing.catalog import operations as catalog_operations
from billing.catalog import parsing
from billing.invoicing import operations as invoicing
from billing.invoicing import queries, settlement
from billing.invoicing.errors import InvoicePeriodClosed
from billing.lifecycle import agenda, cancel, change_plan, clock, coupons, discounts, onboard, pause, pending, usage
from billing.metering.offers import Offer
from billing.models import Invoice, InvoiceLine, Organization, Subscription, SubscriptionPeriod
from billing.reporting import doctor
from tests.support import factories
from tests.support.factories import at

pytestmark = pytest.mark.django_db
OPERATOR = actors.operator("ada")
TEXT = """\
default_plan: small
events:
  task: [tasks]
plans:
  small:
    price: {USD: "30.00", JPY: 3000}
    base_fee: advance
    entitlements: *use
  large:
    price: {USD: "90.00", JPY: 9000}
    base_fee: advance
    entitlements: *use
  arrears:
    price: {USD: "60.00", JPY: 6000}
    entitlements: *use
  minimum:
    price: {USD: "30.00", JPY: 3000}
    minimum: {USD: "40.00", JPY: 4000}
    base_fee: advance
    entitlements: *use
  yearly:
    price: {USD: "300.00", JPY: 30000}
    billing_period: year
    base_fee: advance
    entitlements: *use
  trial:
    price: {USD: "30.00", JPY: 3000}
    base_fee: advance
    trial_days: 14
    entitlements: *use
"""
USE = """
      tasks:
        limit: 0
        cadence: billing_period
        on_limit: overage
        overage_price: {USD: {rate: "1.00"}, JPY: {rate: 100}}"""


@pytest.fixture
def acme(db: None) -> Organization:
    catalog_operations.sync(spec=parsing.load(TEXT.replace(" *use", USE)), actor="test", now=at("2026-01-01"))
    return factories.sandbox(clock_at=at("2026-03-01"))


def told(invoice: Invoice) -> list[tuple[str, int]]:
    return [(line.description, line.amount_minor) for line in invoice.lines.all()]


def invoices(kind: str | None = None) -> list[Invoice]:
    found = Invoice.objects.exclude(status="void").order_by("issued_at", "number")
    return list(found.filter(kind=kind) if kind else found)


def to(acme: Organization, when: str) -> None:
    clock.advance(organization=acme, to=at(when), actor=OPERATOR)


def join(acme: Organization, plan: str = "small") -> Subscription:
    assert acme.clock_at is not None
    return onboard.subscribe(organization=acme, plan_code=plan, actor=OPERATOR, now=acme.clock_at)


def test_the_first_fee_is_asked_at_once_and_the_next_when_its_period_begins(acme: Organization) -> None:
    join(acme)
    (first,) = invoices()
    assert (first.kind, first.status, first.issue_due_at) == ("change", "draft", at("2026-03-01"))
    to(acme, "2026-03-01 00:00:01")
    (first,) = invoices()
    assert first.status == "issued"
    assert told(first) == [("Small, base fee, 1 Mar 2026 – 31 Mar 2026", 3000)]
    to(acme, "2026-04-01 23:59:59")
    (_, second) = invoices()
    assert (second.kind, second.status) == ("cycle", "draft")
    assert told(second) == [("Small, base fee, 1 Apr 2026 – 30 Apr 2026", 3000)]
    to(acme, "2026-04-02")
    assert [each.status for each in invoices()] == ["issued", "issued"]
    assert doctor.verify() == []


def test_an_upgrade_is_asked_at_once_to_the_second(acme: Organization) -> None:
    subscription = join(acme)
    to(acme, "2026-03-11")
    change_plan.change_now(subscription=subscription, plan_code="large", actor=OPERATOR, now=at("2026-03-11"))
    to(acme, "2026-03-11 00:00:01")
    (_, change) = invoices()
    seconds = Fraction(21, 31)
    assert told(change) == [
        ("Small, base fee, time not used, 11 Mar 2026 – 31 Mar 2026", 968 - 3000),
        ("Large, base fee (part of a period), 11 Mar 2026 – 31 Mar 2026", round(9000 * seconds)),
    ]
    to(acme, "2026-04-02")
    last = invoices()[-1]
    assert told(last) == [("Large, base fee, 1 Apr 2026 – 30 Apr 2026", 9000)]
    assert doctor.verify() == []


def test_an_upgrade_that_was_undone_keeps_no_later_one_waiting(acme: Organization) -> None:
    subscription = join(acme)
    to(acme, "2026-03-11")
    for plan in ("large", "small"):
        change_plan.change_now(subscription=subscription, plan_code=plan, actor=OPERATOR, now=at("2026-03-11"))
    to(acme, "2026-03-12")
    assert list(Invoice.objects.filter(status="void").values_list("kind", flat=True)) == ["change"]
    change_plan.change_now(subscription=subscription, plan_code="large", actor=OPERATOR, now=at("2026-03-12"))
    to(acme, "2026-03-12 00:00:01")
    assert [each.status for each in invoices("change")] == ["issued", "issued"]
    assert not Invoice.objects.filter(status="draft").exists()


def test_a_fee_in_arrears_that_was_billed_early_is_not_given_back_by_the_period_before(acme: Organization) -> None:
    subscription = join(acme)
    to(acme, "2026-03-11")
    change_plan.change_now(subscription=subscription, plan_code="arrears", actor=OPERATOR, now=at("2026-03-11"))
    to(acme, "2026-04-01 12:00:00")
    cancel.cancel_now(subscription=subscription, actor=OPERATOR, now=at("2026-04-01 12:00:00"))
    april = Invoice.objects.get(period__starts_at=at("2026-04-01"))
    invoicing.issue(invoice=april, actor=OPERATOR, now=at("2026-04-01 12:00:00"))
    assert told(april) == [("Arrears, base fee (part of a period), 1 Apr 2026", 100)]
    to(acme, "2026-04-03")
    last = invoices()[-1]
    assert told(last) == [
        ("Small, base fee, time not used, 11 Mar 2026 – 31 Mar 2026", 968 - 3000),
        ("Arrears, base fee (part of a period), 11 Mar 2026 – 31 Mar 2026", round(6000 * Fraction(21, 31))),
    ]
    assert doctor.verify() == []


def test_a_change_for_less_is_given_back_on_the_next_invoice(acme: Organization) -> None:
    subscription = join(acme, "large")
    to(acme, "2026-03-16")
    change_plan.change_now(subscription=subscription, plan_code="small", actor=OPERATOR, now=at("2026-03-16"))
    to(acme, "2026-04-02")
    (_, cycle) = invoices()
    assert [amount for _, amount in told(cycle)] == [4355 - 9000, round(3000 * Fraction(16, 31)), 3000]
    assert cycle.total_minor == 4355 - 9000 + 1548 + 3000
    assert cycle.status == "paid"


def test_leaving_at_once_gives_the_rest_back_as_balance(acme: Organization) -> None:
    subscription = join(acme)
    to(acme, "2026-03-11")
    cancel.cancel_now(subscription=subscription, actor=OPERATOR, now=at("2026-03-11"))
    to(acme, "2026-03-12")
    (_, last) = invoices()
    assert (last.total_minor, last.status) == (968 - 3000, "paid")
    assert doctor.verify() == []


@pytest.mark.parametrize(("credited", "given_back"), [(3000, 0), (2500, 0), (1000, 1032)])
def test_what_a_credit_note_took_back_is_not_given_back_again(
    acme: Organization, credited: int, given_back: int
) -> None:
    """Of 30.00 billed and paid, ten days of March cost 9.68: 20.32 are to go back, in all and at most once."""
    subscription = join(acme)
    to(acme, "2026-03-02")
    (first,) = invoices()
    invoicing.pay(invoice=first, amount_minor=3000, reference="r", actor=OPERATOR, now=at("2026-03-02"))
    line = first.lines.get()
    invoicing.credit(
        invoice=first, reason="goodwill", actor=OPERATOR, now=at("2026-03-02"), lines={line.position: credited}
    )
    to(acme, "2026-03-11")
    cancel.cancel_now(subscription=subscription, actor=OPERATOR, now=at("2026-03-11"))
    to(acme, "2026-03-13")
    last = invoices()[-1]
    assert last.total_minor == -given_back
    assert doctor.verify() == []


def test_leaving_at_the_end_of_a_period_leaves_an_invoice_of_nothing(acme: Organization) -> None:
    subscription = join(acme)
    pending.cancel_at_period_end(subscription=subscription, actor=OPERATOR, now=at("2026-03-01"))
    to(acme, "2026-04-03")
    (_, last) = invoices()
    assert told(last) == [("Small, base fee (billed in advance), 1 Mar 2026 – 31 Mar 2026", 0)]
    assert last.status == "paid"
    to(acme, "2026-06-03")
    assert len(invoices()) == 2
    assert doctor.verify() == []


def test_a_trial_is_followed_by_the_first_fee(acme: Organization) -> None:
    join(acme, "trial")
    assert invoices() == []
    to(acme, "2026-03-16 01:00:00")
    (first,) = invoices()
    assert (first.kind, [amount for _, amount in told(first)]) == ("cycle", [3000])
    assert first.lines.get().starts_at == at("2026-03-15")
    assert doctor.verify() == []


def test_an_upgrade_right_after_a_trial_leaves_its_own_draft_nothing_to_ask(acme: Organization) -> None:
    subscription = join(acme, "trial")
    to(acme, "2026-03-15 01:00:00")
    change_plan.change_now(subscription=subscription, plan_code="large", actor=OPERATOR, now=at("2026-03-15 01:00:00"))
    to(acme, "2026-03-17")
    assert [(each.kind, each.status) for each in Invoice.objects.order_by("kind")] == [
        ("change", "issued"),
        ("cycle", "void"),
    ]
    Organization.objects.update(is_sandbox=False, clock_at=None)
    assert list(queries.iterate_due(at("2026-03-18"))) == []
    assert doctor.verify() == []


def test_a_trial_that_goes_on_in_arrears_is_never_due(acme: Organization) -> None:
    subscription = join(acme, "trial")
    to(acme, "2026-03-10")
    change_plan.change_now(subscription=subscription, plan_code="arrears", actor=OPERATOR, now=at("2026-03-10"))
    to(acme, "2026-03-16")
    change_plan.change_now(subscription=subscription, plan_code="large", actor=OPERATOR, now=at("2026-03-16"))
    Organization.objects.update(is_sandbox=False, clock_at=None)
    assert list(queries.iterate_due(at("2026-03-18"))) == []


def test_from_arrears_to_advance_and_back(acme: Organization) -> None:
    subscription = join(acme, "arrears")
    assert invoices() == []
    to(acme, "2026-03-16")
    change_plan.change_now(subscription=subscription, plan_code="large", actor=OPERATOR, now=at("2026-03-16"))
    pending.change_at_period_end(subscription=subscription, plan_code="arrears", actor=OPERATOR, now=at("2026-03-16"))
    to(acme, "2026-05-03")
    change, march, april = invoices()
    assert [amount for _, amount in told(change)] == [round(9000 * Fraction(16, 31))]
    assert [amount for _, amount in told(march)] == [round(6000 * Fraction(15, 31))]
    assert [amount for _, amount in told(april)] == [6000]
    assert doctor.verify() == []


def test_the_minimum_counts_what_was_billed_in_advance(acme: Organization) -> None:
    join(acme, "minimum")
    to(acme, "2026-04-02")
    (_, cycle) = invoices()
    assert [(line.charge, line.amount_minor) for line in cycle.lines.all()] == [("base", 3000), ("minimum", 1000)]
    to(acme, "2026-05-02")
    assert [line.charge for line in invoices()[-1].lines.all()] == ["base", "minimum"]


def test_a_void_brings_both_periods_again(acme: Organization) -> None:
    join(acme)
    to(acme, "2026-04-02")
    (_, cycle) = invoices()
    invoicing.void(invoice=cycle, actor=SYSTEM, reason="wrong address", now=at("2026-04-02"))
    to(acme, "2026-05-02 01:00:00")
    april, may = periods(2, 3)
    # April's own invoice found its fee on none; drafted anew, March's has nothing of it left to ask.
    assert (sum_of(april), sum_of(may)) == (3000, 3000)
    march = SubscriptionPeriod.objects.get(ordinal=1)
    again = invoicing.draft(subscription=march.subscription, period=march, actor=SYSTEM, now=at("2026-05-02 01:00:00"))
    assert told(again) == [("Small, base fee (billed in advance), 1 Mar 2026 – 31 Mar 2026", 0)]
    # After a void it is a human who issues.
    assert again.issue_due_at is None


def test_a_fee_in_advance_is_taken_back_until_its_period_is_invoiced(acme: Organization) -> None:
    join(acme)
    to(acme, "2026-03-02")
    (first,) = invoices()
    invoicing.void(invoice=first, actor=SYSTEM, reason="wrong address", now=at("2026-03-02"))
    to(acme, "2026-04-02")
    (cycle,) = invoices()
    assert [amount for _, amount in told(cycle)] == [3000, 3000]
    # An upgrade's, once the cycle is out.
    subscription = Subscription.objects.get()
    to(acme, "2026-04-11")
    change_plan.change_now(subscription=subscription, plan_code="large", actor=OPERATOR, now=at("2026-04-11"))
    # After a void it is a human who issues.
    change = invoicing.issue(invoice=invoices("change")[-1], actor=SYSTEM, now=at("2026-04-11"))
    to(acme, "2026-05-02")
    with pytest.raises(InvoicePeriodClosed):
        invoicing.void(invoice=change, actor=SYSTEM, reason="wrong address", now=at("2026-05-02"))
    assert doctor.verify() == []


def periods(*ordinals: int) -> list[SubscriptionPeriod]:
    return [SubscriptionPeriod.objects.get(ordinal=each) for each in ordinals]


def sum_of(period: SubscriptionPeriod) -> int:
    lines = InvoiceLine.objects.filter(
        charge="base", starts_at__gte=period.starts_at, starts_at__lt=period.ends_at
    ).exclude(invoice__status__in=["draft", "void"])
    return sum(line.amount_minor for line in lines)


@pytest.mark.parametrize("seed", range(12))
def test_over_all_invoices_each_stretch_costs_its_seconds(acme: Organization, seed: int) -> None:
    """Changes, pauses and the end at random: whatever was billed when, the sum is what was lived."""
    chance = random.Random(seed)  # noqa: S311 - a walk, not a secret
    now = at("2026-03-01")
    fees = {"small": 3000, "large": 9000, "arrears": 6000}
    plan = chance.choice(list(fees))
    subscription = join(acme, plan)
    lived: list[tuple[datetime, str | None]] = [(now, plan)]
    paused = False
    for _ in range(chance.randint(3, 9)):
        now += timedelta(seconds=chance.choice([1, 3600, 86400 * 3, 86400 * 11, 86400 * 26]) + chance.randint(0, 99))
        clock.advance(organization=acme, to=now, actor=OPERATOR)
        for invoice in Invoice.objects.filter(status="issued"):
            due = settlement.due_minor(invoice)
            invoicing.pay(invoice=invoice, amount_minor=due, reference=str(invoice.id), actor=OPERATOR, now=now)
        subscription.refresh_from_db()
        if paused or chance.random() < 0.2:
            (pause.resume if paused else pause.pause)(subscription=subscription, actor=OPERATOR, now=now)
            paused = not paused
        else:
            plan = chance.choice(list(fees))
            change_plan.change_now(subscription=subscription, plan_code=plan, actor=OPERATOR, now=now)
        if lived[-1][1] != (on := None if paused else plan):
            lived.append((now, on))
    end = now + timedelta(days=chance.randint(1, 40), seconds=7)
    clock.advance(organization=acme, to=end, actor=OPERATOR)
    subscription.refresh_from_db()
    cancel.cancel_now(subscription=subscription, actor=OPERATOR, now=end)
    clock.advance(organization=acme, to=end + timedelta(days=40), actor=OPERATOR)
    lived.append((end, None))
    assert not Invoice.objects.filter(status="draft").exists()
    for period in SubscriptionPeriod.objects.order_by("ordinal"):
        expected = 0
        for (begins, on), (ends, _) in pairwise(lived):
            seconds = (min(ends, period.ends_at) - max(begins, period.starts_at)).total_seconds()
            if on is not None and seconds > 0:
                whole = (period.nominal_ends_at - period.starts_at).total_seconds()
                expected += round(Fraction(fees[on]) * Fraction(int(seconds), int(whole)))
        assert sum_of(period) == expected, period
    assert doctor.verify() == []


def test_the_agenda_has_nothing_left(acme: Organization) -> None:
    join(acme)
    to(acme, "2026-05-20")
    assert all(
        source.next_due(acme.id) is None or source.next_due(acme.id) > at("2026-05-20")  # type: ignore[operator]
        for source in agenda.SOURCES
    )


@pytest.mark.parametrize("is_issued", [True, False])
def test_whoever_leaves_in_the_first_instant_pays_nothing(acme: Organization, is_issued: bool) -> None:
    subscription = onboard.subscribe(organization=acme, plan_code="small", actor=OPERATOR, now=at("2026-03-01"))
    coupons.create(code="HALF", name="Half", percent=Decimal(50), actor=OPERATOR, now=at("2026-03-01"))
    discounts.redeem(subscription=subscription, code="HALF", actor=OPERATOR, now=at("2026-03-01"))
    if is_issued:
        (first,) = invoices("change")
        invoicing.issue(invoice=first, actor=OPERATOR, now=at("2026-03-01"))
    cancel.cancel_now(subscription=subscription, actor=OPERATOR, now=at("2026-03-01"))
    to(acme, "2026-04-10")
    assert sum(invoice.total_minor for invoice in invoices()) == 0
    assert [invoice.total_minor for invoice in invoices()] == ([1500, -1500] if is_issued else [])
    assert doctor.verify() == []


def test_a_fee_billed_ahead_comes_back_where_the_renewal_is_the_end(acme: Organization) -> None:
    subscription = onboard.subscribe(organization=acme, plan_code="small", actor=OPERATOR, now=at("2026-03-01"))
    to(acme, "2026-04-01")
    (march,) = invoices("cycle")
    invoicing.issue(invoice=march, actor=OPERATOR, now=at("2026-04-01"))
    cancel.cancel_now(subscription=subscription, actor=OPERATOR, now=at("2026-04-01"))
    to(acme, "2026-04-03")
    assert [invoice.total_minor for invoice in invoices("cycle")] == [3000, -3000]
    assert doctor.verify() == []


def test_the_sweep_finds_a_fee_to_give_back_for_a_period_never_lived(acme: Organization) -> None:
    Organization.objects.update(is_sandbox=False, clock_at=None)
    acme.refresh_from_db()
    subscription = onboard.subscribe(organization=acme, plan_code="small", actor=OPERATOR, now=at("2026-03-01"))
    (first,) = invoices("change")
    invoicing.issue(invoice=first, actor=OPERATOR, now=at("2026-03-01"))
    cancel.cancel_now(subscription=subscription, actor=OPERATOR, now=at("2026-03-01"))
    (draft,) = invoices("cycle")
    assert draft.issue_due_at == at("2026-03-02")
    invoicing.void(invoice=draft, actor=OPERATOR, reason="anew", now=at("2026-03-01"))
    assert list(queries.iterate_due(at("2026-04-01"))) == [draft.period_id]
    again = invoicing.draft(
        subscription=subscription, actor=OPERATOR, now=at("2026-04-01"), period=SubscriptionPeriod.objects.get()
    )
    invoicing.issue(invoice=again, actor=OPERATOR, now=at("2026-04-01"))
    assert list(queries.iterate_due(at("2026-05-01"))) == []


def test_a_coupon_covers_use_of_a_first_instant_that_was_the_last(acme: Organization) -> None:
    subscription = onboard.subscribe(organization=acme, plan_code="small", actor=OPERATOR, now=at("2026-03-01"))
    coupons.create(code="HALF", name="Half", percent=Decimal(50), actor=OPERATOR, now=at("2026-03-01"))
    discounts.redeem(subscription=subscription, code="HALF", actor=OPERATOR, now=at("2026-03-01"))
    usage.record([Offer(acme, "task", Decimal(8), "now")], now=at("2026-03-01"))
    cancel.cancel_now(subscription=subscription, actor=OPERATOR, now=at("2026-03-01"))
    to(acme, "2026-03-03")
    assert [(line.charge, line.amount_minor) for (cycle,) in [invoices("cycle")] for line in cycle.lines.all()] == [
        ("overage", 800),
        ("discount", -400),
    ]
    assert doctor.verify() == []


def test_a_rhythm_that_changes_in_the_first_instant_is_set_right_by_the_periods_own_invoice(acme: Organization) -> None:
    subscription = onboard.subscribe(organization=acme, plan_code="yearly", actor=OPERATOR, now=at("2026-03-01"))
    (first,) = invoices("change")
    invoicing.issue(invoice=first, actor=OPERATOR, now=at("2026-03-01"))
    change_plan.change_now(subscription=subscription, plan_code="small", actor=OPERATOR, now=at("2026-03-01"))
    assert doctor.verify() == []
    to(acme, "2026-04-03")
    assert [invoice.total_minor for invoice in invoices()] == [30000, 3000 - 30000 + 3000]
    assert doctor.verify() == []


def test_in_a_sandbox_what_is_taken_back_is_drafted_anew_at_once(acme: Organization) -> None:
    join(acme, "arrears")
    to(acme, "2026-04-02")
    (cycle,) = invoices()
    invoicing.void(invoice=cycle, actor=SYSTEM, reason="wrong address", now=at("2026-04-02"))
    (again,) = invoices()
    assert (again.status, again.total_minor, again.issue_due_at) == ("draft", 6000, None)
