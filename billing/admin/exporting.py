"""Lists as files: CSV that a reader streams, XLSX for a spreadsheet. What is exported is what the list shows, filters,
search and regions included; nothing in it is a formula."""

from __future__ import annotations

import csv
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any, ClassVar
from uuid import UUID

import xlsxwriter
from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet
from django.http import FileResponse, HttpRequest, StreamingHttpResponse
from django.http.response import HttpResponseBase
from django.urls import URLPattern, path
from django.utils import timezone

from billing.admin.base import Desk, actor_of
from billing.infra import audit
from billing.invoicing.documents import Echo, inert
from billing.kernel.decimals import plain

# A spreadsheet holds about a million rows; more than this is an export for auditors, over the API.
ROWS_MAX = 50_000
ROWS_AT_ONCE = 2_000
XLSX = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"
# A spreadsheet's own numbers are doubles: what does not survive as one is written as text.
_DIGITS_MAX = 15


class Exporting(Desk):
    """A list that can be taken along."""

    # Names of columns, and where a row has them (as ``values_list`` names it).
    export_columns: ClassVar[Mapping[str, str]] = {}

    def get_urls(self) -> list[URLPattern]:
        name = f"{self.opts.app_label}_{self.opts.model_name}_export"
        return [
            path("export/<str:shape>/", self.admin_site.admin_view(self.export), name=name),
            *super().get_urls(),
        ]

    def export(self, request: HttpRequest, shape: str) -> HttpResponseBase:
        if request.method != "GET" or not self.has_view_permission(request) or shape not in ("csv", "xlsx"):
            raise PermissionDenied
        rows = self._rows(request)
        audit.record(
            actor=actor_of(request).name,
            act="desk.export",
            object_type="list",
            object_id=self.opts.model_name or "",
            organization_id=None,
            details={"shape": shape, "filters": request.GET.urlencode()[:300]},
        )
        name = f"{self.opts.model_name}-{timezone.now():%Y-%m-%d}.{shape}"
        header = list(self.export_columns)
        if shape == "csv":
            response: HttpResponseBase = StreamingHttpResponse(
                _csv(header, rows), content_type="text/csv; charset=utf-8"
            )
        else:
            response = FileResponse(_xlsx(header, rows), content_type=XLSX)
        response.headers["Content-Disposition"] = f'attachment; filename="{name}"'
        response.headers["Cache-Control"] = "no-store"
        return response

    def _rows(self, request: HttpRequest) -> Iterator[Sequence[Any]]:
        """As the list would show them, from its own machinery: rights, regions, filters, search and order."""
        listed: QuerySet[Any] = self.get_changelist_instance(request).get_queryset(request)
        return listed.values_list(*self.export_columns.values())[:ROWS_MAX].iterator(chunk_size=ROWS_AT_ONCE)


def _csv(header: Sequence[str], rows: Iterable[Sequence[Any]]) -> Iterator[str]:
    writer = csv.writer(Echo())
    yield str(writer.writerow(header))
    for row in rows:
        yield str(writer.writerow([inert(_text(value)) for value in row]))


def _xlsx(header: Sequence[str], rows: Iterable[Sequence[Any]]) -> Any:
    """A file of any size in little memory: rows are written as they come and forgotten."""
    # Closed by the response that sends it.
    file = tempfile.TemporaryFile()  # noqa: SIM115
    options = {
        "constant_memory": True,
        "strings_to_formulas": False,
        "strings_to_urls": False,
        "strings_to_numbers": False,
    }
    with xlsxwriter.Workbook(file, options) as book:
        sheet = book.add_worksheet()
        bold = book.add_format({"bold": True})
        for column, name in enumerate(header):
            sheet.write_string(0, column, name, bold)
        for line, row in enumerate(rows, start=1):
            for column, value in enumerate(row):
                _write(sheet, line, column, value)
    file.seek(0)
    return file


def _write(sheet: Any, line: int, column: int, value: Any) -> None:
    if value is None or value == "":
        return
    if isinstance(value, int | Decimal) and not isinstance(value, bool):
        text = plain(Decimal(value))
        if len(text.strip("-").replace(".", "")) <= _DIGITS_MAX:
            # Fifteen digits survive as a double, to the last one.
            sheet.write_number(line, column, float(text))
            return
    sheet.write_string(line, column, _text(value))


def _text(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, Decimal):
        return plain(value)
    if isinstance(value, datetime):
        return value.astimezone(UTC).isoformat().removesuffix("+00:00") + "Z"
    if isinstance(value, date | UUID):
        return str(value)
    if isinstance(value, list):
        return " ".join(map(str, value))
    return str(value)
