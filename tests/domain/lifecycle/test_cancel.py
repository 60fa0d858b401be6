"""Who leaves when: a customer on a paid plan waits for the period's end, everyone else goes at once."""

from decimal import Decimal

import pytest

from billing.accounts import actors
from billing.accounts.actors import Actor
from billing.lifecycle import cancel, clock, onboard, pause, usage
from billing.lifecycle.cancel import CancelWaits
from billing.metering.offers import Offer
from billing.models import AuditEntry, Invoice, InvoiceLine, Organization, OutboxEvent, Subscription
from billing.reporting.doctor import verify
from billing.subscriptions import operations as subscriptions_operations
from billing.subscriptions import queries
from tests.support import catalogs, factories

pytestmark = pytest.mark.django_db
NOW, LATER = factories.at("2026-01-01"), factories.at("2026-01-02")
OPERATOR = actors.operator("test")


@pytest.fixture
def organization() -> Organization:
    catalogs.sync()
    return factories.sandbox(clock_at=NOW)


def customer(organization: Organization) -> Actor:
    return Actor(name="key:own", organization_id=organization.id, scopes=actors.ORGANIZATION_KEY_ACTS)


def subscribed(organization: Organization, plan: str, actor: Actor = OPERATOR) -> Subscription:
    return onboard.subscribe(organization=organization, plan_code=plan, actor=actor, now=NOW)


def past_due(organization: Organization) -> Subscription:
    subscription = subscribed(organization, "team")
    subscriptions_operations.become_past_due(subscription, NOW)
    return subscription


def test_a_month_of_allowance_is_not_had_for_the_fee_of_a_day(organization: Organization) -> None:
    subscription = subscribed(organization, "team")
    usage.record([Offer(organization, "tokens", Decimal(1000), "all of it")], now=NOW)
    clock.advance(organization=organization, to=LATER, actor=OPERATOR)
    own = customer(organization)
    written = (AuditEntry.objects.count(), OutboxEvent.objects.count())
    with pytest.raises(CancelWaits) as refused:
        cancel.cancel_now(subscription=subscription, actor=own, now=LATER)
    assert refused.value.code == "cancel_waits"
    with pytest.raises(CancelWaits):
        cancel.cancel(subscription=subscription, actor=own, now=LATER, at_period_end=False)
    assert (AuditEntry.objects.count(), OutboxEvent.objects.count()) == written

    waiting = cancel.cancel(subscription=subscription, actor=own, now=LATER)
    assert (waiting.status, waiting.cancel_at_period_end) == ("active", True)
    clock.advance(organization=organization, to=factories.at("2026-02-02"), actor=OPERATOR)
    assert queries.get_subscription(subscription.id).status == "canceled"
    assert InvoiceLine.objects.get(charge="base").amount_minor == 4900
    assert verify() == []


def test_an_operator_ends_it_now_unless_told_otherwise(organization: Organization) -> None:
    subscription = subscribed(organization, "team")
    later = cancel.cancel(subscription=subscription, actor=OPERATOR, now=NOW, at_period_end=True)
    assert (later.status, later.cancel_at_period_end) == ("active", True)
    assert cancel.cancel(subscription=subscription, actor=OPERATOR, now=NOW).status == "canceled"


@pytest.mark.parametrize(("plan", "by_customer", "was"), [
    ("free", True, "active"), ("trial", True, "trialing"), ("team", True, "incomplete"), ("trial", False, "trialing"),
])  # fmt: skip
def test_what_costs_nothing_yet_is_left_at_once(
    organization: Organization, plan: str, by_customer: bool, was: str
) -> None:
    own = customer(organization)
    subscription = subscribed(organization, plan, own if by_customer else OPERATOR)
    assert subscription.status == was
    assert cancel.cancel(subscription=subscription, actor=own, now=NOW).status == "canceled"
    assert not Invoice.objects.exclude(total_minor=0).exists()
    assert verify() == []


def test_a_paused_subscription_is_left_at_once(organization: Organization) -> None:
    subscription = subscribed(organization, "team")
    pause.pause(subscription=subscription, actor=OPERATOR, now=NOW)
    assert cancel.cancel(subscription=subscription, actor=customer(organization), now=NOW).status == "canceled"


def test_who_is_behind_with_paying_leaves_when_the_period_ends(organization: Organization) -> None:
    subscription = past_due(organization)
    own = customer(organization)
    with pytest.raises(CancelWaits):
        cancel.cancel_now(subscription=subscription, actor=own, now=NOW)
    waiting = cancel.cancel(subscription=subscription, actor=own, now=NOW)
    assert (waiting.status, waiting.cancel_at_period_end) == ("past_due", True)
    clock.advance(organization=organization, to=factories.at("2026-02-02"), actor=OPERATOR)
    assert queries.get_subscription(subscription.id).status == "canceled"
    assert verify() == []
