"""Drafts that issue themselves when their time has come, unless somebody holds them or something about them is odd."""

from __future__ import annotations

import logging
from datetime import datetime
from functools import partial
from uuid import UUID

from django.db.transaction import atomic, on_commit

from billing.accounts.actors import Actor, system
from billing.infra import locks, logs, outbox
from billing.invoicing import bounds, drafts, queries
from billing.invoicing.errors import InvoiceFrozen, InvoicePrepaid, InvoiceVoid, NothingToBill
from billing.invoicing.operations import drafting, issuing, moving
from billing.kernel.errors import BillingError, Busy, InvariantViolation
from billing.models import Invoice, InvoiceKind, InvoiceStatus, PeriodKind

ISSUING = system("issue")


def issue_due(*, organization_id: UUID, now: datetime, actor: Actor = ISSUING) -> list[Invoice]:
    """Issue the organization's drafts that are due by ``now``; returns those that moved, parked ones too.

    One that cannot be issued, or that looks wrong, is parked with the reason: a human issues it, or voids it. Running
    it again finds nothing to do. Raises ``Busy``.
    """
    with atomic():
        locks.lock_organization(organization_id)
        due = Invoice.objects.filter(organization_id=organization_id, issue_due_at__lte=now)
        ids = list(due.order_by("issue_due_at", "occurrence", "id").values_list("id", flat=True))
        return [_issue_or_park(invoice_id, now=now, actor=actor) for invoice_id in ids]


def hold(*, invoice: Invoice, actor: Actor, reason: str, now: datetime) -> Invoice:
    """Keep a draft from being issued by itself. Twice is once. Raises ``InvoiceFrozen``, ``InvoiceVoid``,
    ``InvoicePrepaid``, ``SettlementInvalid`` without a reason."""
    text = moving.checked_reason(reason)
    with moving.locked(invoice, actor=actor) as stored:
        _require_draft(stored)
        if stored.held_at is None:
            _update(stored, held_at=now, issue_due_at=None)
            moving.audit_of(stored, "invoice.hold", actor=actor, reason=text)
        return stored


def release(*, invoice: Invoice, actor: Actor, now: datetime) -> Invoice:
    """Let a held or parked draft be issued by itself again, from now on. Raises ``InvoiceFrozen``, ``InvoiceVoid``,
    ``InvoicePrepaid``."""
    with moving.locked(invoice, actor=actor) as stored:
        _require_draft(stored)
        if stored.issue_due_at is None:
            _update(stored, held_at=None, parked_at=None, parked_reason="", issue_due_at=now)
            moving.audit_of(stored, "invoice.release", actor=actor)
        return stored


def _require_draft(invoice: Invoice) -> None:
    if invoice.status == InvoiceStatus.VOID:
        raise InvoiceVoid("This invoice is void.")
    if invoice.status != InvoiceStatus.DRAFT:
        raise InvoiceFrozen("This invoice is issued already.")
    if invoice.kind == InvoiceKind.PURCHASE:
        raise InvoicePrepaid("An order of credits is issued by being paid, and never by itself.")


def _issue_or_park(invoice_id: UUID, *, now: datetime, actor: Actor) -> Invoice:
    draft = Invoice.objects.select_related("organization").get(id=invoice_id)
    try:
        with atomic():
            return issuing.issue(invoice=draft, actor=actor, now=now, look=bounds.jumped)
    except Busy:
        raise
    except issuing.Odd as odd:
        # What is looked at should say what the books say.
        if draft.period_id is not None:
            drafting.derive_and_write([draft.period_id], actor=actor, now=now, kind=InvoiceKind(draft.kind))
        return _park(invoice_id, str(odd), now=now, actor=actor)
    except NothingToBill as refusal:
        return _discard(invoice_id, refusal, now=now, actor=actor)
    except (BillingError, InvariantViolation, ArithmeticError) as error:
        return _park(invoice_id, f"{type(error).__name__}: {error}", now=now, actor=actor)


def _discard(invoice_id: UUID, refusal: NothingToBill, *, now: datetime, actor: Actor) -> Invoice:
    """What a fee in advance or late use came to is on another invoice by now."""
    draft = queries.get_invoice(str(invoice_id))
    if draft.kind == InvoiceKind.CYCLE and (draft.period is None or draft.period.kind != PeriodKind.TRIAL):
        return _park(invoice_id, f"NothingToBill: {refusal}", now=now, actor=actor)
    moving.audit_of(draft, "invoice.void", actor=actor, reason=refusal.message, was=draft.status)
    moving.move(draft, InvoiceStatus.VOID, now=now)
    return draft


def _park(invoice_id: UUID, reason: str, *, now: datetime, actor: Actor) -> Invoice:
    draft = queries.get_invoice(str(invoice_id))
    why = reason[: moving.REASON_LENGTH_MAX]
    _update(draft, parked_at=now, parked_reason=why, issue_due_at=None)
    moving.audit_of(draft, "invoice.parked", actor=actor, reason=why)
    outbox.emit(
        organization_id=draft.organization_id,
        topic="invoice.parked",
        payload={**drafts.message(draft), "reason": why},
        now=now,
    )
    on_commit(
        partial(
            logs.event,
            "invoice.parked",
            level=logging.ERROR,
            organization=draft.organization_id,
            invoice=draft.id,
            reason=why,
        )
    )
    return draft


def _update(invoice: Invoice, **changes: object) -> None:
    Invoice.objects.filter(id=invoice.id, status=InvoiceStatus.DRAFT).update(**changes)
    for name, value in changes.items():
        setattr(invoice, name, value)
