"""What settling, crediting and voiding have in common: the invoice under the lock, a reason, a status that moves."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from functools import partial
from typing import Any

from django.db.transaction import atomic, on_commit

from billing.accounts import actors
from billing.accounts.actors import Act, Actor
from billing.infra import audit, locks, logs, outbox
from billing.invoicing import drafts, followers, queries, settlement, statuses
from billing.invoicing.errors import InvoiceNotIssued, InvoiceVoid, SettlementInvalid
from billing.kernel import money
from billing.kernel.errors import InvariantViolation
from billing.models import Invoice, InvoiceStatus

REASON_LENGTH_MAX = 500


@contextmanager
def locked(invoice: Invoice, *, actor: Actor) -> Iterator[Invoice]:
    """The invoice as it is now, in a transaction that holds its organization's lock; for finance."""
    actors.require(actor, Act.INVOICES, invoice.organization)
    with atomic():
        locks.lock_organization(invoice.organization_id)
        yield queries.get_invoice(str(invoice.id))


def require_issued(invoice: Invoice) -> None:
    """Raises ``InvoiceNotIssued`` or ``InvoiceVoid`` for one that nobody owes."""
    if invoice.status == InvoiceStatus.DRAFT:
        raise InvoiceNotIssued("This invoice is still a draft.")
    if invoice.status == InvoiceStatus.VOID:
        raise InvoiceVoid("This invoice is void.")


def checked_reason(reason: str) -> str:
    stripped = reason.strip()
    if not stripped or len(stripped) > REASON_LENGTH_MAX:
        raise SettlementInvalid(f"A reason of 1 to {REASON_LENGTH_MAX} characters is needed.", field="reason")
    return stripped


def checked_amount(amount_minor: int, currency: str) -> int:
    if not 0 < amount_minor <= money.AMOUNT_MAX_MINOR:
        raise SettlementInvalid(f"An amount in {currency} is more than nothing and within bounds.", field="amount")
    return amount_minor


def move(invoice: Invoice, status: InvoiceStatus, *, now: datetime) -> None:
    """Write the status, tell the outbox. The database refuses an edge that is not in ``statuses``, and so do we."""
    if not statuses.may_become(invoice.status, status):
        raise InvariantViolation(f"invoice {invoice.id} cannot go from {invoice.status} to {status}")
    if Invoice.objects.filter(id=invoice.id, status=invoice.status).update(status=status, issue_due_at=None) != 1:
        raise InvariantViolation(f"invoice {invoice.id} moved under the lock")
    was, invoice.status, invoice.issue_due_at = invoice.status, status, None
    topic = f"invoice.{'reopened' if (was, status) == ('paid', 'issued') else status.value}"
    outbox.emit(organization_id=invoice.organization_id, topic=topic, payload=drafts.message(invoice), now=now)
    on_commit(partial(logs.event, topic, organization=invoice.organization_id, invoice=invoice.id))
    followers.tell(invoice, was=was, now=now)


def settle(invoice: Invoice, *, now: datetime) -> Invoice:
    """The invoice read anew after money or credit moved, with the status that its due amount calls for."""
    current = queries.get_invoice(str(invoice.id))
    standing = settlement.standing(current)
    if standing.due_minor < 0 or standing.paid_minor < min(0, current.total_minor):
        raise InvariantViolation(f"invoice {current.id} is overpaid: {standing}")
    status = statuses.settled(current.status, standing.due_minor)
    if status != current.status:
        move(current, InvoiceStatus(status), now=now)
    return current


def audit_of(invoice: Invoice, act: str, *, actor: Actor, reason: str = "", **details: Any) -> None:
    audit.record(
        actor=actor.name,
        act=act,
        object_type="invoice",
        object_id=invoice.id,
        organization_id=invoice.organization_id,
        reason=reason,
        details={"number": invoice.number, **details},
    )
