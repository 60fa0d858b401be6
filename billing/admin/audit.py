"""The audit log: who did what, by whatever door. Its rows are of the regions that the reader is cleared for."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest

from billing.accounts.actors import ALL_REGIONS, Act
from billing.admin import parts, trail
from billing.admin.base import Bounded, actor_of
from billing.admin.exporting import Exporting
from billing.admin.parts import Page
from billing.models import AuditEntry, Organization


@admin.register(AuditEntry)
class AuditDesk(Exporting):
    plural = "Audit log"
    act = Act.MONEY
    # A row names its organization without a foreign key, and rows about the platform have none.
    organization_path = ""
    list_display = ("recorded_at", "actor", "act", "object_type", "object_id", "reason")
    search_fields = ("=object_id",)
    search_help_text = "An organization's slug, the id of what something was done to, or the entry's own"
    ordering = ("-id",)
    sortable_by = ()
    paginator = Bounded
    export_columns = {
        "recorded_at": "recorded_at",
        "actor": "actor",
        "act": "act",
        "object_type": "object_type",
        "object_id": "object_id",
        "organization": "organization_id",
        "reason": "reason",
        "details": "details",
        "id": "id",
    }

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        rows = super().get_queryset(request)
        actor = actor_of(request)
        if actor.is_superuser or ALL_REGIONS in actor.regions:
            return rows
        return rows.filter(organization_id__in=_cleared(request))

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Any], search_term: str
    ) -> tuple[QuerySet[Any], bool]:
        organization = Organization.objects.filter(slug=search_term.strip()).first()
        if organization is not None:
            return queryset.filter(organization_id=organization.id), False
        found, duplicates = super().get_search_results(request, queryset, search_term)
        return found, duplicates

    def organization_of(self, row: AuditEntry) -> Organization | None:
        return Organization.objects.filter(id=row.organization_id).first() if row.organization_id else None

    def find(self, request: HttpRequest, object_id: str) -> Any:
        row = super().find(request, object_id)
        # Of no organization: only for those who are cleared for all.
        if row is not None and row.organization_id is None and not _sees_all(request):
            return None
        return row

    def page(self, request: HttpRequest, row: AuditEntry) -> Page:
        return Page(
            title=row.act,
            sections=[
                parts.pairs(
                    "Entry",
                    ("When", row.recorded_at),
                    ("Who", trail.names([row.actor])[row.actor]),
                    ("What", row.act),
                    ("On", f"{row.object_type} {row.object_id}"),
                    ("Why", row.reason),
                    *((name, str(value)) for name, value in row.details.items()),
                )
            ],
            trail=trail.of_object(row.object_type, row.object_id),
        )


def _sees_all(request: HttpRequest) -> bool:
    actor = actor_of(request)
    return actor.is_superuser or ALL_REGIONS in actor.regions


def _cleared(request: HttpRequest) -> QuerySet[Organization, Any]:
    return Organization.objects.filter(residency_region__in=actor_of(request).regions).values("id")
