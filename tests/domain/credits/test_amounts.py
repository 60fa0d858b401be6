"""Credits are moved to the last digit or not at all."""

from decimal import Decimal

import pytest

from billing.accounts import actors
from billing.credits.operations import BALANCE_MAX, CreditsInvalid, InsufficientCredits
from billing.kernel.decimals import QUANTITY_MAX
from billing.lifecycle import adjust, onboard
from billing.models import CreditEntry, MarketplaceSubscription, Subscription
from billing.reporting.doctor import verify
from tests.support import catalogs, factories

pytestmark = pytest.mark.django_db
NOW = factories.at("2026-03-10 12:00:00")
OPERATOR = actors.operator("test")


@pytest.fixture
def subscription() -> Subscription:
    catalogs.sync()
    return onboard.subscribe(organization=factories.sandbox(clock_at=NOW), plan_code="team", actor=OPERATOR, now=NOW)


def give(subscription: Subscription, credits: str | Decimal) -> list[CreditEntry]:
    given = adjust.adjust(subscription=subscription, credits=Decimal(credits), actor=OPERATOR, reason="a test", now=NOW)
    return given.entries


def balance(subscription: Subscription) -> Decimal:
    return MarketplaceSubscription.objects.get(pk=subscription.pk).credit_balance


@pytest.mark.parametrize(
    "credits",
    [
        "0",
        "0.0000001",
        "1.0000005",
        "-1.0000005",
        "NaN",
        "-NaN",
        "sNaN",
        "Infinity",
        "-Infinity",
        "1000000000000.000001",
    ],
)
def test_what_cannot_be_booked_exactly_is_refused(subscription: Subscription, credits: str) -> None:
    with pytest.raises(CreditsInvalid) as caught:
        give(subscription, credits)
    assert caught.value.details["field"] == "credits"
    assert balance(subscription) == 10
    assert CreditEntry.objects.count() == 1


@pytest.mark.parametrize("credits", ["0.000001", "999999999999.999999", "1000000000000", "1E+3", "1.0000000"])
def test_the_smallest_and_the_largest_are_booked_and_taken_back(subscription: Subscription, credits: str) -> None:
    give(subscription, credits)
    assert balance(subscription) == 10 + Decimal(credits)
    give(subscription, -Decimal(credits))
    assert balance(subscription) == 10
    assert verify() == []


def test_a_full_account_takes_no_more_by_hand(subscription: Subscription) -> None:
    for _ in range(9):
        give(subscription, QUANTITY_MAX)
    with pytest.raises(CreditsInvalid):
        give(subscription, QUANTITY_MAX)
    give(subscription, BALANCE_MAX - balance(subscription))
    assert balance(subscription) == BALANCE_MAX
    assert verify() == []


def test_more_than_there_is_cannot_be_taken_and_nothing_is(subscription: Subscription) -> None:
    with pytest.raises(InsufficientCredits):
        give(subscription, "-10.000001")
    assert balance(subscription) == 10
    give(subscription, "-10")
    assert balance(subscription) == 0
    assert verify() == []
