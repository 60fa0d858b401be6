"""What waits for the period's end, pauses, held and parked renewals."""

from datetime import timedelta
from decimal import Decimal

import pytest

from billing.accounts import actors
from billing.accounts.actors import Act, Actor
from billing.kernel.errors import Busy, Forbidden
from billing.lifecycle import cancel, change_plan, clock, onboard, pause, pending, renew, usage
from billing.lifecycle.change_plan import PaymentRequired
from billing.metering.offers import Offer
from billing.models import (
    CreditGrant,
    Invoice,
    InvoiceLine,
    MarketplaceSubscription,
    Organization,
    PlanPrice,
    Subscription,
    SubscriptionPeriod,
)
from billing.reporting.doctor import verify
from billing.subscriptions import queries
from billing.subscriptions.operations import StaleSubscription
from billing.subscriptions.transitions import IllegalTransition
from tests.support import catalogs, factories

pytestmark = pytest.mark.django_db
START = factories.at("2026-01-01")
FEBRUARY, MARCH = factories.at("2026-02-01"), factories.at("2026-03-01")
OPERATOR = actors.operator("test")


@pytest.fixture
def organization() -> Organization:
    catalogs.sync()
    return factories.sandbox(clock_at=START)


def subscribed(organization: Organization, plan: str = "team") -> Subscription:
    return onboard.subscribe(organization=organization, plan_code=plan, actor=OPERATOR, now=START)


def customer(organization: Organization) -> Actor:
    return Actor(name="key:own", organization_id=organization.id, scopes=frozenset({Act.READ, Act.SUBSCRIBE}))


def advance(organization: Organization, to: str) -> None:
    clock.advance(organization=organization, to=factories.at(to), actor=OPERATOR)


def try_case(organization: Organization, at: str) -> str:
    when = factories.at(at)
    offer = Offer(organization, "case_created", Decimal(1), key=at, occurred_at=when)
    return usage.record([offer], now=when)[0].status


def base_lines(organization: Organization) -> list[tuple[str, int]]:
    lines = InvoiceLine.objects.filter(organization=organization, charge="base").order_by("starts_at")
    return [(f"{line.starts_at:%m-%d}/{line.ends_at:%m-%d} {line.plan.code}", line.amount_minor) for line in lines]


def test_a_downgrade_waits_for_the_end_of_the_period(organization: Organization) -> None:
    subscription = subscribed(organization, "scale")
    scheduled = pending.change_at_period_end(
        subscription=subscription, plan_code="team", actor=customer(organization), now=START
    )
    assert (scheduled.plan.code, scheduled.pending_plan and scheduled.pending_plan.code) == ("scale", "team")
    advance(organization, "2026-03-01 01:00:00")
    moved = queries.get_subscription(subscription.id)
    assert (moved.plan.code, moved.pending_plan) == ("team", None)
    assert base_lines(organization) == [("01-01/02-01 scale", 19900), ("02-01/03-01 team", 4900)]
    assert MarketplaceSubscription.objects.get(pk=subscription.pk).credit_balance == 10
    assert verify() == []


def test_what_is_pending_can_be_withdrawn(organization: Organization) -> None:
    subscription = subscribed(organization, "scale")
    actor = customer(organization)
    pending.change_at_period_end(subscription=subscription, plan_code="team", actor=actor, now=START)
    pending.withdraw(subscription=subscription, actor=actor, now=START)
    pending.cancel_at_period_end(subscription=subscription, actor=actor, now=START)
    pending.withdraw(subscription=subscription, actor=actor, now=START)
    advance(organization, "2026-02-02")
    kept = queries.get_subscription(subscription.id)
    assert (kept.status, kept.plan.code) == ("active", "scale")


def test_cancelling_at_the_period_end_serves_until_then(organization: Organization) -> None:
    subscription = subscribed(organization)
    scheduled = pending.cancel_at_period_end(subscription=subscription, actor=customer(organization), now=START)
    assert (scheduled.status, scheduled.cancel_at_period_end) == ("active", True)
    assert try_case(organization, "2026-01-01") == "accepted"
    advance(organization, "2026-02-02")
    ended = queries.get_subscription(subscription.id)
    assert (ended.status, ended.ended_at, ended.cancel_at_period_end) == ("canceled", FEBRUARY, False)
    assert Invoice.objects.get(subscription=subscription).total_minor == 4900
    assert MarketplaceSubscription.objects.get(pk=subscription.pk).credit_balance == 0
    assert verify() == []


