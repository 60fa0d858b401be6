"""The dashboard of one organization as a page shows it: frozen, from its posture. What needs somebody comes first."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from zoneinfo import ZoneInfo

from django.utils.translation import gettext as _

from billing.accounts import actors
from billing.accounts.actors import Act, Actor
from billing.kernel.money import to_minor
from billing.models import EntitlementKind, InvoiceStatus, OnLimit, Organization
from billing.reporting.attention import attention
from billing.reporting.picture import EntitlementView, GrantView, InvoiceView, Posture
from billing.reporting.posture import posture
from marketplace import wording
from marketplace.dashboard import todo
from marketplace.dashboard.todo import Todo
from marketplace.wording import Label, Moment

NEAR = Decimal("0.8")


@dataclass(frozen=True, slots=True)
class SubscriptionCard:
    """``next`` says in words what comes and how long it is until then."""

    plan: str
    plan_version: int
    status: Label
    next: str
    period: tuple[Moment, Moment] | None
    renews_at: Moment | None
    trial_ends_at: Moment | None
    ends_at: Moment | None
    ended_at: Moment | None
    becomes: str
    discount: str


@dataclass(frozen=True, slots=True)
class MeterBar:
    """A limit and what is used of it. ``permille`` fills the bar (0 to 1000); ``tone`` is calm, warn or bad."""

    name: str
    used: str
    reserved: str
    limit: str
    unit: str
    cadence: str
    permille: int | None
    tone: str
    note: str
    resets_at: Moment | None


@dataclass(frozen=True, slots=True)
class Switch:
    name: str
    is_on: bool


@dataclass(frozen=True, slots=True)
class UseRow:
    name: str
    unit: str
    lifetime: str
    month: str
    period: str


@dataclass(frozen=True, slots=True)
class GrantRow:
    kind: str
    remaining: str
    granted: str
    note: str
    expires_at: Moment | None


@dataclass(frozen=True, slots=True)
class InvoiceRow:
    reference: str
    number: str
    status: Label
    period: tuple[Moment, Moment] | None
    due_on: str
    total: str
    issues: str


@dataclass(frozen=True, slots=True)
class DashboardPage:
    """``sees_money`` is what finance, admins and owners have and members have not: invoices and what is owed."""

    todos: tuple[Todo, ...]
    subscription: SubscriptionCard | None
    bars: tuple[MeterBar, ...]
    switches: tuple[Switch, ...]
    use: tuple[UseRow, ...]
    sees_money: bool
    credit_balance: str
    credits_spendable: str
    grants: tuple[GrantRow, ...]
    invoices: tuple[InvoiceRow, ...]


def dashboard_page(*, organization: Organization, actor: Actor, now: datetime) -> DashboardPage:
    """Raises ``OrganizationNotFound`` or ``Forbidden`` where ``actor`` may not read ``organization``."""
    actors.require(actor, Act.READ, organization)
    sees_money = actors.may(actor, Act.MONEY, organization)
    found = posture(organization, now, with_entries=False)
    zone = ZoneInfo(found.zone)
    metered = [line for line in found.entitlements if line.kind == EntitlementKind.METERED]
    return DashboardPage(
        todos=todo.list_todos(organization, found, attention(organization, found.at), actor=actor),
        subscription=_subscription(found, zone),
        bars=tuple(_bar(line, zone) for line in metered),
        switches=tuple(
            Switch(wording.name(line.key), line.enabled)
            for line in found.entitlements
            if line.kind == EntitlementKind.BOOLEAN
        ),
        use=tuple(
            UseRow(
                wording.name(row.meter),
                row.unit,
                wording.number(row.lifetime),
                wording.number(row.month),
                wording.number(row.period),
            )
            for row in found.use
        ),
        sees_money=sees_money,
        credit_balance=wording.number(found.credit_balance),
        credits_spendable=wording.number(found.credits_spendable),
        grants=tuple(grant_row(grant, found.at, zone) for grant in found.grants),
        invoices=tuple(_invoice(row, zone) for row in found.invoices) if sees_money else (),
    )


def _subscription(found: Posture, zone: ZoneInfo) -> SubscriptionCard | None:
    view = found.subscription
    if view is None:
        return None
    period = found.period
    is_trial = view.status == "trialing"
    return SubscriptionCard(
        plan=view.plan_name,
        plan_version=view.plan_version,
        status=wording.status(view.status),
        next=_next(found),
        period=(wording.moment(period.starts_at, zone), wording.moment(period.ends_at, zone)) if period else None,
        renews_at=wording.moment(found.next_renewal_at, zone) if found.next_renewal_at and not is_trial else None,
        trial_ends_at=wording.moment(view.trial_ends_at, zone) if view.trial_ends_at and is_trial else None,
        ends_at=wording.moment(period.ends_at, zone) if period and view.cancel_at_period_end else None,
        ended_at=wording.moment(view.ended_at, zone) if view.ended_at else None,
        becomes=view.pending_plan_name or "",
        discount=_("%(name)s: %(off)s off") % {"name": view.discount.name, "off": view.discount.off}
        if view.discount
        else "",
    )


def _next(found: Posture) -> str:
    view, period = found.subscription, found.period
    if view is None:
        return ""
    if view.status == "trialing" and view.trial_ends_at:
        return _("The trial ends %(countdown)s.") % {"countdown": wording.countdown(view.trial_ends_at, found.at)}
    if view.cancel_at_period_end and period:
        return _("Ends %(countdown)s.") % {"countdown": wording.countdown(period.ends_at, found.at)}
    if found.next_renewal_at is None:
        return ""
    words = {"countdown": wording.countdown(found.next_renewal_at, found.at), "plan": view.pending_plan_name}
    if view.pending_plan_name:
        return _("Changes to %(plan)s %(countdown)s.") % words
    return _("Renews %(countdown)s.") % words


def _bar(line: EntitlementView, zone: ZoneInfo) -> MeterBar:
    permille, tone, note = None, "calm", ""
    is_blocking = line.on_limit == OnLimit.BLOCK
    if line.limit is not None:
        share = (line.used + line.reserved) / line.limit if line.limit else Decimal(1)
        permille = min(1000, int(share * 1000)) if line.limit else 0
        if line.limit == 0:
            note = _("Not included")
        elif share >= 1:
            tone = "bad" if is_blocking else "warn"
            note = (
                _("Used up")
                if is_blocking
                else _("%(overage)s beyond the limit, billed by use") % {"overage": wording.number(line.overage)}
            )
        elif share >= NEAR:
            tone, note = "warn", _("Nearly used up")
    return MeterBar(
        name=wording.name(line.key),
        used=wording.number(line.used),
        reserved=wording.number(line.reserved) if line.reserved else "",
        limit=_("unlimited") if line.limit is None else wording.number(line.limit),
        unit=line.unit,
        cadence=wording.cadence(line.cadence),
        permille=permille,
        tone=tone,
        note=note,
        resets_at=wording.moment(line.resets_at, zone) if line.resets_at else None,
    )


def grant_row(grant: GrantView, at: datetime, zone: ZoneInfo) -> GrantRow:
    note = ""
    if grant.starts_at > at:
        note = _("From %(day)s") % {"day": wording.day(grant.starts_at, zone).text}
    elif not grant.is_spendable:
        note = _("Expired")
    return GrantRow(
        kind=wording.grant_kind(grant.kind),
        remaining=wording.number(grant.remaining),
        granted=wording.number(grant.granted),
        note=note,
        expires_at=wording.moment(grant.expires_at, zone) if grant.expires_at else None,
    )


def _invoice(row: InvoiceView, zone: ZoneInfo) -> InvoiceRow:
    return InvoiceRow(
        reference=str(row.id),
        number=row.number or _("No number yet"),
        status=wording.invoice_status(row.status),
        period=(wording.day(row.starts_at, zone), wording.day(row.ends_at, zone))
        if row.starts_at and row.ends_at
        else None,
        due_on=wording.on(row.due_on) if row.due_on else "",
        total=wording.price(to_minor(Decimal(row.total), row.currency), row.currency) if row.total else "",
        issues=wording.issues(row.issue_due_at, zone) if row.status == InvoiceStatus.DRAFT else "",
    )
