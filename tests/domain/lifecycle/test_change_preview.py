"""What a preview of a change says is what the change then does, and the preview leaves nothing behind."""

from __future__ import annotations

import logging
from contextlib import suppress
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.db import transaction
from django.db.models import Sum
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from billing.accounts import actors
from billing.accounts.actors import Actor
from billing.catalog import operations as catalog_operations
from billing.catalog import parsing
from billing.invoicing import operations as invoicing_operations
from billing.kernel.errors import BillingError
from billing.kernel.ids import new_id
from billing.lifecycle import change_plan, onboard, renew, upsert, usage
from billing.lifecycle.change_preview import ChangePreview, preview_change
from billing.metering.offers import Offer
from billing.models import (
    AuditEntry,
    CreditEntry,
    CreditGrant,
    GrantKind,
    Invoice,
    InvoiceKind,
    MarketplaceSubscription,
    OutboxEvent,
    PlanSpan,
    Status,
    Subscription,
    SubscriptionPeriod,
)
from billing.reporting.doctor import verify
from billing.subscriptions import operations, queries, transitions
from tests.support import catalogs, factories

pytestmark = pytest.mark.django_db
OPERATOR = actors.operator("test")
CUSTOMER = Actor(name="user:1", scopes=frozenset({"read", "subscribe"}))
START = factories.at("2026-01-31 10:00:00")
CATALOG = (
    catalogs.TEXT
    + """
  ahead:
    name: Ahead
    price: {USD: "60.00"}
    base_fee: advance
    credit_price: {USD: "10.00"}
    credit_allowance: "20"
    limits: {max_cases: 20}
  further:
    name: Further ahead
    price: {USD: "310.00"}
    base_fee: advance
    credit_price: {USD: "10.00"}
    credit_allowance: "62"
    limits: {max_cases: 20}
"""
)
PLANS = ("free", "team", "scale", "trial", "yearly", "ahead", "further")
TABLES = (
    *(AuditEntry, OutboxEvent, Subscription, SubscriptionPeriod, PlanSpan, Invoice, CreditGrant, CreditEntry),
    MarketplaceSubscription,
)


def sync() -> None:
    catalog_operations.sync(spec=parsing.load(CATALOG, name="test"), actor="test", now=catalogs.WHEN)


def subscribed(plan: str, *, actor: Actor = OPERATOR, currency: str = "USD") -> Subscription:
    organization = factories.sandbox(clock_at=START, currency=currency)
    return onboard.subscribe(organization=organization, plan_code=plan, actor=actor, now=START)


def everything() -> list[Any]:
    return [row for model in TABLES for row in model._default_manager.order_by("pk").values()]


def advance_billed(subscription: Subscription) -> int:
    found = Invoice.objects.filter(organization=subscription.organization, kind=InvoiceKind.CHANGE)
    return found.aggregate(sum=Sum("total_minor"))["sum"] or 0


def balance(subscription: Subscription) -> Decimal:
    live = queries.find_live(subscription.organization)
    assert live is not None
    return MarketplaceSubscription.objects.get(subscription=live).credit_balance


@pytest.mark.parametrize("to", ["scale", "free", "yearly", "further"])
def test_nothing_is_left_behind(to: str, caplog: pytest.LogCaptureFixture) -> None:
    sync()
    subscription = subscribed("team")
    before = everything()
    caplog.clear()
    with caplog.at_level(logging.INFO, logger="billing"):
        preview_change(subscription=subscription, plan_code=to, actor=CUSTOMER, now=START + timedelta(days=40))
    assert everything() == before
    assert [record.getMessage() for record in caplog.records] == []


def test_an_upgrade_by_hand() -> None:
    """Ten of thirty-one days, worked out on paper."""
    sync()
    subscription = subscribed("team")
    (period,) = SubscriptionPeriod.objects.all()
    days = (period.ends_at - period.starts_at).days
    at = period.ends_at - timedelta(days=10)
    shown = preview_change(subscription=subscription, plan_code="scale", actor=CUSTOMER, now=at)
    assert (shown.when, shown.takes_effect_at, shown.plan.code, shown.due_now) == ("now", at, "scale", None)
    assert shown.running is not None
    first, second = round(4900 * (days - 10) / days), round(19900 * 10 / days)
    assert [each.total_minor for each in shown.running] == [4900, first + second]
    assert shown.credits == (Decimal(30) * 10 / days).quantize(Decimal("0.000001"))
    assert shown.next_period is not None
    assert (shown.next_period.invoice.total_minor, shown.next_period.credits) == (19900, 40)
    assert shown.next_period.starts_at == period.ends_at


