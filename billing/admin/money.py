"""Money that moved, and what is dunned for."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from django.contrib import admin
from django.db.models import F, Q, QuerySet
from django.http import HttpRequest

from billing.accounts.actors import Act, Actor
from billing.admin import asking, parts, trail
from billing.admin.acting import ActingDesk, DeskAct
from billing.admin.base import Bounded, Desk, link
from billing.admin.exporting import Exporting
from billing.admin.parts import Cell, Page
from billing.lifecycle.collecting import operations as collecting_operations
from billing.models import ChargeAttempt, Collection, CreditNote, Invoice, Organization, Payment, Subscription


@admin.register(Payment)
class PaymentDesk(Exporting, Desk):
    act = Act.MONEY
    list_display = ("booked_at", "organization", "invoice", "kind", "amount", "provider", "reference", "actor")
    list_filter = ("kind",)
    list_select_related = ("organization", "invoice")
    search_fields = ("reference", "organization__slug", "invoice__number")
    search_help_text = "Reference, organization, invoice's number, or the payment's id"
    ordering = ("-id",)
    paginator = Bounded
    export_columns = {
        "id": "id",
        "organization": "organization__slug",
        "invoice": "invoice__number",
        "kind": "kind",
        "amount_minor": "amount_minor",
        "currency": "invoice__currency",
        "provider": "provider",
        "method": "method",
        "reference": "reference",
        "reason": "reason",
        "actor": "actor",
        "received_at": "received_at",
        "booked_at": "booked_at",
    }

    @admin.display(description="amount", ordering="amount_minor")
    def amount(self, row: Payment) -> str:
        return parts.money(row.amount_minor, row.invoice.currency).text

    def one(self) -> QuerySet[Any]:
        return super().one().select_related("organization", "invoice")

    def page(self, request: HttpRequest, row: Payment) -> Page:
        return Page(
            title=f"{row.kind.title()} {row.reference}",
            links=[Cell("Invoice", link(Invoice, row.invoice_id))],
            sections=[
                parts.pairs(
                    "Money",
                    ("Organization", Cell(row.organization.slug, link(Organization, row.organization_id))),
                    ("Invoice", Cell(str(row.invoice), link(Invoice, row.invoice_id))),
                    ("Kind", row.kind),
                    ("Amount", parts.money(row.amount_minor, row.invoice.currency)),
                    ("Provider", row.provider),
                    ("Method", row.method),
                    ("Reference", row.reference),
                    ("Received", row.received_at),
                    ("Booked", row.booked_at),
                    ("By", trail.names([row.actor])[row.actor]),
                    ("Why", row.reason),
                )
            ],
            trail=trail.of_object("invoice", row.invoice_id),
        )


@admin.register(CreditNote)
class CreditNoteDesk(Exporting, Desk):
    act = Act.MONEY
    list_display = ("number", "organization", "invoice", "total", "issued_at", "reason")
    list_select_related = ("organization", "invoice")
    search_fields = ("number", "organization__slug", "invoice__number")
    search_help_text = "Number, organization, invoice's number, or the credit note's id"
    ordering = ("-id",)
    paginator = Bounded
    export_columns = {
        "number": "number",
        "id": "id",
        "organization": "organization__slug",
        "invoice": "invoice__number",
        "currency": "currency",
        "subtotal_minor": "subtotal_minor",
        "tax_minor": "tax_minor",
        "total_minor": "total_minor",
        "reason": "reason",
        "actor": "actor",
        "issued_at": "issued_at",
    }

    @admin.display(description="total", ordering="total_minor")
    def total(self, row: CreditNote) -> str:
        return parts.money(row.total_minor, row.currency).text

    def one(self) -> QuerySet[Any]:
        return super().one().select_related("organization", "invoice")

    def page(self, request: HttpRequest, row: CreditNote) -> Page:
        return Page(
            title=f"Credit note {row.number}",
            links=[Cell("Invoice", link(Invoice, row.invoice_id))],
            sections=[
                parts.pairs(
                    "Credit note",
                    ("Organization", Cell(row.organization.slug, link(Organization, row.organization_id))),
                    ("Invoice", Cell(str(row.invoice), link(Invoice, row.invoice_id))),
                    ("Subtotal", parts.money(row.subtotal_minor, row.currency)),
                    ("Tax", parts.money(row.tax_minor, row.currency)),
                    ("Total", parts.money(row.total_minor, row.currency)),
                    ("Issued", row.issued_at),
                    ("By", trail.names([row.actor])[row.actor]),
                    ("Why", row.reason),
                ),
                parts.table(
                    "Lines",
                    ("no", "line of the invoice", "amount", "tax"),
                    [
                        (line.position, line.invoice_line.description, parts.money(line.amount_minor, row.currency),
                         parts.money(line.tax_minor, row.currency))
                        for line in row.lines.select_related("invoice_line").order_by("position")
                    ],
                ),
            ],
            trail=trail.of_object("invoice", row.invoice_id),
        )  # fmt: skip


def _retry(row: Collection, actor: Actor, given: Mapping[str, Any], now: datetime) -> str:
    retried = collecting_operations.retry(collection=row, actor=actor, now=now)
    last = ChargeAttempt.objects.filter(collection=retried).order_by("-started_at", "-id").first()
    return f"charge {last.status}{f': {last.message}' if last.message else ''}" if last else "nothing was due"


def _stop(row: Collection, actor: Actor, given: Mapping[str, Any], now: datetime) -> str:
    collecting_operations.stop(collection=row, actor=actor, reason=given["reason"], now=now)
    return "stopped; the invoice stays due"


class Dunned(admin.SimpleListFilter):
    title = "state"
    parameter_name = "state"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [("open", "dunned for"), ("past_due", "past due"), ("closed", "closed")]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Collection]) -> QuerySet[Collection]:
        conditions = {
            "open": Q(closed_at__isnull=True, dunning_at__isnull=False),
            "past_due": Q(past_due_at__isnull=False, lifted_at__isnull=True),
            "closed": Q(closed_at__isnull=False),
        }
        return queryset.filter(conditions[value]) if (value := self.value()) in conditions else queryset


@admin.register(Collection)
class DunningDesk(Exporting, ActingDesk):
    plural = "Dunnings"
    act = Act.MONEY
    object_type = "collection"
    list_display = (
        "organization",
        "invoice",
        "method",
        "dunning_at",
        "step",
        "next_at",
        "past_due_at",
        "closed_because",
    )
    list_filter = (Dunned, "method")
    list_select_related = ("organization", "invoice")
    search_fields = ("organization__slug", "invoice__number")
    search_help_text = "Organization, invoice's number, or the dunning's id"
    ordering = (F("dunning_at").desc(nulls_last=True), "-id")
    paginator = Bounded
    export_columns = {
        "id": "id",
        "organization": "organization__slug",
        "invoice": "invoice__number",
        "method": "method",
        "started_at": "started_at",
        "dunning_at": "dunning_at",
        "step": "step",
        "next_at": "next_at",
        "past_due_at": "past_due_at",
        "closed_at": "closed_at",
        "closed_because": "closed_because",
    }
    acts = (
        DeskAct(
            "retry", "Charge now", Act.INVOICES, _retry, offered=lambda row: row.closed_at is None, icon="credit_card",
            is_bulk=False, is_once=False,
        ),
        DeskAct(
            "stop", "Stop dunning", Act.INVOICES, _stop, asking.Why, lambda row: row.closed_at is None, "block",
            is_grave=True,
        ),
    )  # fmt: skip

    def one(self) -> QuerySet[Any]:
        return super().one().select_related("organization", "invoice", "subscription")

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        return super().get_queryset(request).select_related("organization", "invoice", "subscription")

    def named(self, row: Collection) -> str:
        return f"{row.invoice} · {row.organization.slug}"

    def page(self, request: HttpRequest, row: Collection) -> Page:
        attempts = ChargeAttempt.objects.filter(collection=row).order_by("started_at", "id")
        return Page(
            title=f"Collecting {row.invoice}",
            links=[
                Cell("Invoice", link(Invoice, row.invoice_id)),
                Cell("Subscription", link(Subscription, row.subscription_id)),
            ],
            sections=[
                parts.pairs(
                    "Collection",
                    ("Organization", Cell(row.organization.slug, link(Organization, row.organization_id))),
                    ("Method", row.method),
                    ("Started", row.started_at),
                    ("Dunned since", row.dunning_at),
                    ("Steps behind", row.step),
                    ("Next", row.next_at),
                    ("Grace ends", row.grace_ends_at),
                    ("Past due", row.past_due_at),
                    ("Let go", row.lifted_at),
                    ("Ends the subscription", row.cancels_at),
                    ("Closed", row.closed_at),
                    ("Because", row.closed_because),
                ),
                parts.table(
                    "Charges",
                    ("tried", "step", "provider", "amount", "outcome", "code", "said"),
                    [
                        (each.started_at, each.step, each.provider,
                         parts.money(each.amount_minor, row.invoice.currency), each.status, each.code, each.message)
                        for each in attempts
                    ],
                    empty="Nothing was charged.",
                ),
            ],
        )  # fmt: skip
