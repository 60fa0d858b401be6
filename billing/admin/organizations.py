"""An organization with all that one has to know of it, on one page."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.http import HttpRequest
from django.utils import timezone

from billing.accounts.actors import Act
from billing.admin import parts
from billing.admin.base import Desk, link, listing, may_any
from billing.admin.exporting import Exporting
from billing.admin.parts import Cell, Page
from billing.models import (
    AuditEntry,
    Collection,
    CreditEntry,
    CreditNote,
    Invoice,
    MarketplaceSubscription,
    Organization,
    Subscription,
)
from billing.reporting import dossier, posture
from billing.reporting.dossier import Dossier
from billing.reporting.picture import Posture


@admin.register(Organization)
class OrganizationDesk(Exporting, Desk):
    organization_path = ""
    object_type = "organization"
    list_display = ("slug", "name", "residency_region", "currency", "zone", "external_id", "is_sandbox", "created_at")
    list_filter = ("residency_region", "is_sandbox")
    search_fields = ("slug", "name", "external_id", "billing_email")
    search_help_text = "Slug, name, external id, billing address, or the organization's id"
    ordering = ("slug",)
    export_columns = {
        "id": "id",
        "slug": "slug",
        "name": "name",
        "external_id": "external_id",
        "residency_region": "residency_region",
        "zone": "zone",
        "currency": "currency",
        "billing_email": "billing_email",
        "is_sandbox": "is_sandbox",
        "created_at": "created_at",
    }
    # Not by a path: the row is the organization itself.
    region_column = "residency_region"

    def organization_of(self, row: Any) -> Organization:
        found: Organization = row
        return found

    def page(self, request: HttpRequest, row: Organization) -> Page:
        sees_money = may_any(request, Act.MONEY)
        picture, rest = posture.posture(row, timezone.now()), dossier.dossier(row)
        sections: list[parts.Pairs | parts.Table] = [_subscription(row, picture), _entitlements(picture), _use(picture)]
        if sees_money:
            sections += [_credits(picture), _ledger(picture), _invoices(row, picture), *_money(row, rest)]
        sections += [_refusals(rest)]
        links = [Cell("Its dashboard", f"/dashboard/{row.slug}/")]
        if picture.subscription is not None:
            links.append(Cell("Subscription", link(Subscription, picture.subscription.id)))
        if sees_money:
            links.append(Cell("Audit log", listing(AuditEntry, f"q={row.slug}")))
        return Page(
            title=f"{row.name} ({row.slug})",
            notices=[Cell("A sandbox: it lives by its own clock.", tone="calm")] if row.is_sandbox else [],
            links=links,
            sections=sections,
        )


def _subscription(row: Organization, picture: Posture) -> parts.Pairs:
    found = picture.subscription
    about = [
        ("Region", row.residency_region),
        ("Zone", row.zone),
        ("Currency", row.currency),
        ("External id", row.external_id),
        ("Billing address", row.billing_email),
        ("Now", picture.at),
    ]
    if found is None:
        return parts.pairs("Subscription", ("Plan", "none"), *about)
    return parts.pairs(
        "Subscription",
        ("Plan", Cell(f"{found.plan_name}, version {found.plan_version}", link(Subscription, found.id))),
        ("Status", found.status),
        ("Since", found.starts_at),
        ("Trial ends", found.trial_ends_at),
        ("Period ends", picture.period.ends_at if picture.period else None),
        ("Renews", picture.next_renewal_at),
        ("At the period's end", "ends" if found.cancel_at_period_end else found.pending_plan_name or "goes on"),
        ("Discount", f"{found.discount.code}: {found.discount.off}" if found.discount else None),
        *about,
    )


def _entitlements(picture: Posture) -> parts.Table:
    return parts.table(
        "Entitlements",
        ("key", "used", "limit", "left", "over", "resets"),
        [
            (each.key, each.used, "unlimited" if each.limit is None else each.limit, each.remaining, each.overage,
             each.resets_at)
            if each.kind == "metered"
            else (each.key, "", "yes" if each.enabled else "no", "", "", "")
            for each in picture.entitlements
        ],
        empty="No plan.",
    )  # fmt: skip


def _use(picture: Posture) -> parts.Table:
    return parts.table(
        "Use",
        ("meter", "this period", "this month", "ever", "events"),
        [(each.meter, each.period, each.month, each.lifetime, each.events) for each in picture.use],
        empty="Nothing was used yet.",
    )


def _credits(picture: Posture) -> parts.Table:
    account = picture.subscription and link(MarketplaceSubscription, picture.subscription.id)
    return parts.table(
        f"Credits: {parts.text(picture.credit_balance)}, {parts.text(picture.credits_spendable)} spendable now",
        ("grant", "granted", "left", "from", "until"),
        [(each.kind, each.granted, each.remaining, each.starts_at, each.expires_at) for each in picture.grants],
        empty="No open grant.",
        more=account or "",
    )


def _ledger(picture: Posture) -> parts.Table:
    return parts.table(
        "Ledger",
        ("no", "booked", "kind", "amount", "balance", "why"),
        [
            (each.sequence, each.booked_at, each.kind, each.amount, each.balance_after, each.reason)
            for each in picture.entries
        ],
        empty="Nothing moved.",
        more=listing(CreditEntry, f"account={picture.subscription.id}") if picture.subscription else "",
    )


def _invoices(row: Organization, picture: Posture) -> parts.Table:
    return parts.table(
        "Invoices",
        ("invoice", "status", "from", "total", "due on", "waits"),
        [
            (Cell(each.number or "draft", link(Invoice, each.id)), each.status, each.starts_at,
             Cell("" if each.total is None else f"{each.total} {each.currency}", is_figure=True), each.due_on,
             each.parked_reason or ("held" if each.held_at else ""))
            for each in picture.invoices
        ],
        empty="None yet.",
        more=listing(Invoice, f"q={row.slug}"),
    )  # fmt: skip


def _money(row: Organization, rest: Dossier) -> list[parts.Pairs | parts.Table]:
    return [
        parts.pairs(
            "Balance",
            *((each.currency, parts.money(each.minor, each.currency)) for each in rest.balances),
            *([] if rest.balances else [("Money that we owe", "none")]),
        ),
        parts.table(
            "Dunnings",
            ("invoice", "since", "step", "next", "past due"),
            [
                (Cell(each.invoice, link(Collection, each.id)), each.since, each.step, each.next_at, each.past_due_at)
                for each in rest.dunnings
            ],
            empty="Nothing is dunned for.",
            more=listing(Collection, f"q={row.slug}"),
        ),
        parts.table(
            "Credit notes",
            ("number", "invoice", "issued", "total", "why"),
            [
                (Cell(each.number, link(CreditNote, each.id)), each.invoice, each.issued_at,
                 parts.money(each.total_minor, each.currency), each.reason)
                for each in rest.notes
            ],
            empty="None.",
            more=listing(CreditNote, f"q={row.slug}"),
        ),
    ]  # fmt: skip


def _refusals(rest: Dossier) -> parts.Table:
    return parts.table(
        "Refused in the last week",
        ("because", "times", "last in the hour of"),
        [(each.note, each.times, each.last_at) for each in rest.refusals],
        empty="Nothing.",
    )
