"""Use as it was recorded: one subscription's at a time, by its index, never counted."""

from __future__ import annotations

from typing import Any

from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import HttpRequest

from billing.admin import parts
from billing.admin.base import Bounded, Desk, link
from billing.admin.exporting import Exporting
from billing.admin.filters import ById
from billing.admin.parts import Cell, Page
from billing.kernel import ids
from billing.models import Plan, Subscription, SubscriptionPeriod, UsageEvent

SUBSCRIPTION = "subscription"


@admin.register(UsageEvent)
class UsageEventDesk(Exporting, Desk):
    plural = "Use"
    list_display = ("occurred_at", "meter_id", "quantity", "overage", "credits_due", "credits_paid", "source", "key")
    list_filter = (ById.of(SUBSCRIPTION, SUBSCRIPTION),)
    search_fields = ("=key",)
    search_help_text = "The use's own key, or its id"
    ordering = ("-occurred_at", "-id")
    sortable_by = ()
    paginator = Bounded
    object_type = "usage_event"
    export_columns = {
        "id": "id",
        "organization": "organization_id",
        "subscription": "subscription_id",
        "meter": "meter_id",
        "service": "service",
        "source": "source",
        "key": "key",
        "quantity": "quantity",
        "overage": "overage",
        "credits_due": "credits_due",
        "credits_paid": "credits_paid",
        "guardrail_flags": "guardrail_flags",
        "occurred_at": "occurred_at",
        "recorded_at": "recorded_at",
        "reverses": "reverses_id",
    }

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        rows = super().get_queryset(request)
        term = ids.parse_uuid(request.GET.get("q", "").strip())
        if SUBSCRIPTION in request.GET or term is not None:
            return rows
        # Over everybody there is no index to read it by, and nobody reads a million rows.
        return rows.none()

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> Any:
        if SUBSCRIPTION not in request.GET and not request.GET.get("q"):
            messages.info(request, "Use is shown by subscription: follow “Use” on a subscription's page.")
        return super().changelist_view(request, extra_context)

    def page(self, request: HttpRequest, row: UsageEvent) -> Page:
        return Page(
            title=f"{parts.text(row.quantity)} {row.meter_id}",
            links=[
                Cell("Subscription", link(Subscription, row.subscription_id)),
                Cell("Period", link(SubscriptionPeriod, row.period_id)),
                Cell("Billed in", link(SubscriptionPeriod, row.billed_period_id)),
            ],
            sections=[
                parts.pairs(
                    "Use",
                    ("Organization", row.organization.slug),
                    ("Meter", row.meter_id),
                    ("Service", row.service),
                    ("Source", row.source),
                    ("Key", row.key),
                    ("Quantity", row.quantity),
                    ("Over the limit", row.overage),
                    ("Credits due", row.credits_due),
                    ("Credits paid", row.credits_paid),
                    ("Flags", row.guardrail_flags),
                    ("Plan", Cell("version that was live", link(Plan, row.plan_id))),
                    ("Occurred", row.occurred_at),
                    ("Recorded", row.recorded_at),
                    ("Takes back", row.reverses_id and Cell(str(row.reverses_id), link(UsageEvent, row.reverses_id))),
                    ("Debits", row.clears_id and Cell(str(row.clears_id), link(UsageEvent, row.clears_id))),
                )
            ],
        )
