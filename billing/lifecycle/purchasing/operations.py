"""Ordering credits, withdrawing an order, and granting what was paid for."""

from __future__ import annotations

from datetime import datetime, timedelta
from decimal import Decimal
from uuid import UUID

from django.conf import settings
from django.db.transaction import atomic

from billing.accounts import actors
from billing.accounts.actors import Act, Actor, system
from billing.catalog import queries as catalog_queries
from billing.credits import operations as credits_operations
from billing.credits.operations import CreditsInvalid
from billing.infra import audit, idempotency, locks, outbox
from billing.infra.idempotency import KeyReused
from billing.invoicing import operations as invoicing_operations
from billing.invoicing import settlement
from billing.kernel import money
from billing.kernel.decimals import plain
from billing.lifecycle import renew
from billing.lifecycle.happenings import Happening
from billing.lifecycle.purchasing import queries
from billing.lifecycle.purchasing.errors import CreditsNotSold, PurchasePaid, PurchasesOpen
from billing.models import (
    SERVED,
    CreditPurchase,
    GrantKind,
    Invoice,
    InvoiceKind,
    InvoiceStatus,
    MarketplaceSubscription,
    Subscription,
)
from billing.subscriptions import queries as subscriptions_queries

SELLING = system("purchases")
# Orders of an organization that wait to be paid: each is a draft that somebody sees.
OPEN_MAX = 10
REASON_LENGTH_MAX = 500
LAPSED = "Nobody paid it in time."
WITHDRAWN = "Withdrawn by the customer."


def order(*, subscription: Subscription, credits: Decimal, key: str, actor: Actor, now: datetime) -> CreditPurchase:
    """Order ``credits`` at the price that the subscription's plan asks for one; for whoever may choose a plan.

    ``key`` names the order in the organization for ever: told again, the first comes back. It is withdrawn
    ``BILLING_PURCHASE_LAPSES_HOURS`` later unless it is paid. Raises ``CreditsInvalid`` naming the field,
    ``CreditsNotSold``, ``PurchasesOpen``, ``KeyReused`` (another order has the key), ``RenewalsWaiting``,
    ``AmountOutOfBounds``, ``Busy``.
    """
    actors.require(actor, Act.SUBSCRIBE, subscription.organization)
    idempotency.check_key(key)
    _check(credits)
    with atomic():
        locks.lock_organization(subscription.organization_id)
        known = CreditPurchase.objects.filter(organization_id=subscription.organization_id, key=key).first()
        if known is not None:
            if (known.subscription_id, known.credits) != (subscription.id, credits):
                raise KeyReused("This key stood for another order before.", field="key")
            return queries.get_purchase(known.id)
        current = renew.lock_current(subscription, now=now, actor=renew.RENEWAL, expected_version=None)
        _require_sold(current)
        if (
            CreditPurchase.objects.filter(organization=current.organization, lapses_at__isnull=False).count()
            >= OPEN_MAX
        ):
            raise PurchasesOpen(f"{OPEN_MAX} orders wait to be paid: pay or withdraw them first.")
        if current.marketplace.credit_balance + credits > credits_operations.BALANCE_MAX:
            raise CreditsInvalid("The account cannot hold as many credits.", field="credits")
        invoice = invoicing_operations.order(subscription=current, credits=credits, actor=actor, now=now)
        if invoice.total_minor <= 0:
            raise CreditsInvalid("So few credits cost nothing: order more.", field="credits")
        purchase = CreditPurchase.objects.create(
            organization=current.organization,
            subscription=current,
            invoice=invoice,
            key=key,
            credits=credits,
            ordered_by=actor.name[:120],
            ordered_at=now,
            lapses_at=now + timedelta(hours=settings.BILLING_PURCHASE_LAPSES_HOURS),
        )
        _tell(purchase, "credits.ordered", actor=actor.name, now=now)
        return queries.get_purchase(purchase.id)


def may_buy(subscription: Subscription) -> bool:
    """Whether credits are sold to the subscription as it is."""
    try:
        _require_sold(subscription)
    except CreditsNotSold:
        return False
    return True


