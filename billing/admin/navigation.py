"""The sidebar, by work rather than by table."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.contrib.auth.models import Group
from django.db.models import Model
from django.http import HttpRequest
from django.urls import reverse

from billing.admin.base import Desk, listing
from billing.models import (
    ApiKey,
    AuditEntry,
    Collection,
    Coupon,
    CreditEntry,
    CreditGrant,
    CreditNote,
    CreditRequest,
    InvariantResult,
    Invoice,
    MarketplaceSubscription,
    Organization,
    Payment,
    Plan,
    ProviderInboxEvent,
    Subscription,
    SubscriptionPeriod,
    UsageEvent,
    User,
    WebhookDelivery,
    WebhookEndpoint,
)

_Item = tuple[str, str, type[Model], str]
_WORK: tuple[tuple[str, tuple[_Item, ...]], ...] = (
    (
        "Organizations",
        (("Organizations", "domain", Organization, ""),),
    ),
    (
        "Subscriptions",
        (
            ("Subscriptions", "autorenew", Subscription, ""),
            ("Periods", "date_range", SubscriptionPeriod, ""),
        ),
    ),
    (
        "Invoices",
        (
            ("Invoices", "receipt_long", Invoice, ""),
            ("Drafts to review", "rate_review", Invoice, "waiting=review"),
            ("Overdue", "running_with_errors", Invoice, "waiting=overdue"),
            ("Payments", "payments", Payment, ""),
            ("Credit notes", "undo", CreditNote, ""),
            ("Dunnings", "notification_important", Collection, ""),
        ),
    ),
    (
        "Credits",
        (
            ("Credit accounts", "toll", MarketplaceSubscription, ""),
            ("Waiting for approval", "how_to_reg", CreditRequest, "state=waiting"),
            ("Grants", "redeem", CreditGrant, ""),
        ),
    ),
    (
        "Ledgers",
        (
            ("Credit ledger", "menu_book", CreditEntry, ""),
            ("Use", "monitoring", UsageEvent, ""),
        ),
    ),
    (
        "Catalog",
        (
            ("Plans", "inventory_2", Plan, ""),
            ("Coupons", "sell", Coupon, ""),
        ),
    ),
    (
        "Connections",
        (
            ("Webhook endpoints", "webhook", WebhookEndpoint, ""),
            ("Deliveries", "outbox", WebhookDelivery, ""),
            ("Provider inbox", "inbox", ProviderInboxEvent, ""),
        ),
    ),
    (
        "Audit and people",
        (
            ("Audit log", "policy", AuditEntry, ""),
            ("Invariants", "fact_check", InvariantResult, ""),
            ("People", "group", User, ""),
            ("Groups", "groups", Group, ""),
            ("API keys", "key", ApiKey, ""),
        ),
    ),
)


def sidebar(request: HttpRequest) -> list[dict[str, Any]]:
    """What the person may open; groups of which that is nothing are left out."""
    today = {
        "title": "Today",
        "icon": "today",
        "link": reverse("admin:index"),
        "active": request.path == reverse("admin:index"),
    }
    found: list[dict[str, Any]] = [{"title": "", "items": [today]}]
    for title, items in _WORK:
        shown = [
            {"title": name, "icon": icon, "link": listing(model, query), "active": _is_here(request, model, query)}
            for name, icon, model, query in items
            if admin.site.get_model_admin(model).has_view_permission(request)
        ]
        if shown:
            found.append({"title": title, "separator": True, "items": shown})
    return found + _of_others(request)


def _of_others(request: HttpRequest) -> list[dict[str, Any]]:
    """Desks that packages above this one bring, by package."""
    ours = {model for _, items in _WORK for _, _, model, _ in items}
    groups: dict[str, list[dict[str, Any]]] = {}
    for model, desk in admin.site._registry.items():  # noqa: SLF001 - there is no public list of them
        if model not in ours and isinstance(desk, Desk) and desk.has_view_permission(request):
            options = desk.opts
            item = {
                "title": desk.list_title,
                "icon": "storefront",
                "link": listing(model),
                "active": request.path.startswith(listing(model)),
            }
            groups.setdefault(str(options.app_config.verbose_name).capitalize(), []).append(item)
    return [{"title": title, "separator": True, "items": items} for title, items in sorted(groups.items())]


def _is_here(request: HttpRequest, model: type[Model], query: str) -> bool:
    if not request.path.startswith(listing(model)):
        return False
    asked = {name: value for name, value in request.GET.items() if name in ("waiting", "state")}
    wanted = dict([query.split("=")]) if query else {}
    return asked == wanted or (not wanted and not any(asked == dict([q.split("=")]) for q in _queries(model)))


def _queries(model: type[Model]) -> list[str]:
    return [query for _, items in _WORK for _, _, of, query in items if of is model and query]
