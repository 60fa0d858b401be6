"""Reading invoices as they are stored, and finding what is to be drafted."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from uuid import UUID

from django.db import connection
from django.db.models import Exists, F, Min, OuterRef, Prefetch, Q, QuerySet, prefetch_related_objects

from billing.infra import statements
from billing.invoicing.errors import CreditNoteNotFound, InvoiceNotFound
from billing.kernel import ids
from billing.models import (
    BalanceEntry,
    BaseFeeTiming,
    CreditNote,
    CreditNoteLine,
    Invoice,
    InvoiceKind,
    InvoiceLine,
    InvoiceStatus,
    LineCharge,
    Payment,
    PeriodKind,
    PlanSpan,
    Status,
    SubscriptionPeriod,
    UsageCharge,
)

PAGE_LENGTH_MAX = 200
# Drafts that wait for a human, by why; beside the statuses, these can be asked for.
WAITING = {"held": Q(held_at__isnull=False), "parked": Q(parked_at__isnull=False)}


_LINES = Prefetch("lines", InvoiceLine.objects.select_related("plan").order_by("position"))


def with_lines(invoices: QuerySet[Invoice]) -> QuerySet[Invoice]:
    """All that a document shows of each, in a fixed number of further queries however many there are."""
    return invoices.prefetch_related(
        _LINES,
        Prefetch("payments", Payment.objects.order_by("id")),
        Prefetch("credit_notes", CreditNote.objects.order_by("id")),
    )


def prefetch_lines(invoices: list[Invoice]) -> None:
    """Load the lines alone of invoices that are here already: all that drafts have."""
    prefetch_related_objects(invoices, _LINES)


def find_invoice(reference: str) -> Invoice | None:
    """The invoice of this id or number, with its organization and lines as stored."""
    given = ids.parse_uuid(reference)
    named = Q(number=reference) if given is None else Q(id=given)
    if "\x00" in reference:
        return None
    return with_lines(Invoice.objects.select_related("organization").filter(named)).first()


def get_invoice(reference: str) -> Invoice:
    """As ``find_invoice`` but raises ``InvoiceNotFound``."""
    invoice = find_invoice(reference)
    if invoice is None:
        raise InvoiceNotFound
    return invoice


def credit_notes() -> QuerySet[CreditNote]:
    """With all that their documents show."""
    return CreditNote.objects.select_related("organization", "invoice").prefetch_related(
        Prefetch("lines", CreditNoteLine.objects.select_related("invoice_line").order_by("position"))
    )


def get_credit_note(reference: str) -> CreditNote:
    """The credit note of this id or number, with what its document shows. Raises ``CreditNoteNotFound``."""
    given = ids.parse_uuid(reference)
    named = Q(number=reference) if given is None else Q(id=given)
    note = None if "\x00" in reference else credit_notes().filter(named).first()
    if note is None:
        raise CreditNoteNotFound
    return note


def list_invoices(
    *,
    organization_id: UUID | None = None,
    subscription_id: UUID | None = None,
    status: str | None = None,
    before: tuple[datetime, UUID] | None = None,
    after: tuple[datetime, UUID] | None = None,
    with_orders: bool = True,
    limit: int = 50,
) -> list[Invoice]:
    """Invoices with their lines as stored, the last drafted first; ``before`` is the last row of the page before,
    ``after`` the first row of the page that follows.

    ``status`` is one of an invoice, or one of ``WAITING``. Orders of credits that nobody paid are left out unless
    ``with_orders``.
    """
    invoices = Invoice.objects.order_by("-drafted_at", "-id")
    if not with_orders:
        invoices = invoices.exclude(kind=InvoiceKind.PURCHASE, number=None)
    if organization_id is not None:
        invoices = invoices.filter(organization_id=organization_id)
    if subscription_id is not None:
        invoices = invoices.filter(subscription_id=subscription_id)
    if status in WAITING:
        invoices = invoices.filter(WAITING[status], status=InvoiceStatus.DRAFT)
    elif status is not None:
        invoices = invoices.filter(status=status)
    if before is not None:
        drafted_at, invoice_id = before
        invoices = invoices.filter(
            Q(drafted_at__lt=drafted_at) | Q(drafted_at=drafted_at, id__lt=invoice_id), drafted_at__lte=drafted_at
        )
    found = with_lines(invoices.select_related("organization"))
    if after is not None:
        drafted_at, invoice_id = after
        found = found.filter(
            Q(drafted_at__gt=drafted_at) | Q(drafted_at=drafted_at, id__gt=invoice_id), drafted_at__gte=drafted_at
        )
        return list(found.order_by("drafted_at", "id")[: min(limit, PAGE_LENGTH_MAX)])[::-1]
    return list(found[: min(limit, PAGE_LENGTH_MAX)])


def list_balances(organization_id: UUID) -> list[BalanceEntry]:
    """The last movement of an organization's money balance in each currency, by currency."""
    return list(
        BalanceEntry.objects.filter(organization_id=organization_id)
        .order_by("currency", "-sequence")
        .distinct("currency")
    )


