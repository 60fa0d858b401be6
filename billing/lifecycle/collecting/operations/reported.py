"""What providers report of charges, by webhook: in any order, any number of times."""

from __future__ import annotations

from datetime import datetime

from django.db import transaction

from billing.accounts.actors import Actor
from billing.infra import locks
from billing.invoicing import operations as invoicing_operations
from billing.invoicing import queries as invoicing_queries
from billing.lifecycle.collecting.operations import charging, dunning
from billing.lifecycle.happenings import Happening
from billing.models import UNDER_WAY, ChargeAttempt, ChargeStatus, Collection, Invoice, Payment

# An answer to these was never booked, so a report without a reference that we know may be about one of them.
_UNANSWERED = (ChargeStatus.STARTED, ChargeStatus.UNKNOWN, ChargeStatus.ABANDONED)


def payment_succeeded(
    *,
    invoice: Invoice,
    provider: str,
    reference: str,
    amount_minor: int,
    actor: Actor,
    now: datetime,
    method: str = charging.METHOD,
    received_at: datetime | None = None,
) -> Payment:
    """Book money that a provider took for an invoice, and close the charge that asked for it. Told twice, once.

    What is more than due goes to the customer's balance. ``amount_minor`` is in the invoice's currency: comparing the
    currency is the caller's. Raises as ``invoicing.operations.pay`` does, but for ``PaymentExceedsDue``.
    """
    with transaction.atomic():
        locks.lock_organization(invoice.organization_id)
        attempt = _find(invoice, provider, reference, amount_minor)
        if attempt is not None and attempt.status != ChargeStatus.SUCCEEDED:
            ChargeAttempt.objects.filter(id=attempt.id).update(
                status=ChargeStatus.SUCCEEDED, reference=reference, ask_at=None, finished_at=now
            )
        payment = invoicing_operations.pay(
            invoice=invoice,
            amount_minor=amount_minor,
            reference=reference,
            provider=provider,
            method=method,
            received_at=received_at,
            actor=actor,
            now=now,
            keeps_excess=True,
        )
        if attempt is not None:
            charging.go_on(attempt.collection, now=now)
        return payment


def payment_failed(
    *, invoice: Invoice, provider: str, reference: str, code: str, message: str, actor: Actor, now: datetime
) -> list[Happening]:
    """A provider's charge of an invoice failed: its dunning opens, or takes note. One that was paid for all that, or
    that is known to have failed, changes nothing."""
    with transaction.atomic():
        locks.lock_organization(invoice.organization_id)
        stored = invoicing_queries.get_invoice(str(invoice.id))
        if charging.is_paid(stored, provider=provider, reference=reference):
            return []
        attempt = _find(stored, provider, reference, None)
        if attempt is not None:
            if attempt.status not in UNDER_WAY:
                return []
            return charging.fail(attempt, reference=reference, code=code, message=message, actor=actor, now=now)
        # The provider charges by itself, by an arrangement of its own with the customer.
        open_ = Collection.objects.select_related("subscription").filter(invoice=stored, closed_at=None).first()
        if open_ is None or open_.dunning_at is not None:
            return []
        return [dunning.begin(open_, stored, code=code, actor=actor, now=now)]


def _find(invoice: Invoice, provider: str, reference: str, amount_minor: int | None) -> ChargeAttempt | None:
    """The attempt of this reference, or the one of this invoice whose answer was never heard."""
    attempts = ChargeAttempt.objects.select_related("collection").filter(invoice=invoice, provider=provider)
    known = attempts.filter(reference=reference).order_by("-started_at").first()
    if known is not None:
        return known
    unheard = attempts.filter(reference="", status__in=_UNANSWERED, asked__gt=0)
    if amount_minor is not None:
        unheard = unheard.filter(amount_minor=amount_minor)
    return unheard.order_by("-started_at").first()
