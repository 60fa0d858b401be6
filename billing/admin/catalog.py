"""The catalog as it runs: plan versions and coupons. It is changed by its file, and by nobody here."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.db.models import Count, Q
from django.http import HttpRequest

from billing.accounts.actors import Act
from billing.admin import parts
from billing.admin.base import Desk, link
from billing.admin.parts import Cell, Page
from billing.models import LIVE, Coupon, Plan, PlanEntitlement, SubscriptionDiscount


@admin.register(Plan)
class PlanDesk(Desk):
    organization_path = ""
    object_type = "plan"
    list_display = ("code", "version", "name", "billing_period", "is_current", "is_on_sale", "is_active", "created_at")
    list_filter = ("is_current", "is_on_sale", "is_active", "product")
    search_fields = ("code", "name")
    search_help_text = "Code, name, or the version's id"
    ordering = ("code", "-version")

    def page(self, request: HttpRequest, row: Plan) -> Page:
        versions = (
            Plan.objects.filter(code=row.code)
            .annotate(live=Count("subscriptions", filter=Q(subscriptions__status__in=LIVE)))
            .order_by("-version")
        )
        return Page(
            title=f"{row.name}, version {row.version}",
            sections=[
                parts.pairs(
                    "Plan",
                    ("Code", row.code),
                    ("Version", row.version),
                    ("Product", row.product),
                    ("Billing period", row.billing_period),
                    ("Base fee", row.base_fee_timing),
                    ("Trial days", row.trial_days),
                    ("Credits in a trial", row.trial_credits),
                    ("Credits allowed", row.credit_allowance),
                    ("Allowed every", row.allowance_every),
                    ("Current", row.is_current),
                    ("On sale", row.is_on_sale),
                    ("Active", row.is_active),
                ),
                parts.table(
                    "Prices",
                    ("currency", "base fee", "minimum", "a credit"),
                    [
                        (price.currency, parts.money(price.base_fee_minor, price.currency),
                         parts.money(price.minimum_minor, price.currency), price.credit_rate)
                        for price in row.prices.order_by("currency")
                    ],
                    empty="It has no price.",
                ),
                parts.table(
                    "Entitlements",
                    ("key", "kind", "limit", "resets", "at the limit", "credits each", "meters"),
                    [
                        (each.key, each.kind, _limit(each), each.cadence, each.on_limit, each.credits_per_unit,
                         each.meters)
                        for each in row.entitlements.order_by("position", "key")
                    ],
                    empty="None.",
                ),
                parts.table(
                    "Versions",
                    ("version", "made", "current", "live subscriptions"),
                    [
                        (Cell(str(each.version), link(Plan, each.id)), each.created_at, each.is_current, each.live)
                        for each in versions
                    ],
                ),
            ],
        )  # fmt: skip


def _limit(row: PlanEntitlement) -> Any:
    if row.kind == "boolean":
        return "yes" if row.enabled else "no"
    return "unlimited" if row.limit is None else row.limit


@admin.register(Coupon)
class CouponDesk(Desk):
    act = Act.CATALOG
    organization_path = ""
    object_type = "coupon"
    list_display = ("code", "name", "off", "periods", "redemptions", "redemptions_max", "redeem_until", "is_active")
    list_filter = ("is_active",)
    search_fields = ("code", "name")
    search_help_text = "Code, name, or the coupon's id"
    ordering = ("code",)

    @admin.display(description="off")
    def off(self, row: Coupon) -> str:
        if row.percent is not None:
            return f"{parts.text(row.percent)} %"
        return parts.money(row.amount_minor or 0, row.currency).text

    def page(self, request: HttpRequest, row: Coupon) -> Page:
        # Who redeemed it is a matter of those organizations; how often is not.
        return Page(
            title=f"Coupon {row.code}",
            sections=[
                parts.pairs(
                    "Coupon",
                    ("Name", row.name),
                    ("Off", self.off(row)),
                    ("For periods", row.periods or "for ever"),
                    ("Redeemed", row.redemptions),
                    ("At most", row.redemptions_max),
                    ("Until", row.redeem_until),
                    ("Active", row.is_active),
                    ("In force now", SubscriptionDiscount.objects.filter(coupon=row, removed_at=None).count()),
                    ("Made", row.created_at),
                )
            ],
        )
