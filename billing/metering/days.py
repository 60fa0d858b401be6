"""Use by day, from daily windows: as many rows as days and meters, whatever the number of events."""

from __future__ import annotations

from datetime import date, datetime, time, timedelta
from decimal import Decimal
from typing import NamedTuple
from zoneinfo import ZoneInfo

from django.db.models import Sum

from billing.catalog import queries as catalog_queries
from billing.kernel.errors import Invalid
from billing.kernel.periods import Cadence, calendar_window
from billing.models import Organization, UsageWindow

DAYS_MAX = 366
_NOON = timedelta(hours=12)


class DaysInvalid(Invalid):
    """A stretch of days that ends before it begins, or is too long."""

    code = "days_invalid"


class MeterUndeclared(Invalid):
    """No such event is declared in the catalog."""

    code = "meter_undeclared"


class Day(NamedTuple):
    """What was used of a meter on a day of the organization's zone, less what was taken back of it since. ``overage``
    is the part beyond a limit; ``events`` counts what was recorded, taking back too."""

    meter: str
    on: date
    quantity: Decimal
    overage: Decimal
    events: int


def list_days(organization: Organization, *, since: date, until: date, meter: str | None = None) -> list[Day]:
    """Use of each meter (or of ``meter``) on each day of ``[since, until)``, over all subscriptions, by meter and day.
    Days without use are left out. Raises ``DaysInvalid`` and ``MeterUndeclared``."""
    if since >= until:
        raise DaysInvalid("The last day must come after the first.", field="to")
    if (until - since).days > DAYS_MAX:
        raise DaysInvalid(f"At most {DAYS_MAX} days can be asked for.", field="to")
    declared = [each.code for each in catalog_queries.list_meters()]
    if meter is not None and meter not in declared:
        raise MeterUndeclared(f"No event {meter!r} is declared.", field="meter")
    zone = ZoneInfo(organization.zone)
    rows = (
        # Naming the meters lets the index lead to the days, past all that was used before.
        UsageWindow.objects.filter(
            organization=organization,
            meter_id__in=declared if meter is None else [meter],
            cadence=Cadence.DAILY.value,
            starts_at__gte=_begin(since, zone),
            starts_at__lt=_begin(until, zone),
        )
        .values_list("meter_id", "starts_at")
        .annotate(Sum("used"), Sum("overage"), Sum("events"))
        .order_by("meter_id", "starts_at")
    )
    return [
        # Where a change of clocks skips midnight, the day begins an hour late: its noon tells its date.
        Day(code, (starts_at + _NOON).astimezone(zone).date(), quantity, overage, events)
        for code, starts_at, quantity, overage, events in rows
    ]


def _begin(day: date, zone: ZoneInfo) -> datetime:
    return calendar_window(Cadence.DAILY, datetime.combine(day, time(12), zone), zone).starts_at
