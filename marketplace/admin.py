"""Partners and listings on the desk: to look at, and with the reviewers' decisions as acts."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from django import forms
from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest
from django.urls import reverse
from unfold.widgets import UnfoldAdminTextInputWidget

from billing.accounts.actors import Act, Actor
from billing.admin import parts
from billing.admin.acting import ActingDesk, DeskAct
from billing.admin.asking import Confirm, Why
from billing.admin.base import link
from billing.admin.parts import Cell, Page
from marketplace.models import NAME_LENGTH_MAX, WEBSITE_LENGTH_MAX, Category, Listing, Partner
from marketplace.partners import categories, membership, operations, queries
from marketplace.partners.transitions import TRANSITIONS, Step

ROWS_SHOWN = 20
_TONES = {"published": "good", "submitted": "warn", "rejected": "bad", "suspended": "bad"}


def _step(step: Step, title: str, icon: str, *, said: str, is_grave: bool = False) -> DeskAct:
    """A reviewer's step about the row as the desk shows it: nobody else's is overtaken by it."""

    def run(row: Listing, actor: Actor, given: Mapping[str, Any], now: datetime) -> str:
        operations.take(
            listing=row, step=step, actor=actor, now=now, expected_version=row.version, reason=given.get("reason", "")
        )
        return said

    return DeskAct(
        name=step.value,
        title=title,
        right=Act.LISTINGS,
        run=run,
        form=Why if is_grave else Confirm,
        offered=lambda row: step in TRANSITIONS[row.state],
        icon=icon,
        is_grave=is_grave,
    )


@admin.register(Listing)
class ListingDesk(ActingDesk):
    act = Act.LISTINGS
    organization_path = ""
    object_type = "listing"
    list_display = ("slug", "name", "partner", "status", "change", "submitted_at", "updated_at")
    list_filter = ("status", "change")
    list_select_related = ("partner", "latest")
    search_fields = ("slug", "latest__name", "partner__name")
    search_help_text = "Address, name, partner, or the listing's id"
    ordering = ("-updated_at", "-id")
    acts = (
        _step(Step.PUBLISH, "Publish", "check", said="published"),
        _step(Step.REJECT, "Reject", "undo", said="rejected", is_grave=True),
        _step(Step.SUSPEND, "Suspend", "block", said="suspended", is_grave=True),
        _step(Step.RESTORE, "Put back on the pages", "restore", said="back on the pages"),
    )

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        return super().get_queryset(request).select_related("partner", "latest__category", "published")

    @admin.display(description="name", ordering="latest__name")
    def name(self, row: Listing) -> str:
        return row.latest.name

    def page(self, request: HttpRequest, row: Listing) -> Page:
        latest = row.latest
        steps = queries.list_history(row, limit=ROWS_SHOWN)
        names = queries.names_of({each.actor for each in steps})
        notices = [
            Cell(text, tone="bad")
            for text in (
                row.suspended_reason and f"Taken off the pages: {row.suspended_reason}",
                row.rejected_reason and f"The last review said no: {row.rejected_reason}",
            )
            if text
        ]
        return Page(
            title=latest.name,
            notices=notices,
            links=[Cell("Read and decide on the page of review", reverse("review-listing", args=(row.slug,)))],
            sections=[
                parts.pairs(
                    "Listing",
                    ("Partner", Cell(str(row.partner), link(Partner, row.partner_id))),
                    ("Address", row.slug),
                    ("Status", Cell(row.status, tone=_TONES.get(row.status, ""))),
                    ("Change", row.change),
                    ("Waits since", row.submitted_at),
                    ("Published", row.published_at),
                    ("Version", row.version),
                ),
                parts.pairs(
                    f"Text {latest.number}",
                    ("Summary", latest.summary),
                    ("Category", latest.category.name),
                    ("Website", latest.website),
                    ("Plan", latest.plan_code),
                ),
                parts.table(
                    "Steps",
                    ("when", "step", "to", "by", "reason"),
                    [
                        (
                            each.recorded_at,
                            each.step or "begun",
                            f"{each.to_status} {each.to_change}".strip(),
                            names.get(each.actor, each.actor),
                            each.reason,
                        )
                        for each in steps
                    ],
                ),
            ],
        )


class NameForm(Why):
    name = forms.CharField(max_length=NAME_LENGTH_MAX, widget=UnfoldAdminTextInputWidget)
    field_order: tuple[str, ...] = ("name", "reason")

    @classmethod
    def starting(cls, row: Any) -> dict[str, Any]:
        return {**super().starting(row), "name": row.name}


class PartnerNameForm(NameForm):
    website = forms.CharField(max_length=WEBSITE_LENGTH_MAX, required=False, widget=UnfoldAdminTextInputWidget)
    field_order = ("name", "website", "reason")

    @classmethod
    def starting(cls, row: Any) -> dict[str, Any]:
        return {**super().starting(row), "website": row.website}


def _rename_partner(row: Partner, actor: Actor, given: Mapping[str, Any], now: datetime) -> str:
    membership.rename_partner(
        partner=row, name=given["name"], website=given["website"], actor=actor, reason=given["reason"]
    )
    return "renamed"


def _rename_category(row: Category, actor: Actor, given: Mapping[str, Any], now: datetime) -> str:
    categories.rename(category=row, name=given["name"], actor=actor, reason=given["reason"])
    return "renamed"


@admin.register(Partner)
class PartnerDesk(ActingDesk):
    act = Act.LISTINGS
    organization_path = ""
    object_type = "partner"
    list_display = ("slug", "name", "website", "created_at")
    search_fields = ("slug", "name")
    search_help_text = "Address, name, or the partner's id"
    ordering = ("slug",)
    acts = (DeskAct("rename", "Rename", Act.LISTINGS, _rename_partner, PartnerNameForm, icon="edit", is_bulk=False),)

    def page(self, request: HttpRequest, row: Partner) -> Page:
        return Page(
            title=row.name,
            links=[Cell("Members", reverse("partner-members", args=(row.slug,)))],
            sections=[
                parts.pairs("Partner", ("Address", row.slug), ("Website", row.website), ("Made", row.created_at)),
                parts.table(
                    "Members",
                    ("who", "role", "since"),
                    [(each.user.email, each.role, each.created_at) for each in queries.list_members(row)],
                    empty="Nobody.",
                ),
                parts.table(
                    "Listings",
                    ("listing", "status", "change"),
                    [
                        (Cell(each.latest.name, link(Listing, each.id)), each.status, each.change)
                        for each in queries.list_listings(row)
                    ],
                    empty="None.",
                ),
            ],
        )


@admin.register(Category)
class CategoryDesk(ActingDesk):
    act = Act.LISTINGS
    organization_path = ""
    object_type = "category"
    list_display = ("name", "code", "position")
    search_fields = ("code", "name")
    search_help_text = "Name or code"
    ordering = ("position", "name")
    acts = (DeskAct("rename", "Rename", Act.LISTINGS, _rename_category, NameForm, icon="edit", is_bulk=False),)

    def page(self, request: HttpRequest, row: Category) -> Page:
        return Page(
            title=row.name,
            sections=[parts.pairs("Category", ("Code", row.code), ("Position", row.position))],
        )
