"""Every page of the desk opens, costs the same for few rows and for many, and starts with what waits."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
from django.contrib import admin
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from billing.accounts import actors
from billing.lifecycle import clock, onboard
from billing.models import InvariantResult, Invoice, Subscription, UsageEvent
from billing.reporting import doctor
from tests.support import catalogs, factories
from tests.support.desk import fill
from tests.support.factories import at
from tests.support.staff import staff

pytestmark = pytest.mark.django_db
QUERIES_MAX = 15


def cost(browser: Client, path: str) -> int:
    with CaptureQueriesContext(connection) as asked:
        answer = browser.get(path)
    assert answer.status_code == 200, (path, answer)
    return len(asked)


def ours() -> list[Any]:
    return [model for model in admin.site._registry if model._meta.app_label in ("billing", "auth")]


def lists() -> list[str]:
    found = []
    for model in ours():
        path = f"/admin/{model._meta.app_label}/{model._meta.model_name}/"
        query = f"?subscription={Subscription.objects.values_list('id', flat=True)[0]}" if model is UsageEvent else ""
        found.append(path + query)
    return found


def test_lists_and_pages_cost_the_same_for_5_rows_and_for_60() -> None:
    browser = staff("finance", superuser=True)
    fill(5)
    doctor.run(actor=actors.system("verify"))
    few = {path: cost(browser, path) for path in lists()}
    pages = {
        model: f"/admin/{model._meta.app_label}/{model._meta.model_name}/{row.pk}/change/"
        for model in ours()
        if (row := model._default_manager.order_by("pk").first()) is not None
    }
    assert set(pages) == set(ours())
    before = {model: cost(browser, path) for model, path in pages.items()}
    start = cost(browser, "/admin/")
    fill(55)
    assert max(few.values()) <= QUERIES_MAX, few
    assert {path: cost(browser, path) for path in few} == few
    assert {model: cost(browser, path) for model, path in pages.items()} == before
    assert {model.__name__: asked for model, asked in before.items() if asked > QUERIES_MAX} == {}
    # Five for figures, two to know who looks, and their session.
    assert (start, cost(browser, "/admin/")) == (start, start)
    assert start <= QUERIES_MAX


def test_a_draft_is_shown_as_the_books_are_within_the_bound() -> None:
    catalogs.sync()
    acme = factories.sandbox(clock_at=at("2026-03-01"))
    onboard.subscribe(organization=acme, plan_code="team", actor=actors.operator("op"), now=at("2026-03-01"))
    clock.advance(organization=acme, to=at("2026-04-01 01:00:00"), actor=actors.operator("op"))
    invoice = Invoice.objects.get()
    assert cost(staff("finance"), f"/admin/billing/invoice/{invoice.id}/change/") <= QUERIES_MAX


def test_use_is_never_counted_nor_listed_over_everybody() -> None:
    browser = staff("finance")
    fill(2)
    event = UsageEvent.objects.order_by("pk")[0]
    with CaptureQueriesContext(connection) as asked:
        nothing = browser.get("/admin/billing/usageevent/")
        own = browser.get(f"/admin/billing/usageevent/?subscription={event.subscription_id}")
        one = browser.get(f"/admin/billing/usageevent/?q={event.id}")
    assert [len(answer.context["cl"].result_list) for answer in (nothing, own, one)] == [0, 1, 1]
    about = [each["sql"] for each in asked if "marketplace_usage_events" in each["sql"]]
    assert about
    assert not [sql for sql in about if "COUNT(" in sql]
    for bad in ("subscription=x", "subscription=", "q=%00", "p=99999", "p=x"):
        assert browser.get(f"/admin/billing/usageevent/?{bad}").status_code in (200, 302), bad


@pytest.mark.parametrize("table", ["creditentry", "auditentry", "payment", "webhookdelivery", "subscriptionperiod"])
def test_what_grows_is_not_counted(table: str) -> None:
    browser = staff(superuser=True)
    fill(1)
    with CaptureQueriesContext(connection) as asked:
        browser.get(f"/admin/billing/{table}/")
    assert not [each["sql"] for each in asked if "COUNT(" in each["sql"]]


def start(browser: Client) -> Any:
    return browser.get("/admin/").context


def test_the_start_page_says_what_waits_and_leads_there() -> None:
    fill(3)
    browser = staff("finance")
    tiles = {tile.title: tile for tile in start(browser)["tiles"]}
    waiting = {title: tile.count for title, tile in tiles.items() if tile.count}
    assert waiting == {"renewals parked": 3, "invoices overdue": 3, "dunnings open": 3, "deliveries failing": 3}
    assert list(tiles)[:4] == list(waiting)
    for title in waiting:
        listed = browser.get(tiles[title].href).context["cl"]
        assert (tiles[title].count, len(listed.result_list)) == (3, 3), title


def test_each_group_starts_with_what_it_may_open() -> None:
    fill(1)
    for groups, superuser in (((), False), (("marketplace",), False), (("catalog",), False), (("support",), False),
                              (("finance",), False), ((), True)):  # fmt: skip
        browser = staff(*groups, superuser=superuser)
        page = start(browser)
        for tile in page["tiles"]:
            assert browser.get(tile.href).status_code == 200, (groups, tile)
        links = [item["link"] for group in page["sidebar_navigation"] for item in group["items"]]
        for href in links:
            assert browser.get(href).status_code == 200, (groups, href)
        assert bool(page["charts"]) == (superuser or groups in (("support",), ("finance",)))


def test_figures_are_of_the_regions_that_one_is_cleared_for() -> None:
    fill(2)
    eu, us = start(staff("finance")), start(staff("finance", regions=("us",)))
    assert [tile.count for tile in eu["tiles"] if tile.title == "renewals parked"] == [2]
    assert {tile.count for tile in us["tiles"]} == {0}
    assert [bool(chart.table.rows) for chart in us["charts"]] == [False, False, False]
    assert eu["charts"][0].table.rows
    assert "eu" in staff("finance").get("/admin/").content.decode()


def test_charts_say_the_same_as_the_tables_beside_them() -> None:
    fill(2)
    (recurring, overage, liability) = start(staff("finance", regions=("*",)))["charts"]
    drawn = json.loads(recurring.data)
    assert [row[0].text for row in recurring.table.rows] == drawn["labels"]
    assert [row[1].text for row in recurring.table.rows] == [
        f"{value:.2f} USD" for value in drawn["datasets"][0]["data"]
    ]
    assert drawn["datasets"][0]["data"][-1] == 98
    assert overage.table.rows == []
    assert json.loads(liability.data)["datasets"] == [
        {"label": "adjustment", "data": [10.0], "backgroundColor": "#2563eb"}
    ]
    assert liability.title.endswith(": 10")


def test_the_books_are_looked_at_and_not_verified() -> None:
    browser = staff("finance")
    assert "never verified" in browser.get("/admin/").content.decode()
    doctor.run(actor=actors.system("verify"))
    assert "All books add up" in browser.get("/admin/").content.decode()
    for name, violations in (("balance_is_sum", 2), ("other", 0)):
        InvariantResult.objects.create(
            name=name, verified_at=at("2100-01-01"), is_whole=True, violations=violations, rows=[], duration_ms=1
        )
    text = re.sub(r"\s+", " ", browser.get("/admin/").content.decode())
    assert "The books contradict themselves, as of 2100-01-01 00:00 UTC:" in text
    assert "balance_is_sum (2)" in text
    assert "other" not in text
