"""Drafting: one invoice a period, the same lines however often, nothing written where it is refused."""

from decimal import Decimal

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from billing.accounts import actors
from billing.accounts.actors import SYSTEM, Act, Actor
from billing.invoicing import operations, queries
from billing.invoicing.errors import (
    NoEndedPeriod,
    NothingToBill,
    PeriodNotEnded,
    PeriodNotOfSubscription,
    PriceMissing,
    SubscriptionIncomplete,
)
from billing.kernel.errors import BillingError, Forbidden, NotFound
from billing.models import (
    AuditEntry,
    Invoice,
    InvoiceLine,
    OutboxEvent,
    PeriodKind,
    Status,
    Subscription,
    SubscriptionPeriod,
    UsageCharge,
)
from tests.support import factories, invoice_sums
from tests.support.factories import at
from tests.support.invoicing import Customer, customer, team_plan, traffic

pytestmark = pytest.mark.django_db

APRIL = at("2026-04-01")


@pytest.fixture
def acme() -> Customer:
    return customer(team_plan())


def draft(acme: Customer, **arguments: object) -> Invoice:
    return operations.draft(**{"subscription": acme.subscription, "actor": SYSTEM, "now": APRIL} | arguments)  # type: ignore[arg-type]


def amounts(invoice: Invoice) -> list[tuple[str, int]]:
    return [(line.charge, line.amount_minor) for line in invoice.lines.all()]


def line_ids() -> set[int]:
    return set(InvoiceLine.objects.values_list("id", flat=True))


def test_it_bills_the_base_fee_the_overage_and_the_credits(acme: Customer) -> None:
    traffic(acme)
    invoice = draft(acme)
    assert amounts(invoice) == [("base", 4900), ("overage", 153), ("overage", 9), ("credits", 100)]
    assert (invoice.subtotal_minor, invoice.tax_minor, invoice.total_minor) == (5162, 0, 5162)
    assert (invoice.status, invoice.kind, invoice.occurrence, invoice.number) == ("draft", "cycle", 1, None)
    assert (invoice.starts_at, invoice.ends_at) == (acme.period.starts_at, acme.period.ends_at)
    assert invoice_sums.verify_totals() == []


@pytest.mark.parametrize(("currency", "total"), [("JPY", 7000 + 229 + 14 + 150), ("KWD", 15500 + 476 + 28 + 300)])
def test_it_rounds_in_the_minor_unit_of_the_currency(currency: str, total: int) -> None:
    # 3.059974 × 75 = 229.49805; 0.045896 × 300 = 13.7688; 0.1 × 1500. And 0.475825957, 0.0275376, 0.30005 dinars.
    acme = customer(team_plan(), currency=currency)
    traffic(acme)
    assert draft(acme).total_minor == total


def test_twice_is_once(acme: Customer) -> None:
    traffic(acme)
    first, lines = draft(acme), line_ids()
    again = draft(acme, now=at("2026-04-02"))
    assert again.id == first.id
    assert again.drafted_at == first.drafted_at
    assert line_ids() == lines
    assert OutboxEvent.objects.filter(topic="invoice.drafted").count() == 1
    assert AuditEntry.objects.filter(act="invoice.draft").count() == 1


def test_again_after_more_use_rewrites_the_lines_of_the_same_invoice(acme: Customer) -> None:
    traffic(acme)
    first = draft(acme)
    UsageCharge.objects.filter(meter="context").update(overage=Decimal("5059974"))
    again = draft(acme)
    assert again.id == first.id
    assert amounts(again) == [("base", 4900), ("overage", 253), ("overage", 9), ("credits", 100)]
    assert again.total_minor == 5262
    assert Invoice.objects.count() == 1
    assert InvoiceLine.objects.count() == 4
    assert OutboxEvent.objects.count() == 1
    assert invoice_sums.verify_totals() == []


@pytest.mark.parametrize("wrong", [(1, 0, 1), (4800, 100, 4900)])
def test_again_mends_totals_that_somebody_wrote_into_a_draft(acme: Customer, wrong: tuple[int, int, int]) -> None:
    draft(acme)
    subtotal, tax, total = wrong
    Invoice.objects.update(subtotal_minor=subtotal, tax_minor=tax, total_minor=total)
    mended = draft(acme)
    assert (mended.subtotal_minor, mended.tax_minor, mended.total_minor) == (4900, 0, 4900)


