"""What every page of the desk has in common: who sees what, nothing to edit, and acts with an answer for each row."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, TypeVar

from django.contrib import admin, messages
from django.db.models import Model, QuerySet
from django.http import HttpRequest
from django.utils import timezone

from billing.accounts import actors
from billing.accounts.actors import ALL_REGIONS, Act, Actor
from billing.kernel.errors import BillingError
from billing.models import Organization, User

Row = TypeVar("Row", bound=Model)
# Results shown one by one; the rest is counted.
RESULTS_SHOWN = 20


def actor_of(request: HttpRequest) -> Actor:
    """Who is signed in, as the engine knows them; asked once a request."""
    known: Actor | None = getattr(request, "billing_actor", None)
    if known is None:
        known = actors.for_user(request.user) if isinstance(request.user, User) else actors.ANONYMOUS
        request.billing_actor = known  # type: ignore[attr-defined]
    return known


class Desk(admin.ModelAdmin):  # type: ignore[type-arg]  # generic for the type checker only
    """A page over one table. Rows are seen by staff whose groups give ``act``, in the regions that they are cleared
    for, and changed by nobody: what can be done is an action that calls an operation."""

    actions_on_bottom = True
    list_per_page = 50
    show_full_result_count = False
    act = Act.READ
    # The path from a row to the organization whose region decides.
    organization_path = "organization"

    def has_module_permission(self, request: HttpRequest) -> bool:
        return self.has_view_permission(request)

    def has_view_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return bool(getattr(request.user, "is_staff", False)) and may_any(request, self.act)

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return False

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        rows: QuerySet[Any] = super().get_queryset(request)
        actor = actor_of(request)
        if actor.is_superuser or ALL_REGIONS in actor.regions:
            return rows
        return rows.filter(**{f"{self.organization_path}__residency_region__in": actor.regions})

    def each(self, request: HttpRequest, rows: Iterable[Row], act: Callable[[Row], str]) -> None:
        """Do ``act`` to every row on its own, and say of each what became of it: a refusal stops none of the others."""
        said: list[tuple[int, str]] = []
        for row in rows:
            try:
                said.append((messages.SUCCESS, f"{row}: {act(row)}"))
            except BillingError as refusal:
                said.append((messages.ERROR, f"{row}: {refusal.message}"))
        for level, text in said[:RESULTS_SHOWN]:
            self.message_user(request, text, level)
        if len(said) > RESULTS_SHOWN:
            failed = sum(level == messages.ERROR for level, _ in said[RESULTS_SHOWN:])
            self.message_user(
                request, f"… and {len(said) - RESULTS_SHOWN} more, {failed} of them refused.", messages.WARNING
            )


def may_any(request: HttpRequest, act: Act) -> bool:
    """Whether the act is one that the person's groups give at all; the operation asks again, for each organization."""
    actor = actor_of(request)
    return actor.is_superuser or any(act in actors.STAFF_ACTS[group] for group in actor.staff_groups)


def now_of(organization: Organization) -> Any:
    return organization.clock_at or timezone.now()
