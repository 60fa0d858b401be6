"""Prepaid credits: accounts, grants, the ledger, and what waits for a second person."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils import timezone

from billing.accounts.actors import Act, Actor
from billing.admin import asking, parts, trail
from billing.admin.acting import ActingDesk, DeskAct
from billing.admin.adjusting import adjust_credits
from billing.admin.base import Bounded, Desk, link, listing, now_of
from billing.admin.exporting import Exporting
from billing.admin.filters import ById
from billing.admin.parts import Cell, Page
from billing.credits import queries as credits_queries
from billing.credits import requests
from billing.kernel.decimals import plain
from billing.lifecycle import approving, voiding
from billing.models import CreditEntry, CreditGrant, CreditRequest, MarketplaceSubscription, Subscription

ROWS_SHOWN = 30


def _adjust(row: MarketplaceSubscription, actor: Actor, given: Mapping[str, Any], now: datetime) -> str:
    return adjust_credits(row.subscription, actor, given, now)


def _void(row: CreditGrant, actor: Actor, given: Mapping[str, Any], now: datetime) -> str:
    voided = voiding.void(grant=row, actor=actor, reason=given["reason"], now=now)
    return f"{plain(voided.voided)} of {plain(voided.granted)} credits are void"


def _approve(row: CreditRequest, actor: Actor, given: Mapping[str, Any], now: datetime) -> str:
    entries, _ = approving.approve(request=row, actor=actor, now=now)
    return f"{plain(row.credits)} credits booked; the balance is {plain(entries[-1].balance_after)}"


def _reject(row: CreditRequest, actor: Actor, given: Mapping[str, Any], now: datetime) -> str:
    approving.reject(request=row, actor=actor, reason=given["reason"], now=now)
    return "rejected; nothing is booked"


@admin.register(MarketplaceSubscription)
class AccountDesk(Exporting, ActingDesk):
    plural = "Credit accounts"
    act = Act.MONEY
    list_display = ("organization", "plan", "status", "credit_balance", "entries")
    list_filter = ("subscription__status",)
    list_select_related = ("organization", "subscription__plan")
    search_fields = ("organization__slug", "organization__name")
    search_help_text = "Organization, or the subscription's id"
    ordering = ("-credit_balance", "pk")
    export_columns = {
        "subscription": "subscription_id",
        "organization": "organization__slug",
        "plan": "subscription__plan__code",
        "status": "subscription__status",
        "credit_balance": "credit_balance",
        "entries": "entries",
    }
    acts = (DeskAct("adjust", "Adjust credits", Act.CREDITS, _adjust, asking.Credits, icon="toll", is_bulk=False),)

    def one(self) -> QuerySet[Any]:
        return super().one().select_related("organization", "subscription__plan", "subscription__organization")

    def named(self, row: MarketplaceSubscription) -> str:
        return f"{row.organization.slug}: {plain(row.credit_balance)} credits"

    @admin.display(description="plan")
    def plan(self, account: MarketplaceSubscription) -> str:
        return str(account.subscription.plan)

    @admin.display(description="status")
    def status(self, account: MarketplaceSubscription) -> str:
        return str(account.subscription.status)

    def page(self, request: HttpRequest, row: MarketplaceSubscription) -> Page:
        grants = credits_queries.list_grants(row)[:ROWS_SHOWN]
        entries = credits_queries.list_entries(row, limit=ROWS_SHOWN)
        asked = requests.list_requests(organization_id=row.organization_id, now=timezone.now(), limit=10)
        known = trail.names(entry.actor for entry in entries)
        return Page(
            title=f"{row.organization.slug}: {plain(row.credit_balance)} credits",
            links=[
                Cell("Subscription", link(Subscription, row.pk)),
                Cell("Whole ledger", listing(CreditEntry, f"account={row.pk}")),
            ],
            sections=[
                parts.table(
                    "Grants",
                    ("kind", "granted", "left", "consumed", "lapsed", "void", "from", "until", "why"),
                    [
                        (Cell(each.kind, link(CreditGrant, each.id)), each.granted, each.remaining, each.consumed,
                         each.expired, each.voided, each.starts_at, each.expires_at, each.reason)
                        for each in grants
                    ],
                    empty="None.",
                    more=listing(CreditGrant, f"account={row.pk}"),
                ),
                _requested([each for each in asked if each.subscription_id == row.pk]),
                parts.table(
                    "Ledger",
                    ("no", "booked", "kind", "amount", "balance", "by", "why"),
                    [
                        (each.sequence, each.booked_at, each.kind, each.amount, each.balance_after,
                         known[each.actor], each.reason)
                        for each in entries
                    ],
                    empty="Nothing moved.",
                    more=listing(CreditEntry, f"account={row.pk}"),
                ),
            ],
            trail=trail.of_object("subscription", row.pk),
        )  # fmt: skip


def _requested(rows: list[CreditRequest]) -> parts.Table:
    return parts.table(
        "Asked for",
        ("asked", "credits", "state", "why"),
        [
            (Cell(parts.instant(each.requested_at), link(CreditRequest, each.id)), each.credits,
             requests.state_of(each, now_of(each.organization)), each.reason)
            for each in rows
        ],
        empty="Nothing waits for a second person.",
    )  # fmt: skip


@admin.register(CreditGrant)
class GrantDesk(Exporting, ActingDesk):
    plural = "Credit grants"
    act = Act.MONEY
    object_type = "credit_grant"
    list_display = ("organization", "kind", "granted", "remaining", "consumed", "starts_at", "expires_at", "reason")
    list_filter = (ById.of("account", "account"), "kind")
    list_select_related = ("organization",)
    search_fields = ("organization__slug",)
    search_help_text = "Organization, or the grant's id"
    ordering = ("-id",)
    paginator = Bounded
    export_columns = {
        "id": "id",
        "organization": "organization__slug",
        "subscription": "account_id",
        "kind": "kind",
        "granted": "granted",
        "remaining": "remaining",
        "consumed": "consumed",
        "expired": "expired",
        "voided": "voided",
        "starts_at": "starts_at",
        "expires_at": "expires_at",
        "reason": "reason",
    }
    acts = (
        DeskAct(
            "void", "Void what is left", Act.CREDITS, _void, asking.Why, lambda row: bool(row.remaining), "block",
            is_grave=True,
        ),
    )  # fmt: skip

    def page(self, request: HttpRequest, row: CreditGrant) -> Page:
        return Page(
            title=f"{plain(row.granted)} credits, {row.kind}",
            links=[Cell("Account", link(MarketplaceSubscription, row.account_id))],
            sections=[
                parts.pairs(
                    "Grant",
                    ("Organization", row.organization.slug),
                    ("Granted", row.granted),
                    ("Left", row.remaining),
                    ("Consumed", row.consumed),
                    ("Lapsed", row.expired),
                    ("Void", row.voided),
                    ("Drained by priority", row.priority),
                    ("From", row.starts_at),
                    ("Until", row.expires_at),
                    ("Why", row.reason),
                )
            ],
        )


@admin.register(CreditEntry)
class LedgerDesk(Exporting, Desk):
    plural = "Credit ledger"
    act = Act.MONEY
    list_display = ("booked_at", "organization", "sequence", "kind", "amount", "balance_after", "actor", "reason")
    list_filter = (ById.of("account", "account"), "kind")
    list_select_related = ("organization",)
    ordering = ("-id",)
    paginator = Bounded
    export_columns = {
        "organization": "organization__slug",
        "subscription": "account_id",
        "sequence": "sequence",
        "id": "id",
        "kind": "kind",
        "amount": "amount",
        "balance_after": "balance_after",
        "grant": "grant_id",
        "actor": "actor",
        "reason": "reason",
        "booked_at": "booked_at",
    }

    def page(self, request: HttpRequest, row: CreditEntry) -> Page:
        return Page(
            title=f"Entry {row.sequence} of {row.organization.slug}",
            links=[Cell("Account", link(MarketplaceSubscription, row.account_id))],
            sections=[
                parts.pairs(
                    "Entry",
                    ("Booked", row.booked_at),
                    ("Kind", row.kind),
                    ("Amount", row.amount),
                    ("Balance after it", row.balance_after),
                    ("Grant", Cell(str(row.grant_id), link(CreditGrant, row.grant_id))),
                    ("Use", row.event_id),
                    ("By", trail.names([row.actor])[row.actor]),
                    ("Why", row.reason),
                )
            ],
        )


class State(admin.SimpleListFilter):
    title = "state"
    parameter_name = "state"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [(state, state) for state in requests.STATES]

    def queryset(self, request: HttpRequest, queryset: QuerySet[CreditRequest]) -> QuerySet[CreditRequest]:
        state = self.value()
        return requests.in_state(queryset, state, timezone.now()) if state in requests.STATES else queryset


@admin.register(CreditRequest)
class RequestDesk(ActingDesk):
    plural = "Credit requests"
    act = Act.CREDITS
    object_type = "credit_request"
    list_display = ("requested_at", "organization", "credits", "kind", "state", "requested_by", "reason")
    list_filter = (State,)
    list_select_related = ("organization",)
    search_fields = ("organization__slug", "reason")
    search_help_text = "Organization, reason, or the request's id"
    ordering = ("-requested_at", "-id")
    acts = (
        DeskAct("approve", "Approve", Act.CREDITS, _approve, offered=lambda row: row.status == "waiting", icon="check"),
        DeskAct(
            "reject", "Reject", Act.CREDITS, _reject, asking.Why, lambda row: row.status == "waiting", "block",
            is_grave=True,
        ),
    )  # fmt: skip

    def named(self, row: CreditRequest) -> str:
        return f"{plain(row.credits)} credits for {row.organization.slug}"

    @admin.display(description="state")
    def state(self, row: CreditRequest) -> str:
        return requests.state_of(row, now_of(row.organization))

    def page(self, request: HttpRequest, row: CreditRequest) -> Page:
        known = trail.names([row.requested_by, row.decided_by])
        state = self.state(row)
        return Page(
            title=f"{plain(row.credits)} credits for {row.organization.slug}",
            notices=[Cell("Somebody else has to approve it.", tone="warn")] if state == "waiting" else [],
            links=[Cell("Account", link(MarketplaceSubscription, row.subscription_id))],
            sections=[
                parts.pairs(
                    "Asked for",
                    ("State", state),
                    ("Credits", row.credits),
                    ("Kind", row.kind),
                    ("Expire", row.expires_at),
                    ("Why", row.reason),
                    ("By", known[row.requested_by]),
                    ("Asked", row.requested_at),
                    ("Lapses", row.lapses_at),
                    ("Decided by", known[row.decided_by]),
                    ("Decided", row.decided_at),
                    ("Said", row.decision),
                )
            ],
        )
