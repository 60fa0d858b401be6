"""Filters that pages link to rather than offer: one row's own entries, by its id."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest

from billing.kernel import ids


class ById(admin.SimpleListFilter):
    """``?account=<id>``: what belongs to one row. In the sidebar only while it is on."""

    title = "of one"
    parameter_name = "of"
    column = "pk"

    @classmethod
    def of(cls, name: str, column: str) -> type[ById]:
        return type(f"By{name.title()}", (cls,), {"title": name, "parameter_name": name, "column": f"{column}_id"})

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        value = self.value()
        return [(value, value)] if value else []

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        if self.value() is None:
            return queryset
        wanted = ids.parse_uuid(self.value() or "")
        return queryset.none() if wanted is None else queryset.filter(**{self.column: wanted})