def test_without_a_period_it_takes_the_last_ended_one(acme: Customer) -> None:
    april = factories.period(acme.subscription, ends_at=at("2026-05-01"))
    factories.period(acme.subscription, ends_at=at("2026-06-01"))
    assert draft(acme, now=at("2026-05-01")).period_id == april.id
    assert draft(acme, now=at("2026-04-30 23:59:59")).period_id == acme.period.id


def test_it_takes_a_named_period_also_when_a_later_one_has_ended(acme: Customer) -> None:
    factories.period(acme.subscription, ends_at=at("2026-05-01"))
    assert draft(acme, period=acme.period, now=at("2026-05-02")).period_id == acme.period.id


def test_late_use_stands_under_its_own_service_period(acme: Customer) -> None:
    april = factories.period(acme.subscription, ends_at=at("2026-05-01"))
    factories.charge(april, plan=acme.plan, meter="context", overage="1000000", service=acme.period)
    factories.charge(april, plan=acme.plan, meter="context", overage="2000000")
    lines = list(draft(acme, now=at("2026-05-01")).lines.all())
    assert [(line.charge, line.starts_at, line.amount_minor) for line in lines] == [
        ("base", april.starts_at, 4900),
        ("overage", april.starts_at, 100),
        ("overage", acme.period.starts_at, 50),
    ]


def test_a_plan_change_makes_lines_of_both_plans(acme: Customer) -> None:
    big = factories.plan(code="big", name="Big", base_fees={"USD": 31000})
    factories.switch_plan(acme.subscription, big, at("2026-03-11"))
    lines = list(draft(acme).lines.select_related("plan"))
    assert [(line.plan.code, line.ends_at, line.amount_minor) for line in lines] == [
        ("team", at("2026-03-11"), 1581),
        ("big", at("2026-04-01"), 21000),
    ]


def test_a_plan_without_prices_is_free_and_one_without_this_currency_is_refused() -> None:
    free = draft(customer(factories.plan(base_fees={})))
    assert amounts(free) == [("base", 0)]
    with pytest.raises(PriceMissing):
        draft(customer(factories.plan(base_fees={"EUR": 100})))


def refused(acme: Customer, error: type[BillingError], code: str, **arguments: object) -> None:
    with pytest.raises(error) as raised:
        draft(acme, **arguments)
    assert raised.value.code == code
    assert not Invoice.objects.exists()
    assert not InvoiceLine.objects.exists()
    assert not OutboxEvent.objects.exists()


def test_an_unfinished_period_is_refused_until_its_last_second(acme: Customer) -> None:
    refused(acme, NoEndedPeriod, "no_ended_period", now=at("2026-03-31 23:59:59"))
    refused(acme, PeriodNotEnded, "period_not_ended", period=acme.period, now=at("2026-03-31 23:59:59"))
    assert draft(acme, period=acme.period, now=APRIL).status == "draft"


def test_another_subscriptions_period_is_refused(acme: Customer) -> None:
    other = customer(factories.plan())
    refused(acme, PeriodNotOfSubscription, "period_not_found", period=other.period)


def test_a_trial_is_billed_only_for_chargeable_use() -> None:
    plan = team_plan()
    subscription = factories.subscription(
        organization=factories.organization(), plan=plan, starts_at=at("2026-03-01"), status=Status.TRIALING
    )
    period = factories.period(subscription, ends_at=APRIL, kind=PeriodKind.TRIAL)
    trial = Customer(subscription.organization, plan, subscription, period)
    refused(trial, NothingToBill, "nothing_to_bill")
    factories.charge(period, plan=plan, meter="context", overage="1000000")
    assert amounts(draft(trial)) == [("overage", 50)]


def test_a_sign_up_that_was_never_confirmed_is_refused() -> None:
    plan = team_plan()
    subscription = factories.subscription(
        organization=factories.organization(), plan=plan, starts_at=at("2026-03-01"), status=Status.INCOMPLETE
    )
    period = factories.period(subscription, ends_at=APRIL)
    waiting = Customer(subscription.organization, plan, subscription, period)
    refused(waiting, SubscriptionIncomplete, "subscription_incomplete")


