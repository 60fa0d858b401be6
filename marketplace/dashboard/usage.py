"""Use day by day as a page shows it: one meter over a calendar month or the billing period that runs, frozen."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime, timedelta
from decimal import Decimal
from urllib.parse import urlencode
from zoneinfo import ZoneInfo

from django.utils import dateformat
from django.utils.translation import gettext as _

from billing.accounts import actors
from billing.accounts.actors import Act, Actor
from billing.kernel.decimals import ZERO
from billing.kernel.periods import Span
from billing.metering import days
from billing.metering.days import DAYS_MAX, Day
from billing.models import Organization
from billing.subscriptions import queries as subscriptions_queries
from marketplace import wording
from marketplace.dashboard import charts, months
from marketplace.dashboard.charts import Chart, Point

PERIOD = "period"
_THOUSAND, _MILLION, _BILLION = Decimal(10**3), Decimal(10**6), Decimal(10**9)


@dataclass(frozen=True, slots=True)
class MeterChoice:
    name: str
    total: str
    query: str
    is_chosen: bool


@dataclass(frozen=True, slots=True)
class DayRow:
    iso: str
    day: str
    quantity: str
    overage: str
    events: str
    is_empty: bool


@dataclass(frozen=True, slots=True)
class UsagePage:
    """``newer``, ``older`` and ``period`` are query strings; ``newer`` is empty in the month that runs, ``period``
    where none runs. ``since`` and ``until`` are days like ``2026-03-01``, the latter not included."""

    title: str
    is_period: bool
    older: str
    newer: str
    month: str
    period: str
    since: str
    until: str
    meters: tuple[MeterChoice, ...]
    meter: str
    summary: str
    has_overage: bool
    chart: Chart | None
    rows: tuple[DayRow, ...]
    total: DayRow | None


@dataclass(frozen=True, slots=True)
class _Stretch:
    first: date
    following: date
    title: str


def usage_page(
    *, organization: Organization, month: str, span: str, meter: str, actor: Actor, at: datetime
) -> UsagePage:
    """Raises ``OrganizationNotFound`` or ``Forbidden`` where ``actor`` may not read ``organization``.

    ``span`` is ``period`` or empty; a ``month`` that is none, or one to come, is the one that runs, and a ``meter``
    without use is the first that has some. ``at`` is the organization's own now.
    """
    actors.require(actor, Act.READ, organization)
    zone = ZoneInfo(organization.zone)
    chosen = months.read(month, at=at, zone=zone)
    running = subscriptions_queries.find_running_span(organization, at=at)
    of_period = _period(running, zone) if running and span == PERIOD else None
    stretch = of_period or _Stretch(chosen.first, chosen.following, dateformat.format(chosen.first, "F Y"))
    found = days.list_days(organization, since=stretch.first, until=stretch.following)
    totals: dict[str, Decimal] = {}
    for each in found:
        totals[each.meter] = totals.get(each.meter, ZERO) + each.quantity
    shown = meter if meter in totals else next(iter(totals), "")
    here = {"span": PERIOD} if of_period else {"month": f"{chosen.first:%Y-%m}"}
    kept = {"meter": shown} if shown else {}
    by_day = {each.on: each for each in found if each.meter == shown}
    today = at.astimezone(zone).date()
    every_day = _every_day(stretch, until=today)
    return UsagePage(
        title=stretch.title,
        is_period=of_period is not None,
        older=urlencode({"month": chosen.before, **kept}),
        newer=urlencode({"month": chosen.after, **kept}) if chosen.after else "",
        month=urlencode({"month": f"{chosen.first:%Y-%m}", **kept}),
        period=urlencode({"span": PERIOD, **kept}) if running else "",
        since=stretch.first.isoformat(),
        until=stretch.following.isoformat(),
        meters=tuple(
            MeterChoice(
                wording.name(code), wording.number(total), urlencode({**here, "meter": code}), is_chosen=code == shown
            )
            for code, total in totals.items()
        ),
        meter=wording.name(shown) if shown else "",
        summary=_summary(by_day) if by_day else "",
        has_overage=any(each.overage for each in by_day.values()),
        chart=_chart(every_day, by_day) if by_day else None,
        rows=tuple(_row(day, by_day.get(day)) for day in reversed(every_day)) if by_day else (),
        total=_total(list(by_day.values())) if by_day else None,
    )


def _period(span: Span, zone: ZoneInfo) -> _Stretch:
    """The days that the period touches; of one longer than can be shown, the last."""
    first = span.starts_at.astimezone(zone).date()
    following = (span.ends_at - timedelta(microseconds=1)).astimezone(zone).date() + timedelta(days=1)
    words = {"first": wording.on(first), "last": wording.on(following - timedelta(days=1))}
    first = max(first, following - timedelta(days=DAYS_MAX))
    return _Stretch(first, following, _("%(first)s to %(last)s") % words)


def _every_day(stretch: _Stretch, *, until: date) -> list[date]:
    """Each day of it that has come, or all of it if none has (use may be told minutes ahead)."""
    count = (min(stretch.following, until + timedelta(days=1)) - stretch.first).days
    return [stretch.first + timedelta(days=n) for n in range(count if count > 0 else 1)]


def _chart(every_day: list[date], by_day: dict[date, Day]) -> Chart:
    points = [
        Point(
            value=by_day[day].quantity if day in by_day else ZERO,
            above=by_day[day].overage if day in by_day else ZERO,
            name=f"{day.day}/{day.month}" if len(every_day) > 62 else str(day.day),
            text=f"{wording.on(day)}: {wording.number(by_day[day].quantity)}" if day in by_day else "",
        )
        for day in every_day
    ]
    return charts.draw(points, figure=_short)


def _summary(by_day: dict[date, Day]) -> str:
    highest = max(by_day.values(), key=lambda each: (each.quantity, each.on))
    words = {
        "total": wording.number(sum((each.quantity for each in by_day.values()), ZERO)),
        "days": wording.days(len(by_day)),
        "highest": wording.number(highest.quantity),
        "day": wording.on(highest.on),
    }
    return _("%(total)s in all, on %(days)s; the most on one day were %(highest)s on %(day)s.") % words


def _row(day: date, used: Day | None) -> DayRow:
    return DayRow(
        iso=day.isoformat(),
        day=wording.on(day),
        quantity=wording.number(used.quantity if used else ZERO),
        overage=wording.number(used.overage if used else ZERO),
        events=f"{used.events:,}" if used else "0",
        is_empty=used is None,
    )


def _total(rows: list[Day]) -> DayRow:
    return DayRow(
        iso="",
        day=_("In all"),
        quantity=wording.number(sum((each.quantity for each in rows), ZERO)),
        overage=wording.number(sum((each.overage for each in rows), ZERO)),
        events=f"{sum(each.events for each in rows):,}",
        is_empty=False,
    )


def _short(value: Decimal) -> str:
    """A figure of the scale in little room: ``1.5k``, ``2M``."""
    for size, sign in ((_BILLION, "G"), (_MILLION, "M"), (_THOUSAND, "k")):
        if value >= size:
            return wording.number(value / size) + sign
    return wording.number(value)
