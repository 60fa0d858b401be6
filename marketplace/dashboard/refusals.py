"""Refusals as a page shows them: each reason in words, when it was given, and what would lift it; frozen."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from billing.accounts import actors
from billing.accounts.actors import Act, Actor
from billing.kernel.money import to_minor
from billing.lifecycle import refusals
from billing.lifecycle.refusals import FEATURE, MISSING, PAST_DUE, QUOTA, Reason
from billing.lifecycle.remedies import Remedy
from billing.models import Organization, PolicyDecision
from marketplace import wording
from marketplace.wording import Moment

SHOWN = timedelta(days=7)
DECISIONS_SHOWN = 20
HOURS_SHOWN = 24
UNKNOWN = "(unknown)"
_ERROR = "billing:error:"
_ERRORS = {
    "busy": gettext_lazy("Too many were writing at once."),
    "renewal-stuck": gettext_lazy("The next billing period had not begun yet."),
    "meter-undeclared": gettext_lazy("Use of an event was sent that the catalog does not know."),
    "quantity-invalid": gettext_lazy("A quantity was sent that cannot be counted."),
    "occurred-at-too-old": gettext_lazy("Use was sent more than 35 days late."),
    "occurred-at-in-future": gettext_lazy("Use was sent that lies in the future."),
    "idempotency-conflict": gettext_lazy("One key was sent for two different uses."),
    "database": gettext_lazy("The database did not answer."),
}
_RETRIED = ("busy", "renewal-stuck", "transaction-lost", "database")


@dataclass(frozen=True, slots=True)
class Help:
    """Something that would make it pass. ``plan`` is the code of one to change to, ``credits`` how many to buy,
    ``pays`` offers the payment page."""

    text: str
    plan: str = ""
    credits: str = ""
    pays: bool = False


@dataclass(frozen=True, slots=True)
class HourRow:
    at: Moment
    count: str


@dataclass(frozen=True, slots=True)
class ReasonCard:
    """``note`` is what programs are told. ``more`` hours are not listed."""

    note: str
    text: str
    count: str
    last_at: Moment
    hours: tuple[HourRow, ...]
    more: int
    passes: bool
    helps: tuple[Help, ...]


@dataclass(frozen=True, slots=True)
class DecisionRow:
    at: Moment
    reference: str
    asked: tuple[str, ...]
    reasons: tuple[str, ...]
    helps: tuple[Help, ...]


@dataclass(frozen=True, slots=True)
class RefusalsPage:
    """Of the last ``days``. ``may_choose``: the reader may change the plan and pay."""

    days: str
    reasons: tuple[ReasonCard, ...]
    decisions: tuple[DecisionRow, ...]
    may_choose: bool


def refusals_page(*, organization: Organization, actor: Actor, now: datetime, at: datetime) -> RefusalsPage:
    """Raises ``OrganizationNotFound`` or ``Forbidden`` where ``actor`` may not read ``organization``. ``now`` is real
    time, ``at`` the organization's own."""
    actors.require(actor, Act.READ, organization)
    zone = ZoneInfo(organization.zone)
    may_choose = actors.may(actor, Act.SUBSCRIBE, organization)
    return RefusalsPage(
        days=wording.days(SHOWN.days),
        reasons=tuple(
            _reason(each, zone, may_choose=may_choose)
            for each in refusals.list_reasons(organization, since=at - SHOWN, now=now)
        ),
        decisions=tuple(
            _decision(each, zone, may_choose=may_choose)
            for each in refusals.list_decisions(organization, since=now - SHOWN, limit=DECISIONS_SHOWN)
        ),
        may_choose=may_choose,
    )


def words_of(note: str) -> str:
    """Why, in words."""
    if note.startswith(QUOTA):
        key = note.removeprefix(QUOTA)
        return (
            _("A limit was reached.")
            if key == UNKNOWN
            else _("%(name)s: beyond the limit.") % {"name": wording.name(key)}
        )
    if note.startswith(FEATURE):
        key = note.removeprefix(FEATURE)
        if key == UNKNOWN:
            return _("Something was asked for that no plan knows.")
        return _("%(name)s: not in the plan.") % {"name": wording.name(key)}
    if note == MISSING:
        return _("No subscription was in service.")
    if note == PAST_DUE:
        return _("The subscription was past due: an invoice was unpaid.")
    return str(_ERRORS.get(note.removeprefix(_ERROR), _("It could not be decided.")))


