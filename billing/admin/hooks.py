"""What goes out and what comes in: webhook endpoints with their deliveries, and the inbox of payment providers."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from django.contrib import admin
from django.db.models import Q, QuerySet
from django.http import HttpRequest

from billing.accounts.actors import Act, Actor
from billing.admin import asking, parts
from billing.admin.acting import ActingDesk, DeskAct
from billing.admin.base import Bounded, Desk, link, listing
from billing.admin.filters import ById
from billing.admin.parts import Cell, Page
from billing.models import Organization, ProviderInboxEvent, WebhookAttempt, WebhookDelivery, WebhookEndpoint
from billing.payments import inbox

ROWS_SHOWN = 25


@admin.register(WebhookEndpoint)
class EndpointDesk(Desk):
    act = Act.MONEY
    object_type = "webhook_endpoint"
    list_display = (
        "organization",
        "url",
        "paused_at",
        "pause_reason",
        "disabled_at",
        "last_delivered_at",
        "last_failed_at",
    )
    list_filter = ("pause_reason", ("disabled_at", admin.EmptyFieldListFilter))
    list_select_related = ("organization",)
    search_fields = ("organization__slug", "url")
    search_help_text = "Organization, URL, or the endpoint's id"
    ordering = ("-id",)

    def page(self, request: HttpRequest, row: WebhookEndpoint) -> Page:
        last = WebhookDelivery.objects.filter(endpoint=row).select_related("event").order_by("-position")[:ROWS_SHOWN]
        return Page(
            title=row.url,
            links=[Cell("All deliveries", listing(WebhookDelivery, f"endpoint={row.id}"))],
            sections=[
                parts.pairs(
                    "Endpoint",
                    ("Organization", Cell(row.organization.slug, link(Organization, row.organization_id))),
                    ("Description", row.description),
                    ("Topics", row.topics),
                    ("Paused", row.paused_at),
                    ("Because", row.pause_reason),
                    ("Disabled", row.disabled_at),
                    ("Last delivered", row.last_delivered_at),
                    ("Last failed", row.last_failed_at),
                    ("Made", row.created_at),
                ),
                parts.table(
                    "Last deliveries",
                    ("queued", "topic", "status", "attempts", "next try"),
                    [
                        (Cell(parts.instant(each.created_at), link(WebhookDelivery, each.pk)), each.event.topic,
                         each.status, each.attempts, each.next_attempt_at)
                        for each in last
                    ],
                    empty="Nothing was sent yet.",
                ),
            ],
        )  # fmt: skip


class Failing(admin.SimpleListFilter):
    title = "failing"
    parameter_name = "failing"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [("yes", "failing now")]

    def queryset(self, request: HttpRequest, queryset: QuerySet[WebhookDelivery]) -> QuerySet[WebhookDelivery]:
        return queryset.filter(Q(status="pending", failures__gt=0)) if self.value() == "yes" else queryset


@admin.register(WebhookDelivery)
class DeliveryDesk(Desk):
    plural = "Webhook deliveries"
    act = Act.MONEY
    list_display = ("created_at", "organization", "topic", "status", "attempts", "failures", "next_attempt_at")
    list_filter = (ById.of("endpoint", "endpoint"), Failing, "status")
    list_select_related = ("organization", "event")
    ordering = ("-id",)
    paginator = Bounded

    @admin.display(description="topic")
    def topic(self, row: WebhookDelivery) -> str:
        return row.event.topic

    def one(self) -> QuerySet[Any]:
        return super().one().select_related("organization", "event", "endpoint")

    def page(self, request: HttpRequest, row: WebhookDelivery) -> Page:
        attempts = WebhookAttempt.objects.filter(delivery=row).order_by("number")
        return Page(
            title=f"{row.event.topic} to {row.organization.slug}",
            links=[Cell("Endpoint", link(WebhookEndpoint, row.endpoint_id))],
            sections=[
                parts.pairs(
                    "Delivery",
                    ("Status", row.status),
                    ("Message", row.event_id),
                    ("Queued", row.created_at),
                    ("Attempts", row.attempts),
                    ("Failures since", row.failures),
                    ("Next try", row.next_attempt_at),
                    ("Finished", row.finished_at),
                ),
                parts.table(
                    "Attempts",
                    ("no", "started", "took ms", "status", "error", "answer"),
                    [
                        (each.number, each.started_at, each.duration_ms, each.status_code, each.error, each.excerpt)
                        for each in attempts
                    ],
                    empty="None yet.",
                ),
            ],
        )


def _replay(row: ProviderInboxEvent, actor: Actor, given: Mapping[str, Any], now: datetime) -> str:
    inbox.replay(event=row, actor=actor, reason=given["reason"], now=now)
    return "is tried again within seconds"


@admin.register(ProviderInboxEvent)
class InboxDesk(ActingDesk):
    plural = "Provider inbox"
    act = Act.PROVIDERS
    # Whose it is comes out when it is applied.
    organization_path = ""
    object_type = "provider_event"
    list_display = ("received_at", "provider", "type", "status", "organization", "attempts", "awaits", "reason")
    list_filter = ("status",)
    list_select_related = ("organization",)
    search_fields = ("=event_id", "organization__slug")
    search_help_text = "The provider's id of it, organization, or our id"
    ordering = ("-id",)
    paginator = Bounded
    acts = (DeskAct("replay", "Replay", Act.PROVIDERS, _replay, asking.Why, icon="replay"),)

    def page(self, request: HttpRequest, row: ProviderInboxEvent) -> Page:
        return Page(
            title=f"{row.provider} {row.type}",
            notices=[Cell(row.reason, tone="bad")] if row.status == "parked" else [],
            sections=[
                parts.pairs(
                    "Event",
                    ("Provider", row.provider),
                    ("Its id", row.event_id),
                    ("Type", row.type),
                    ("Status", row.status),
                    ("Organization", row.organization.slug if row.organization else None),
                    ("Occurred", row.occurred_at),
                    ("Received", row.received_at),
                    ("Attempts", row.attempts),
                    ("Next try", row.next_attempt_at),
                    ("Awaits", row.awaits),
                    ("Why", row.reason),
                    ("Finished", row.finished_at),
                    ("What it sent", "kept" if row.body is not None else "deleted by now"),
                )
            ],
        )
