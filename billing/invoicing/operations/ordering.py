"""Credits ordered and paid in advance: an invoice that is a draft until it is paid, in full and at once.

So nobody ever owes an order: it is withdrawn, or its payment issues it. The customer's balance does not pay it.
"""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal

from django.db.models import Max
from django.db.transaction import atomic

from billing.accounts import actors, profiles
from billing.accounts.actors import Act, Actor
from billing.infra import locks
from billing.invoicing import drafts, followers, purchasing, queries, settlement, terms
from billing.invoicing.books import LineDraft
from billing.invoicing.errors import InvoiceFrozen, PaymentShort
from billing.invoicing.operations import issuing, moving, paying
from billing.kernel.money import format_minor
from billing.models import Invoice, InvoiceKind, InvoiceStatus, Payment, Subscription


def quote(*, subscription: Subscription, credits: Decimal, now: datetime) -> LineDraft:
    """What ``credits`` cost the subscription now, with its organization's tax. Raises ``PriceMissing``,
    ``AmountOutOfBounds``."""
    wanted = (subscription.plan_id, subscription.currency)
    return purchasing.line(
        credits=credits,
        terms=terms.prices([wanted])[wanted],
        currency=subscription.currency,
        at=now,
        taxed=terms.tax_terms(profiles.find_profile(subscription.organization)),
    )


def order(*, subscription: Subscription, credits: Decimal, actor: Actor, now: datetime) -> Invoice:
    """Draft the invoice of an order, under the lock that the caller holds. It says what was agreed and is never derived
    again: price and tax stay as they are now. Raises as ``quote`` does."""
    actors.require(actor, Act.SUBSCRIBE, subscription.organization)
    line = quote(subscription=subscription, credits=credits, now=now)
    tax = profiles.as_dict(profiles.of_row(profiles.find_profile(subscription.organization)))["tax"]
    before = Invoice.objects.filter(subscription=subscription, kind=InvoiceKind.PURCHASE)
    invoice = Invoice.objects.create(
        organization_id=subscription.organization_id,
        subscription=subscription,
        kind=InvoiceKind.PURCHASE,
        occurrence=(before.aggregate(last=Max("occurrence"))["last"] or 0) + 1,
        currency=subscription.currency,
        starts_at=now,
        ends_at=now,
        subtotal_minor=line.net_minor,
        tax_minor=line.tax_minor,
        total_minor=line.net_minor + line.tax_minor,
        customer={"tax": tax},
        drafted_at=now,
    )
    drafts.insert_lines([(invoice, [line])])
    drafts.tell_drafted([invoice], actor=actor.name, now=now)
    return queries.get_invoice(str(invoice.id))


def withdraw(*, invoice: Invoice, actor: Actor, reason: str, now: datetime) -> Invoice:
    """Take back an order that nobody paid. Twice is once. Raises ``InvoiceFrozen`` for one that was paid."""
    actors.require(actor, Act.SUBSCRIBE, invoice.organization)
    text = moving.checked_reason(reason)
    with atomic():
        locks.lock_organization(invoice.organization_id)
        stored = queries.get_invoice(str(invoice.id))
        if stored.status == InvoiceStatus.VOID:
            return stored
        if not settlement.is_open_order(stored):
            raise InvoiceFrozen("This order was paid.")
        moving.audit_of(stored, "invoice.void", actor=actor, reason=text, was=stored.status)
        moving.move(stored, InvoiceStatus.VOID, now=now)
        return stored


def pay(
    *,
    invoice: Invoice,
    amount_minor: int,
    reference: str,
    actor: Actor,
    now: datetime,
    provider: str = paying.MANUAL,
    method: str = paying.TRANSFER,
    received_at: datetime | None = None,
    keeps_excess: bool = False,
) -> Payment:
    """As ``paying.pay``; an open order is issued with its payment, and raises ``PaymentShort`` for a part of it."""
    with moving.locked(invoice, actor=actor) as stored:
        is_order = settlement.is_open_order(stored)
        if is_order:
            if amount_minor < stored.total_minor:
                total = format_minor(stored.total_minor, stored.currency)
                raise PaymentShort(f"An order is paid at once: {total} {stored.currency}.", due=total, field="amount")
            issuing.freeze(stored, actor=actor, now=now)
        payment = paying.pay(
            invoice=stored,
            amount_minor=amount_minor,
            reference=reference,
            actor=actor,
            now=now,
            provider=provider,
            method=method,
            received_at=received_at,
            keeps_excess=keeps_excess,
        )
        if is_order:
            followers.tell(payment.invoice, was=InvoiceStatus.DRAFT, now=now)
        return payment
