"""Leaving and coming back frees nothing, in whatever order the two subscriptions' use is reported."""

from datetime import timedelta
from decimal import Decimal
from itertools import permutations

import pytest

from billing.accounts import actors
from billing.lifecycle import cancel, clock, onboard, usage
from billing.metering.offers import Offer
from billing.models import Organization, Subscription, UsageEvent
from billing.reporting.doctor import verify
from tests.support import catalogs, factories

pytestmark = pytest.mark.django_db
NOW = factories.at("2026-03-10 12:00:00")
OPERATOR = actors.operator("test")


@pytest.fixture
def organization() -> Organization:
    """On the free plan (three cases for life, five calls a day) for two hours, gone, and back at 14:00."""
    catalogs.sync()
    organization = factories.sandbox(clock_at=NOW)
    first = onboard.subscribe(organization=organization, plan_code="free", actor=OPERATOR, now=NOW)
    back = NOW + timedelta(hours=2)
    clock.advance(organization=organization, to=back, actor=OPERATOR)
    cancel.cancel_now(subscription=first, actor=OPERATOR, now=back)
    onboard.subscribe(organization=organization, plan_code="free", actor=OPERATOR, now=back)
    return organization


def late(organization: Organization, meter: str, key: str) -> Offer:
    return Offer(organization, meter, Decimal(1), key, occurred_at=NOW + timedelta(hours=1))


def fresh(organization: Organization, meter: str, key: str) -> Offer:
    return Offer(organization, meter, Decimal(1), key)


@pytest.mark.parametrize(("meter", "limit"), [("case_created", 3), ("api_call", 5)])
def test_late_use_of_the_one_and_use_of_the_other_share_a_limit_within_one_list(
    organization: Organization, meter: str, limit: int
) -> None:
    offers = [make(organization, meter, f"{make.__name__}-{n}") for n in range(limit) for make in (fresh, late)]
    outcomes = usage.record(offers, now=NOW)
    assert [outcome.status for outcome in outcomes] == ["accepted"] * limit + ["refused"] * limit
    assert {event.subscription_id for event in UsageEvent.objects.all()} == set(
        Subscription.objects.values_list("id", flat=True)
    )
    assert verify() == []


@pytest.mark.parametrize("order", list(permutations((late, late, fresh, fresh), 4))[::5])
def test_lists_of_one_and_one_list_decide_alike(organization: Organization, order: tuple[object, ...]) -> None:
    offers = [
        late(organization, "case_created", str(n)) if make is late else fresh(organization, "case_created", str(n))
        for n, make in enumerate(order)
    ]
    outcomes = [usage.record([offer], now=NOW)[0] for offer in offers[:2]] + usage.record(offers[2:], now=NOW)
    assert [outcome.status for outcome in outcomes] == ["accepted"] * 3 + ["refused"]
    assert max(reading.used for outcome in outcomes for reading in outcome.guards) == 3


def test_a_billing_period_is_not_shared(organization: Organization) -> None:
    outcomes = usage.record([late(organization, "free_form", "a"), fresh(organization, "free_form", "b")], now=NOW)
    assert [outcome.status for outcome in outcomes] == ["accepted", "accepted"]
    assert verify() == []