def _reason(reason: Reason, zone: ZoneInfo, *, may_choose: bool) -> ReasonCard:
    shown = reason.hours[:HOURS_SHOWN]
    return ReasonCard(
        note=reason.note,
        text=words_of(reason.note),
        count=wording.number(Decimal(reason.count)),
        last_at=wording.moment(reason.hours[0].starts_at, zone),
        hours=tuple(
            HourRow(wording.moment(hour.starts_at, zone), wording.number(Decimal(hour.count))) for hour in shown
        ),
        more=len(reason.hours) - len(shown),
        passes=reason.passes,
        helps=_helps(reason.note, reason.remedies, zone, may_choose=may_choose) if not reason.passes else (),
    )


def _decision(decision: PolicyDecision, zone: ZoneInfo, *, may_choose: bool) -> DecisionRow:
    refused = [each for each in decision.requirements if not each["allowed"]]
    helps = [help_ for each in refused for help_ in _all_help(each["remedies"], zone, may_choose=may_choose)]
    return DecisionRow(
        at=wording.moment(decision.decided_at, zone),
        reference=str(decision.id),
        asked=tuple(_asked(each) for each in decision.requirements),
        reasons=tuple(dict.fromkeys(_why(each) for each in refused)) or tuple(map(words_of, decision.notes)),
        helps=tuple(dict.fromkeys(helps)),
    )


def _why(requirement: Mapping[str, Any]) -> str:
    """Why one requirement was not met, with the figures of the limit that said so."""
    text = words_of(requirement["note"])
    key = requirement["note"].removeprefix(QUOTA)
    for limit in requirement["limits"]:
        if limit["entitlement"] == key and limit["limit"] is not None:
            words = {
                "used": wording.number(Decimal(limit["used"]) + Decimal(limit["reserved"])),
                "limit": wording.number(Decimal(limit["limit"])),
            }
            return f"{text} {_('%(used)s of %(limit)s were taken.') % words}"
    return text


def _asked(requirement: Mapping[str, Any]) -> str:
    name = wording.name(requirement["event"] or requirement["entitlement"])
    quantity = Decimal(requirement["quantity"])
    return name if quantity == 1 else f"{wording.number(quantity)} × {name}"


def _helps(note: str, remedies: Sequence[Remedy], zone: ZoneInfo, *, may_choose: bool) -> tuple[Help, ...]:
    if note.startswith(_ERROR):
        is_retried = note.removeprefix(_ERROR) in _RETRIED
        return (Help(_("Send it again.") if is_retried else _("Mend what sends it: no plan would take it.")),)
    if note.endswith(f":{UNKNOWN}"):
        return (Help(_("Mend what asks: the name is none of the catalog's.")),)
    return tuple(_all_help(remedies, zone, may_choose=may_choose)) or (Help(_("No plan on sale lifts this.")),)


def _all_help(remedies: Sequence[Remedy], zone: ZoneInfo, *, may_choose: bool) -> list[Help]:
    return [_help(each, zone, may_choose=may_choose) for each in remedies]


def _help(remedy: Remedy, zone: ZoneInfo, *, may_choose: bool) -> Help:
    action = remedy["action"]
    if action == "wait":
        words = {"moment": wording.moment(datetime.fromisoformat(remedy["until"]), zone).text}
        return Help(_("Wait until %(moment)s.") % words)
    if action == "buy_credits":
        words = {"credits": wording.number(Decimal(remedy["credits"])), "price": _price(remedy)}
        return Help(_("Buy %(credits)s credits for %(price)s.") % words, credits=remedy["credits"])
    if action in ("change_plan", "subscribe"):
        words = {
            "plan": wording.name(remedy["plan"]),
            "price": _price(remedy),
            "every": wording.every(remedy["billing_period"]),
        }
        text = (
            _("Change to the plan %(plan)s, %(price)s %(every)s.")
            if action == "change_plan"
            else _("Subscribe to the plan %(plan)s, %(price)s %(every)s.")
        )
        return Help(text % words, plan=remedy["plan"])
    if action == "resume":
        return Help(_("Have the subscription resumed."))
    text = _("Confirm the payment.") if action == "confirm" else _("Pay what is due.")
    return Help(text, pays=may_choose)


def _price(remedy: Remedy) -> str:
    return wording.price(to_minor(Decimal(remedy["price"]), remedy["currency"]), remedy["currency"])
