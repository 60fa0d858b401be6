"""What an organization cannot get out of going round in circles: credits, a paid plan, time, somebody's word."""

from datetime import timedelta
from decimal import Decimal

import pytest

from billing import BillingService
from billing.accounts import actors
from billing.accounts.actors import Act, Actor
from billing.kernel.errors import Forbidden
from billing.lifecycle import adjust, cancel, change_plan, clock, onboard, usage
from billing.lifecycle.adjust import SubscriptionLeft
from billing.lifecycle.change_plan import BillingPeriodDiffers, PaymentRequired
from billing.lifecycle.onboard import StartTaken
from billing.metering.offers import Offer
from billing.models import CreditGrant, GrantKind, MarketplaceSubscription, Organization, Subscription
from billing.reporting.doctor import verify
from billing.subscriptions.operations import StaleSubscription
from tests.support import catalogs, factories

pytestmark = pytest.mark.django_db
NOW = factories.at("2026-01-31 12:00:00")
OPERATOR = actors.operator("test")
BY_THE_YEAR = """
  granted_yearly:
    name: Yearly, granted at once
    price: {USD: "490.00"}
    credit_price: {USD: "10.00"}
    billing_period: year
    credit_allowance: "1200"
    allowance_every: period
    limits: {max_cases: 500}
"""


@pytest.fixture
def organization() -> Organization:
    catalogs.sync(catalogs.TEXT + BY_THE_YEAR)
    return factories.sandbox(clock_at=NOW)


def customer(organization: Organization) -> Actor:
    return Actor(name="key:own", organization_id=organization.id, scopes=actors.ORGANIZATION_KEY_ACTS)


def granted(organization: Organization) -> Decimal:
    return sum(CreditGrant.objects.filter(organization=organization).values_list("granted", flat=True), Decimal(0))


def consumed(organization: Organization) -> Decimal:
    return sum(CreditGrant.objects.filter(organization=organization).values_list("consumed", flat=True), Decimal(0))


def spend(organization: Organization, key: str) -> None:
    usage.record([Offer(organization, "tokens", Decimal(10**6), key)], now=NOW)


def test_a_year_of_credits_is_not_granted_again_each_month(organization: Organization) -> None:
    """Once a paying customer, from the plan that grants by the month to the one that grants by the year and back."""
    subscription = onboard.subscribe(organization=organization, plan_code="yearly", actor=OPERATOR, now=NOW)
    for month in (2, 3, 4):
        clock.advance(organization=organization, to=factories.at(f"2026-0{month}-28 12:00:00"), actor=OPERATOR)
        assert organization.clock_at is not None
        with pytest.raises(BillingPeriodDiffers):
            change_plan.change_now(
                subscription=subscription,
                plan_code="granted_yearly",
                actor=customer(organization),
                now=organization.clock_at,
            )
    assert granted(organization) == 30
    assert verify() == []


def test_an_operators_change_of_rhythm_starts_anew_and_takes_ahead_consumed_credits_off(
    organization: Organization,
) -> None:
    subscription = onboard.subscribe(organization=organization, plan_code="granted_yearly", actor=OPERATOR, now=NOW)
    clock.advance(organization=organization, to=NOW + timedelta(days=10), actor=OPERATOR)
    assert organization.clock_at is not None
    changed = change_plan.change_now(
        subscription=subscription, plan_code="yearly", actor=OPERATOR, now=organization.clock_at
    )
    assert changed.anchor_at == organization.clock_at
    assert MarketplaceSubscription.objects.get(pk=subscription.pk).credit_balance == 10
    assert verify() == []


def test_coming_back_on_a_small_plan_first_grants_nothing_twice(organization: Organization) -> None:
    for turn in range(3):
        subscription = onboard.subscribe(organization=organization, plan_code="free", actor=OPERATOR, now=NOW)
        for plan in ("team", "scale"):
            change_plan.change_now(subscription=subscription, plan_code=plan, actor=OPERATOR, now=NOW)
        spend(organization, f"{turn}")
        cancel.cancel_now(subscription=subscription, actor=OPERATOR, now=NOW)
    assert consumed(organization) == 40
    assert verify() == []


def test_coming_back_later_earns_what_time_on_board_adds_up_to(organization: Organization) -> None:
    subscription = onboard.subscribe(organization=organization, plan_code="scale", actor=OPERATOR, now=NOW)
    spend(organization, "a")
    half = NOW + timedelta(days=14)  # of the 28 days to 28 February
    clock.advance(organization=organization, to=half, actor=OPERATOR)
    cancel.cancel_now(subscription=subscription, actor=OPERATOR, now=half)
    again = onboard.subscribe(organization=organization, plan_code="team", actor=OPERATOR, now=half)
    change_plan.change_now(subscription=again, plan_code="scale", actor=OPERATOR, now=half)
    assert MarketplaceSubscription.objects.get(pk=again.pk).credit_balance == 20


