"""What every page of the desk has in common: who sees what, nothing to edit, and one look for all objects."""

from __future__ import annotations

from typing import Any, ClassVar

from django.contrib import admin, messages
from django.contrib.admin import ShowFacets
from django.contrib.admin.utils import unquote
from django.core.exceptions import PermissionDenied, ValidationError
from django.db.models import DateField, DecimalField, Model, QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils import timezone
from unfold.admin import ModelAdmin
from unfold.paginator import InfinitePaginator

from billing.accounts import actors
from billing.accounts.actors import ALL_REGIONS, Act, Actor
from billing.admin import trail
from billing.admin.parts import Page, cell
from billing.kernel import ids
from billing.kernel.errors import Forbidden
from billing.models import Organization, User


class Bounded(InfinitePaginator):  # type: ignore[misc]  # unfold comes without types
    """Pages of a table that grows with use: never counted, and never skipped through further than a person reads."""

    PAGES_MAX = 200

    @property
    def num_pages(self) -> int:
        return self.PAGES_MAX


def actor_of(request: HttpRequest) -> Actor:
    """Who is signed in, as the engine knows them; asked once a request."""
    known: Actor | None = getattr(request, "billing_actor", None)
    if known is None:
        known = actors.for_user(request.user, on_desk=True) if isinstance(request.user, User) else actors.ANONYMOUS
        request.billing_actor = known  # type: ignore[attr-defined]
    return known


