"""Issuing: the draft's last derivation, the closing of its period, a number, and the freeze."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from functools import partial
from typing import Any

from django.conf import settings
from django.db.transaction import atomic, on_commit

from billing.accounts import actors, profiles
from billing.accounts.actors import Act, Actor
from billing.accounts.profiles import Profile
from billing.infra import audit, locks, logs, outbox
from billing.invoicing import bounds, drafts, followers, numbering, queries, sealing
from billing.invoicing.errors import InvoiceBillsTwice, InvoicePrepaid, InvoiceVoid
from billing.invoicing.operations import balancing, drafting, moving
from billing.kernel.errors import InvariantViolation
from billing.kernel.money import format_minor
from billing.models import Invoice, InvoiceKind, InvoiceStatus, Organization, SubscriptionPeriod


class Odd(Exception):
    """What ``look`` had to say of the invoice. Not an error of anybody who issues by hand."""


def issue(
    *, invoice: Invoice, actor: Actor, now: datetime, look: Callable[[Invoice], str | None] | None = None
) -> Invoice:
    """Derive the draft a last time, close its period, number it, and freeze it with issuer and customer copied in.

    Use that is recorded later finds the period closed and goes to the next open one: no event is on two invoices or on
    none. The customer's balance pays as much of it as it can. Issuing an issued invoice returns it unchanged. Raises
    ``InvoiceVoid``, ``InvoicePrepaid``, ``PeriodNotEnded`` (an ``now`` before the period's end), ``NothingToBill``
    (what it asked is on another invoice by now), ``InvoiceBillsTwice``, ``PriceMissing``, ``AmountOutOfBounds``,
    ``Busy``; then nothing is written and no number used. ``look`` sees the invoice before it goes out: what it says
    raises ``Odd``.
    """
    actors.require(actor, Act.INVOICES, invoice.organization)
    with atomic():
        locks.lock_organization(invoice.organization_id)
        stored = Invoice.objects.only("id", "status", "kind", "period_id").get(id=invoice.id)
        if stored.status == InvoiceStatus.VOID:
            raise InvoiceVoid("A void invoice cannot be issued.")
        if stored.status != InvoiceStatus.DRAFT:
            return queries.get_invoice(str(stored.id))
        kind = InvoiceKind(stored.kind)
        if kind == InvoiceKind.PURCHASE:
            raise InvoicePrepaid("An order of credits is issued by being paid: book its payment.")
        if stored.period_id is None:
            raise InvariantViolation(f"invoice {stored.id} is a draft of no period")
        (drafted,) = drafting.derive_and_write([stored.period_id], actor=actor, now=now, kind=kind)
        if drafted.refusal is not None:
            raise drafted.refusal
        issued = queries.get_invoice(str(stored.id))
        odd = look(issued) if look is not None else None
        if odd is not None:
            raise Odd(odd)
        twice = bounds.doubled(issued)
        if twice is not None:
            raise InvoiceBillsTwice(twice)
        if kind == InvoiceKind.CYCLE:
            SubscriptionPeriod.objects.filter(id=stored.period_id).update(closed_at=now)
        freeze(issued, actor=actor, now=now)
        moved = balancing.apply(issued, actor=actor, now=now)
        # Nothing is paid of it yet: only one of nothing is settled as it is.
        settled = moving.settle(issued, now=now) if moved or not issued.total_minor else issued
        followers.tell(settled, was=InvoiceStatus.DRAFT, now=now)
        return settled


_FROZEN = (
    "issuer",
    "customer",
    "status",
    "issued_at",
    "due_on",
    "number",
    "issue_due_at",
    "held_at",
    "parked_at",
    "parked_reason",
)


def freeze(invoice: Invoice, *, actor: Actor, now: datetime) -> None:
    """Number a draft and copy issuer and customer in, under the lock that the caller holds. What the draft says of its
    customer already stays: an order is taxed as it was when it was made."""
    organization = invoice.organization
    day = numbering.issue_date(now)
    invoice.issuer = dict(settings.BILLING_ISSUER)
    profile = profiles.of_row(profiles.find_profile(organization))
    invoice.customer = {**_customer(organization, profile, invoice.currency), **invoice.customer}
    invoice.status = InvoiceStatus.ISSUED
    invoice.issued_at = now
    is_prepaid = invoice.kind == InvoiceKind.PURCHASE
    invoice.due_on = day if is_prepaid else day + timedelta(days=_terms_days(profile))
    # The counter is locked from here to the commit: everything slow came before.
    invoice.number = numbering.next_number(series=numbering.series_of(organization), year=day.year)
    invoice.issue_due_at = invoice.held_at = invoice.parked_at = None
    invoice.parked_reason = ""
    invoice.save(update_fields=_FROZEN)
    sealing.seal_invoice(invoice)
    audit.record(
        actor=actor.name,
        act="invoice.issue",
        object_type="invoice",
        object_id=invoice.id,
        organization_id=organization.id,
        details={"number": invoice.number, "total": format_minor(invoice.total_minor, invoice.currency)},
    )
    outbox.emit(organization_id=organization.id, topic="invoice.issued", payload=drafts.message(invoice), now=now)
    on_commit(
        partial(logs.event, "invoice.issued", organization=organization.id, invoice=invoice.id, number=invoice.number)
    )


def _terms_days(profile: Profile) -> int:
    days = profile.payment_terms_days
    return int(settings.BILLING_PAYMENT_TERMS_DAYS) if days is None else days


def _customer(organization: Organization, profile: Profile, currency: str) -> dict[str, Any]:
    """What the document says of the customer, as it was at issue."""
    return {
        **profiles.as_dict(profile),
        "id": str(organization.id),
        "slug": organization.slug,
        "name": profile.legal_name or organization.name,
        "region": organization.residency_region,
        "zone": organization.zone,
        "billing_email": organization.billing_email,
        "currency": currency,
    }