def test_confirming_a_plan_that_became_free_vouches_for_nothing(organization: Organization) -> None:
    own = customer(organization)
    subscription = onboard.subscribe(organization=organization, plan_code="team", actor=own, now=NOW)
    change_plan.change_now(subscription=subscription, plan_code="free", actor=own, now=NOW)
    active = onboard.activate(subscription=subscription, actor=OPERATOR, now=NOW + timedelta(hours=1))
    assert (active.status, active.plan.code, active.confirmed_at) == ("active", "free", None)
    with pytest.raises(PaymentRequired):
        change_plan.change_now(subscription=active, plan_code="scale", actor=own, now=NOW)
    assert verify() == []


def test_a_status_is_not_the_customers_to_ask_for_and_asking_changes_nothing(organization: Organization) -> None:
    with pytest.raises(Forbidden):
        BillingService.upsert_subscription(organization, "team", actor=customer(organization), status="active", now=NOW)
    assert not Subscription.objects.exists()


def test_an_instant_belongs_to_one_subscription(organization: Organization) -> None:
    first = onboard.subscribe(organization=organization, plan_code="free", actor=OPERATOR, now=NOW)
    left = NOW + timedelta(days=2)
    clock.advance(organization=organization, to=left, actor=OPERATOR)
    cancel.cancel_now(subscription=first, actor=OPERATOR, now=left)
    with pytest.raises(StartTaken):
        onboard.subscribe(
            organization=organization,
            plan_code="free",
            actor=OPERATOR,
            now=left,
            starts_at=left - timedelta(seconds=1),
        )
    # Who waited for the lock while the first was cancelled comes with an older now.
    second = onboard.subscribe(
        organization=organization, plan_code="free", actor=OPERATOR, now=left - timedelta(seconds=2)
    )
    assert second.starts_at == left
    assert verify() == []


def test_purchased_credits_come_along_from_wherever_they_were_left(organization: Organization) -> None:
    first = onboard.subscribe(organization=organization, plan_code="free", actor=OPERATOR, now=NOW)
    cancel.cancel_now(subscription=first, actor=OPERATOR, now=NOW)
    second = onboard.subscribe(organization=organization, plan_code="free", actor=OPERATOR, now=NOW)
    buy = {"credits": Decimal(7), "actor": OPERATOR, "reason": "bought", "now": NOW, "kind": GrantKind.PURCHASE}
    with pytest.raises(SubscriptionLeft):
        adjust.adjust(subscription=first, **buy)  # type: ignore[arg-type]
    cancel.cancel_now(subscription=second, actor=OPERATOR, now=NOW)
    adjust.adjust(subscription=first, **buy)  # type: ignore[arg-type]
    adjust.adjust(subscription=second, **buy)  # type: ignore[arg-type]
    third = onboard.subscribe(organization=organization, plan_code="free", actor=OPERATOR, now=NOW)
    bought = CreditGrant.objects.filter(account=third.marketplace, kind=GrantKind.PURCHASE)
    assert sum(grant.remaining for grant in bought) == 14
    assert verify() == []


def test_a_currency_is_one_that_exists(organization: Organization) -> None:
    for currency in ("XXX", "TOOLONG", "usd", "\0"):
        with pytest.raises(Exception, match="currency") as caught:
            onboard.subscribe(organization=organization, plan_code="free", actor=OPERATOR, now=NOW, currency=currency)
        assert getattr(caught.value, "code", "") == "invalid"


def test_an_organization_key_adjusts_nothing(organization: Organization) -> None:
    subscription = onboard.subscribe(organization=organization, plan_code="free", actor=OPERATOR, now=NOW)
    own = Actor(name="key:own", organization_id=organization.id, scopes=actors.ORGANIZATION_KEY_ACTS)
    assert Act.CREDITS not in own.scopes
    with pytest.raises(Forbidden):
        adjust.adjust(subscription=subscription, credits=Decimal(1), actor=own, reason="mine", now=NOW)


def test_who_believes_in_a_version_that_is_gone_subscribes_nobody(organization: Organization) -> None:
    subscription = onboard.subscribe(organization=organization, plan_code="free", actor=OPERATOR, now=NOW)
    version = cancel.cancel_now(subscription=subscription, actor=OPERATOR, now=NOW).version
    with pytest.raises(StaleSubscription):
        BillingService.upsert_subscription(
            organization, "free", actor=customer(organization), expected_version=version, now=NOW
        )
    assert Subscription.objects.get().status == "canceled"
