"""Buying credits as pages show it: the offer, what was ordered, and one order; frozen."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from uuid import UUID

from django.conf import settings

from billing.accounts.actors import Act
from billing.catalog import queries as catalog_queries
from billing.invoicing import settlement
from billing.kernel.decimals import parse_decimal, plain
from billing.kernel.ids import new_id
from billing.lifecycle.purchasing import operations, queries
from billing.lifecycle.purchasing.errors import PurchaseNotFound
from billing.models import CreditPurchase, Subscription
from billing.subscriptions import queries as subscriptions_queries
from marketplace import wording
from marketplace.dashboard.frame import Visit
from marketplace.wording import Label, Moment

ORDERS_SHOWN = 20


@dataclass(frozen=True, slots=True)
class Offer:
    """What the plan asks for a credit, and how many are sold at once. ``key`` names one sending of the form: sent
    twice, it is one order."""

    plan: str
    rate: str
    least: str
    most: str
    credits: str
    key: str


@dataclass(frozen=True, slots=True)
class OrderRow:
    reference: str
    ordered_at: Moment
    credits: str
    total: str
    state: Label


@dataclass(frozen=True, slots=True)
class PurchasesPage:
    """``offer`` is None where no credits are sold, or the reader may not buy."""

    is_sold: bool
    offer: Offer | None
    orders: tuple[OrderRow, ...]


@dataclass(frozen=True, slots=True)
class OrderPage:
    """``may_act``: it can be paid or withdrawn, and the reader may."""

    reference: str
    invoice: str
    number: str
    state: Label
    is_open: bool
    is_paid: bool
    credits: str
    rate: str
    net: str
    tax: str
    total: str
    ordered_at: Moment
    lapses_at: Moment | None
    may_act: bool


def purchases_page(visit: Visit, *, wanted: str = "") -> PurchasesPage:
    """``wanted`` is a number of credits to begin the form with. Raises ``Forbidden``."""
    live = subscriptions_queries.find_live(visit.organization)
    is_sold = live is not None and operations.may_buy(live)
    rows = queries.read_purchases(organization=visit.organization, actor=visit.actor, limit=ORDERS_SHOWN)
    return PurchasesPage(
        is_sold=is_sold,
        offer=_offer(live, wanted) if live is not None and is_sold and visit.may(Act.SUBSCRIBE) else None,
        orders=tuple(_row(row, visit) for row in rows),
    )


def order_page(visit: Visit, purchase_id: UUID) -> OrderPage:
    """Raises ``PurchaseNotFound``, also for one of another organization, and ``Forbidden``."""
    row = find(visit, purchase_id, act=Act.MONEY)
    invoice = row.invoice
    state = settlement.order_state(invoice)
    is_open = state == "open"
    line = invoice.lines.all()[0]
    return OrderPage(
        reference=str(row.id),
        invoice=str(invoice.id),
        number=invoice.number or "",
        state=_state(row),
        is_open=is_open,
        is_paid=state == "paid",
        credits=wording.number(row.credits),
        rate=wording.rate(line.rate, invoice.currency),
        net=wording.price(invoice.subtotal_minor, invoice.currency),
        tax=wording.price(invoice.tax_minor, invoice.currency) if invoice.tax_minor else "",
        total=wording.price(invoice.total_minor, invoice.currency),
        ordered_at=wording.moment(row.ordered_at, visit.zone),
        lapses_at=wording.moment(row.lapses_at, visit.zone) if row.lapses_at else None,
        may_act=is_open and visit.may(Act.SUBSCRIBE),
    )


def find(visit: Visit, purchase_id: UUID, *, act: Act) -> CreditPurchase:
    # Asked first: of one that is elsewhere staff would learn that it is in a region they are not cleared for.
    if not CreditPurchase.objects.filter(id=purchase_id, organization=visit.organization).exists():
        raise PurchaseNotFound("No such purchase.")
    return queries.get_for(str(purchase_id), actor=visit.actor, act=act)


def _offer(live: Subscription, wanted: str) -> Offer:
    rate = catalog_queries.credit_rate(live.plan, live.currency) or Decimal(0)
    return Offer(
        plan=live.plan.name,
        rate=wording.rate(rate, live.currency),
        least=wording.number(settings.BILLING_PURCHASE_MIN_CREDITS),
        most=wording.number(settings.BILLING_PURCHASE_MAX_CREDITS),
        credits=_begun_with(wanted),
        key=new_id().hex,
    )


def _begun_with(wanted: str) -> str:
    """A number that a link brought along, not less than is sold; nothing for what is none."""
    try:
        credits = parse_decimal(wanted)
    except ValueError:
        return ""
    return plain(max(credits, settings.BILLING_PURCHASE_MIN_CREDITS))


def _row(row: CreditPurchase, visit: Visit) -> OrderRow:
    return OrderRow(
        reference=str(row.id),
        ordered_at=wording.moment(row.ordered_at, visit.zone),
        credits=wording.number(row.credits),
        total=wording.price(row.invoice.total_minor, row.invoice.currency),
        state=_state(row),
    )


def _state(row: CreditPurchase) -> Label:
    return wording.purchase_state(settlement.order_state(row.invoice))
