"""One charge in three parts: the intent and its key committed, the provider asked outside, its answer booked.

Whoever dies in between leaves an attempt that is asked again under the same key, so the customer is charged once. Two
workers that ask at once ask under one key too, and the second to book finds it booked.
"""

from __future__ import annotations

import logging
from datetime import datetime
from uuid import UUID

from django.db import transaction

from billing.accounts.actors import Actor
from billing.infra import locks, logs
from billing.invoicing import operations as invoicing_operations
from billing.invoicing import queries as invoicing_queries
from billing.invoicing import settlement
from billing.kernel import ids
from billing.lifecycle.collecting import schedule
from billing.lifecycle.collecting.operations import dunning
from billing.lifecycle.happenings import Happening
from billing.models import UNDER_WAY, ChargeAttempt, ChargeStatus, Collection, Invoice, PaymentKind
from billing.payments import calls, customers, registry
from billing.payments.protocol import ChargeRequest, ChargeResult, ProviderRefused, ProviderUnavailable

METHOD = "provider"


def intend(collection: Collection, invoice: Invoice, *, step: int | None, now: datetime) -> ChargeAttempt | None:
    """Write down that all that is due is to be charged, under a new key. None while another charge is under way.

    The caller holds the lock. ``step`` is of the schedule, None for a charge by hand.
    """
    due = settlement.due_minor(invoice)
    if due <= 0 or ChargeAttempt.objects.filter(invoice=invoice, status__in=UNDER_WAY).exists():
        return None
    attempt_id = ids.new_id()
    return ChargeAttempt.objects.create(
        id=attempt_id,
        organization_id=collection.organization_id,
        collection=collection,
        invoice=invoice,
        step=step,
        provider=registry.code_for(is_sandbox=invoice.organization.is_sandbox),
        key=f"charge-{attempt_id}",
        amount_minor=due,
        started_at=now,
        ask_at=now,
    )


def ask(attempt_id: UUID, *, actor: Actor, now: datetime) -> list[Happening]:
    """Ask the provider, if that is due, and book what it says. Not inside a transaction, but for a sandbox."""
    request = _claim(attempt_id, now=now)
    if request is None:
        return []
    try:
        result = calls.charge(request)
    except ProviderRefused as refusal:
        result = ChargeResult("failed", "", refusal.code, refusal.message)
    except ProviderUnavailable as error:
        logs.event(
            "charge.unanswered",
            level=logging.WARNING,
            error=error,
            organization=request.organization_id,
            attempt=attempt_id,
        )
        return []
    return book(attempt_id, result, actor=actor, now=now)


@transaction.atomic
def _claim(attempt_id: UUID, *, now: datetime) -> ChargeRequest | None:
    attempt = _locked(attempt_id)
    if attempt.status != ChargeStatus.STARTED or attempt.ask_at is None or attempt.ask_at > now:
        return None
    if attempt.collection.closed_at is not None:
        # If the provider took the money for all that, its own report brings it to the customer's balance.
        _finish(attempt, ChargeStatus.ABANDONED, now=now)
        return None
    if attempt.asked and schedule.is_key_forgotten(attempt.started_at, now):
        _finish(attempt, ChargeStatus.UNKNOWN, now=now)
        logs.event("charge.unknown", level=logging.ERROR, organization=attempt.organization_id, attempt=attempt.id)
        return None
    attempt.asked += 1
    attempt.ask_at = schedule.ask_again_at(now, asked=attempt.asked)
    attempt.save(update_fields=["asked", "ask_at"])
    return ChargeRequest(
        organization_id=attempt.organization_id,
        invoice_id=attempt.invoice_id,
        invoice_number=attempt.invoice.number or "",
        amount_minor=attempt.amount_minor,
        currency=attempt.invoice.currency,
        idempotency_key=attempt.key,
        customer_reference=customers.reference_of(attempt.organization),
        sandbox=attempt.organization.is_sandbox,
    )


@transaction.atomic
def book(attempt_id: UUID, result: ChargeResult, *, actor: Actor, now: datetime) -> list[Happening]:
    """Write down the provider's answer. One that was written down before, by whomever, changes nothing."""
    attempt = _locked(attempt_id)
    if result.status == "succeeded":
        return succeed(attempt, reference=result.reference, method=METHOD, received_at=now, actor=actor, now=now)
    if attempt.status not in UNDER_WAY:
        return []
    if result.status == "pending":
        attempt.status, attempt.reference, attempt.ask_at = ChargeStatus.PENDING, result.reference, None
        attempt.save(update_fields=["status", "reference", "ask_at"])
        return []
    return fail(attempt, reference=result.reference, code=result.code, message=result.message, actor=actor, now=now)


def succeed(
    attempt: ChargeAttempt, *, reference: str, method: str, received_at: datetime, actor: Actor, now: datetime
) -> list[Happening]:
    """The money has come: book the payment, which settles the invoice, unless it is booked. The caller holds the
    lock."""
    attempt.reference = reference
    _finish(attempt, ChargeStatus.SUCCEEDED, now=now)
    invoicing_operations.pay(
        invoice=attempt.invoice,
        amount_minor=attempt.amount_minor,
        reference=reference,
        provider=attempt.provider,
        method=method,
        received_at=received_at,
        actor=actor,
        now=now,
        keeps_excess=True,
    )
    go_on(attempt.collection, now=now)
    return [Happening(now, "payment.received", str(attempt.collection.subscription_id), {"reference": reference})]


def fail(
    attempt: ChargeAttempt, *, reference: str, code: str, message: str, actor: Actor, now: datetime
) -> list[Happening]:
    """The money did not come: the dunning opens, or its next step is waited for. The caller holds the lock."""
    attempt.reference = reference or attempt.reference
    attempt.code, attempt.message = code[:60], message[:300]
    _finish(attempt, ChargeStatus.FAILED, now=now)
    collection = Collection.objects.select_related("subscription").get(id=attempt.collection_id)
    if collection.closed_at is not None:
        return []
    invoice = invoicing_queries.get_invoice(str(attempt.invoice_id))
    if collection.dunning_at is None:
        return [dunning.begin(collection, invoice, code=code, actor=actor, now=now)]
    if attempt.step is None:
        dunning.wait_for_next(collection)
        return []
    return [dunning.remind(collection, invoice, code=code, actor=actor, now=now)]


def go_on(collection: Collection, *, now: datetime) -> None:
    """Where money came and something is left to pay: the schedule has its say again."""
    current = Collection.objects.get(id=collection.id)
    if current.closed_at is not None or current.next_at is not None:
        return
    dunning.wait_for_next(current)
    if current.dunning_at is None:
        current.next_at = now
        current.save(update_fields=["next_at"])


def is_paid(invoice: Invoice, *, provider: str, reference: str) -> bool:
    return invoice.payments.filter(provider=provider, reference=reference, kind=PaymentKind.PAYMENT).exists()


def _locked(attempt_id: UUID) -> ChargeAttempt:
    """The attempt as it is, under its organization's lock."""
    organization_id = ChargeAttempt.objects.values_list("organization_id", flat=True).get(id=attempt_id)
    locks.lock_organization(organization_id)
    return ChargeAttempt.objects.select_related(
        "organization", "collection__subscription", "invoice__organization"
    ).get(id=attempt_id)


def _finish(attempt: ChargeAttempt, status: ChargeStatus, *, now: datetime) -> None:
    attempt.status, attempt.ask_at, attempt.finished_at = status, None, now
    attempt.save(update_fields=["status", "reference", "code", "message", "ask_at", "finished_at"])
