"""Drafting and previewing: one period or thousands, by the same set-based steps."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from django.db.transaction import atomic

from billing.accounts import actors
from billing.accounts.actors import Act, Actor
from billing.infra import locks
from billing.invoicing import drafts, loading, queries, rows
from billing.invoicing.books import LineDraft, ServicePeriod
from billing.invoicing.errors import (
    NoEndedPeriod,
    NothingToBill,
    PeriodNotEnded,
    PeriodNotOfSubscription,
    SubscriptionIncomplete,
)
from billing.invoicing.loading import Target
from billing.kernel.errors import BillingError
from billing.models import Invoice, InvoiceKind, InvoiceStatus, Organization, Status, Subscription, SubscriptionPeriod


@dataclass(frozen=True, slots=True)
class Drafted:
    """What became of one period in a run over many: an invoice, or the refusal."""

    period_id: UUID
    invoice_id: UUID | None
    refusal: BillingError | None


@dataclass(frozen=True, slots=True)
class Preview:
    """An invoice that is not there: what it would say if nothing more happened."""

    organization_id: UUID
    subscription_id: UUID
    currency: str
    period: ServicePeriod
    lines: tuple[LineDraft, ...]
    subtotal_minor: int
    tax_minor: int
    total_minor: int
    kind: InvoiceKind = InvoiceKind.CYCLE


def draft(
    *, subscription: Subscription, actor: Actor, now: datetime, period: SubscriptionPeriod | None = None
) -> Invoice:
    """Draft the invoice of an ended period (by default the last one), or bring its draft up to the books.

    An issued invoice comes back as it is. Raises, with nothing written, ``NoEndedPeriod``, ``PeriodNotEnded``,
    ``PeriodNotOfSubscription``, ``SubscriptionIncomplete``, ``NothingToBill`` (a trial without chargeable use),
    ``PriceMissing``, ``AmountOutOfBounds``; ``Busy`` where the books are in use.
    """
    actors.require(actor, Act.INVOICES, subscription.organization)
    with atomic():
        locks.lock_organization(subscription.organization_id)
        period_id = _period_to_draft(subscription, period, now)
        (drafted,) = derive_and_write([period_id], actor=actor, now=now)
        if drafted.refusal is not None:
            raise drafted.refusal
        return queries.get_invoice(str(drafted.invoice_id))


def draft_many(*, period_ids: Iterable[UUID], actor: Actor, now: datetime) -> list[Drafted]:
    """Draft the invoices of these periods in one transaction and a bounded number of statements.

    A period that cannot be drafted is reported with its refusal and does not stop the others. Unknown ids are left out.
    """
    owners = rows.list_owners(list(period_ids))
    organization_ids = set(owners.values())
    actors.require_for(actor, Act.INVOICES, organization_ids)
    with atomic():
        locks.lock_organizations(organization_ids)
        return derive_and_write(owners, actor=actor, now=now)


def draft_change(*, subscription: Subscription, actor: Actor, now: datetime) -> Invoice | None:
    """Draft the invoice of the fees that the running period asks in advance, as far as no other invoice has them.

    For the start of a subscription and for upgrades in the middle of a period. None where nothing is due: the plan
    bills in arrears, or costs no more than is billed; a fee that became less is set right by the cycle invoice.
    Raises as ``draft`` does.
    """
    actors.require(actor, Act.INVOICES, subscription.organization)
    with atomic():
        locks.lock_organization(subscription.organization_id)
        period = queries.find_current_period(subscription.id, now)
        if period is None:
            return None
        (drafted,) = derive_and_write([period.id], actor=actor, now=now, kind=InvoiceKind.CHANGE)
        if isinstance(drafted.refusal, NothingToBill):
            return None
        if drafted.refusal is not None:
            raise drafted.refusal
        return queries.get_invoice(str(drafted.invoice_id))


def draft_finals(*, period_ids: Collection[UUID], actor: Actor, now: datetime) -> list[Drafted]:
    """Draft a final invoice for each of these last periods of ended subscriptions, whose own invoices are out, from
    the use that none of them bills. Use that is free, or billed, asks for none."""
    organizations = Organization.objects.filter(
        id__in=SubscriptionPeriod.objects.filter(id__in=list(period_ids)).values("organization_id")
    )
    for organization in organizations:
        actors.require(actor, Act.INVOICES, organization)
    with atomic():
        locks.lock_organizations(each.id for each in organizations)
        return derive_and_write(
            period_ids,
            actor=actor,
            now=max((each.clock_at or now for each in organizations), default=now),
            kind=InvoiceKind.FINAL,
        )


def preview(
    *,
    subscription: Subscription,
    actor: Actor,
    now: datetime,
    period: SubscriptionPeriod | None = None,
    kind: InvoiceKind = InvoiceKind.CYCLE,
) -> Preview:
    """What the invoice of ``period`` (by default the one that runs, or else the last) would say. Writes nothing.

    Raises as ``draft`` does, but an unfinished period is allowed (its base fee stands for the whole of it), and a
    trial without chargeable use has no lines. Of the kind ``change`` it is the fees due in advance, no lines if none.
    """
    actors.require(actor, Act.PREVIEW, subscription.organization)
    if period is None:
        period = queries.find_current_period(subscription.id, now) or queries.find_last_ended_period(
            subscription.id, now
        )
    target = _target(subscription, period, kind)
    derivation = drafts.derive(target)
    return Preview(
        organization_id=target.organization_id,
        subscription_id=target.subscription_id,
        currency=target.books.currency,
        period=target.books.period,
        lines=derivation.lines,
        subtotal_minor=derivation.subtotal_minor,
        tax_minor=derivation.tax_minor,
        total_minor=derivation.total_minor,
        kind=kind,
    )


def _period_to_draft(subscription: Subscription, period: SubscriptionPeriod | None, now: datetime) -> UUID:
    if period is None:
        period = queries.find_last_ended_period(subscription.id, now)
        if period is None:
            raise NoEndedPeriod("No period of this subscription has ended yet.")
    elif period.subscription_id != subscription.id:
        raise PeriodNotOfSubscription("This period is not one of the subscription's.", field="period")
    return period.id


def _target(subscription: Subscription, period: SubscriptionPeriod | None, kind: InvoiceKind) -> Target:
    if period is None:
        raise NoEndedPeriod("This subscription has no period yet.")
    if period.subscription_id != subscription.id:
        raise PeriodNotOfSubscription("This period is not one of the subscription's.", field="period")
    claims, _ = drafts.claims_on([period.id], kind)
    (target,) = loading.load(claims)
    return target


def derive_and_write(
    period_ids: Iterable[UUID], *, actor: Actor, now: datetime, kind: InvoiceKind = InvoiceKind.CYCLE
) -> list[Drafted]:
    """Derive and write, under the locks that the caller holds: all checks come before the first write."""
    claims, stored = drafts.claims_on(period_ids, kind)
    drafted: dict[UUID, Drafted] = {}
    new, changed = [], []
    for target in loading.load(claims):
        invoice = stored.get(target.period_id)
        drafted[target.period_id] = Drafted(target.period_id, invoice.id if invoice else None, None)
        if invoice is not None and invoice.status != InvoiceStatus.DRAFT:
            continue
        try:
            _refuse_unfinished(target, now)
            _refuse_unbillable(target)
            derivation = drafts.derive(target)
            _refuse_unwanted(derivation)
        except BillingError as refusal:
            drafted[target.period_id] = Drafted(target.period_id, None, refusal)
            continue
        if invoice is None:
            new.append(derivation)
        elif not drafts.is_current(invoice, derivation):
            changed.append((invoice, derivation))
    if changed:
        drafts.rewrite(changed)
    if new:
        for period_id, invoice_id in drafts.insert(new, actor=actor.name, now=now).items():
            drafted[period_id] = Drafted(period_id, invoice_id, None)
    return list(drafted.values())


def _refuse_unfinished(target: Target, now: datetime) -> None:
    if target.claim.kind != InvoiceKind.CHANGE and target.ends_at > now:
        raise PeriodNotEnded("This period still runs; it can be previewed.", ends_at=target.ends_at.isoformat())


def _refuse_unbillable(target: Target) -> None:
    if target.subscription_status == Status.INCOMPLETE:
        raise SubscriptionIncomplete("This subscription was never confirmed.")
    if not target.books.is_billable:
        raise NothingToBill("Nothing is chargeable in this period: it is a trial, or the subscription had ended.")


def _refuse_unwanted(derivation: drafts.Derivation) -> None:
    """Fees in advance are asked for in the middle of a period; what they come to less is left to its end."""
    if derivation.target.claim.kind == InvoiceKind.CHANGE and derivation.subtotal_minor <= 0:
        raise NothingToBill("No fee is due in advance.")
    if not derivation.lines:
        raise NothingToBill("All that it could ask is on other invoices.")
