"""``now`` is taken before the lock is waited for: a change never reaches back before the one that it waited for."""

from datetime import timedelta
from decimal import Decimal

import pytest

from billing.accounts import actors
from billing.lifecycle import cancel, change_plan, clock, onboard, renew, usage
from billing.lifecycle.clock import ClockInvalid
from billing.metering.offers import Offer
from billing.models import Invoice, Organization, PlanSpan, Subscription, SubscriptionPeriod, UsageEvent, UsageWindow
from billing.reporting.doctor import verify
from tests.support import catalogs, factories

pytestmark = pytest.mark.django_db
NOW = factories.at("2026-03-10 12:00:00")
OPERATOR = actors.operator("test")
SECOND = timedelta(seconds=1)


def tenant(plan: str = "team") -> tuple[Organization, Subscription]:
    catalogs.sync()
    organization = factories.organization()
    return organization, onboard.subscribe(organization=organization, plan_code=plan, actor=OPERATOR, now=NOW)


def test_a_plan_change_that_waited_for_another_starts_where_that_one_did() -> None:
    _, subscription = tenant()
    change_plan.change_now(subscription=subscription, plan_code="scale", actor=OPERATOR, now=NOW + 2 * SECOND)
    change_plan.change_now(subscription=subscription, plan_code="team", actor=OPERATOR, now=NOW + SECOND)
    assert list(PlanSpan.objects.values_list("plan__code", "starts_at").order_by("starts_at", "id")) == [
        ("team", NOW),
        ("scale", NOW + 2 * SECOND),
        ("team", NOW + 2 * SECOND),
    ]
    assert verify() == []


@pytest.mark.parametrize("plan", ["scale", "yearly"])
def test_a_plan_change_that_waited_for_a_renewal_starts_in_the_new_period(plan: str) -> None:
    organization, subscription = tenant()
    end = SubscriptionPeriod.objects.get().ends_at
    renew.renew_due(organization_id=organization.id, now=end)
    change_plan.change_now(subscription=subscription, plan_code=plan, actor=OPERATOR, now=end - SECOND)
    assert PlanSpan.objects.get(ends_at=None).starts_at == end
    assert verify() == []


def test_a_cancellation_that_waited_for_a_renewal_ends_the_new_period_before_it_began() -> None:
    organization, subscription = tenant()
    end = SubscriptionPeriod.objects.get().ends_at
    renew.renew_due(organization_id=organization.id, now=end)
    cancelled = cancel.cancel_now(subscription=subscription, actor=OPERATOR, now=end - SECOND)
    assert cancelled.ended_at == end
    assert verify() == []


def test_an_invoice_beyond_all_bounds_stops_neither_time_nor_use_nor_leaving() -> None:
    organization, subscription = tenant()
    offers = [Offer(organization, "tokens", Decimal(10**12), str(n)) for n in range(20)]
    assert {outcome.status for outcome in usage.record(offers, now=NOW)} == {"accepted"}
    later = NOW + timedelta(days=40)
    (outcome,) = usage.record([Offer(organization, "case_created", Decimal(1), "k")], now=later)
    assert outcome.status == "accepted"
    assert SubscriptionPeriod.objects.count() == 2
    assert cancel.cancel_now(subscription=subscription, actor=OPERATOR, now=later).status == "canceled"
    assert verify() == []


def test_a_period_cut_short_is_drafted_in_a_sandbox_too() -> None:
    catalogs.sync()
    organization = factories.sandbox(clock_at=NOW)
    subscription = onboard.subscribe(organization=organization, plan_code="team", actor=OPERATOR, now=NOW)
    at = NOW + timedelta(days=10)
    clock.advance(organization=organization, to=at, actor=OPERATOR)
    change_plan.change_now(subscription=subscription, plan_code="yearly", actor=OPERATOR, now=at)
    assert list(Invoice.objects.values_list("occurrence", flat=True)) == [1]
    clock.advance(organization=organization, to=at + timedelta(days=5), actor=OPERATOR)
    cancel.cancel_now(subscription=subscription, actor=OPERATOR, now=at + timedelta(days=5))
    assert list(Invoice.objects.order_by("occurrence").values_list("occurrence", flat=True)) == [1, 2]
    assert verify() == []


