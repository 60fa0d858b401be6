"""The start page: what needs somebody today, and how revenue stands. All of it is counted by ``billing.reporting``."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import Any

from django.http import HttpRequest
from django.utils import timezone

from billing.accounts.actors import ALL_REGIONS, Act
from billing.admin import parts
from billing.admin.base import actor_of, listing, may_any
from billing.admin.parts import Table
from billing.kernel.money import to_major
from billing.models import (
    Collection,
    CreditRequest,
    Invoice,
    ProviderInboxEvent,
    Subscription,
    WebhookDelivery,
    WebhookEndpoint,
)
from billing.reporting import revenue, today
from billing.reporting.today import Today, Verified

# Told apart in both themes, and by those who do not tell red from green.
# Read on white and on near black.
_GREY = "#7b8494"
_FAILING, _PARKED = "pause_reason__exact=failing", "status__exact=parked"
COLOURS = ("#2563eb", "#d97706", "#0d9488", "#7c3aed", "#be185d", "#65a30d")


@dataclass(frozen=True, slots=True)
class Tile:
    """``tone``: "" where nothing waits, "waiting" or "broken"."""

    count: int
    title: str
    href: str
    tone: str = ""


@dataclass(frozen=True, slots=True)
class Chart:
    """``data`` is what the theme's charts draw; the table says the same in figures."""

    title: str
    note: str
    data: str
    options: str
    table: Table


def dashboard(request: HttpRequest, context: dict[str, Any]) -> dict[str, Any]:
    """What ``admin/index.html`` shows: seven statements, whatever there is in the books."""
    actor, now = actor_of(request), timezone.now()
    regions = None if actor.is_superuser or ALL_REGIONS in actor.regions else actor.regions
    sees_money = may_any(request, Act.MONEY)
    verified = today.last_verified() if sees_money else None
    return {
        **context,
        "title": "Today",
        "tiles": _tiles(request, today.today(now=now, regions=regions)) if may_any(request, Act.READ) else [],
        "verified": verified,
        "verified_at": parts.instant(verified.at) if verified and verified.at else "",
        "broken": sorted(verified.broken.items()) if verified else [],
        "charts": [
            _money_chart(
                "Monthly recurring revenue",
                "Base fees at list price, yearly ones as a twelfth; coupons, minimums, tax and use are left out, so "
                "are trials and paused subscriptions.",
                revenue.recurring(now=now, regions=regions),
                revenue.months_until(now),
            ),
            _money_chart(
                "Overage by month of invoice",
                "Invoiced for use beyond limits and credits, without tax; coupons and credit notes are not taken off.",
                revenue.overage(now=now, regions=regions),
                revenue.months_until(now),
            ),
            _liability_chart(revenue.liability(now=now, regions=regions)),
        ]
        if sees_money
        else [],
        "has_nothing": len(context["sidebar_navigation"]) == 1,
        "regions": "" if regions is None else ", ".join(sorted(regions)) or "none",
    }


def _tiles(request: HttpRequest, counts: Today) -> list[Tile]:
    """Those that the person can open; what waits first."""
    rows: list[tuple[Act, int, str, str]] = [
        (Act.READ, counts.renewals_parked, "renewals parked", listing(Subscription, "renewals=parked")),
        (Act.READ, counts.renewals_held, "renewals held", listing(Subscription, "renewals=held")),
        (Act.MONEY, counts.drafts, "drafts to review", listing(Invoice, "waiting=review")),
        (Act.MONEY, counts.drafts_parked, "drafts parked", listing(Invoice, "waiting=parked")),
        (Act.MONEY, counts.drafts_held, "drafts held", listing(Invoice, "waiting=held")),
        (Act.MONEY, counts.overdue, "invoices overdue", listing(Invoice, "waiting=overdue")),
        (Act.MONEY, counts.dunnings, "dunnings open", listing(Collection, "state=open")),
        (Act.MONEY, counts.past_due, "past due", listing(Collection, "state=past_due")),
        (Act.CREDITS, counts.approvals, "approvals waiting", listing(CreditRequest, "state=waiting")),
        (Act.MONEY, counts.deliveries_failing, "deliveries failing", listing(WebhookDelivery, "failing=yes")),
        (Act.MONEY, counts.endpoints_paused, "endpoints given up", listing(WebhookEndpoint, _FAILING)),
        (Act.PROVIDERS, counts.provider_events_parked, "provider events parked", listing(ProviderInboxEvent, _PARKED)),
    ]  # fmt: skip
    tiles = [
        Tile(count, title, href, "waiting" if count else "")
        for act, count, title, href in rows
        if may_any(request, act)
    ]
    return sorted(tiles, key=lambda tile: tile.count == 0)


def _money_chart(title: str, note: str, amounts: Sequence[revenue.Amount], months: Sequence[date]) -> Chart:
    currencies = sorted({each.currency for each in amounts})
    minor = {(each.month, each.currency): each.minor for each in amounts}
    series = [
        (currency, [to_major(minor.get((month, currency), 0), currency) for month in months]) for currency in currencies
    ]
    table = parts.table(
        title,
        ("month", *currencies),
        [
            (f"{month:%Y-%m}", *(parts.money(minor.get((month, currency), 0), currency) for currency in currencies))
            for month in months
        ]
        if currencies
        else [],
        empty="Nothing yet.",
    )
    return _chart(title, note, [f"{month:%Y-%m}" for month in months], series, table)


def _liability_chart(rows: Sequence[revenue.Open]) -> Chart:
    title = f"Credits that can still be used: {parts.text(sum((row.credits for row in rows), Decimal(0)))}"
    months = sorted({row.month for row in rows}, key=lambda month: month or date.max)
    kinds = sorted({row.kind for row in rows})
    open_by = {(row.month, row.kind): row.credits for row in rows}
    labels = ["never" if month is None else f"{month:%Y-%m}" for month in months]
    series = [(kind, [open_by.get((month, kind), Decimal(0)) for month in months]) for kind in kinds]
    table = parts.table(
        title,
        ("expires in", *kinds),
        [
            (label, *(open_by.get((month, kind), Decimal(0)) for kind in kinds))
            for label, month in zip(labels, months, strict=True)
        ],
        empty="None.",
    )
    return _chart(
        title, "By the month in which they expire, and where they came from.", labels, series, table, stacked=True
    )


def _chart(
    title: str,
    note: str,
    labels: Sequence[str],
    series: Iterable[tuple[str, Sequence[Decimal]]],
    table: Table,
    *,
    stacked: bool = False,
) -> Chart:
    datasets = [
        # A picture need not be exact to the cent: the table is.
        {"label": name, "data": [float(value) for value in values], "backgroundColor": COLOURS[index % len(COLOURS)]}
        for index, (name, values) in enumerate(series)
    ]
    axis = {"stacked": stacked, "grid": {"display": False}, "ticks": {"color": _GREY}}
    options = {
        "responsive": True,
        "maintainAspectRatio": False,
        "animation": False,
        "plugins": {"legend": {"display": True, "position": "bottom", "labels": {"color": _GREY}}},
        "scales": {
            "x": axis,
            "y": {"stacked": stacked, "beginAtZero": True, "ticks": {"display": True, "color": _GREY}},
        },
    }
    return Chart(title, note, json.dumps({"labels": list(labels), "datasets": datasets}), json.dumps(options), table)


__all__ = ["Chart", "Tile", "Verified", "dashboard"]
