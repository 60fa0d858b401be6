"""Coming aboard: trials, confirmation, one live subscription, and coming back."""

from datetime import timedelta
from decimal import Decimal

import pytest

from billing import BillingService
from billing.accounts import actors
from billing.accounts.actors import Act, Actor
from billing.catalog.queries import CurrencyNotSold, PlanNotOnSale, PlanUnknown
from billing.credits import operations as credits_operations
from billing.kernel.errors import Forbidden
from billing.lifecycle import cancel, change_plan, clock, onboard, statuses, usage
from billing.lifecycle.change_plan import BillingPeriodDiffers, DowngradeWaits, PaymentRequired
from billing.lifecycle.onboard import StartInvalid, SubscriptionExists
from billing.metering.offers import Offer
from billing.models import (
    AuditEntry,
    CreditGrant,
    GrantKind,
    MarketplaceSubscription,
    Organization,
    OutboxEvent,
    Subscription,
)
from billing.reporting.doctor import verify
from billing.subscriptions import queries
from billing.subscriptions.operations import StaleSubscription
from billing.subscriptions.transitions import IllegalTransition
from tests.support import catalogs, factories

pytestmark = pytest.mark.django_db
NOW = factories.at("2026-01-31 12:00:00")
OPERATOR = actors.operator("test")


@pytest.fixture
def organization() -> Organization:
    catalogs.sync()
    return factories.sandbox(clock_at=NOW)


def customer(organization: Organization) -> Actor:
    return Actor(
        name="key:own", organization_id=organization.id, scopes=frozenset({Act.READ, Act.USAGE, Act.SUBSCRIBE})
    )


def balance(subscription: Subscription) -> Decimal:
    return MarketplaceSubscription.objects.get(pk=subscription.pk).credit_balance


def test_a_free_plan_serves_at_once(organization: Organization) -> None:
    subscription = onboard.subscribe(organization=organization, plan_code="free", actor=customer(organization), now=NOW)
    assert subscription.status == "active"
    assert queries.find_active(organization, at=NOW) == subscription
    assert OutboxEvent.objects.filter(topic="subscription.created").count() == 1
    assert AuditEntry.objects.filter(act="subscription.created", actor="key:own").count() == 1


def test_a_customer_on_a_paid_plan_gets_nothing_until_it_is_confirmed(organization: Organization) -> None:
    subscription = onboard.subscribe(organization=organization, plan_code="team", actor=customer(organization), now=NOW)
    assert subscription.status == "incomplete"
    assert balance(subscription) == 0
    assert queries.find_active(organization, at=NOW) is None
    (outcome,) = usage.record([Offer(organization, "case_created", Decimal(1), "k")], now=NOW)
    assert outcome.code == "subscription_missing"
    with pytest.raises(Forbidden):
        onboard.activate(subscription=subscription, actor=customer(organization), now=NOW)
    later = NOW + timedelta(hours=3)
    confirmed = onboard.activate(subscription=subscription, actor=OPERATOR, now=later)
    assert (confirmed.status, confirmed.anchor_at, balance(confirmed)) == ("active", later, 10)
    assert verify() == []


def test_an_operator_vouches_for_payment(organization: Organization) -> None:
    subscription = onboard.subscribe(organization=organization, plan_code="team", actor=OPERATOR, now=NOW)
    assert (subscription.status, balance(subscription)) == ("active", 10)


def test_one_live_subscription(organization: Organization) -> None:
    onboard.subscribe(organization=organization, plan_code="free", actor=OPERATOR, now=NOW)
    with pytest.raises(SubscriptionExists):
        onboard.subscribe(organization=organization, plan_code="team", actor=OPERATOR, now=NOW)


def test_what_a_customer_may_not_choose(organization: Organization) -> None:
    actor = customer(organization)
    with pytest.raises(PlanNotOnSale):
        onboard.subscribe(organization=organization, plan_code="hidden", actor=actor, now=NOW)
    with pytest.raises(PlanUnknown):
        onboard.subscribe(organization=organization, plan_code="nonsense", actor=actor, now=NOW)
    with pytest.raises(CurrencyNotSold):
        onboard.subscribe(organization=organization, plan_code="team", actor=actor, now=NOW, currency="KWD")
    with pytest.raises(StartInvalid):
        onboard.subscribe(organization=organization, plan_code="free", actor=actor, now=NOW, starts_at=NOW)
    assert not Subscription.objects.exists()


