"""Lists as files: what the list shows, nothing of other regions, nothing that a spreadsheet would run."""

from __future__ import annotations

import csv
import io
import re
import zipfile
from typing import Any
from xml.etree import ElementTree

import pytest
from django.contrib import admin
from django.test import Client

from billing.admin import exporting
from billing.admin.exporting import Exporting
from billing.models import AuditEntry, Invoice, Organization, Subscription
from tests.support.desk import fill
from tests.support.staff import staff, user_of

pytestmark = pytest.mark.django_db
EVIL = [
    "=1+1",
    "+1",
    "-1+cmd|' /C calc'!A0",
    "@SUM(A1)",
    "\t=1",
    "<script>alert(1)</script>",
    "'=1",
    "http://evil.example",
]
NAMESPACE = {"m": "http://schemas.openxmlformats.org/spreadsheetml/2006/main"}


def text_of(answer: Any) -> bytes:
    return b"".join(answer.streaming_content)


def rows_of(browser: Client, path: str) -> list[dict[str, str]]:
    answer = browser.get(path)
    assert (answer.status_code, answer["Content-Type"]) == (200, "text/csv; charset=utf-8")
    assert re.fullmatch(r'attachment; filename="\w+-\d{4}-\d\d-\d\d\.csv"', answer["Content-Disposition"])
    return list(csv.DictReader(io.StringIO(text_of(answer).decode())))


def cells_of(content: bytes) -> tuple[list[list[str]], str]:
    """The sheet's rows as texts, and the raw XML of all of it."""
    book = zipfile.ZipFile(io.BytesIO(content))
    raw = book.read("xl/worksheets/sheet1.xml").decode()
    rows = []
    for row in ElementTree.fromstring(raw).iterfind(".//m:row", NAMESPACE):  # noqa: S314 - we wrote it
        rows.append(
            ["".join(each.text or "" for each in cell.iter() if each.tag.endswith(("}v", "}t"))) for cell in row]
        )
    return rows, raw


def test_every_list_that_has_files_gives_both() -> None:
    fill(2)
    browser = staff("finance", superuser=True)
    exported = {model: desk for model, desk in admin.site._registry.items() if isinstance(desk, Exporting)}
    assert len(exported) >= 12
    for model, desk in exported.items():
        path = f"/admin/{model._meta.app_label}/{model._meta.model_name}/export"
        query = f"?subscription={Subscription.objects.all()[0].id}" if model._meta.model_name == "usageevent" else ""
        listed = rows_of(browser, f"{path}/csv/{query}")
        sheet, _ = cells_of(text_of(browser.get(f"{path}/xlsx/{query}")))
        assert sheet[0] == list(desk.export_columns), model
        # The audit log's own list has what the file before it left there.
        assert len(sheet) - 1 - len(listed) == (model is AuditEntry), model
        assert listed, model
        assert browser.post(f"{path}/csv/").status_code == 403
        assert browser.get(f"{path}/pdf/").status_code == 403


def test_formulas_and_scripts_stay_text() -> None:
    fill(len(EVIL))
    for organization, name in zip(Organization.objects.order_by("slug"), EVIL, strict=True):
        Organization.objects.filter(pk=organization.pk).update(name=name)
    browser = staff("finance")
    listed = [row["name"] for row in rows_of(browser, "/admin/billing/organization/export/csv/")]
    assert all(not re.match(r"[=+@\t-]", name) for name in listed), listed
    sheet, raw = cells_of(text_of(browser.get("/admin/billing/organization/export/xlsx/")))
    column = sheet[0].index("name")
    assert [row[column] for row in sheet[1:]] == EVIL
    # Texts, every one: neither a formula nor a link.
    assert "<f>" not in raw
    assert "hyperlink" not in raw


def test_the_file_is_what_the_list_shows() -> None:
    fill(3)
    browser = staff("finance")
    wanted = Organization.objects.order_by("slug")[1]
    assert [row["slug"] for row in rows_of(browser, f"/admin/billing/organization/export/csv/?q={wanted.slug}")] == [
        wanted.slug
    ]
    assert rows_of(browser, "/admin/billing/invoice/export/csv/?status__exact=draft") == []
    assert len(rows_of(browser, "/admin/billing/invoice/export/csv/?waiting=overdue")) == 3
    row = rows_of(browser, "/admin/billing/invoice/export/csv/")[0]
    invoice = Invoice.objects.get(id=row["id"])
    assert (row["number"], row["total_minor"], row["currency"]) == (invoice.number, "100", "USD")


def test_nothing_of_another_region_and_nothing_without_the_right() -> None:
    fill(2)
    Organization.objects.filter(pk=Organization.objects.order_by("pk")[0].pk).update(residency_region="us")
    browser = staff("finance")
    for table in ("organization", "invoice", "creditentry", "payment", "auditentry", "subscription"):
        path = f"/admin/billing/{table}/export/csv/"
        rows = rows_of(browser, path)
        slugs = {row.get("organization", row.get("slug")) for row in rows}
        assert len(slugs) == 1, table
    assert staff("catalog").get("/admin/billing/invoice/export/csv/").status_code == 403
    assert staff("marketplace").get("/admin/billing/organization/export/csv/").status_code == 403
    assert Client().get("/admin/billing/invoice/export/csv/").status_code == 302


def test_a_file_is_bounded_and_leaves_a_trace(monkeypatch: pytest.MonkeyPatch) -> None:
    fill(3)
    monkeypatch.setattr(exporting, "ROWS_MAX", 2)
    browser = staff("finance")
    assert len(rows_of(browser, "/admin/billing/organization/export/csv/")) == 2
    assert len(cells_of(text_of(browser.get("/admin/billing/organization/export/xlsx/")))[0]) == 3
    traces = AuditEntry.objects.filter(act="desk.export", actor=f"user:{user_of(browser).id}")
    assert [each.details["shape"] for each in traces.order_by("id")] == ["csv", "xlsx"]


def test_numbers_are_numbers_and_none_is_rounded() -> None:
    fill(1)
    browser = staff("finance")
    sheet, raw = cells_of(text_of(browser.get("/admin/billing/creditentry/export/xlsx/")))
    assert sheet[1][sheet[0].index("amount")] == "5"
    cell = re.search(r'<c r="F2"([^>]*)>', raw)
    assert cell is not None
    assert 't="' not in cell[1]