def test_scheduling_a_change_takes_the_place_of_a_scheduled_end(organization: Organization) -> None:
    subscription = subscribed(organization, "scale")
    pending.cancel_at_period_end(subscription=subscription, actor=OPERATOR, now=START)
    changed = pending.change_at_period_end(subscription=subscription, plan_code="team", actor=OPERATOR, now=START)
    assert (changed.cancel_at_period_end, changed.pending_plan is not None) == (False, True)
    same = pending.change_at_period_end(subscription=subscription, plan_code="scale", actor=OPERATOR, now=START)
    assert same.pending_plan is None


def test_another_billing_period_begins_at_the_end_of_this_one(organization: Organization) -> None:
    subscription = subscribed(organization)
    pending.change_at_period_end(subscription=subscription, plan_code="yearly", actor=customer(organization), now=START)
    advance(organization, "2026-02-02")
    last = queries.find_last_period(subscription)
    assert last is not None
    assert (last.starts_at, last.ends_at) == (FEBRUARY, factories.at("2027-02-01"))
    assert verify() == []


def test_an_upgrade_now_drops_what_was_pending(organization: Organization) -> None:
    subscription = subscribed(organization)
    pending.change_at_period_end(subscription=subscription, plan_code="free", actor=OPERATOR, now=START)
    changed = change_plan.change_now(subscription=subscription, plan_code="scale", actor=OPERATOR, now=START)
    assert changed.pending_plan is None


def test_pending_changes_are_no_way_around_payment(organization: Organization) -> None:
    subscription = subscribed(organization, "free")
    with pytest.raises(PaymentRequired):
        pending.change_at_period_end(
            subscription=subscription, plan_code="team", actor=customer(organization), now=START
        )


def test_a_stale_version_schedules_nothing(organization: Organization) -> None:
    subscription = subscribed(organization)
    with pytest.raises(StaleSubscription):
        pending.cancel_at_period_end(subscription=subscription, actor=OPERATOR, now=START, expected_version=1)
    assert not queries.get_subscription(subscription.id).cancel_at_period_end


def test_a_pause_serves_and_bills_nothing(organization: Organization) -> None:
    subscription = subscribed(organization)
    advance(organization, "2026-01-11")
    paused = pause.pause(subscription=subscription, actor=OPERATOR, now=factories.at("2026-01-11"))
    assert paused.status == "paused"
    assert try_case(organization, "2026-01-11 00:00:01") == "refused"
    assert try_case(organization, "2026-01-05") == "accepted"
    advance(organization, "2026-01-21")
    resumed = pause.resume(subscription=subscription, actor=OPERATOR, now=factories.at("2026-01-21"))
    assert resumed.status == "active"
    assert try_case(organization, "2026-01-15") == "refused"
    assert try_case(organization, "2026-01-21") == "accepted"
    advance(organization, "2026-02-02")
    assert base_lines(organization) == [
        ("01-01/01-11 team", 1581),
        ("01-11/01-21 team", 0),
        ("01-21/02-01 team", 1739),
    ]
    assert verify() == []


def test_a_pause_over_whole_periods_keeps_the_anchor_and_grants_only_what_is_left(organization: Organization) -> None:
    subscription = subscribed(organization)
    pause.pause(subscription=subscription, actor=OPERATOR, now=START)
    advance(organization, "2026-03-16 12:00:00")
    assert MarketplaceSubscription.objects.get(pk=subscription.pk).credit_balance == 0
    half = factories.at("2026-03-16 12:00:00")
    pause.resume(subscription=subscription, actor=OPERATOR, now=half)
    assert MarketplaceSubscription.objects.get(pk=subscription.pk).credit_balance == 5
    ends = SubscriptionPeriod.objects.filter(subscription=subscription).order_by("ordinal").values_list("ends_at")
    assert [end for (end,) in ends] == [FEBRUARY, MARCH, factories.at("2026-04-01")]
    assert sum(invoice.total_minor for invoice in Invoice.objects.all()) == 0
    assert verify() == []