def test_a_trial_is_given_once_and_expires_unless_somebody_pays(organization: Organization) -> None:
    actor = customer(organization)
    subscription = onboard.subscribe(organization=organization, plan_code="trial", actor=actor, now=NOW)
    assert (subscription.status, balance(subscription)) == ("trialing", 2)
    assert subscription.trial_ends_at == NOW + timedelta(days=14)
    clock.advance(organization=organization, to=NOW + timedelta(days=14), actor=OPERATOR)
    ended = queries.get_subscription(subscription.id)
    assert (ended.status, ended.ended_at, balance(ended)) == ("expired", NOW + timedelta(days=14), 0)
    again = onboard.subscribe(
        organization=organization, plan_code="trial", actor=actor, now=organization.clock_at or NOW
    )
    assert again.status == "incomplete"
    assert verify() == []


def test_a_trial_that_is_paid_for_becomes_active(organization: Organization) -> None:
    subscription = onboard.subscribe(organization=organization, plan_code="trial", actor=OPERATOR, now=NOW)
    assert subscription.status == "trialing"
    clock.advance(organization=organization, to=NOW + timedelta(days=15), actor=OPERATOR)
    active = queries.get_subscription(subscription.id)
    assert (active.status, active.anchor_at, balance(active)) == ("active", NOW + timedelta(days=14), 5)
    assert [p.kind for p in active.periods.all()] == ["trial", "regular"]
    assert verify() == []


def test_a_free_plan_is_no_way_into_a_paid_one(organization: Organization) -> None:
    actor = customer(organization)
    subscription = onboard.subscribe(organization=organization, plan_code="free", actor=OPERATOR, now=NOW)
    with pytest.raises(PaymentRequired):
        change_plan.change_now(subscription=subscription, plan_code="team", actor=actor, now=NOW)
    assert queries.get_subscription(subscription.id).plan.code == "free"


def test_choosing_a_free_trialed_plan_says_nothing_about_paying(organization: Organization) -> None:
    actor = customer(organization)
    subscription = onboard.subscribe(organization=organization, plan_code="trial", actor=actor, now=NOW)
    change_plan.change_now(subscription=subscription, plan_code="team", actor=actor, now=NOW)
    clock.advance(organization=organization, to=NOW + timedelta(days=20), actor=OPERATOR)
    assert queries.get_subscription(subscription.id).status == "expired"


def test_an_upgrade_tops_the_allowance_up_by_what_is_left_of_the_period(organization: Organization) -> None:
    subscription = onboard.subscribe(organization=organization, plan_code="team", actor=OPERATOR, now=NOW)
    half = NOW + timedelta(days=14)  # of the 28 days to 28 February
    clock.advance(organization=organization, to=half, actor=OPERATOR)
    actor = customer(organization)
    changed = change_plan.change_now(subscription=subscription, plan_code="scale", actor=actor, now=half)
    assert balance(changed) == 10 + 15
    assert verify() == []


def test_a_customer_goes_down_at_the_end_of_the_period(organization: Organization) -> None:
    actor = customer(organization)
    subscription = onboard.subscribe(organization=organization, plan_code="team", actor=OPERATOR, now=NOW)
    subscription = change_plan.change_now(subscription=subscription, plan_code="scale", actor=actor, now=NOW)
    with pytest.raises(DowngradeWaits):
        change_plan.change_now(subscription=subscription, plan_code="team", actor=actor, now=NOW)
    waiting = BillingService.upsert_subscription(organization, "team", actor=actor, now=NOW)
    assert (waiting.plan.code, waiting.pending_plan and waiting.pending_plan.code) == ("scale", "team")
    moved = BillingService.upsert_subscription(organization, "team", actor=OPERATOR, now=NOW)
    assert (moved.plan.code, moved.pending_plan) == ("team", None)


def test_going_up_and_down_again_grants_nothing_twice(organization: Organization) -> None:
    subscription = onboard.subscribe(organization=organization, plan_code="team", actor=OPERATOR, now=NOW)
    for plan in ("scale", "team", "scale", "team", "scale"):
        subscription = change_plan.change_now(subscription=subscription, plan_code=plan, actor=OPERATOR, now=NOW)
    assert balance(subscription) == 40
    assert verify() == []