def test_a_fee_in_advance_is_asked_for_at_once() -> None:
    sync()
    subscription = subscribed("ahead")
    (period,) = SubscriptionPeriod.objects.all()
    half = period.starts_at + (period.ends_at - period.starts_at) / 2
    shown = preview_change(subscription=subscription, plan_code="further", actor=CUSTOMER, now=half)
    assert shown.due_now is not None
    # Half of 310.00, less the half of the 60.00 that is out already.
    assert shown.due_now.total_minor == 15500 - 3000
    assert shown.running is not None
    assert shown.running[1].total_minor == 0
    assert shown.next_period is not None
    assert shown.next_period.invoice.total_minor == 31000


def test_a_downgrade_waits() -> None:
    sync()
    subscription = subscribed("scale")
    (period,) = SubscriptionPeriod.objects.all()
    shown = preview_change(subscription=subscription, plan_code="team", actor=CUSTOMER, now=START + timedelta(days=3))
    assert (shown.when, shown.takes_effect_at, shown.credits) == ("period_end", period.ends_at, 0)
    assert shown.running is not None
    assert [each.total_minor for each in shown.running] == [19900, 19900]
    assert shown.next_period is not None
    assert (shown.next_period.invoice.total_minor, shown.next_period.credits) == (4900, 10)


def test_a_trial_goes_on_as_if_it_were_paid_for() -> None:
    sync()
    subscription = subscribed("trial", actor=CUSTOMER)
    shown = preview_change(subscription=subscription, plan_code="scale", actor=CUSTOMER, now=START + timedelta(days=1))
    assert (shown.when, shown.status, shown.credits, shown.due_now) == ("now", "trialing", 0, None)
    assert shown.next_period is not None
    assert shown.next_period.invoice.total_minor == 19900


def test_from_a_free_plan_to_a_trial() -> None:
    sync()
    subscription = subscribed("free", actor=CUSTOMER)
    at = START + timedelta(days=5)
    shown = preview_change(subscription=subscription, plan_code="trial", actor=CUSTOMER, now=at)
    assert (shown.when, shown.status, shown.credits, shown.plan.code) == ("now", "trialing", 2, "trial")
    moved = upsert.upsert_subscription(
        organization=subscription.organization,
        plan_code="trial",
        actor=CUSTOMER,
        now=at,
        expected_version=shown.version,
    )
    assert (moved.status, moved.starts_at, moved.trial_ends_at) == ("trialing", at, at + timedelta(days=14))
    subscription.refresh_from_db()
    assert (subscription.status, subscription.ended_at) == ("canceled", at)
    assert verify() == []


@pytest.mark.parametrize("to", ["team", "scale"])
def test_from_a_free_plan_without_a_trial_payment_is_vouched_for_first(to: str) -> None:
    sync()
    subscription = subscribed("free", actor=CUSTOMER)
    with pytest.raises(change_plan.PaymentRequired):
        preview_change(subscription=subscription, plan_code=to, actor=CUSTOMER, now=START)


def test_there_is_one_trial() -> None:
    sync()
    subscription = subscribed("trial", actor=CUSTOMER)
    renew.renew_due(organization_id=subscription.organization_id, now=START + timedelta(days=15))
    again = onboard.subscribe(
        organization=subscription.organization, plan_code="free", actor=CUSTOMER, now=START + timedelta(days=15)
    )
    with pytest.raises(change_plan.PaymentRequired):
        preview_change(subscription=again, plan_code="trial", actor=CUSTOMER, now=START + timedelta(days=16))


@pytest.mark.parametrize(("to", "code"), [("no-such", "plan_unknown"), ("hidden", "plan_not_on_sale")])
def test_what_the_change_refuses_the_preview_refuses(to: str, code: str) -> None:
    sync()
    subscription = subscribed("team")
    with pytest.raises(BillingError) as refused:
        preview_change(subscription=subscription, plan_code=to, actor=CUSTOMER, now=START)
    assert refused.value.code == code


def test_a_stale_version_is_told() -> None:
    sync()
    subscription = subscribed("team")
    with pytest.raises(operations.StaleSubscription):
        preview_change(subscription=subscription, plan_code="scale", actor=CUSTOMER, now=START, expected_version=7)


def test_a_sign_up_that_lapsed_has_nothing_to_change() -> None:
    sync()
    subscription = subscribed("team", actor=CUSTOMER)
    with pytest.raises(transitions.IllegalTransition):
        preview_change(subscription=subscription, plan_code="scale", actor=CUSTOMER, now=START + timedelta(days=2))


def test_for_whoever_may_choose_plans() -> None:
    sync()
    subscription = subscribed("team")
    with pytest.raises(BillingError):
        preview_change(
            subscription=subscription,
            plan_code="scale",
            actor=Actor(name="user:2", roles={subscription.organization_id: "member"}),
            now=START,
        )


def test_the_version_that_it_names_is_the_one_that_the_change_takes() -> None:
    """Also where a renewal fell due meanwhile, which the change itself would run first."""
    sync()
    subscription = subscribed("team")
    at = START + timedelta(days=40)
    shown = preview_change(subscription=subscription, plan_code="scale", actor=CUSTOMER, now=at)
    changed = change_plan.change_now(
        subscription=subscription, plan_code="scale", actor=CUSTOMER, now=at, expected_version=shown.version
    )
    assert changed.plan.code == "scale"


