"""A change of plan before it is made, as a page shows it: what it costs today, in this period and in the next."""

from __future__ import annotations

from dataclasses import dataclass
from zoneinfo import ZoneInfo

from billing.invoicing.operations import Preview
from billing.lifecycle.change_preview import ChangePreview
from billing.models import PricingPlan
from marketplace import wording
from marketplace.subscribing import terms
from marketplace.subscribing.terms import Terms
from marketplace.wording import Moment


@dataclass(frozen=True, slots=True)
class Line:
    what: str
    amount: str


@dataclass(frozen=True, slots=True)
class Bill:
    """An invoice to be: ``tax`` is "" where there is none. ``is_credit`` where it gives money back."""

    lines: tuple[Line, ...]
    tax: str
    total: str
    is_credit: bool


@dataclass(frozen=True, slots=True)
class PreviewPage:
    """``today`` None: nothing is due at once. ``expected`` names the subscription and version that were looked at."""

    plan: str
    plan_code: str
    plan_version: int
    plan_before: str
    when: str
    takes_effect_at: Moment
    is_trial: bool
    today: Bill | None
    period_without: str
    period_with: Bill | None
    credits: str
    next_period: tuple[Moment, Moment] | None
    next_bill: Bill | None
    next_credits: str
    terms: Terms | None
    expected: str


def preview_page(preview: ChangePreview, *, subscription_id: object, zone: ZoneInfo, accepts: bool) -> PreviewPage:
    """``accepts``: whoever looks is a customer, who has terms to read. One query."""
    shown = PricingPlan.objects.filter(plan=preview.plan).first() if accepts else None
    following = preview.next_period
    return PreviewPage(
        plan=preview.plan.name,
        plan_code=preview.plan.code,
        plan_version=preview.plan.version,
        plan_before=preview.plan_before.name,
        when=preview.when,
        takes_effect_at=wording.moment(preview.takes_effect_at, zone),
        is_trial=preview.status == "trialing",
        today=bill(preview.due_now) if preview.due_now else None,
        period_without=_total(preview.running[0]) if preview.running else "",
        period_with=bill(preview.running[1]) if preview.running else None,
        credits=wording.signed(preview.credits) if preview.credits else "",
        next_period=(wording.day(following.starts_at, zone), wording.day(following.ends_at, zone))
        if following
        else None,
        next_bill=bill(following.invoice) if following else None,
        next_credits=wording.number(following.credits) if following else "",
        terms=terms.terms_of_shown(shown),
        expected=f"{subscription_id}.{preview.version}",
    )


def bill(preview: Preview) -> Bill:
    """An invoice that is not there, as a page shows it."""
    return Bill(
        lines=tuple(
            Line(each.description, wording.price(each.amount_minor, preview.currency)) for each in preview.lines
        ),
        tax=wording.price(preview.tax_minor, preview.currency) if preview.tax_minor else "",
        total=_total(preview),
        is_credit=preview.total_minor < 0,
    )


def _total(preview: Preview) -> str:
    return wording.price(preview.total_minor, preview.currency)
