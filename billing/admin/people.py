"""People, staff groups and API keys; staff is managed by superusers only."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any
from uuid import uuid4

from django import forms
from django.contrib import admin
from django.contrib.auth.models import Group
from django.db.models import Count, QuerySet
from django.http import HttpRequest
from django.utils import timezone
from unfold.widgets import UnfoldAdminTextInputWidget, UnfoldBooleanWidget

from billing.accounts import operations as accounts_operations
from billing.accounts import staff
from billing.accounts.actors import STAFF_ACTS, Act, Actor
from billing.admin import asking, parts
from billing.admin.acting import ActingDesk, DeskAct
from billing.admin.base import Desk, link
from billing.admin.parts import Cell, Page
from billing.models import ApiKey, Membership, Organization, User

ROWS_SHOWN = 50


class StaffForm(asking.Why):
    groups = forms.ModelMultipleChoiceField(
        Group.objects.order_by("name"),
        required=False,
        widget=forms.CheckboxSelectMultiple,
        help_text="None: not staff any more.",
    )
    regions = forms.CharField(
        required=False,
        widget=UnfoldAdminTextInputWidget,
        help_text="Residency regions that they are cleared for, apart by blanks; * for all.",
    )
    is_active = forms.BooleanField(required=False, initial=True, label="May sign in", widget=UnfoldBooleanWidget)
    field_order = ("groups", "regions", "is_active", "reason")

    @classmethod
    def starting(cls, row: Any) -> dict[str, Any]:
        if row is None:
            return {"token": uuid4()}
        return {
            "token": uuid4(),
            "groups": list(row.groups.all()),
            "regions": " ".join(row.cleared_regions),
            "is_active": row.is_active,
        }

    def clean_groups(self) -> list[str]:
        return sorted(group.name for group in self.cleaned_data["groups"])


def _set_staff(row: User, actor: Actor, given: Mapping[str, Any], now: datetime) -> str:
    changed = staff.set_staff(
        user=row,
        groups=given["groups"],
        regions=given["regions"].split(),
        is_active=given["is_active"],
        actor=actor,
        reason=given["reason"],
    )
    return f"in {', '.join(given['groups'])}" if changed.is_staff and given["groups"] else "not staff"


@admin.register(User)
class UserDesk(ActingDesk):
    plural = "People"
    is_platform = True
    organization_path = ""
    object_type = "user"
    list_display = ("email", "name", "is_staff", "is_superuser", "is_active", "regions", "last_login", "date_joined")
    list_filter = ("is_staff", "is_superuser", "is_active", "groups")
    search_fields = ("email", "name")
    search_help_text = "E-mail address, name, or the person's id"
    ordering = ("-is_staff", "email")
    acts = (DeskAct("staff", "Manage as staff", Act.ORGANIZATIONS, _set_staff, StaffForm, icon="badge", is_bulk=False),)

    def may(self, request: HttpRequest, act: DeskAct) -> bool:
        return self.has_view_permission(request)

    @admin.display(description="regions")
    def regions(self, user: User) -> str:
        return ", ".join(user.cleared_regions)

    def page(self, request: HttpRequest, row: User) -> Page:
        memberships = Membership.objects.filter(user=row).select_related("organization").order_by("created_at")
        return Page(
            title=row.email,
            sections=[
                parts.pairs(
                    "Person",
                    ("Name", row.name),
                    ("May sign in", row.is_active),
                    ("Staff", row.is_staff),
                    ("Superuser", row.is_superuser),
                    ("Groups", [group.name for group in row.groups.order_by("name")]),
                    ("Cleared regions", row.cleared_regions),
                    ("Joined", row.date_joined),
                    ("Signed in last", row.last_login),
                ),
                parts.table(
                    "Member of",
                    ("organization", "role", "since"),
                    [
                        (Cell(each.organization.slug, link(Organization, each.organization_id)), each.role,
                         each.created_at)
                        for each in memberships[:ROWS_SHOWN]
                    ],
                    empty="No organization.",
                ),
            ],
        )  # fmt: skip


admin.site.unregister(Group)


@admin.register(Group)
class GroupDesk(Desk):
    is_platform = True
    organization_path = ""
    list_display = ("name", "people")
    search_fields = ("name",)
    ordering = ("name",)

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        rows: QuerySet[Any] = super().get_queryset(request).annotate(members=Count("user"))
        return rows

    @admin.display(description="people", ordering="members")
    def people(self, group: Any) -> int:
        return int(group.members)

    def page(self, request: HttpRequest, row: Group) -> Page:
        members = User.objects.filter(groups=row).order_by("email")[:ROWS_SHOWN]
        return Page(
            title=f"Group {row.name}",
            sections=[
                parts.pairs("Rights", ("May", sorted(act.value for act in STAFF_ACTS.get(row.name, ())))),
                parts.table(
                    "People",
                    ("person", "regions", "may sign in"),
                    [(Cell(each.email, link(User, each.id)), each.cleared_regions, each.is_active) for each in members],
                    empty="Nobody.",
                ),
            ],
        )


def _revoke(row: ApiKey, actor: Actor, given: Mapping[str, Any], now: datetime) -> str:
    # Keys live by real time, those of a sandbox too.
    accounts_operations.revoke_key(key=row, actor=actor, now=timezone.now())
    return "revoked"


@admin.register(ApiKey)
class KeyDesk(ActingDesk):
    plural = "API keys"
    act = Act.KEYS
    object_type = "api_key"
    list_display = ("prefix", "name", "of", "scopes", "created_at", "expires_at", "revoked_at")
    list_filter = (("revoked_at", admin.EmptyFieldListFilter),)
    list_select_related = ("organization",)
    search_fields = ("prefix", "name", "organization__slug")
    search_help_text = "Beginning, name, organization, or the key's id"
    ordering = ("-created_at", "-id")
    acts = (
        DeskAct(
            "revoke", "Revoke", Act.KEYS, _revoke, offered=lambda row: row.revoked_at is None, icon="block",
            is_grave=True,
        ),
    )  # fmt: skip

    @admin.display(description="organization")
    def of(self, key: ApiKey) -> str:
        return key.organization.slug if key.organization else "platform"

    def page(self, request: HttpRequest, row: ApiKey) -> Page:
        return Page(
            title=f"Key {row.prefix}…",
            sections=[
                parts.pairs(
                    "Key",
                    ("Name", row.name),
                    ("Of", self.of(row)),
                    ("Scopes", row.scopes),
                    ("Made", row.created_at),
                    ("Expires", row.expires_at),
                    ("Revoked", row.revoked_at),
                )
            ],
        )
