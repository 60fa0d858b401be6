"""Use day by day: what the events say, in the organization's days, and read from windows alone."""

from datetime import date, timedelta
from decimal import Decimal
from zoneinfo import ZoneInfo

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from billing.accounts import actors
from billing.kernel.ids import new_id
from billing.lifecycle import cancel, onboard, reversal, usage
from billing.metering import days
from billing.metering.days import DaysInvalid, MeterUndeclared
from billing.metering.offers import Offer
from billing.models import Organization, UsageEvent
from billing.reporting.doctor import verify
from tests.support import catalogs, factories

pytestmark = pytest.mark.django_db
OPERATOR = actors.operator("test")
NOW = factories.at("2026-04-04 12:00:00")


@pytest.fixture
def organization() -> Organization:
    catalogs.sync()
    # Clocks go back there on 5 April, and stood an hour ahead before.
    organization = factories.sandbox(clock_at=NOW, zone="Australia/Lord_Howe")
    onboard.subscribe(
        organization=organization, plan_code="team", actor=OPERATOR, now=NOW, starts_at=factories.at("2026-03-01")
    )
    return organization


def use(organization: Organization, meter: str, quantity: str, at: str) -> UsageEvent:
    offer = Offer(organization, meter, Decimal(quantity), new_id().hex, occurred_at=factories.at(at))
    (outcome,) = usage.record([offer], now=NOW)
    assert outcome.event is not None, outcome
    return UsageEvent.objects.get(id=outcome.event.id)


def told(organization: Organization, since: str, until: str, meter: str | None = None) -> list[tuple[object, ...]]:
    found = days.list_days(organization, since=date.fromisoformat(since), until=date.fromisoformat(until), meter=meter)
    return [(each.meter, each.on.isoformat(), each.quantity, each.overage, each.events) for each in found]


def test_a_day_is_the_organizations(organization: Organization) -> None:
    use(organization, "case_created", "1", "2026-03-30 13:00:00")
    use(organization, "tokens", "1", "2026-03-30 12:59:59")
    use(organization, "tokens", "2", "2026-03-30 13:00:00")
    use(organization, "tokens", "1000", "2026-03-31 12:59:59.999999")
    assert told(organization, "2026-03-30", "2026-04-01") == [
        ("case_created", "2026-03-31", 1, 0, 1),
        ("tokens", "2026-03-30", 1, 0, 1),
        ("tokens", "2026-03-31", 1002, 3, 2),
    ]
    assert told(organization, "2026-03-31", "2026-04-01", "case_created") == [("case_created", "2026-03-31", 1, 0, 1)]
    assert told(organization, "2026-03-31", "2026-04-01", "tokens") == [("tokens", "2026-03-31", 1002, 3, 2)]
    assert told(organization, "2026-03-29", "2026-03-30") == []


def test_what_is_taken_back_is_in_the_day_of_its_use(organization: Organization) -> None:
    event = use(organization, "tokens", "7", "2026-03-20 03:00:00")
    reversal.reverse(event_id=event.id, quantity=Decimal(3), actor=OPERATOR, reason="wrong", key=None, now=NOW)
    assert told(organization, "2026-03-20", "2026-03-21") == [("tokens", "2026-03-20", 4, 0, 2)]
    assert told(organization, "2026-04-01", "2026-05-01") == []


def test_days_go_on_over_a_return(organization: Organization) -> None:
    use(organization, "tokens", "5", "2026-04-04 11:00:00")
    live = organization.subscriptions.get()
    cancel.cancel_now(subscription=live, actor=OPERATOR, now=NOW)
    onboard.subscribe(organization=organization, plan_code="team", actor=OPERATOR, now=NOW)
    use(organization, "tokens", "6", "2026-04-04 12:00:00")
    assert told(organization, "2026-04-01", "2026-05-01") == [("tokens", "2026-04-04", 11, 0, 2)]
    assert verify() == []


def test_days_agree_with_the_events(organization: Organization) -> None:
    zone, expected = ZoneInfo(organization.zone), dict[date, Decimal]()
    for hours in range(0, 33 * 24, 7):
        at = factories.at("2026-03-02") + timedelta(hours=hours)
        use(organization, "tokens", "0.5", f"{at:%Y-%m-%d %H:%M:%S}")
        on = at.astimezone(zone).date()
        expected[on] = expected.get(on, Decimal(0)) + Decimal("0.5")
    found = days.list_days(organization, since=date(2026, 1, 1), until=date(2026, 12, 31))
    assert {each.on: each.quantity for each in found} == expected
    assert [each.on for each in found] == sorted(expected)


def test_it_reads_no_events(organization: Organization) -> None:
    use(organization, "tokens", "5", "2026-04-04 11:00:00")
    with CaptureQueriesContext(connection) as queries:
        days.list_days(organization, since=date(2026, 4, 1), until=date(2026, 5, 1))
    assert len(queries) == 2
    assert not any("marketplace_usage_events" in each["sql"] for each in queries)


@pytest.mark.parametrize(
    ("since", "until", "is_fine"),
    [
        ("2026-01-01", "2026-01-01", False),
        ("2026-01-02", "2026-01-01", False),
        ("2026-01-01", "2026-01-02", True),
        ("2026-01-01", "2027-01-02", True),
        ("2026-01-01", "2027-01-03", False),
        ("1970-01-01", "1970-01-02", True),
        ("2199-12-30", "2199-12-31", True),
    ],
)
def test_a_year_at_most(organization: Organization, since: str, until: str, is_fine: bool) -> None:
    if is_fine:
        assert told(organization, since, until) == []
        return
    with pytest.raises(DaysInvalid):
        told(organization, since, until)


def test_an_event_that_is_not_declared_is_no_event_without_use(organization: Organization) -> None:
    with pytest.raises(MeterUndeclared):
        told(organization, "2026-01-01", "2026-01-02", "tokenz")
