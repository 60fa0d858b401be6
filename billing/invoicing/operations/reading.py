"""Reading for the doors: visible to the actor, and drafts as the books are now."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Sequence
from datetime import datetime
from uuid import UUID

from django.db.transaction import atomic

from billing.accounts import actors
from billing.accounts.actors import Act, Actor
from billing.infra import locks, logs
from billing.invoicing import drafts, loading, queries
from billing.invoicing.errors import InvoiceNotFound
from billing.invoicing.loading import Claim, Target
from billing.kernel.errors import BillingError
from billing.models import Invoice, InvoiceKind, InvoiceStatus, Organization


def read_invoice(*, reference: str, actor: Actor) -> Invoice:
    """The invoice of this id or number, a draft as the books are now. One that ``actor`` may not know of raises the
    same ``InvoiceNotFound`` as one that is not there."""
    invoice = queries.get_invoice(reference)
    if not actors.is_visible(actor, invoice.organization):
        raise InvoiceNotFound
    actors.require(actor, Act.MONEY, invoice.organization)
    (current,) = refresh([invoice])
    return current


def read_invoices(
    *,
    organization: Organization | None,
    actor: Actor,
    subscription_id: UUID | None = None,
    status: str | None = None,
    before: tuple[datetime, UUID] | None = None,
    limit: int = 50,
) -> list[Invoice]:
    """A page of an organization's invoices, or for finance of everybody's (None), last drafted first, drafts as the
    books are now. ``status`` as in ``queries.list_invoices``."""
    actors.require(actor, Act.INVOICES if organization is None else Act.MONEY, organization)
    return refresh(
        queries.list_invoices(
            organization_id=None if organization is None else organization.id,
            subscription_id=subscription_id,
            status=status,
            before=before,
            limit=limit,
        )
    )


def refresh(invoices: Sequence[Invoice]) -> list[Invoice]:
    """The same invoices, with every draft brought up to the books: nothing is locked or written where none moved.

    A draft that the books cannot price any more stays as it was and is logged: a reader should still see it.
    """
    stale = _stale(invoices)
    if not stale:
        return list(invoices)
    with atomic():
        locks.lock_organizations({invoice.organization_id for invoice, _ in stale})
        again = Invoice.objects.filter(id__in=[invoice.id for invoice, _ in stale]).prefetch_related("lines")
        drafts.rewrite(_stale(again))
    anew = queries.with_lines(Invoice.objects.select_related("organization")).in_bulk([i.id for i in invoices])
    return [anew[i.id] for i in invoices]


def _stale(invoices: Iterable[Invoice]) -> list[tuple[Invoice, drafts.Derivation]]:
    """Those that are drafts and say something else than the books, with what the books say."""
    found = {i.id: i for i in invoices if i.status == InvoiceStatus.DRAFT and i.period_id is not None}
    claims = [Claim(i.period_id, InvoiceKind(i.kind), i.id) for i in found.values() if i.period_id is not None]
    return [
        (found[derivation.target.claim.invoice_id], derivation)
        for derivation in _derivable(loading.load(claims))
        if derivation.target.claim.invoice_id is not None
        and not drafts.is_current(found[derivation.target.claim.invoice_id], derivation)
    ]


def _derivable(targets: Iterable[Target]) -> list[drafts.Derivation]:
    found = []
    for target in targets:
        try:
            found.append(drafts.derive(target))
        except BillingError as refusal:
            logs.event(
                "invoice.stale",
                level=logging.WARNING,
                period=target.period_id,
                code=refusal.code,
                reason=refusal.message,
            )
    return found