def test_use_told_ahead_of_the_next_period_stands_in_the_running_one() -> None:
    organization, _ = tenant()
    running = SubscriptionPeriod.objects.get()
    now = running.ends_at - timedelta(minutes=1)
    ahead = Offer(organization, "tokens", Decimal(100), "a", occurred_at=running.ends_at + timedelta(minutes=3))
    here = Offer(organization, "tokens", Decimal(100), "b")
    outcomes = usage.record([ahead, here], now=now)
    assert [outcome.status for outcome in outcomes] == ["accepted", "accepted"]
    assert [outcome.event.credits_paid for outcome in outcomes if outcome.event] == [1, 1]
    assert {event.period_id for event in UsageEvent.objects.all()} == {running.id}
    renew.renew_due(organization_id=organization.id, now=running.ends_at)
    assert verify() == []
    (after,) = usage.record([Offer(organization, "tokens", Decimal(1), "c")], now=running.ends_at)
    assert after.event is not None
    assert after.event.period_id != running.id
    assert UsageWindow.objects.filter(meter="tokens", cadence="billing_period").count() == 2


def test_a_check_through_an_old_copy_of_a_sandbox_lives_by_its_clock_of_now() -> None:
    catalogs.sync()
    organization = factories.sandbox(clock_at=NOW)
    onboard.subscribe(organization=organization, plan_code="free", actor=OPERATOR, now=NOW)
    old = Organization.objects.get(id=organization.id)
    clock.advance(organization=organization, to=NOW + timedelta(days=1), actor=OPERATOR)
    call = Offer(old, "api_call", Decimal(5), "k")
    assert usage.record([call], now=NOW)[0].status == "accepted"
    assert usage.preview(Offer(old, "api_call", Decimal(1), ""), now=NOW).code == "quota_exceeded"


def test_an_old_copy_of_a_sandbox_is_renewed_by_its_clock_of_now() -> None:
    catalogs.sync()
    organization = factories.sandbox(clock_at=NOW)
    onboard.subscribe(organization=organization, plan_code="free", actor=OPERATOR, now=NOW)
    old = Organization.objects.get(id=organization.id)
    # As if somebody had set the clock without the renewals on the way.
    Organization.objects.filter(id=organization.id).update(clock_at=NOW + timedelta(days=70))
    assert usage.record([Offer(old, "case_created", Decimal(1), "k")], now=NOW)[0].status == "accepted"
    assert SubscriptionPeriod.objects.count() == 3


def test_a_clock_stops_before_time_does() -> None:
    organization = factories.sandbox(clock_at=factories.at("2195-01-01"))
    with pytest.raises(ClockInvalid):
        clock.advance(organization=organization, to=factories.at("2200-01-01"), actor=OPERATOR)


def test_use_that_was_counted_while_a_change_waited_stays_judged_as_it_was() -> None:
    organization, subscription = tenant()
    counted_at = NOW + timedelta(seconds=3, milliseconds=500)
    usage.record([Offer(organization, "case_created", Decimal(1), "a")], now=counted_at)
    ahead = Offer(organization, "case_created", Decimal(1), "b", occurred_at=counted_at + timedelta(minutes=4))
    usage.record([ahead], now=counted_at)
    change_plan.change_now(subscription=subscription, plan_code="scale", actor=OPERATOR, now=NOW + SECOND)
    assert PlanSpan.objects.get(ends_at=None).starts_at == NOW + 3 * SECOND
    usage.record([Offer(organization, "case_created", Decimal(1), "c")], now=NOW + 5 * SECOND)
    cancelled = cancel.cancel_now(subscription=subscription, actor=OPERATOR, now=NOW + 2 * SECOND)
    assert cancelled.ended_at == NOW + 5 * SECOND
    assert verify() == []
