"""The customer's balance seen from outside: applied at issue, returned by a void, paid out, read."""

from __future__ import annotations

from datetime import datetime

from django.db import IntegrityError
from django.db.transaction import atomic

from billing.accounts import actors
from billing.accounts.actors import Act, Actor
from billing.infra import audit, locks, outbox
from billing.invoicing import balance
from billing.invoicing.errors import BalanceInsufficient
from billing.invoicing.operations import moving, paying
from billing.kernel.money import format_minor
from billing.models import BalanceEntry, BalanceKind, Invoice, Organization


def apply(invoice: Invoice, *, actor: Actor, now: datetime) -> bool:
    """Pay a just issued invoice from the balance as far as that goes; one that is negative adds to it. Returns whether
    anything moved.

    The caller holds the lock and settles the invoice afterwards.
    """
    if invoice.total_minor < 0:
        balance.give(
            invoice,
            -invoice.total_minor,
            kind=BalanceKind.INVOICE,
            reference=str(invoice.id),
            actor=actor.name,
            now=now,
        )
        return True
    amount = min(invoice.total_minor, balance.balance_minor(invoice.organization_id, invoice.currency))
    if amount > 0:
        balance.take(invoice, amount, reference=str(invoice.id), actor=actor.name, now=now)
    return amount > 0


def pay_out(
    *,
    organization: Organization,
    currency: str,
    amount_minor: int,
    reference: str,
    reason: str,
    actor: Actor,
    now: datetime,
    provider: str = paying.MANUAL,
) -> BalanceEntry:
    """Book that money of the balance was sent back to the customer. Told twice by the same reference it is booked once.

    Raises ``BalanceInsufficient``, ``PaymentReferenceTaken``, ``SettlementInvalid``, ``Busy``.
    """
    given = paying.checked(
        provider=provider,
        method=paying.TRANSFER,
        reference=reference,
        received_at=None,
        now=now,
        reason=moving.checked_reason(reason),
    )
    moving.checked_amount(amount_minor, currency)
    actors.require(actor, Act.INVOICES, organization)
    with atomic():
        locks.lock_organization(organization.id)
        known = BalanceEntry.objects.filter(provider=given.provider, reference=given.reference).first()
        if known is not None:
            if (known.organization_id, known.currency, -known.amount_minor) != (
                organization.id, currency, amount_minor,
            ):  # fmt: skip
                raise paying.taken()
            return known
        held = balance.balance_minor(organization.id, currency)
        if amount_minor > held:
            raise BalanceInsufficient(f"The balance is {format_minor(held, currency)} {currency}.", field="amount")
        entry = _booked(organization, currency, amount_minor, given, actor=actor, now=now)
        told = {
            "amount": format_minor(amount_minor, currency),
            "currency": currency,
            "balance": format_minor(entry.balance_after_minor, currency),
        }
        audit.record(
            actor=actor.name,
            act="balance.pay_out",
            object_type="organization",
            object_id=organization.id,
            organization_id=organization.id,
            reason=given.reason,
            details={**told, "reference": given.reference},
        )
        outbox.emit(organization_id=organization.id, topic="balance.paid_out", payload=told, now=now)
        return entry


def read_balance(
    *, organization: Organization, actor: Actor, before_sequence: int | None = None, currency: str, limit: int = 50
) -> list[BalanceEntry]:
    """Movements of the balance in one currency, newest first."""
    actors.require(actor, Act.MONEY, organization)
    entries = BalanceEntry.objects.filter(organization=organization, currency=currency).select_related(
        "payment__invoice"
    )
    if before_sequence is not None:
        entries = entries.filter(sequence__lt=before_sequence)
    return list(entries.order_by("-sequence")[:limit])


def _booked(
    organization: Organization, currency: str, amount_minor: int, given: paying.Given, *, actor: Actor, now: datetime
) -> BalanceEntry:
    try:
        with atomic():
            return balance.pay_out(
                organization.id,
                currency,
                amount_minor,
                provider=given.provider,
                reference=given.reference,
                reason=given.reason,
                actor=actor.name,
                now=now,
            )
    except IntegrityError as error:
        raise paying.taken() from error
