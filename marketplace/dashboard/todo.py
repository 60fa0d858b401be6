"""What an organization's people have to look at, most urgent first, each with where to go."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from zoneinfo import ZoneInfo

from django.urls import reverse
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from billing.accounts import actors
from billing.accounts.actors import Act, Actor
from billing.models import EntitlementKind, OnLimit, Organization
from billing.reporting.attention import Attention, Unpaid
from billing.reporting.picture import Posture, SubscriptionView
from marketplace import wording

SOON = timedelta(days=7)
NAMED_MAX = 3
_URGENCY = {"bad": 0, "warn": 1, "calm": 2}


@dataclass(frozen=True, slots=True)
class Todo:
    """``tone``: bad (something is refused now), warn, calm. ``pays`` offers the payment page; ``url`` is another page
    to go to, by the words of ``link``."""

    tone: str
    text: str
    url: str = ""
    link: str = ""
    pays: bool = False


def list_todos(organization: Organization, found: Posture, waiting: Attention, *, actor: Actor) -> tuple[Todo, ...]:
    """For this reader: what is owed is for those who see money, a payment for those who may pay."""
    sees_money = actors.may(actor, Act.MONEY, organization)
    may_pay = actors.may(actor, Act.SUBSCRIBE, organization)
    slug, todos = organization.slug, [*_of_subscription(found, may_pay=may_pay)]
    if sees_money:
        todos += [_of_unpaid(each, found, slug, may_pay=may_pay) for each in waiting.unpaid]
    todos += _of_limits(found)
    if waiting.refused:
        words = {"count": f"{waiting.refused:,}"}
        text = ngettext(
            "%(count)s use was refused in the last 24 hours.",
            "%(count)s uses were refused in the last 24 hours.",
            waiting.refused,
        )
        todos.append(Todo("warn", text % words, reverse("refusals", args=[slug]), _("See why, and what would help")))
    if waiting.failing_endpoints and actors.may(actor, Act.WEBHOOKS, organization):
        text = _("A webhook endpoint was paused because it kept failing.")
        todos.append(Todo("warn", text, reverse("webhooks", args=[slug]), _("See its deliveries")))
    if waiting.held_debits:
        text = _("Use that guardrails flagged waits to be looked at before it is debited.")
        todos.append(Todo("calm", text, reverse("guardrails", args=[slug]), _("See what waits")))
    return tuple(sorted(todos, key=lambda todo: _URGENCY[todo.tone]))


def _of_subscription(found: Posture, *, may_pay: bool) -> list[Todo]:
    view = found.subscription
    if view is None:
        return []
    who = "" if may_pay else " " + _("An owner or an admin of the organization can do that.")
    if view.status == "incomplete":
        return [Todo("bad", _("Nothing can be used until the payment is confirmed.") + who, pays=may_pay)]
    if view.status == "past_due":
        return [Todo("bad", _("A payment is missing, and use is refused until it is made.") + who, pays=may_pay)]
    if view.status == "paused":
        return [Todo("bad", _("Use is refused while the subscription is paused."))]
    if view.status in ("canceled", "expired"):
        return [
            Todo(
                "bad",
                _("Choose a plan to come back: what you bought is kept."),
                reverse("plans"),
                _("See the plans"),
            )
        ]
    if view.status == "trialing":
        return _of_trial(view, found, may_pay=may_pay, who=who)
    if view.cancel_at_period_end:
        return [Todo("calm", _("You can go on as before until it ends, and what you bought is kept."))]
    return []


def _of_trial(view: SubscriptionView, found: Posture, *, may_pay: bool, who: str) -> list[Todo]:
    if view.is_confirmed or view.trial_ends_at is None:
        return []
    is_soon = view.trial_ends_at - found.at <= SOON
    words = {"countdown": wording.countdown(view.trial_ends_at, found.at)}
    text = _("The trial ends %(countdown)s, and use with it unless a means of payment is there by then.") % words
    return [Todo("warn" if is_soon else "calm", text + who, pays=may_pay)]


def _of_unpaid(unpaid: Unpaid, found: Posture, slug: str, *, may_pay: bool) -> Todo:
    is_overdue = unpaid.due_on < found.at.astimezone(ZoneInfo(found.zone)).date()
    words = {
        "number": unpaid.number,
        "amount": wording.price(unpaid.due_minor, unpaid.currency),
        "day": wording.on(unpaid.due_on),
    }
    text = (
        _("Invoice %(number)s is overdue: %(amount)s was due on %(day)s.")
        if is_overdue
        else _("Invoice %(number)s is to be paid: %(amount)s, due on %(day)s.")
    )
    return Todo(
        "bad" if is_overdue else "calm",
        text % words,
        reverse("invoice", args=[slug, unpaid.id]),
        _("See the invoice"),
        pays=may_pay and is_overdue and (found.subscription is None or found.subscription.status != "past_due"),
    )


def _of_limits(found: Posture) -> list[Todo]:
    used_up = [
        wording.name(line.key)
        for line in found.entitlements
        if line.kind == EntitlementKind.METERED
        and line.on_limit == OnLimit.BLOCK
        and line.limit
        and line.used + line.reserved >= line.limit
    ]
    if not used_up:
        return []
    names = ", ".join(used_up[:NAMED_MAX]) + (" …" if len(used_up) > NAMED_MAX else "")
    return [
        Todo(
            "warn", _("Used up: %(names)s. Further use is refused.") % {"names": names}, "#limits", _("See the limits")
        )
    ]
