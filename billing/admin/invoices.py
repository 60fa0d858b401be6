"""Invoices: drafts that wait for a human, what is owed, and what was issued. Amounts as the documents show them."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest

from billing.accounts.actors import Act
from billing.admin.base import Desk, actor_of, may_any, now_of
from billing.invoicing import operations
from billing.kernel.money import format_minor
from billing.models import Invoice, InvoiceLine


class Waiting(admin.SimpleListFilter):
    title = "waiting for a human"
    parameter_name = "waiting"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [("parked", "parked"), ("held", "held")]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Invoice]) -> QuerySet[Invoice]:
        if self.value() == "parked":
            return queryset.filter(parked_at__isnull=False)
        if self.value() == "held":
            return queryset.filter(held_at__isnull=False)
        return queryset


class Lines(admin.TabularInline):  # type: ignore[type-arg]  # generic for the type checker only
    model = InvoiceLine
    fields = ("position", "charge", "description", "quantity", "rate", "per", "amount")
    readonly_fields = fields
    extra = 0
    can_delete = False
    ordering = ("position",)

    def has_view_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return may_any(request, Act.MONEY)

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    @admin.display(description="amount")
    def amount(self, line: InvoiceLine) -> str:
        return format_minor(line.amount_minor, line.invoice.currency)


@admin.register(Invoice)
class InvoiceDesk(Desk):
    act = Act.MONEY
    list_display = ("shown", "organization", "kind", "status", "total", "issued_at", "due_on", "waits")
    list_filter = (Waiting, "status", "kind", "currency")
    list_select_related = ("organization",)
    search_fields = ("number", "organization__slug", "organization__name", "id")
    search_help_text = "Number, organization, or the invoice's id"
    date_hierarchy = "drafted_at"
    ordering = ("-drafted_at", "-id")
    inlines = (Lines,)
    actions = ("issue", "release")

    @admin.display(description="number", ordering="number")
    def shown(self, invoice: Invoice) -> str:
        return str(invoice)

    @admin.display(description="total", ordering="total_minor")
    def total(self, invoice: Invoice) -> str:
        return f"{format_minor(invoice.total_minor, invoice.currency)} {invoice.currency}"

    @admin.display(description="waits because")
    def waits(self, invoice: Invoice) -> str:
        return invoice.parked_reason or ("held" if invoice.held_at else "")

    def has_invoices_permission(self, request: HttpRequest) -> bool:
        return may_any(request, Act.INVOICES)

    @admin.action(description="Issue", permissions=["invoices"])
    def issue(self, request: HttpRequest, rows: QuerySet[Invoice]) -> None:
        actor = actor_of(request)

        def act(row: Invoice) -> str:
            issued = operations.issue(invoice=row, actor=actor, now=now_of(row.organization))
            return f"issued as {issued.number}"

        self.each(request, rows, act)

    @admin.action(description="Let held or parked drafts issue themselves", permissions=["invoices"])
    def release(self, request: HttpRequest, rows: QuerySet[Invoice]) -> None:
        actor = actor_of(request)

        def act(row: Invoice) -> str:
            operations.release(invoice=row, actor=actor, now=now_of(row.organization))
            return "issues itself within a minute"

        self.each(request, rows, act)