def test_pausing_again_and_again_grants_nothing(organization: Organization) -> None:
    subscription = subscribed(organization)
    for _ in range(3):
        pause.pause(subscription=subscription, actor=OPERATOR, now=START)
        pause.resume(subscription=subscription, actor=OPERATOR, now=START)
    assert CreditGrant.objects.filter(account_id=subscription.pk).count() == 1
    assert verify() == []


def test_pausing_is_for_operators_and_active_subscriptions(organization: Organization) -> None:
    subscription = subscribed(organization)
    with pytest.raises(Forbidden):
        pause.pause(subscription=subscription, actor=customer(organization), now=START)
    with pytest.raises(IllegalTransition):
        pause.resume(subscription=subscription, actor=OPERATOR, now=START)
    pause.pause(subscription=subscription, actor=OPERATOR, now=START)
    with pytest.raises(IllegalTransition):
        pause.pause(subscription=subscription, actor=OPERATOR, now=START)


def test_a_sign_up_that_nobody_confirms_expires_after_a_day(organization: Organization) -> None:
    actor = customer(organization)
    first = onboard.subscribe(organization=organization, plan_code="team", actor=actor, now=START)
    advance(organization, "2026-01-02")
    assert queries.get_subscription(first.id).status == "expired"
    assert (
        onboard.subscribe(
            organization=organization, plan_code="team", actor=actor, now=factories.at("2026-01-02")
        ).status
        == "incomplete"
    )
    assert verify() == []


def test_a_backdated_start_is_held_until_an_operator_lets_it_run() -> None:
    catalogs.sync()
    organization = factories.organization()
    now = START + timedelta(days=80)
    subscription = onboard.subscribe(
        organization=organization, plan_code="team", actor=OPERATOR, now=now, starts_at=START
    )
    assert subscription.held_at == now
    assert queries.list_due_organizations(now=now, limit=10) == []
    assert renew.renew_due(organization_id=organization.id, now=now) == []
    with pytest.raises(Busy):
        usage.record([Offer(organization, "case_created", Decimal(1), "k")], now=now)
    for act in (cancel.cancel_now, pending.cancel_at_period_end, pause.pause):
        with pytest.raises(renew.RenewalsWaiting):
            act(subscription=subscription, actor=OPERATOR, now=now)
    with pytest.raises(Forbidden):
        renew.release(subscription=subscription, actor=customer(organization), now=now)
    happenings = renew.release(subscription=subscription, actor=OPERATOR, now=now)
    assert [h.topic for h in happenings].count("subscription.renewed") == 2
    assert usage.record([Offer(organization, "case_created", Decimal(1), "k")], now=now)[0].status == "accepted"
    assert verify() == []


def test_what_cannot_be_renewed_is_parked_with_its_reason_and_the_others_go_on() -> None:
    catalogs.sync()
    broken, sound = factories.organization(), factories.organization()
    for organization in (broken, sound):
        onboard.subscribe(organization=organization, plan_code="team", actor=OPERATOR, now=START)
    subscription = Subscription.objects.get(organization=broken)
    price = PlanPrice.objects.get(plan=subscription.plan, currency="USD")
    PlanPrice.objects.filter(pk=price.pk).update(currency="CHF")
    now = START + timedelta(days=40)
    assert [h.topic for h in renew.renew_due(organization_id=broken.id, now=now)] == ["subscription.parked"]
    parked = queries.get_subscription(subscription.id)
    assert parked.parked_at == now
    assert parked.parked_reason
    assert queries.find_last_period(parked) == SubscriptionPeriod.objects.get(subscription=parked)
    assert queries.list_due_organizations(now=now, limit=10) == [sound.id]
    PlanPrice.objects.filter(pk=price.pk).update(currency="USD")
    happenings = renew.release(subscription=parked, actor=OPERATOR, now=now)
    assert [h.topic for h in happenings] == ["subscription.released", "subscription.renewed", "invoice.drafted"]
    assert queries.get_subscription(subscription.id).parked_at is None
    assert verify() == []