class Desk(ModelAdmin):  # type: ignore[misc]  # unfold comes without types
    """A page over one table. Rows are seen by staff whose groups give ``act``, in the regions that they are cleared
    for, and changed by nobody: what can be done is an act that calls an operation (``billing.admin.acting``)."""

    list_per_page = 50
    list_max_show_all = 0
    show_full_result_count = False
    show_facets = ShowFacets.NEVER
    list_filter_sheet = True
    list_before_template = "admin/desk/list.html"
    change_list_template = "admin/desk/change_list.html"
    act = Act.READ
    # What its list is called, where the table's name does not say it.
    plural = ""
    # The path from a row to the organization whose region decides; "" for what belongs to none.
    organization_path = "organization"
    # What the audit log calls such a row; "" where nothing is ever done to one.
    object_type = ""
    # Only for those who see everything: there is no organization to clear anybody for.
    is_platform: ClassVar[bool] = False

    # --- Rights ---

    def has_module_permission(self, request: HttpRequest) -> bool:
        return self.has_view_permission(request)

    def has_view_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        if not getattr(request.user, "is_staff", False):
            return False
        return actor_of(request).is_superuser if self.is_platform else may_any(request, self.act)

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return False

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        rows: QuerySet[Any] = super().get_queryset(request)
        actor = actor_of(request)
        if not self.region_column or actor.is_superuser or ALL_REGIONS in actor.regions:
            return rows
        return rows.filter(**{f"{self.region_column}__in": actor.regions})

    @property
    def region_column(self) -> str:
        """Where a row says its organization's region; "" for what belongs to none."""
        return f"{self.organization_path}__residency_region" if self.organization_path else ""

    def organization_of(self, row: Any) -> Organization | None:
        """Whose region decides about this row."""
        found = row
        for step in filter(None, self.organization_path.split("__")):
            found = getattr(found, step)
        return found if isinstance(found, Organization) else None

    @property
    def list_title(self) -> str:
        return self.plural or str(self.opts.verbose_name_plural).capitalize()

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        answer: HttpResponse = super().changelist_view(request, {"title": self.list_title, **(extra_context or {})})
        return answer

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Any], search_term: str
    ) -> tuple[QuerySet[Any], bool]:
        """An id finds its row by the key; everything else goes through ``search_fields``."""
        wanted = ids.parse_uuid(search_term.strip())
        if wanted is not None:
            return queryset.filter(pk=wanted), False
        found: tuple[QuerySet[Any], bool] = super().get_search_results(
            request, queryset, search_term.replace("\x00", "")
        )
        return found

    def get_list_display(self, request: HttpRequest) -> list[Any]:
        return [_column(self.model, name) for name in super().get_list_display(request)]

    # --- One object ---

    def page(self, request: HttpRequest, row: Any) -> Page:
        """What the object's page shows. Plain values: no template starts a query."""
        raise NotImplementedError

    def find(self, request: HttpRequest, object_id: str) -> Any:
        """The row, if the person may see it. Raises ``PermissionDenied``, with a trace in the audit log where the
        region is what stands in the way."""
        if not self.has_view_permission(request):
            raise PermissionDenied
        try:
            row = self.one().filter(pk=unquote(object_id)).first()
        except (ValueError, ValidationError):
            return None
        if row is None:
            return None
        organization = self.organization_of(row)
        if organization is not None:
            try:
                actors.require(actor_of(request), self.act, organization)
            except Forbidden as refusal:
                raise PermissionDenied(refusal.message) from refusal
        return row

    def one(self) -> QuerySet[Any]:
        """Where an object's page finds its row, with what it needs beside it."""
        path = self.organization_path
        rows: QuerySet[Any] = self.model._default_manager.all()  # noqa: SLF001 - public, as documented
        return rows.select_related(path) if path else rows

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        if request.method not in ("GET", "HEAD"):
            raise PermissionDenied
        row = self.find(request, object_id)
        if row is None:
            return self.gone(request, object_id)
        page = self.page(request, row)
        context = {
            **self.admin_site.each_context(request),
            "opts": self.opts,
            "list_title": self.list_title,
            "title": page.title,
            "subtitle": None,
            "page": page,
            "acts": self.acts_on(request, row),
            "trail": trail.of_object(self.object_type, row.pk) if self.object_type else page.trail,
            **(extra_context or {}),
        }
        request.current_app = self.admin_site.name
        return TemplateResponse(request, "admin/desk/object.html", context)

    def history_view(
        self, request: HttpRequest, object_id: str, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        """The trail stands on the object's page: the admin's own log knows nothing of what other doors did."""
        return HttpResponseRedirect(self.url_of(unquote(object_id)) + "#trail")

    def gone(self, request: HttpRequest, object_id: str) -> HttpResponse:
        messages.warning(request, f"There is no {self.opts.verbose_name} “{unquote(object_id)[:60]}”.")
        return HttpResponseRedirect(reverse("admin:index"))

    def url_of(self, pk: object) -> str:
        return link(self.model, pk)

    def acts_on(self, request: HttpRequest, row: Any) -> list[Any]:
        return []


def _column(model: type[Model], name: Any) -> Any:
    """How a list shows the column: as pages do, quantities without the zeros behind them and instants to the minute."""
    field = next((each for each in model._meta.get_fields() if each.name == name), None)  # noqa: SLF001 - public
    if not isinstance(field, DecimalField | DateField):
        return name

    @admin.display(description=field.verbose_name, ordering=name)
    def plainly(row: Any) -> str:
        return cell(getattr(row, name)).text

    plainly.__name__ = name
    return plainly


def link(model: type[Model], pk: object) -> str:
    """Where the desk shows the row."""
    return reverse(f"admin:{_named(model)}_change", args=(pk,))


def listing(model: type[Model], query: str = "") -> str:
    url = reverse(f"admin:{_named(model)}_changelist")
    return f"{url}?{query}" if query else url


def _named(model: type[Model]) -> str:
    options = model._meta  # noqa: SLF001 - public, as documented
    return f"{options.app_label}_{options.model_name}"


def may_any(request: HttpRequest, act: Act) -> bool:
    """Whether the act is one that the person's groups give at all; the operation asks again, for each organization."""
    actor = actor_of(request)
    return actor.is_superuser or any(act in actors.STAFF_ACTS[group] for group in actor.staff_groups)


def now_of(organization: Organization) -> Any:
    return organization.clock_at or timezone.now()
