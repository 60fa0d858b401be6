"""Use by guardrail flag as a page shows it: one calendar month of one organization, frozen."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from zoneinfo import ZoneInfo

from django.utils.translation import gettext as _

from billing.accounts import actors
from billing.accounts import queries as accounts_queries
from billing.accounts.actors import Act, Actor
from billing.models import Organization
from billing.reporting import flagged, guardrails
from billing.reporting.flagged import Use
from marketplace import wording
from marketplace.dashboard import months
from marketplace.wording import Moment

HOLDS_SHOWN_MAX = 50


@dataclass(frozen=True, slots=True)
class UseRow:
    """``flags`` is empty for use without one; ``is_total`` for all of a meter. ``credits`` are known of flagged use."""

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
    found = flagged.month(organization, window)
    holds = guardrails.list_holds(organization, state="open", limit=HOLDS_SHOWN_MAX)
    return GuardrailsPage(
        month=f"{chosen.first:%B %Y}",
        month_before=chosen.before,
        month_after=chosen.after,
        starts_at=window.starts_at.isoformat().replace("+00:00", "Z"),
        ends_at=window.ends_at.isoformat().replace("+00:00", "Z"),
        rows=tuple(
            row
            for each in found
            for row in (
                *(_row(each.meter, flags, use, is_total=False) for flags, use in each.by_flags),
                _row(each.meter, (), each.total, is_total=True),
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


def _row(meter: str, flags: tuple[str, ...], use: Use, *, is_total: bool) -> UseRow:
    held = [
        text % {"amount": wording.number(amount)}
        for amount, text in ((use.held_overage, _("%(amount)s beyond")), (use.held_credits, _("%(amount)s credits")))
        if amount
    ]
    return UseRow(
        meter=wording.name(meter),
        flags=flags,
        is_total=is_total,
        events=f"{use.events:,}",
        quantity=wording.number(use.quantity),
        overage=wording.number(use.overage),
        credits="" if use.credits_due is None else wording.number(use.credits_due),
        held=", ".join(held),
    )
