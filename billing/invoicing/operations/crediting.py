"""Credit notes: what was issued is never changed, so what was wrong in it is taken back by another document."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from functools import partial

from django.db.models import Sum
from django.db.transaction import on_commit

from billing.accounts import actors
from billing.accounts.actors import Act, Actor
from billing.infra import logs, outbox
from billing.invoicing import balance, crediting, numbering, queries, sealing, settlement
from billing.invoicing.crediting import Creditable
from billing.invoicing.errors import CreditNoteNotFound
from billing.invoicing.operations import moving
from billing.kernel.money import format_minor
from billing.models import BalanceKind, CreditNote, CreditNoteLine, Invoice


def credit(
    *, invoice: Invoice, actor: Actor, reason: str, now: datetime, lines: Mapping[int, int | None] | None = None
) -> CreditNote:
    """Issue a credit note for all that is left of an issued invoice, or for the given ``lines``.

    ``lines`` maps positions to amounts in minor units, as they stand on the line (None for all that is left of it);
    tax follows. What is credited is not due any more; what of it was paid already goes to the customer's balance.
    Raises ``CreditExceedsLine``, ``CreditExceedsInvoice``, ``NothingToCredit``, ``InvoiceNotIssued``, ``InvoiceVoid``,
    ``SettlementInvalid`` without a reason or for an unknown line, ``Busy``; then nothing is written.
    """
    text = moving.checked_reason(reason)
    with moving.locked(invoice, actor=actor) as stored:
        moving.require_issued(stored)
        before = settlement.standing(stored)
        rows = {line.position: line for line in stored.lines.all()}
        credited = crediting.credit(
            _creditable(stored), left_minor=before.total_minor - before.credited_minor, wanted=lines
        )
        note = CreditNote(
            organization_id=stored.organization_id,
            invoice=stored,
            currency=stored.currency,
            subtotal_minor=sum(line.net_minor for line in credited),
            tax_minor=sum(line.tax_minor for line in credited),
            total_minor=sum(line.net_minor + line.tax_minor for line in credited),
            reason=text,
            issuer=stored.issuer,
            customer=stored.customer,
            actor=actor.name[:120],
            issued_at=now,
        )
        # The counter is locked from here to the commit.
        note.number = numbering.next_number(
            series=numbering.series_of(stored.organization),
            year=numbering.issue_date(now).year,
            document=numbering.CREDIT_NOTE,
        )
        note.save(force_insert=True)
        CreditNoteLine.objects.bulk_create(
            CreditNoteLine(
                organization_id=stored.organization_id,
                credit_note=note,
                invoice_line=rows[line.position],
                position=number,
                amount_minor=line.amount_minor,
                tax_rate=rows[line.position].tax_rate,
                tax_included=line.tax_included,
                tax_minor=line.tax_minor,
            )
            for number, line in enumerate(credited, start=1)
        )
        sealing.seal_credit_note(note)
        excess = note.total_minor - before.due_minor
        if excess > 0:
            balance.give(stored, excess, kind=BalanceKind.CREDITED, reference=note.number, actor=actor.name, now=now)
        _tell(note, actor=actor, to_balance_minor=max(0, excess), now=now)
        moving.settle(stored, now=now)
        return queries.get_credit_note(str(note.id))


def read_credit_note(*, reference: str, actor: Actor) -> CreditNote:
    """The credit note of this id or number, or ``CreditNoteNotFound``, also where the actor may not know of it."""
    note = queries.get_credit_note(reference)
    if not actors.is_visible(actor, note.organization):
        raise CreditNoteNotFound
    actors.require(actor, Act.MONEY, note.organization)
    return note


def read_credit_notes(*, invoice: Invoice, actor: Actor) -> list[CreditNote]:
    """The credit notes of an invoice that the actor may know of, first issued first."""
    actors.require(actor, Act.MONEY, invoice.organization)
    return list(queries.credit_notes().filter(invoice=invoice).order_by("id"))


def _creditable(invoice: Invoice) -> list[Creditable]:
    credited = {
        row["invoice_line_id"]: row
        for row in CreditNoteLine.objects.filter(credit_note__invoice=invoice)
        .values("invoice_line_id")
        .annotate(amount=Sum("amount_minor"), tax=Sum("tax_minor"))
    }
    nothing = {"amount": 0, "tax": 0}
    return [
        Creditable(
            position=line.position,
            amount_minor=line.amount_minor,
            tax_minor=line.tax_minor,
            tax_included=line.tax_included,
            credited_minor=credited.get(line.id, nothing)["amount"],
            credited_tax_minor=credited.get(line.id, nothing)["tax"],
        )
        for line in invoice.lines.all()
    ]


def _tell(note: CreditNote, *, actor: Actor, to_balance_minor: int, now: datetime) -> None:
    told = {
        "credit_note": str(note.id),
        "number": note.number,
        "invoice": str(note.invoice_id),
        "total": format_minor(note.total_minor, note.currency),
        "to_balance": format_minor(to_balance_minor, note.currency),
        "currency": note.currency,
    }
    moving.audit_of(
        note.invoice, "invoice.credit", actor=actor, reason=note.reason, credit_note=note.number, total=told["total"]
    )
    outbox.emit(organization_id=note.organization_id, topic="credit_note.issued", payload=told, now=now)
    on_commit(partial(logs.event, "credit_note.issued", organization=note.organization_id, credit_note=note.id))
