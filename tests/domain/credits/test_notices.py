"""Credits that run out are told: low, then exhausted, each once until some are added."""

from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pytest
from django.conf import LazySettings

from billing.accounts import actors
from billing.lifecycle import adjust, clock, onboard, reversal, usage
from billing.metering.offers import Offer, Outcome
from billing.models import GrantKind, MarketplaceSubscription, Organization, OutboxEvent, Subscription
from billing.reporting.doctor import verify
from tests.support import catalogs, factories

pytestmark = pytest.mark.django_db
NOW = factories.at("2026-03-01")
OPERATOR = actors.operator("test")
Use = Callable[..., Outcome]


@pytest.fixture
def subscription() -> Subscription:
    catalogs.sync()
    organization = factories.sandbox(clock_at=NOW)
    return onboard.subscribe(organization=organization, plan_code="team", actor=OPERATOR, now=NOW)


@pytest.fixture
def use(subscription: Subscription) -> Use:
    def one(quantity: str | int, **fields: Any) -> Outcome:
        organization = Organization.objects.get(id=subscription.organization_id)
        key = f"k{OutboxEvent.objects.count()}-{quantity}-{MarketplaceSubscription.objects.get().entries}"
        (outcome,) = usage.record([Offer(organization, "tokens", Decimal(quantity), key, **fields)], now=NOW)
        assert outcome.event is not None, outcome
        return outcome

    return one


def told() -> list[tuple[str, str, str]]:
    events = OutboxEvent.objects.filter(topic__in=("credits.low", "credits.exhausted")).order_by("position")
    return [(each.topic, each.payload["spendable"], each.payload["filled"]) for each in events]


def add(subscription: Subscription, credits: str) -> None:
    adjust.adjust(
        subscription=subscription,
        credits=Decimal(credits),
        actor=OPERATOR,
        reason="bought",
        now=NOW,
        kind=GrantKind.PURCHASE if Decimal(credits) > 0 else GrantKind.ADJUSTMENT,
    )


@pytest.mark.parametrize(("used", "low"), [(799, False), (800, True), (801, True)])
def test_low_is_told_at_the_share_and_not_before(use: Use, used: int, low: bool) -> None:
    use(used)
    assert told() == ([("credits.low", str(Decimal(1000 - used) / 100), "10")] if low else [])


def test_each_is_told_once(use: Use) -> None:
    for quantity in (850, 50, 50, 49, 1, 100, 100):
        use(quantity)
    assert told() == [("credits.low", "1.5", "10"), ("credits.exhausted", "0", "10")]
    assert verify() == []


def test_both_at_once_are_told_in_order(use: Use) -> None:
    use(5000)
    assert [topic for topic, *_ in told()] == ["credits.low", "credits.exhausted"]


def test_the_message_names_the_subscription(use: Use, subscription: Subscription) -> None:
    use(900)
    payload = OutboxEvent.objects.get(topic="credits.low").payload
    assert payload == {"subscription_id": str(subscription.id), "spendable": "1", "filled": "10"}


def test_credits_that_are_added_begin_anew(use: Use, subscription: Subscription) -> None:
    use(1000)
    add(subscription, "20")
    assert len(told()) == 2
    task = Offer(Organization.objects.get(), "task_run", Decimal(5), "tasks")
    for number in range(3):
        usage.record([Offer(task.organization, "task_run", Decimal(1), f"t{number}")], now=NOW)
    assert len(told()) == 2
    add(subscription, "-14")
    usage.record([Offer(task.organization, "task_run", Decimal(1), "t4")], now=NOW)
    assert told()[2:] == [("credits.low", "2", "20")]


def test_credits_that_come_back_do_not(use: Use) -> None:
    event = use(900).event
    assert event is not None
    reversal.reverse(event_id=event.id, quantity=Decimal(500), actor=OPERATOR, reason="a mistake", now=NOW)
    use(500)
    assert len(told()) == 1
    use(100)
    assert [topic for topic, *_ in told()] == ["credits.low", "credits.exhausted"]


def test_a_new_allowance_begins_anew(use: Use) -> None:
    use(1000)
    clock.advance(organization=Organization.objects.get(), to=factories.at("2026-04-02"), actor=OPERATOR)
    assert len(told()) == 2
    use(800)
    assert told()[2:] == [("credits.low", "2", "10")]


def test_what_cannot_pay_now_is_not_counted(use: Use, subscription: Subscription) -> None:
    adjust.adjust(
        subscription=subscription,
        credits=Decimal(90),
        actor=OPERATOR,
        reason="for a week",
        now=NOW,
        kind=GrantKind.PROMOTION,
        expires_at=factories.at("2026-03-08"),
    )
    clock.advance(organization=Organization.objects.get(), to=factories.at("2026-03-09"), actor=OPERATOR)
    use(1)
    assert told() == [("credits.low", "9.99", "100")]


def test_an_account_that_never_had_credits_runs_out_of_nothing() -> None:
    catalogs.sync()
    organization = factories.sandbox(clock_at=NOW)
    onboard.subscribe(organization=organization, plan_code="yearly", actor=OPERATOR, now=NOW)
    MarketplaceSubscription.objects.update(filled=0)
    usage.record([Offer(organization, "case_created", Decimal(1), "k")], now=NOW)
    assert told() == []


def test_the_share_is_a_setting(use: Use, settings: LazySettings) -> None:
    settings.BILLING_CREDITS_LOW_PERCENT = 50
    use(500)
    assert told() == [("credits.low", "5", "10")]
