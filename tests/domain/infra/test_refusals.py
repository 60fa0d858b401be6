"""Refusals are counted whatever becomes of the caller, and the table stays small."""

import threading
import time
from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest
from django.db import connection, connections, transaction

from billing.infra import refusals
from billing.kernel.ids import new_id
from billing.models import Meter, RefusalCount

NOW = datetime(2026, 3, 1, 12, 34, 56, tzinfo=UTC)
HOUR = datetime(2026, 3, 1, 12, tzinfo=UTC)
MISSING = "billing:subscription-missing"


def counts(organization_id: UUID) -> dict[tuple[str, datetime], int]:
    rows = RefusalCount.objects.filter(organization_id=organization_id)
    return {(row.note, row.hour_at): row.count for row in rows}


@pytest.mark.django_db
def test_counts_by_organization_note_and_hour() -> None:
    first, second = new_id(), new_id()
    refusals.count(first, [MISSING], NOW)
    refusals.count(first, [MISSING, "billing:error:busy", MISSING], NOW)
    refusals.count(first, [MISSING], NOW + timedelta(hours=1))
    refusals.count(second, [MISSING], NOW)
    refusals.count(second, [], NOW)
    assert counts(first) == {
        (MISSING, HOUR): 3,
        ("billing:error:busy", HOUR): 1,
        (MISSING, HOUR + timedelta(hours=1)): 1,
    }
    assert counts(second) == {(MISSING, HOUR): 1}


@pytest.mark.django_db
def test_keys_that_the_catalog_does_not_know_share_one_row() -> None:
    organization = new_id()
    Meter.objects.create(code="case_created")
    for made_up in range(5):
        refusals.count(
            organization, [f"billing:feature-disabled:x{made_up}", "billing:quota-exceeded:case_created"], NOW
        )
    refusals.count(organization, ["billing:feature-disabled:a", "billing:feature-disabled:b"], NOW)
    assert counts(organization) == {
        ("billing:feature-disabled:(unknown)", HOUR): 7,
        ("billing:quota-exceeded:case_created", HOUR): 5,
    }


def test_the_caller_s_rollback_does_not_erase_the_count(real_db: str) -> None:
    organization = new_id()
    with transaction.atomic():
        Meter.objects.create(code="rolled_back")
        refusals.count(organization, [MISSING], NOW)
        transaction.set_rollback(True)
    assert counts(organization) == {(MISSING, HOUR): 1}
    assert not Meter.objects.exists()


def test_concurrent_counts_in_any_order_lose_nothing(real_db: str) -> None:
    organization = new_id()
    notes = [MISSING, "billing:error:busy", "billing:error:timeout"]

    def count(order: list[str]) -> None:
        for _ in range(20):
            refusals.count(organization, order, NOW)
        connections.close_all()

    threads = [threading.Thread(target=count, args=(notes[i % 3 :] + notes[: i % 3],)) for i in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert counts(organization) == {(note, HOUR): 160 for note in notes}


def test_a_lost_connection_is_survived_and_replaced(real_db: str) -> None:
    organization = new_id()
    refusals.count(organization, [MISSING], NOW)
    with connections["refusals"].cursor() as cursor:
        cursor.execute("SELECT pg_backend_pid()")
        (backend,) = cursor.fetchone()
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_terminate_backend(%s, 5000)", [backend])
    refusals.count(organization, [MISSING], NOW)
    refusals.count(organization, [MISSING], NOW)
    assert counts(organization) == {(MISSING, HOUR): 2}


def test_counting_does_not_wait_long_for_a_locked_row(real_db: str) -> None:
    organization = new_id()
    began = time.monotonic()
    refusals.count(organization, [MISSING], NOW)
    with transaction.atomic():
        RefusalCount.objects.select_for_update().get()
        refusals.count(organization, [MISSING], NOW)
    assert counts(organization) == {(MISSING, HOUR): 1}
    assert time.monotonic() - began < 1.5


@pytest.mark.django_db
def test_prune_folds_old_hours_and_keeps_every_total() -> None:
    first, second = new_id(), new_id()
    for hours in range(6):
        refusals.count(first, [MISSING, "billing:error:busy"], NOW - timedelta(hours=hours))
        refusals.count(second, [MISSING], NOW - timedelta(hours=hours))
    for _ in range(2):
        refusals.prune(before=HOUR - timedelta(hours=1))
        assert counts(first) == {
            (note, at): times
            for note in (MISSING, "billing:error:busy")
            for at, times in {HOUR: 1, HOUR - timedelta(hours=1): 1, refusals.TOTAL_AT: 4}.items()
        }
    refusals.prune(before=HOUR + timedelta(hours=1))
    assert counts(second) == {(MISSING, refusals.TOTAL_AT): 6}
