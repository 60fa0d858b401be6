"""The catalog under true concurrency: one result, however many ask for it, and no terms changed under a subscriber."""

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from django.db import connection, connections, transaction

from billing.catalog import operations, parsing, queries
from billing.models import AuditEntry, CatalogState, Meter, Plan
from tests.support import factories

NOW = factories.at("2026-03-01")
SHIPPED = Path(__file__).parents[2] / "config" / "plans.yaml"
TEXT = 'default_plan: pro\nplans: {pro: {price: {USD: "49.00"}}}\n'
DEARER = TEXT.replace("49.00", "59.00")

pytestmark = pytest.mark.usefixtures("real_db")


def at_once(act: Callable[[int], object], count: int) -> None:
    barrier = threading.Barrier(count)

    def run(number: int) -> None:
        try:
            with connection.cursor() as cursor:
                # Many queue for one lock on a busy machine: patience is not what is tested here.
                cursor.execute("SET lock_timeout = '30s'")
            barrier.wait(timeout=30)
            act(number)
        finally:
            connections.close_all()

    with ThreadPoolExecutor(count) as pool:
        list(pool.map(run, range(count)))


def test_eight_syncs_at_once_are_one() -> None:
    spec = parsing.load(SHIPPED)
    at_once(lambda _: operations.sync(spec=spec, actor="cli:ada", now=NOW), 8)
    assert Plan.objects.count() == len(spec.plans)
    assert Meter.objects.count() == len(spec.meters)
    assert CatalogState.objects.get().version == 1
    assert AuditEntry.objects.filter(act="plan.created").count() == len(spec.plans)


def test_eight_changes_at_once_make_one_version() -> None:
    operations.sync(spec=parsing.load(TEXT), actor="cli:ada", now=NOW)
    plan = queries.get_plan("pro")
    factories.subscription(organization=factories.organization(), plan=plan, starts_at=NOW)
    dearer = parsing.load(DEARER)
    at_once(lambda _: operations.sync(spec=dearer, actor="cli:ada", now=NOW), 8)
    assert sorted(Plan.objects.values_list("version", "is_current")) == [(1, False), (2, True)]
    assert CatalogState.objects.get().version == 2


def test_eight_additions_at_once_make_one_plan() -> None:
    operations.sync(spec=parsing.load(TEXT), actor="cli:ada", now=NOW)
    more = parsing.load(TEXT.replace("plans: {", "plans: {free: {}, "))
    at_once(lambda _: operations.sync(spec=more, actor="cli:ada", now=NOW), 8)
    assert sorted(Plan.objects.values_list("code", "version")) == [("free", 1), ("pro", 1)]
    assert CatalogState.objects.get().version == 2


def test_two_files_at_once_end_as_one_of_them() -> None:
    specs = [parsing.load(TEXT), parsing.load(DEARER)]
    at_once(lambda number: operations.sync(spec=specs[number % 2], actor="cli:ada", now=NOW), 8)
    (plan,) = queries.list_current_plans()
    assert (plan.version, queries.base_fee_minor(plan, "USD") in (4900, 5900)) == (1, True)
    assert not operations.sync(
        spec=specs[queries.base_fee_minor(plan, "USD") == 5900], actor="cli:ada", now=NOW
    ).is_changed


def test_32_first_requests_make_one_lab_standard() -> None:
    at_once(lambda _: operations.bootstrap_lab_standard(now=NOW), 32)
    assert [plan.code for plan in queries.list_plans_for_shop()] == ["lab_standard"]
    assert (Plan.objects.count(), CatalogState.objects.get().version) == (1, 1)
    assert AuditEntry.objects.count() == 1


def test_lab_standard_does_not_push_out_a_catalog_that_was_faster() -> None:
    synced, asked = threading.Event(), threading.Event()

    def change() -> None:
        with transaction.atomic():
            operations.sync(spec=parsing.load(TEXT), actor="cli:ada", now=NOW)
            synced.set()
            assert not asked.wait(timeout=0.5)

    def look() -> None:
        assert synced.wait(timeout=30)
        operations.bootstrap_lab_standard(now=NOW)
        asked.set()

    at_once(lambda number: (change, look)[number](), 2)
    assert [plan.code for plan in queries.list_plans_for_shop()] == ["pro"]
    assert queries.default_plan_code() == "pro"


def test_a_version_is_not_rewritten_under_its_first_subscriber() -> None:
    operations.sync(spec=parsing.load(TEXT), actor="cli:ada", now=NOW)
    held, waited = threading.Event(), threading.Event()

    def subscribe() -> None:
        with transaction.atomic():
            plan = queries.get_plan("pro")
            held.set()
            # The sync has every chance to come in between; it must wait for this transaction instead.
            assert not waited.wait(timeout=0.5)
            assert queries.base_fee_minor(plan, "USD") == 4900
            factories.subscription(organization=factories.organization(), plan=plan, starts_at=NOW)

    def change() -> None:
        assert held.wait(timeout=30)
        operations.sync(spec=parsing.load(DEARER), actor="cli:ada", now=NOW)
        waited.set()

    at_once(lambda number: (subscribe, change)[number](), 2)
    prices = {plan.version: queries.base_fee_minor(plan, "USD") for plan in Plan.objects.all()}
    assert prices == {1: 4900, 2: 5900}


def test_who_waits_for_a_sync_gets_the_version_that_it_made() -> None:
    operations.sync(spec=parsing.load(TEXT), actor="cli:ada", now=NOW)
    plan = queries.get_plan("pro")
    factories.subscription(organization=factories.organization(), plan=plan, starts_at=NOW)
    synced, asked = threading.Event(), threading.Event()
    found: list[Plan] = []

    def change() -> None:
        with transaction.atomic():
            operations.sync(spec=parsing.load(DEARER), actor="cli:ada", now=NOW)
            synced.set()
            assert not asked.wait(timeout=0.5)

    def choose() -> None:
        assert synced.wait(timeout=30)
        with transaction.atomic():
            found.append(queries.get_plan("pro"))
        asked.set()

    at_once(lambda number: (change, choose)[number](), 2)
    assert [plan.version for plan in found] == [2]
