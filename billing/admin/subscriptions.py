"""Subscriptions: above all those whose renewals wait for somebody; their periods, and the acts of finance on them."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest

from billing.accounts.actors import Act, Actor
from billing.admin import asking, parts
from billing.admin.acting import ActingDesk, DeskAct
from billing.admin.adjusting import adjust_credits
from billing.admin.base import Bounded, Desk, link, listing, now_of
from billing.admin.exporting import Exporting
from billing.admin.filters import ById
from billing.admin.parts import Cell, Page
from billing.credits import queries as credits_queries
from billing.invoicing import operations as invoicing_operations
from billing.kernel.money import format_minor
from billing.lifecycle import renew
from billing.models import (
    CreditEntry,
    Invoice,
    MarketplaceSubscription,
    Organization,
    Plan,
    Subscription,
    SubscriptionPeriod,
    UsageEvent,
    UsageWindow,
)

ROWS_SHOWN = 12
_TONES = {"past_due": "bad", "incomplete": "warn", "paused": "warn", "active": "good", "trialing": "good"}


class Waiting(admin.SimpleListFilter):
    title = "renewals"
    parameter_name = "renewals"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [("parked", "parked"), ("held", "held")]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Subscription]) -> QuerySet[Subscription]:
        if self.value() == "parked":
            return queryset.filter(parked_at__isnull=False)
        if self.value() == "held":
            return queryset.filter(held_at__isnull=False)
        return queryset


def _let_run(row: Subscription, actor: Actor, given: Mapping[str, Any], now: datetime) -> str:
    happenings = renew.release(subscription=row, actor=actor, now=now)
    parked = [each.details["why"] for each in happenings if each.topic == "subscription.parked"]
    if parked:
        return f"parked again: {parked[-1]}"
    return f"{len(happenings)} things happened" if happenings else "nothing was waiting"


def _draft(row: Subscription, actor: Actor, given: Mapping[str, Any], now: datetime) -> str:
    drafted = invoicing_operations.draft(subscription=row, actor=actor, now=now)
    return f"{drafted}, {format_minor(drafted.total_minor, drafted.currency)} {drafted.currency}"


@admin.register(Subscription)
class SubscriptionDesk(Exporting, ActingDesk):
    object_type = "subscription"
    list_display = ("organization", "plan", "status", "due_at", "parked_at", "parked_reason", "held_at")
    list_filter = (Waiting, "status", "cancel_at_period_end")
    list_select_related = ("organization", "plan")
    search_fields = ("organization__slug", "organization__name", "organization__external_id")
    search_help_text = "Organization, external id, or the subscription's id"
    ordering = ("-parked_at", "-created_at")
    export_columns = {
        "id": "id",
        "organization": "organization__slug",
        "product": "product",
        "plan": "plan__code",
        "plan_version": "plan__version",
        "status": "status",
        "currency": "currency",
        "starts_at": "starts_at",
        "ended_at": "ended_at",
        "trial_ends_at": "trial_ends_at",
        "due_at": "due_at",
        "cancel_at_period_end": "cancel_at_period_end",
        "parked_reason": "parked_reason",
    }
    acts = (
        DeskAct("draft", "Draft the last ended period", Act.INVOICES, _draft, icon="edit_document"),
        DeskAct("adjust", "Adjust credits", Act.CREDITS, adjust_credits, asking.Credits, icon="toll", is_bulk=False),
        DeskAct(
            "let_renewals_run", "Let renewals run", Act.SUBSCRIPTIONS, _let_run,
            offered=lambda row: row.parked_at is not None or row.held_at is not None, icon="play_arrow",
        ),
    )  # fmt: skip

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        return super().get_queryset(request).select_related("organization", "plan", "pending_plan", "marketplace")

    def one(self) -> QuerySet[Any]:
        return super().one().select_related("organization", "plan", "pending_plan", "marketplace")

    def named(self, row: Subscription) -> str:
        return f"{row.organization.slug}: {row.plan}, {row.status}"

    def page(self, request: HttpRequest, row: Subscription) -> Page:
        account, now = row.marketplace, now_of(row.organization)
        waits = row.parked_reason or ("held" if row.held_at else "")
        return Page(
            title=f"{row.organization.slug}: {row.plan.name}",
            notices=[Cell(f"Renewals wait: {waits}", tone="warn")] if waits else [],
            links=[
                Cell("Organization", link(Organization, row.organization_id)),
                Cell("Use", listing(UsageEvent, f"subscription={row.id}")),
                Cell("Ledger", listing(CreditEntry, f"account={row.id}")),
            ],
            sections=[
                parts.pairs(
                    "Subscription",
                    ("Status", Cell(row.status, tone=_TONES.get(row.status, ""))),
                    ("Plan", Cell(str(row.plan), link(Plan, row.plan_id))),
                    ("Product", row.product),
                    ("Currency", row.currency),
                    ("Since", row.starts_at),
                    ("Trial ends", row.trial_ends_at),
                    ("Next due", row.due_at),
                    ("At the period's end", "ends" if row.cancel_at_period_end else row.pending_plan or "goes on"),
                    ("Paused", row.paused_at),
                    ("Past due since", row.past_due_at),
                    ("Ended", row.ended_at),
                    ("Provider", row.provider),
                    ("Version", row.version),
                ),
                parts.pairs(
                    "Credits",
                    ("Balance", Cell(parts.text(account.credit_balance), link(MarketplaceSubscription, row.id))),
                    ("Spendable now", credits_queries.spendable(account, now)),
                    ("Entries", account.entries),
                ),
                self._periods(row),
                _invoices(row),
            ],
        )

    def _periods(self, row: Subscription) -> parts.Table:
        return parts.table(
            "Periods",
            ("no", "kind", "from", "to", "closed"),
            [
                (Cell(str(each.ordinal), link(SubscriptionPeriod, each.id)), each.kind, each.starts_at, each.ends_at,
                 each.closed_at)
                for each in SubscriptionPeriod.objects.filter(subscription=row).order_by("-ordinal")[:ROWS_SHOWN]
            ],
            empty="None yet.",
            more=listing(SubscriptionPeriod, f"subscription={row.id}"),
        )  # fmt: skip


def _invoices(row: Subscription) -> parts.Table:
    found = Invoice.objects.filter(subscription=row).order_by("-drafted_at", "-id")[:ROWS_SHOWN]
    return parts.table(
        "Invoices",
        ("invoice", "kind", "status", "total", "due on"),
        [
            (Cell(str(each), link(Invoice, each.id)), each.kind, each.status,
             parts.money(each.total_minor, each.currency), each.due_on)
            for each in found
        ],
        empty="None yet.",
        more=listing(Invoice, f"subscription={row.id}"),
    )  # fmt: skip


@admin.register(SubscriptionPeriod)
class PeriodDesk(Exporting, Desk):
    plural = "Periods"
    list_display = ("organization", "plan", "ordinal", "kind", "starts_at", "ends_at", "closed_at")
    list_filter = (ById.of("subscription", "subscription"), "kind", ("closed_at", admin.EmptyFieldListFilter))
    list_select_related = ("organization", "subscription__plan")
    search_fields = ("organization__slug",)
    search_help_text = "Organization, or the period's id"
    ordering = ("-id",)
    paginator = Bounded
    export_columns = {
        "id": "id",
        "organization": "organization__slug",
        "subscription": "subscription_id",
        "ordinal": "ordinal",
        "kind": "kind",
        "starts_at": "starts_at",
        "ends_at": "ends_at",
        "closed_at": "closed_at",
    }

    @admin.display(description="plan")
    def plan(self, period: SubscriptionPeriod) -> str:
        return str(period.subscription.plan)

    def page(self, request: HttpRequest, row: SubscriptionPeriod) -> Page:
        windows = UsageWindow.objects.filter(
            organization=row.organization, subscription=row.subscription_id, cadence="period", starts_at=row.starts_at
        ).order_by("meter_id")
        invoices = Invoice.objects.filter(period=row).order_by("drafted_at")
        return Page(
            title=f"{row.organization.slug}: period {row.ordinal}",
            links=[Cell("Subscription", link(Subscription, row.subscription_id))],
            sections=[
                parts.pairs(
                    "Period",
                    ("Kind", row.kind),
                    ("From", row.starts_at),
                    ("To", row.ends_at),
                    ("Would have ended", row.nominal_ends_at),
                    ("Closed", row.closed_at),
                ),
                parts.table(
                    "Use",
                    ("meter", "used", "over the limit", "events"),
                    [(each.meter_id, each.used, each.overage, each.events) for each in windows],
                    empty="None.",
                ),
                parts.table(
                    "Invoices",
                    ("invoice", "kind", "status", "total"),
                    [
                        (Cell(str(each), link(Invoice, each.id)), each.kind, each.status,
                         parts.money(each.total_minor, each.currency))
                        for each in invoices
                    ],
                    empty="None.",
                ),
            ],
        )  # fmt: skip
