"""The books: every invariant, how it stood when it was last asked, and the first rows that broke it."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest

from billing.accounts.actors import Act
from billing.admin import parts
from billing.admin.base import Desk
from billing.admin.parts import Cell, Page
from billing.models import InvariantResult
from billing.reporting import doctor

_KNOWN = {invariant.name: invariant for invariant in doctor.INVARIANTS}


class Standing(admin.SimpleListFilter):
    title = "standing"
    parameter_name = "state"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [("broken", "broken")]

    def queryset(self, request: HttpRequest, queryset: QuerySet[InvariantResult]) -> QuerySet[InvariantResult]:
        return queryset.filter(violations__gt=0) if self.value() == "broken" else queryset


@admin.register(InvariantResult)
class InvariantDesk(Desk):
    """Rows name organizations of every region, as finance sees their sums on the start page: only those who see
    everything open them."""

    plural = "Invariants"
    is_platform = True
    act = Act.VERIFY
    organization_path = ""
    list_display = ("name", "sentence", "violations", "asked", "verified_at", "duration_ms")
    list_filter = (Standing,)
    search_fields = ("name",)
    search_help_text = "A part of its name"
    # What is broken comes first.
    ordering = ("-violations", "name")
    sortable_by = ()

    @admin.display(description="promise")
    def sentence(self, row: InvariantResult) -> str:
        return _KNOWN[row.name].sentence if row.name in _KNOWN else ""

    @admin.display(description="asked of")
    def asked(self, row: InvariantResult) -> str:
        return "all" if row.is_whole else "what is open"

    def page(self, request: HttpRequest, row: InvariantResult) -> Page:
        known = _KNOWN.get(row.name)
        columns = list(dict.fromkeys(column for each in row.rows for column in each))
        return Page(
            title=row.name,
            notices=[Cell(known.hint, tone="bad")] if row.violations and known else [],
            sections=[
                parts.pairs(
                    "Invariant",
                    ("Promise", known.sentence if known else "not asked any more"),
                    ("Where it is broken", known.hint if known else None),
                    ("Rows that break it", row.violations),
                    ("Asked of", self.asked(row)),
                    ("Asked at", row.verified_at),
                    ("Took ms", row.duration_ms),
                ),
                parts.table(
                    "First rows that break it",
                    columns,
                    [[each.get(column) for column in columns] for each in row.rows],
                    empty="None.",
                ),
            ],
        )
