"""Use by guardrail flag as a page shows it: one calendar month of one organization, frozen."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from zoneinfo import ZoneInfo

from billing.accounts import actors
from billing.accounts import queries as accounts_queries
from billing.accounts.actors import Act, Actor
from billing.models import Organization
from billing.reporting import guardrails
from billing.reporting.guardrails import Row
from marketplace import wording
from marketplace.dashboard import months
from marketplace.wording import Moment

HOLDS_SHOWN_MAX = 50


@dataclass(frozen=True, slots=True)
class UseRow:
    """``flags`` is empty for use without one; ``is_total`` for all of a meter."""

    meter: str
    flags: tuple[str, ...]
    is_total: bool
    events: str
    quantity: str
    overage: str
    credits: str
    held: str


@dataclass(frozen=True, slots=True)
class HoldRow:
    meter: str
    flags: tuple[str, ...]
    quantity: str
    overage: str
    credits: str
    held_at: Moment


@dataclass(frozen=True, slots=True)
class GuardrailsPage:
    """``month_before`` and ``month_after`` are like ``2026-03``; the latter is empty in the month that runs."""

    month: str
    month_before: str
    month_after: str
    starts_at: str
    ends_at: str
    rows: tuple[UseRow, ...]
    holds: tuple[HoldRow, ...]


def guardrails_page(*, organization: Organization, month: str, actor: Actor, now: datetime) -> GuardrailsPage:
    """Raises ``OrganizationNotFound`` or ``Forbidden`` where ``actor`` may not read ``organization``.

    A ``month`` that is none, or one to come, is the one that runs.
    """
    actors.require(actor, Act.READ, organization)
    zone = ZoneInfo(organization.zone)
    at = accounts_queries.now_for(organization, now)
    chosen = months.read(month, at=at, zone=zone)
    window = chosen.span
    found = guardrails.report(organization, starts_at=window.starts_at, ends_at=window.ends_at)
    holds = guardrails.list_holds(organization, state="open", limit=HOLDS_SHOWN_MAX)
    return GuardrailsPage(
        month=f"{chosen.first:%B %Y}",
        month_before=chosen.before,
        month_after=chosen.after,
        starts_at=window.starts_at.isoformat().replace("+00:00", "Z"),
        ends_at=window.ends_at.isoformat().replace("+00:00", "Z"),
        rows=tuple(
            row
            for total in found.totals
            for row in (
                *(_row(each, is_total=False) for each in found.rows if each.meter == total.meter),
                _row(total, is_total=True),
            )
        ),
        holds=tuple(
            HoldRow(
                wording.name(hold.event.meter_id),
                tuple(hold.flags),
                wording.number(hold.event.quantity),
                wording.number(hold.overage),
                wording.number(hold.credits_due),
                wording.moment(hold.held_at, zone),
            )
            for hold in holds
        ),
    )


def _row(row: Row, *, is_total: bool) -> UseRow:
    figures = row.figures
    held = [
        f"{wording.number(amount)} {what}"
        for amount, what in ((figures.held_overage, "beyond"), (figures.held_credits, "credits"))
        if amount
    ]
    return UseRow(
        meter=wording.name(row.meter),
        flags=row.flags,
        is_total=is_total,
        events=f"{figures.events:,}",
        quantity=wording.number(figures.quantity),
        overage=wording.number(figures.overage),
        credits=wording.number(figures.credits_due),
        held=", ".join(held),
    )