@settings(
    max_examples=30, phases=[Phase.explicit, Phase.generate], deadline=None, suppress_health_check=list(HealthCheck)
)
@given(data=st.data())
def test_the_change_does_what_was_shown(data: st.DataObject) -> None:
    with transaction.atomic():
        _change_as_shown(data)
        transaction.set_rollback(True)


def _change_as_shown(data: st.DataObject) -> None:
    sync()
    plan, to = (data.draw(st.sampled_from(PLANS)) for _ in range(2))
    actor, who_began = (CUSTOMER if data.draw(st.booleans()) else OPERATOR for _ in range(2))
    subscription = subscribed(plan, actor=who_began)
    at = START + timedelta(seconds=data.draw(st.integers(0, 75 * 86400)))
    if subscription.status in (Status.ACTIVE, Status.TRIALING) and data.draw(st.booleans()):
        used = Offer(subscription.organization, "tokens", Decimal(data.draw(st.integers(1, 5000))), new_id().hex)
        usage.record([used], now=START)
    at_period_end = data.draw(st.sampled_from([None, True, False]))
    # What falls due until then anyway, and fees in advance that go out by themselves, are none of the change's doing.
    renew.renew_due(organization_id=subscription.organization_id, now=at)
    _issue_advance(subscription, at)
    if queries.find_live(subscription.organization) is None:
        return
    try:
        shown = preview_change(
            subscription=subscription, plan_code=to, actor=actor, now=at, at_period_end=at_period_end
        )
    except BillingError as refusal:
        with pytest.raises(type(refusal)), transaction.atomic():
            _change(subscription, to, actor, at, at_period_end)
        return
    before, period = advance_billed(subscription), queries.find_period(subscription, at)
    credits = balance(subscription)
    running = None if period is None else _preview(subscription, period, at)
    changed = _change(queries.get_subscription(subscription.id), to, actor, at, at_period_end)
    assert (changed.status, (changed.pending_plan or changed.plan).code) == (shown.status, shown.plan.code)
    assert advance_billed(subscription) - before == (shown.due_now.total_minor if shown.due_now else 0)
    assert balance(subscription) - credits == shown.credits
    if shown.when == "now":
        assert PlanSpan.objects.get(subscription=changed, ends_at=None).starts_at == shown.takes_effect_at
    _issue_advance(subscription, at)
    if shown.running is not None and period is not None:
        assert _preview(subscription, period, at).lines == shown.running[1].lines
        assert running is not None
        assert running.lines == shown.running[0].lines
    _follow(shown, changed)


def _issue_advance(subscription: Subscription, at: Any) -> None:
    for invoice in Invoice.objects.filter(organization=subscription.organization, kind=InvoiceKind.CHANGE):
        with suppress(BillingError):
            invoicing_operations.issue(invoice=invoice, actor=OPERATOR, now=at)


def _change(subscription: Subscription, to: str, actor: Actor, at: Any, at_period_end: bool | None) -> Subscription:
    return upsert.upsert_subscription(
        organization=subscription.organization,
        plan_code=to,
        actor=actor,
        now=at,
        expected_subscription_id=subscription.id,
        at_period_end=at_period_end,
    )


def _preview(subscription: Subscription, period: SubscriptionPeriod, at: Any) -> Any:
    return invoicing_operations.preview(subscription=subscription, actor=OPERATOR, now=at, period=period)


def _follow(shown: ChangePreview, changed: Subscription) -> None:
    """Time goes on to the next period, and that comes as it was shown."""
    if shown.next_period is None:
        return
    if changed.status == Status.TRIALING and changed.confirmed_at is None:
        operations.update(changed, confirmed_at=changed.starts_at)
    starts_at = shown.next_period.starts_at
    renew.renew_due(organization_id=changed.organization_id, now=starts_at)
    period = queries.find_period(changed, starts_at)
    assert period is not None
    assert (period.starts_at, period.ends_at) == (starts_at, shown.next_period.ends_at)
    assert _preview(changed, period, starts_at).lines == shown.next_period.invoice.lines
    granted = CreditGrant.objects.filter(account__subscription=changed, kind=GrantKind.ALLOWANCE, starts_at=starts_at)
    assert sum((each.granted for each in granted), Decimal(0)) == shown.next_period.credits


@pytest.mark.parametrize("events", [1, 20])
def test_its_statements_do_not_grow_with_what_was_used(events: int, django_assert_max_num_queries: Any) -> None:
    sync()
    subscription = subscribed("team")
    for number in range(events):
        usage.record([Offer(subscription.organization, "tokens", Decimal(100), f"k{number}")], now=START)
    at = START + timedelta(days=3)
    with django_assert_max_num_queries(170):
        preview_change(subscription=subscription, plan_code="scale", actor=CUSTOMER, now=at)