def iterate_issued(organization_id: UUID) -> Iterator[Invoice]:
    """An organization's issued invoices that are not void, first issued first. Streamed."""
    issued = Invoice.objects.select_related("organization").filter(organization_id=organization_id)
    return (
        issued.exclude(status__in=[InvoiceStatus.DRAFT, InvoiceStatus.VOID])
        .order_by("issued_at", "number")
        .iterator(chunk_size=200)
    )


def find_last_ended_period(subscription_id: UUID, now: datetime) -> SubscriptionPeriod | None:
    return (
        SubscriptionPeriod.objects.filter(subscription_id=subscription_id, ends_at__lte=now)
        .order_by("-ends_at")
        .first()
    )


def find_current_period(subscription_id: UUID, now: datetime) -> SubscriptionPeriod | None:
    condition = "own.subscription_id = %s AND own.starts_at <= %s AND own.ends_at > %s"
    found = statements.fetch_rows(SubscriptionPeriod, condition, [subscription_id, now, now])
    return found[0] if found else None


_UNBILLED_FINALS = """
SELECT period.id FROM organization_subscriptions AS subscription
JOIN subscription_periods AS period ON period.subscription_id = subscription.id AND period.closed_at IS NOT NULL
JOIN organizations AS organization ON organization.id = subscription.organization_id AND NOT organization.is_sandbox
WHERE subscription.ended_at > %s AND EXISTS (
    SELECT FROM billing_usage_charges AS charge WHERE charge.billed_period_id = period.id
) AND (
    SELECT sum(charge.overage + charge.credit_deficit) FROM billing_usage_charges AS charge
    WHERE charge.billed_period_id = period.id
) <> (
    SELECT coalesce(sum(line.quantity), 0) FROM marketplace_invoices AS invoice
    JOIN marketplace_invoice_lines AS line ON line.invoice_id = invoice.id AND line.charge IN ('overage', 'credits')
    WHERE invoice.period_id = period.id AND invoice.status <> 'void'
)
ORDER BY period.organization_id, period.id LIMIT %s
"""


def list_unbilled_finals(*, ended_after: datetime, limit: int) -> list[UUID]:
    """Closed periods of subscriptions that ended after ``ended_after`` with use that no invoice, and no draft, bills.
    Sandboxes are left out."""
    with connection.cursor() as cursor:
        cursor.execute(_UNBILLED_FINALS, [ended_after, limit])
        return [period_id for (period_id,) in cursor.fetchall()]


def list_issue_due_organizations(*, now: datetime, limit: int) -> list[UUID]:
    """Organizations, not sandboxes, with a draft that issues itself by ``now``; longest overdue first."""
    due = (
        Invoice.objects.filter(issue_due_at__lte=now, organization__is_sandbox=False)
        .order_by("issue_due_at")
        .values_list("organization_id", flat=True)[:limit]
    )
    return list(dict.fromkeys(due))


def next_issue_due(organization_id: UUID) -> datetime | None:
    """When the organization's next draft issues itself."""
    due = Invoice.objects.filter(organization_id=organization_id, issue_due_at__isnull=False)
    at: datetime | None = due.aggregate(at=Min("issue_due_at"))["at"]
    return at


def iterate_due(now: datetime) -> Iterator[UUID]:
    """Ids of ended periods without an invoice, sandboxes left out: what the sweep drafts. Streamed, any number."""
    drafted = Invoice.objects.filter(period_id=OuterRef("pk"), kind=InvoiceKind.CYCLE).exclude(
        status=InvoiceStatus.VOID
    )
    charged = UsageCharge.objects.filter(billed_period_id=OuterRef("pk"))
    ever_drafted = Invoice.objects.filter(period_id=OuterRef("pk"), kind=InvoiceKind.CYCLE)
    asked_after = PlanSpan.objects.filter(
        Q(ends_at__isnull=True) | Q(ends_at__gt=OuterRef("ends_at")),
        subscription_id=OuterRef("subscription_id"),
        starts_at__lte=OuterRef("ends_at"),
        plan__base_fee_timing=BaseFeeTiming.ADVANCE,
    )
    paid_ahead = InvoiceLine.objects.filter(
        invoice__subscription_id=OuterRef("subscription_id"),
        invoice__status__in=[InvoiceStatus.ISSUED, InvoiceStatus.PAID, InvoiceStatus.UNCOLLECTIBLE],
        charge=LineCharge.BASE,
        starts_at=OuterRef("starts_at"),
        amount_minor__gt=0,
    )
    return (
        SubscriptionPeriod.objects.filter(~Exists(drafted), ends_at__lte=now, closed_at__isnull=True)
        .filter(
            Q(kind=PeriodKind.REGULAR, subscription__ended_at__isnull=True)
            | Q(kind=PeriodKind.REGULAR, subscription__ended_at__gt=F("starts_at"))
            # A trial that was followed by a period whose fee is due in advance; once, whatever became of its draft.
            | Q(kind=PeriodKind.TRIAL) & Exists(asked_after) & ~Exists(ever_drafted)
            | Exists(charged)
            # Left in its first instant, after its fee was billed in advance.
            | Q(subscription__ended_at__lte=F("starts_at")) & Exists(paid_ahead)
        )
        .filter(organization__is_sandbox=False)
        .exclude(subscription__status=Status.INCOMPLETE)
        .order_by("organization_id", "subscription_id", "ordinal")
        .values_list("id", flat=True)
        .iterator(chunk_size=2000)
    )
