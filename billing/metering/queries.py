"""Reading use: what a check would answer now, and the usage counters."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from typing import NamedTuple
from zoneinfo import ZoneInfo

from django.db.models import Sum

from billing.accounts import queries as accounts_queries
from billing.catalog import queries as catalog_queries
from billing.kernel.decimals import ZERO
from billing.kernel.periods import Cadence, calendar_window
from billing.metering.decisions import Decider
from billing.metering.flaws import find_flaw
from billing.metering.offers import GuardReading, Offer, Outcome
from billing.metering.opening import open_books
from billing.models import Organization, UsageWindow


def preview(offer: Offer, *, now: datetime) -> Outcome:
    """Decide as ``operations.record`` would and write nothing. Raises ``RenewalDue`` like it."""
    flaw = find_flaw(offer, is_preview=True)
    return Outcome(offer, "refused", None, flaw) if flaw else _decider(offer, now).decide(offer)


def read_guards(organization: Organization, meter: str, *, now: datetime) -> tuple[GuardReading, ...] | None:
    """All guards of a declared meter as they stand now; None without a subscription in service."""
    offer = Offer(organization, meter, Decimal(1), key="")
    decider = _decider(offer, now)
    return decider.read(meter, decider.now)


def _decider(offer: Offer, now: datetime) -> Decider:
    return open_books({offer.organization.id: [offer]}, now)[offer.organization.id]


class Counter(NamedTuple):
    """How much of one meter an organization used: over its life and in the current calendar month."""

    meter: str
    total: Decimal
    month: Decimal
    month_starts_at: datetime


def list_counters(organization: Organization, *, now: datetime) -> list[Counter]:
    """Usage counters by meter, from windows: as many rows as there are meters, whatever the number of events."""
    at = accounts_queries.now_for(organization, now)
    month = calendar_window(Cadence.MONTHLY, at, ZoneInfo(organization.zone))
    # Naming the meters lets the index lead to each window, past all the days.
    meters = [meter.code for meter in catalog_queries.list_meters()]
    windows = UsageWindow.objects.filter(organization=organization, meter_id__in=meters)
    totals = windows.filter(cadence=Cadence.NEVER.value).values_list("meter_id").annotate(Sum("used"))
    months = dict(
        windows.filter(cadence=Cadence.MONTHLY.value, starts_at=month.starts_at)
        .values_list("meter_id")
        .annotate(Sum("used"))
    )
    return [
        Counter(meter, total, months.get(meter, ZERO), month.starts_at) for meter, total in totals.order_by("meter_id")
    ]