def test_leaving_and_coming_back_grants_nothing_twice(organization: Organization) -> None:
    for _ in range(3):
        subscription = onboard.subscribe(organization=organization, plan_code="team", actor=OPERATOR, now=NOW)
        usage.record([Offer(organization, "tokens", Decimal(1000), str(subscription.id))], now=NOW)
        cancel.cancel_now(subscription=subscription, actor=OPERATOR, now=NOW)
    paid = sum(grant.consumed for grant in CreditGrant.objects.filter(kind=GrantKind.ALLOWANCE))
    assert paid == 10
    assert verify() == []


def test_coming_back_frees_no_lifetime_quota_and_loses_no_purchase(organization: Organization) -> None:
    first = onboard.subscribe(organization=organization, plan_code="free", actor=OPERATOR, now=NOW)
    usage.record([Offer(organization, "case_created", Decimal(2), "a")], now=NOW)
    credits_operations.grant(
        account=first.marketplace,
        kind=GrantKind.PURCHASE,
        credits=Decimal(7),
        starts_at=NOW,
        expires_at=None,
        actor="test",
        reason="bought",
        now=NOW,
    )
    cancel.cancel_now(subscription=first, actor=customer(organization), now=NOW)
    second = onboard.subscribe(organization=organization, plan_code="free", actor=OPERATOR, now=NOW)
    assert (balance(first), balance(second)) == (0, 7)
    outcomes = usage.record([Offer(organization, "case_created", Decimal(1), key) for key in ("b", "c")], now=NOW)
    assert [outcome.status for outcome in outcomes] == ["accepted", "refused"]
    assert outcomes[1].guards[0].used == 3
    assert verify() == []


def test_another_billing_period_is_for_operators(organization: Organization) -> None:
    subscription = onboard.subscribe(organization=organization, plan_code="team", actor=OPERATOR, now=NOW)
    with pytest.raises(BillingPeriodDiffers):
        change_plan.change_now(subscription=subscription, plan_code="yearly", actor=customer(organization), now=NOW)
    at = NOW + timedelta(days=7)
    clock.advance(organization=organization, to=at, actor=OPERATOR)
    changed = change_plan.change_now(subscription=subscription, plan_code="yearly", actor=OPERATOR, now=at)
    last = queries.find_last_period(changed)
    assert last is not None
    assert (last.starts_at, last.ends_at, changed.anchor_at) == (at, factories.at("2027-02-07 12:00:00"), at)
    assert balance(changed) == 10
    assert verify() == []


def test_a_stale_version_changes_nothing(organization: Organization) -> None:
    subscription = onboard.subscribe(organization=organization, plan_code="team", actor=OPERATOR, now=NOW)
    stale = subscription.version - 1
    with pytest.raises(StaleSubscription):
        change_plan.change_now(
            subscription=subscription, plan_code="scale", actor=OPERATOR, now=NOW, expected_version=stale
        )
    with pytest.raises(StaleSubscription):
        cancel.cancel_now(subscription=subscription, actor=OPERATOR, now=NOW, expected_version=stale)
    assert queries.get_subscription(subscription.id).plan.code == "team"


def test_cancelling_twice_is_refused_and_ends_the_period(organization: Organization) -> None:
    subscription = onboard.subscribe(organization=organization, plan_code="team", actor=OPERATOR, now=NOW)
    at = NOW + timedelta(days=3)
    clock.advance(organization=organization, to=at, actor=OPERATOR)
    cancel.cancel_now(subscription=subscription, actor=OPERATOR, now=at)
    last = queries.find_last_period(subscription)
    assert last is not None
    assert (last.ends_at, last.nominal_ends_at) == (at, factories.at("2026-02-28 12:00:00"))
    assert balance(subscription) == 0
    with pytest.raises(IllegalTransition):
        cancel.cancel_now(subscription=subscription, actor=OPERATOR, now=at)
    assert verify() == []


def test_a_status_is_set_by_operators_along_the_table(organization: Organization) -> None:
    subscription = onboard.subscribe(organization=organization, plan_code="team", actor=customer(organization), now=NOW)
    with pytest.raises(Forbidden):
        statuses.set_status(subscription=subscription, status="active", actor=customer(organization), now=NOW)
    with pytest.raises(IllegalTransition):
        statuses.set_status(subscription=subscription, status="trialing", actor=OPERATOR, now=NOW)
    active = statuses.set_status(subscription=subscription, status="active", actor=OPERATOR, now=NOW)
    assert active.status == "active"
    assert statuses.set_status(subscription=active, status="canceled", actor=OPERATOR, now=NOW).status == "canceled"
