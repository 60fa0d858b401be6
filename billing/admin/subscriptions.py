"""Subscriptions: above all those whose renewals wait for somebody."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest

from billing.accounts.actors import Act
from billing.admin.base import Desk, actor_of, may_any, now_of
from billing.lifecycle import renew
from billing.models import Subscription


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


@admin.register(Subscription)
class SubscriptionDesk(Desk):
    list_display = ("organization", "plan", "status", "due_at", "parked_at", "parked_reason", "held_at")
    list_filter = (Waiting, "status", "product")
    list_select_related = ("organization", "plan")
    search_fields = ("organization__slug", "organization__name", "organization__external_id", "id")
    search_help_text = "Organization, external id, or the subscription's id"
    ordering = ("-parked_at", "-created_at")
    actions = ("let_renewals_run",)

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        return super().get_queryset(request).select_related("organization", "plan", "pending_plan")

    def has_release_permission(self, request: HttpRequest) -> bool:
        return may_any(request, Act.SUBSCRIPTIONS)

    @admin.action(description="Let held or parked renewals run", permissions=["release"])
    def let_renewals_run(self, request: HttpRequest, rows: QuerySet[Subscription]) -> None:
        actor = actor_of(request)

        def run(row: Subscription) -> str:
            happenings = renew.release(subscription=row, actor=actor, now=now_of(row.organization))
            parked = [each.details["why"] for each in happenings if each.topic == "subscription.parked"]
            if parked:
                return f"parked again: {parked[-1]}"
            return f"{len(happenings)} things happened" if happenings else "nothing was waiting"

        self.each(request, rows, run)