def withdraw(*, purchase: CreditPurchase, actor: Actor, now: datetime) -> CreditPurchase:
    """Withdraw an order that was not paid; for whoever may order. Twice is once.

    Money that comes for it all the same goes to the customer's balance. Raises ``PurchasePaid``, ``Busy``.
    """
    actors.require(actor, Act.SUBSCRIBE, purchase.organization)
    with atomic():
        locks.lock_organization(purchase.organization_id)
        current = queries.get_purchase(purchase.id)
        if settlement.order_state(current.invoice) == "paid":
            raise PurchasePaid("This order was paid: its credits are yours.")
        invoicing_operations.withdraw(invoice=current.invoice, actor=actor, reason=WITHDRAWN, now=now)
        return queries.get_purchase(purchase.id)


def withdraw_due(*, organization_id: UUID, now: datetime) -> list[Happening]:
    """Withdraw the organization's orders that nobody paid in time. Running it again finds nothing to do."""
    with atomic():
        locks.lock_organization(organization_id)
        lapsed = CreditPurchase.objects.filter(organization_id=organization_id, lapses_at__lte=now)
        return [_lapse(purchase, now) for purchase in lapsed.select_related("invoice__organization").order_by("id")]


def _lapse(purchase: CreditPurchase, now: datetime) -> Happening:
    invoicing_operations.withdraw(invoice=purchase.invoice, actor=SELLING, reason=LAPSED, now=now)
    told = {"invoice_id": str(purchase.invoice_id), "credits": plain(purchase.credits)}
    return Happening(now, "invoice.void", str(purchase.subscription_id), told)


def follow(invoice: Invoice, *, was: str, now: datetime) -> None:
    """Grant what an order's payment bought, in the transaction that books it; and note that an order is over."""
    if invoice.kind != InvoiceKind.PURCHASE or was != InvoiceStatus.DRAFT:
        return
    purchase = CreditPurchase.objects.select_related("subscription__organization").get(invoice=invoice)
    CreditPurchase.objects.filter(id=purchase.id).update(lapses_at=None)
    if invoice.status == InvoiceStatus.VOID:
        return
    credits_operations.grant(
        account=_account(purchase.subscription),
        kind=GrantKind.PURCHASE,
        credits=purchase.credits,
        starts_at=now,
        expires_at=None,
        actor=purchase.ordered_by,
        reason=f"bought, {invoice.number}",
        now=now,
        cause=purchase.cause,
    )
    _tell(purchase, "credits.purchased", actor=purchase.ordered_by, now=now, number=invoice.number)


def _account(subscription: Subscription) -> MarketplaceSubscription:
    """Where the credits can be used: whoever left and came back meanwhile has another subscription by now."""
    live = subscriptions_queries.find_live(subscription.organization, subscription.product)
    return (live or subscriptions_queries.get_subscription(subscription.id)).marketplace


def _check(credits: Decimal) -> None:
    credits_operations.check(credits)
    least, most = settings.BILLING_PURCHASE_MIN_CREDITS, settings.BILLING_PURCHASE_MAX_CREDITS
    if not least <= credits <= most:
        raise CreditsInvalid(f"{plain(least)} to {plain(most)} credits are sold at once.", field="credits")


def _require_sold(subscription: Subscription) -> None:
    if subscription.status not in SERVED:
        raise CreditsNotSold(f"A subscription that is {subscription.status} cannot use credits.")
    if not catalog_queries.credit_rate(subscription.plan, subscription.currency):
        raise CreditsNotSold(f"{subscription.plan.name} sells no credits in {subscription.currency}.")


def _tell(purchase: CreditPurchase, topic: str, *, actor: str, now: datetime, number: str | None = None) -> None:
    invoice = purchase.invoice
    told = {
        "purchase": str(purchase.id),
        "subscription_id": str(purchase.subscription_id),
        "invoice": str(purchase.invoice_id),
        "number": number,
        "credits": plain(purchase.credits),
        "total": money.format_minor(invoice.total_minor, invoice.currency),
        "currency": invoice.currency,
    }
    audit.record(
        actor=actor,
        act=topic,
        object_type="subscription",
        object_id=purchase.subscription_id,
        organization_id=purchase.organization_id,
        details=told,
    )
    outbox.emit(organization_id=purchase.organization_id, topic=topic, payload=told, now=now)
