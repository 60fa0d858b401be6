"""The shop and a sync at once: no page is of two catalogs, and none outlives its own."""

import re
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest
from django.db import connections
from django.test import Client

from billing.catalog import operations, parsing, queries
from billing.models import CatalogState, Plan
from billing.reporting import shop
from tests.support import factories

NOW = factories.at("2026-03-01")
PATHS = ("/", "/plans/one", "/compare", "/api/billing/plans")

pytestmark = pytest.mark.usefixtures("real_db")


def sync(price: int) -> None:
    """A catalog of two plans that always cost the same."""
    plans = "\n".join(f'  {code}: {{price: {{USD: "{price}.00"}}}}' for code in ("one", "two"))
    operations.sync(spec=parsing.load(f"default_plan: one\nplans:\n{plans}\n"), actor="cli:ada", now=NOW)


def elsewhere(act: Callable[[], object]) -> None:
    """``act`` on another connection, done and committed before this returns."""

    def run() -> None:
        try:
            act()
        finally:
            connections.close_all()

    thread = threading.Thread(target=run)
    thread.start()
    thread.join(timeout=30)
    assert not thread.is_alive()


def prices(path: str) -> set[int]:
    body = Client().get(path).content.decode()
    return {int(each) for each in re.findall(r'(?:\$|"base_fee":")(\d+)\.00', body)}


@pytest.fixture
def sync_amid_a_reading(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Prices to synchronize, each in the middle of a reading of the catalog: after its plans, before its meters."""
    waiting: list[int] = []
    read = queries.list_plans_for_shop

    def interrupted() -> list[Plan]:
        found = read()
        if waiting:
            elsewhere(lambda: sync(waiting.pop(0)))
        return found

    monkeypatch.setattr(queries, "list_plans_for_shop", interrupted)
    return waiting


@pytest.mark.parametrize("path", PATHS)
def test_a_sync_amid_a_reading_is_what_is_shown_and_kept(path: str, sync_amid_a_reading: list[int]) -> None:
    sync(10)
    sync_amid_a_reading.append(20)
    assert prices(path) == {20}, "read anew, as the sync was seen"
    assert prices(path) == {20}
    assert shop.read().stamp == queries.catalog_stamp()


def test_a_catalog_that_changes_faster_than_it_is_read_is_shown_and_not_kept(sync_amid_a_reading: list[int]) -> None:
    sync(10)
    sync_amid_a_reading.extend(range(11, 40))
    assert len(prices("/")) == 1
    assert shop.read().stamp == ""
    sync_amid_a_reading.clear()
    newest = CatalogState.objects.get().version + 9
    assert prices("/") == {newest}
    assert shop.read().stamp


def test_while_syncs_go_on_every_page_is_of_one_catalog_and_never_an_older_one() -> None:
    sync(10)
    stop = threading.Event()
    seen: list[str] = []

    def look(path: str) -> None:
        newest = 0
        try:
            while not stop.is_set():
                # Committed before the page was asked for, so the page shows this or something newer.
                least = CatalogState.objects.get().version + 9
                found = prices(path)
                if len(found) != 1 or min(found) < max(least, newest):
                    seen.append(f"{path}: {found} after {newest}, at least {least}")
                newest = max(found)
        finally:
            connections.close_all()

    with ThreadPoolExecutor(len(PATHS)) as pool:
        lookers = [pool.submit(look, path) for path in PATHS]
        for price in range(11, 31):
            sync(price)
        stop.set()
        for each in lookers:
            each.result(timeout=30)
    assert seen == []
    assert [prices(path) for path in PATHS] == [{30}] * len(PATHS)
