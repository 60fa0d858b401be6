"""What staff can do for one organization from its dashboard, as a page shows it."""

from __future__ import annotations

from dataclasses import dataclass

from billing.accounts import actors
from billing.accounts.actors import Act
from billing.credits import requests
from billing.invoicing import operations as invoicing_operations
from billing.kernel.ids import new_id
from billing.models import CreditRequest, Invoice, InvoiceKind, InvoiceStatus, RequestStatus, Subscription
from billing.subscriptions import queries as subscriptions_queries
from marketplace import wording
from marketplace.dashboard.frame import Visit
from marketplace.subscribing.previews import Bill, bill
from marketplace.wording import Label, Moment

REQUESTS_SHOWN = 10


@dataclass(frozen=True, slots=True)
class EndedPeriod:
    """The last period that ended, and its invoice where there is one (``reference`` "" where not)."""

    span: tuple[Moment, Moment]
    reference: str
    number: str
    status: Label | None


@dataclass(frozen=True, slots=True)
class RequestRow:
    """Credits that wait for a second person."""

    credits: str
    reason: str
    at: Moment


@dataclass(frozen=True, slots=True)
class DeskPage:
    """``key`` names one sending of the form for credits: sent twice, they are given once."""

    plan: str
    ended: EndedPeriod | None
    has_period: bool
    drafts: bool
    gives_credits: bool
    credit_balance: str
    requests: tuple[RequestRow, ...]
    reviews_listings: bool
    key: str


@dataclass(frozen=True, slots=True)
class OpenPeriodPage:
    span: tuple[Moment, Moment]
    bill: Bill


def desk_page(visit: Visit) -> DeskPage:
    """Six queries at most."""
    subscription = find_subscription(visit)
    gives_credits = visit.may(Act.CREDITS)
    waiting: list[CreditRequest] = []
    if gives_credits:
        waiting = requests.list_requests(
            organization_id=visit.organization.id, state=RequestStatus.WAITING, now=visit.now, limit=REQUESTS_SHOWN
        )
    return DeskPage(
        plan=subscription.plan.name if subscription else "",
        ended=_ended(subscription, visit) if subscription else None,
        has_period=subscription is not None and subscriptions_queries.find_period(subscription, visit.at) is not None,
        drafts=visit.may(Act.INVOICES),
        gives_credits=gives_credits and subscription is not None,
        credit_balance=wording.number(subscription.marketplace.credit_balance) if subscription else "",
        requests=tuple(
            RequestRow(wording.signed(each.credits), each.reason, wording.moment(each.requested_at, visit.zone))
            for each in waiting
        ),
        reviews_listings=actors.may(visit.actor, Act.LISTINGS, None),
        key=str(new_id()),
    )


def open_period_page(visit: Visit, subscription: Subscription) -> OpenPeriodPage:
    """The running period's invoice if nothing more happened. Raises ``NoEndedPeriod`` where there is no period."""
    preview = invoicing_operations.preview(subscription=subscription, actor=visit.actor, now=visit.at)
    period = preview.period
    return OpenPeriodPage(
        span=(wording.moment(period.starts_at, visit.zone), wording.moment(period.ends_at, visit.zone)),
        bill=bill(preview),
    )


def find_subscription(visit: Visit) -> Subscription | None:
    """The live one, or else the one that ended last. Two queries at most."""
    product = subscriptions_queries.DEFAULT_PRODUCT
    live = subscriptions_queries.find_live(visit.organization, product)
    return live or subscriptions_queries.find_last_ended(visit.organization, product)


def _ended(subscription: Subscription, visit: Visit) -> EndedPeriod | None:
    period = subscriptions_queries.find_last_ended_period(subscription, visit.at)
    if period is None:
        return None
    invoice = Invoice.objects.filter(period=period, kind=InvoiceKind.CYCLE).exclude(status=InvoiceStatus.VOID).first()
    return EndedPeriod(
        span=(wording.moment(period.starts_at, visit.zone), wording.moment(period.ends_at, visit.zone)),
        reference=str(invoice.id) if invoice else "",
        number=(invoice.number or "") if invoice else "",
        status=wording.invoice_status(invoice.status) if invoice else None,
    )
