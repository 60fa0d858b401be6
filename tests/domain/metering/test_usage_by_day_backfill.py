"""Books from before use was kept by day get their days from the events, and keep on recording and taking back."""

from datetime import timedelta
from decimal import Decimal
from importlib import import_module
from types import SimpleNamespace

import pytest
from django.db import connection

from billing.accounts import actors
from billing.kernel.ids import new_id
from billing.lifecycle import onboard, reversal, usage
from billing.metering.offers import Offer
from billing.models import Organization, UsageWindow
from billing.reporting.doctor import verify
from tests.support import catalogs, factories

pytestmark = pytest.mark.django_db
OPERATOR = actors.operator("test")
migration = import_module("billing.migrations.0020_usage_by_day")


def record(organization: Organization, quantity: int, at: str) -> object:
    offer = Offer(organization, "tokens", Decimal(quantity), new_id().hex, occurred_at=factories.at(at))
    (outcome,) = usage.record([offer], now=organization.clock_at or factories.at(at))
    assert outcome.event is not None, outcome
    return outcome.event.id


@pytest.mark.parametrize(
    "zone", ["UTC", "America/New_York", "America/Havana", "Africa/Cairo", "Asia/Beirut", "Pacific/Kiritimati"]
)
def test_days_come_from_the_events(zone: str) -> None:
    catalogs.sync()
    # Clocks change in all of these zones but two, in some of them over midnight.
    now = factories.at("2025-11-20")
    organization = factories.sandbox(clock_at=now, zone=zone)
    start = factories.at("2025-10-18")
    onboard.subscribe(organization=organization, plan_code="team", actor=OPERATOR, now=now, starts_at=start)
    last = None
    for hours in range(0, 24 * 31, 5):
        last = record(organization, 2, f"{start + timedelta(days=1, hours=hours):%Y-%m-%d %H:%M:%S}")
    days = UsageWindow.objects.filter(cadence="daily").order_by("starts_at", "meter")
    kept = list(days.values_list("meter_id", "starts_at", "ends_at", "used", "overage", "events"))
    assert len(kept) >= 31
    days.filter(id__in=days.values("id")[:10]).delete()
    days.filter(id__in=days.values("id")[:3]).update(used=1, events=1)
    assert {each.name for each in verify()} == {"calendar-windows-equal-events", "days-make-up-the-life"}

    migration.count_days(None, SimpleNamespace(connection=connection))
    assert list(days.values_list("meter_id", "starts_at", "ends_at", "used", "overage", "events")) == kept
    record(organization, 3, "2025-11-19 12:00:00")
    reversal.reverse(event_id=last, quantity=None, actor=OPERATOR, reason="x", key=None, now=now)  # type: ignore[arg-type]
    assert verify() == []
