"""Invoices: drafts that wait for a human, what is owed, and what was issued. Amounts as the documents show them."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from django.contrib import admin
from django.db.models import Q, QuerySet
from django.http import HttpRequest
from django.utils import timezone

from billing.accounts.actors import Act, Actor
from billing.admin import asking, parts
from billing.admin.acting import ActingDesk, DeskAct
from billing.admin.base import link
from billing.admin.exporting import Exporting
from billing.admin.filters import ById
from billing.admin.parts import Cell, Page
from billing.invoicing import operations, settlement
from billing.invoicing import queries as invoicing_queries
from billing.invoicing.errors import SettlementInvalid
from billing.kernel.money import format_minor, to_minor_exact
from billing.models import Collection, Invoice, InvoiceKind, InvoiceStatus, Organization, Subscription

_DRAFT, _ISSUED, _PAID = InvoiceStatus.DRAFT, InvoiceStatus.ISSUED, InvoiceStatus.PAID
_LATE = (_ISSUED, _PAID, InvoiceStatus.UNCOLLECTIBLE)
_TONES = {"paid": "good", "uncollectible": "bad"}


class Waiting(admin.SimpleListFilter):
    title = "waiting for a human"
    parameter_name = "waiting"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [
            ("review", "draft that nobody issues"),
            ("parked", "parked"),
            ("held", "held"),
            ("overdue", "overdue"),
        ]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Invoice]) -> QuerySet[Invoice]:
        conditions = {
            "review": Q(status=_DRAFT, issue_due_at__isnull=True, period__isnull=False),
            "parked": Q(status=_DRAFT, issue_due_at__isnull=True, parked_at__isnull=False),
            "held": Q(status=_DRAFT, issue_due_at__isnull=True, held_at__isnull=False),
            "overdue": Q(status=_ISSUED, due_on__lt=timezone.now().date()),
        }
        return queryset.filter(conditions[value]) if (value := self.value()) in conditions else queryset


def _issue(row: Invoice, actor: Actor, given: Mapping[str, Any], now: datetime) -> str:
    return f"issued as {operations.issue(invoice=row, actor=actor, now=now).number}"


def _release(row: Invoice, actor: Actor, given: Mapping[str, Any], now: datetime) -> str:
    operations.release(invoice=row, actor=actor, now=now)
    return "issues itself within a minute"


def _hold(row: Invoice, actor: Actor, given: Mapping[str, Any], now: datetime) -> str:
    operations.hold(invoice=row, actor=actor, reason=given["reason"], now=now)
    return "held: nobody issues it but a person"


def _draft(row: Invoice, actor: Actor, given: Mapping[str, Any], now: datetime) -> str:
    drafted = operations.draft(subscription=row.subscription, period=row.period, actor=actor, now=now)
    return f"{drafted}, {format_minor(drafted.total_minor, drafted.currency)} {drafted.currency}"


def _void(row: Invoice, actor: Actor, given: Mapping[str, Any], now: datetime) -> str:
    operations.void(invoice=row, actor=actor, reason=given["reason"], now=now)
    return "void"


def _write_off(row: Invoice, actor: Actor, given: Mapping[str, Any], now: datetime) -> str:
    operations.mark_uncollectible(invoice=row, actor=actor, reason=given["reason"], now=now)
    return "written off; it can still be paid"


def _pay(row: Invoice, actor: Actor, given: Mapping[str, Any], now: datetime) -> str:
    stored = invoicing_queries.get_invoice(str(row.id))
    amount = given["amount"]
    due_minor = stored.total_minor if settlement.is_open_order(stored) else settlement.due_minor(stored)
    minor = due_minor if amount is None else _minor(amount, row.currency)
    paid = operations.pay(
        invoice=row, amount_minor=minor, reference=f"{given['reference']} {row}"[:200], actor=actor, now=now
    )
    return f"{format_minor(minor, row.currency)} {row.currency} booked; it is {paid.invoice.status}"


def _refund(row: Invoice, actor: Actor, given: Mapping[str, Any], now: datetime) -> str:
    minor = _minor(given["amount"], row.currency)
    operations.refund(
        invoice=row,
        amount_minor=minor,
        reference=f"{given['reference']} {row}"[:200],
        reason=given["reason"],
        actor=actor,
        now=now,
    )
    return f"{format_minor(minor, row.currency)} {row.currency} given back"


def _credit(row: Invoice, actor: Actor, given: Mapping[str, Any], now: datetime) -> str:
    lines = {
        position: None if amount is None else _minor(amount, row.currency)
        for position, amount in (given["lines"] or {}).items()
    }
    note = operations.credit(invoice=row, actor=actor, reason=given["reason"], now=now, lines=lines or None)
    return f"credit note {note.number} of {format_minor(note.total_minor, note.currency)} {note.currency}"


def _minor(amount: Any, currency: str) -> int:
    try:
        return to_minor_exact(amount, currency)
    except ValueError as error:
        raise SettlementInvalid(f"The amount {error}.", field="amount") from error


def _is(*statuses: str) -> Any:
    return lambda row: row.status in statuses


def _of_period(*statuses: str) -> Any:
    """As ``_is``, of what bills a period: an order of credits is issued by its payment alone."""
    return lambda row: row.status in statuses and row.kind != InvoiceKind.PURCHASE


def _is_payable(row: Invoice) -> bool:
    return row.status in (_ISSUED, InvoiceStatus.UNCOLLECTIBLE) or settlement.is_open_order(row)


def _is_voidable(row: Invoice) -> bool:
    return row.status == _DRAFT or (row.status == _ISSUED and row.kind != InvoiceKind.PURCHASE)


@admin.register(Invoice)
class InvoiceDesk(Exporting, ActingDesk):
    act = Act.MONEY
    object_type = "invoice"
    list_display = ("shown", "organization", "kind", "state", "total", "issued_at", "due_on", "waits")
    list_filter = (ById.of("subscription", "subscription"), Waiting, "status", "kind")
    list_select_related = ("organization",)
    search_fields = ("number", "organization__slug", "organization__name")
    search_help_text = "Number, organization, or the invoice's id"
    ordering = ("-drafted_at", "-id")
    export_columns = {
        "number": "number",
        "id": "id",
        "organization": "organization__slug",
        "kind": "kind",
        "status": "status",
        "currency": "currency",
        "subtotal_minor": "subtotal_minor",
        "tax_minor": "tax_minor",
        "total_minor": "total_minor",
        "starts_at": "starts_at",
        "ends_at": "ends_at",
        "drafted_at": "drafted_at",
        "issued_at": "issued_at",
        "due_on": "due_on",
        "parked_reason": "parked_reason",
    }
    acts = (
        DeskAct("issue", "Issue", Act.INVOICES, _issue, offered=_of_period(_DRAFT), icon="send"),
        DeskAct("pay", "Mark paid", Act.INVOICES, _pay, asking.Received, _is_payable, "payments"),
        DeskAct("credit", "Issue a credit note", Act.INVOICES, _credit, asking.CreditLines, _is(*_LATE), "undo"),
        DeskAct(
            "refund", "Book a refund", Act.INVOICES, _refund, asking.GivenBack, _is(*_LATE), "currency_exchange",
            is_bulk=False,
        ),
        DeskAct(
            "hold", "Hold", Act.INVOICES, _hold, asking.Why,
            lambda row: _of_period(_DRAFT)(row) and row.held_at is None, "pause",
        ),
        DeskAct(
            "release", "Let it issue itself", Act.INVOICES, _release,
            offered=lambda row: _of_period(_DRAFT)(row) and row.issue_due_at is None, icon="play_arrow",
        ),
        DeskAct(
            "draft", "Draft its period anew", Act.INVOICES, _draft, offered=_of_period(_DRAFT, "void"),
            icon="edit_document",
        ),
        DeskAct("void", "Void", Act.INVOICES, _void, asking.Why, _is_voidable, "block", is_grave=True),
        DeskAct(
            "uncollectible", "Write off", Act.INVOICES, _write_off, asking.Why, _is(_ISSUED), "money_off", is_grave=True
        ),
    )  # fmt: skip

    def one(self) -> QuerySet[Any]:
        return super().one().select_related("organization", "subscription", "period")

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        return super().get_queryset(request).select_related("organization", "subscription", "period")

    @admin.display(description="number", ordering="number")
    def shown(self, invoice: Invoice) -> str:
        return invoice.number or f"draft {str(invoice.id)[-8:]}"

    @admin.display(description="status", ordering="status")
    def state(self, invoice: Invoice) -> str:
        return state_of(invoice).text

    @admin.display(description="total", ordering="total_minor")
    def total(self, invoice: Invoice) -> str:
        return parts.money(invoice.total_minor, invoice.currency).text

    @admin.display(description="waits because")
    def waits(self, invoice: Invoice) -> str:
        return why_it_waits(invoice)

    def page(self, request: HttpRequest, row: Invoice) -> Page:
        invoice = _as_the_books_are(row)
        currency, is_draft = invoice.currency, invoice.status == _DRAFT
        # Of a draft nothing is paid, credited or collected: nobody is asked.
        standing = settlement.Standing(invoice.total_minor, 0, 0, 0) if is_draft else settlement.standing(invoice)
        collections = [] if is_draft else Collection.objects.filter(invoice=invoice).order_by("-started_at")
        waits = why_it_waits(invoice)
        return Page(
            title=f"Invoice {self.shown(invoice)}",
            notices=[Cell(f"Waits for somebody: {waits}", tone="warn")] if waits else [],
            links=[Cell(name.upper(), f"/api/billing/invoices/{invoice.id}.{name}") for name in ("pdf", "csv")],
            sections=[
                parts.pairs(
                    "Invoice",
                    ("Status", state_of(invoice)),
                    ("Organization", Cell(row.organization.slug, link(Organization, row.organization_id))),
                    ("Subscription", Cell(row.subscription.product, link(Subscription, row.subscription_id))),
                    ("Kind", invoice.kind),
                    ("From", invoice.starts_at if invoice.period_id else None),
                    ("To", invoice.ends_at if invoice.period_id else None),
                    ("Drafted", invoice.drafted_at),
                    ("Issues itself", invoice.issue_due_at),
                    ("Issued", invoice.issued_at),
                    ("Due on", invoice.due_on),
                    ("Subtotal", parts.money(invoice.subtotal_minor, currency)),
                    ("Tax", parts.money(invoice.tax_minor, currency)),
                    ("Total", parts.money(invoice.total_minor, currency)),
                    ("Paid", parts.money(standing.paid_minor, currency)),
                    ("Credited", parts.money(standing.credited_minor, currency)),
                    ("Left to pay", parts.money(0 if is_draft else settlement.due_minor(invoice), currency)),
                ),
                parts.table(
                    "Lines",
                    ("no", "charge", "for what", "quantity", "rate", "per", "amount"),
                    [
                        (line.position, line.charge, line.description, line.quantity, line.rate, line.per,
                         parts.money(line.amount_minor, currency))
                        for line in invoice.lines.all()
                    ],
                    empty="No lines.",
                ),
                parts.table(
                    "Payments and refunds",
                    ("booked", "what", "by", "reference", "amount", "why"),
                    [
                        (each.booked_at, each.kind, each.provider, each.reference,
                         parts.money(each.amount_minor, currency), each.reason)
                        for each in ([] if is_draft else invoice.payments.all())
                    ],
                    empty="Nothing is paid.",
                ),
                parts.table(
                    "Credit notes",
                    ("issued", "number", "total", "why"),
                    [
                        (note.issued_at, note.number, parts.money(note.total_minor, currency), note.reason)
                        for note in ([] if is_draft else invoice.credit_notes.all())
                    ],
                    empty="Nothing is credited.",
                ),
                parts.table(
                    "Collecting",
                    ("started", "dunned since", "step", "next", "past due", "closed"),
                    [
                        (Cell(parts.instant(each.started_at), link(Collection, each.id)), each.dunning_at, each.step,
                         each.next_at, each.past_due_at, each.closed_because)
                        for each in collections
                    ],
                    empty="Nobody collects it.",
                ),
            ],
        )  # fmt: skip


def _as_the_books_are(row: Invoice) -> Invoice:
    """With all that its page shows; nothing is paid of a draft, and nothing credited."""
    if row.status != _DRAFT:
        return invoicing_queries.with_lines(Invoice.objects.all()).get(id=row.id)
    invoicing_queries.prefetch_lines([row])
    (current,) = operations.refresh([row])
    return current


def state_of(invoice: Invoice) -> Cell:
    if invoice.status == _ISSUED and invoice.due_on and invoice.due_on < timezone.now().date():
        return Cell("overdue", tone="bad")
    if settlement.is_open_order(invoice):
        return Cell("order, to be paid")
    if invoice.status == _DRAFT and invoice.issue_due_at is None:
        return Cell("draft, waits", tone="warn")
    return Cell(str(invoice.status), tone=_TONES.get(invoice.status, ""))


def why_it_waits(invoice: Invoice) -> str:
    """Only of a draft that does not issue itself."""
    if invoice.status != _DRAFT or invoice.issue_due_at is not None or settlement.is_open_order(invoice):
        return ""
    return invoice.parked_reason or ("held" if invoice.held_at else "to be reviewed")