def test_a_period_begun_in_the_instant_of_the_end_is_refused(acme: Customer) -> None:
    factories.period(acme.subscription, ends_at=at("2026-05-01"))
    Subscription.objects.update(status=Status.CANCELED, ended_at=APRIL)
    refused(acme, NothingToBill, "nothing_to_bill", now=at("2026-05-01"))
    assert amounts(draft(acme, period=acme.period)) == [("base", 4900)]


def test_use_without_a_price_is_refused(acme: Customer) -> None:
    factories.meter("unpriced")
    factories.charge(acme.period, plan=acme.plan, meter="unpriced", overage="1")
    refused(acme, PriceMissing, "price_missing")


def test_who_may_not_is_refused(acme: Customer) -> None:
    key = Actor("key:1", organization_id=acme.organization.id, scopes=actors.ORGANIZATION_KEY_ACTS)
    owner = Actor("user:1", roles={acme.organization.id: "owner"})
    refused(acme, Forbidden, "forbidden", actor=key)
    refused(acme, Forbidden, "forbidden", actor=owner)
    stranger = Actor("key:2", organization_id=factories.organization().id, scopes=frozenset(Act))
    refused(acme, NotFound, "not_found", actor=stranger)
    finance = Actor("user:2", staff_groups=frozenset({"finance"}), regions=frozenset({"us"}))
    refused(acme, Forbidden, "region_not_cleared", actor=finance)
    assert draft(acme, actor=Actor("key:3", scopes=frozenset({Act.INVOICES}))).status == "draft"


def test_many_at_once_equal_one_by_one() -> None:
    plan = team_plan()
    customers = [customer(plan, currency=currency) for currency in ("USD", "JPY", "KWD", "USD")]
    for each in customers[1:]:
        traffic(each)
    single = operations.draft(subscription=customers[1].subscription, actor=SYSTEM, now=APRIL)
    drafted = operations.draft_many(period_ids=[each.period.id for each in customers], actor=SYSTEM, now=APRIL)
    assert {each.period_id for each in drafted} == {each.period.id for each in customers}
    assert single.id in {each.invoice_id for each in drafted}
    totals = dict(Invoice.objects.values_list("subscription_id", "total_minor"))
    assert [totals[each.subscription.id] for each in customers] == [4900, 7393, 16304, 5162]
    assert OutboxEvent.objects.count() == AuditEntry.objects.filter(act="invoice.draft").count() == 4


def test_one_that_cannot_be_drafted_does_not_stop_the_others() -> None:
    good, bad = customer(team_plan()), customer(factories.plan(base_fees={"EUR": 100}))
    drafted = operations.draft_many(period_ids=[bad.period.id, good.period.id], actor=SYSTEM, now=APRIL)
    outcome = {each.period_id: each for each in drafted}
    assert isinstance(outcome[bad.period.id].refusal, PriceMissing)
    assert outcome[good.period.id].invoice_id == Invoice.objects.get().id


def test_many_cost_as_many_queries_as_few() -> None:
    plan = team_plan()

    def cost(number: int) -> int:
        periods = []
        for _ in range(number):
            each = customer(plan)
            traffic(each)
            periods.append(each.period.id)
        with CaptureQueriesContext(connection) as seen:
            operations.draft_many(period_ids=periods, actor=SYSTEM, now=APRIL)
        return len(seen)

    cost(1)
    assert cost(2) == cost(25)


def test_the_sweep_finds_ended_periods_without_an_invoice_once(acme: Customer) -> None:
    factories.period(acme.subscription, ends_at=at("2026-05-01"))
    sandbox = customer(acme.plan, organization=factories.sandbox(clock_at=at("2026-06-01")))
    trial = factories.subscription(organization=factories.organization(), plan=acme.plan, starts_at=at("2026-03-01"))
    factories.period(trial, ends_at=APRIL, kind=PeriodKind.TRIAL)
    assert list(queries.iterate_due(at("2026-03-31 23:59:59"))) == []
    assert list(queries.iterate_due(APRIL)) == [acme.period.id]
    draft(acme)
    draft(sandbox)
    assert list(queries.iterate_due(APRIL)) == []
    assert SubscriptionPeriod.objects.filter(ends_at__lte=APRIL).count() == 3
