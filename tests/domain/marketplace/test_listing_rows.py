"""What the database itself refuses, whoever asks it: steps that are none, and changes of evidence."""

from typing import Any

import pytest
from django.db import IntegrityError, connection, transaction

from billing.accounts.actors import Actor
from marketplace.models import Listing, ListingTransition, Partner
from marketplace.partners.transitions import TRANSITIONS, Change, State, Status, Step
from tests.support import partners
from tests.support.partners import NOW
from tests.support.pictures import png

pytestmark = pytest.mark.django_db


@pytest.fixture
def northwind() -> Partner:
    return partners.partner()


@pytest.fixture
def editor(northwind: Partner) -> Actor:
    return partners.actor(partners.member(northwind))


def run(sql: str, params: list[Any] | None = None) -> None:
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(sql, params)


def refused(sql: str, params: list[Any] | None = None) -> str:
    with pytest.raises(IntegrityError) as refusal:
        run(sql, params)
    return str(refusal.value)


def name(state: State) -> str:
    return f"{state.status}/{state.change}"


def test_the_database_has_the_edges_of_the_table() -> None:
    with connection.cursor() as cursor:
        cursor.execute("SELECT unnest(marketplace_listing_edges())")
        there = {row[0] for row in cursor.fetchall()}
    assert there == {f"{name(state)}>{name(after)}" for state, steps in TRANSITIONS.items() for after in steps.values()}


@pytest.mark.parametrize("after", sorted(TRANSITIONS), ids=name)
def test_from_a_draft_by_hand(northwind: Partner, editor: Actor, after: State) -> None:
    """Columns that go with the state are set as they have to be, so that only the step itself is at fault."""
    draft = partners.listing(northwind, by=editor)
    is_shown = after.status in (Status.PUBLISHED, Status.SUSPENDED)
    waits = Status.SUBMITTED in (after.status, after.change)
    sql = """
        UPDATE marketplace_listings SET status = %s, change = %s, version = version + 1, rejected_reason = 'r',
            suspended_reason = %s, submitted_at = %s, published_at = %s,
            published_id = CASE WHEN %s THEN latest_id END
    """
    values: list[Any] = [
        after.status.value,
        after.change.value,
        "r" if after.status is Status.SUSPENDED else "",
        NOW if waits else None,
        NOW if is_shown else None,
        is_shown,
    ]
    if after in TRANSITIONS[draft.state].values():
        run(sql, values)
    else:
        assert "a listing goes by its steps" in refused(sql, values)


def test_states_that_are_none(northwind: Partner, editor: Actor) -> None:
    partners.listing(northwind, by=editor)
    for change in (
        "status = 'gone'",
        "change = 'draft'",
        "status = 'submitted'",
        "status = 'rejected'",
        "status = 'withdrawn', published_id = latest_id, published_at = now()",
    ):
        assert "violates check constraint" in refused(
            f"UPDATE marketplace_listings SET version = version + 1, {change}"
        )


def test_a_step_raises_the_version_by_one_and_leaves_the_address(northwind: Partner, editor: Actor) -> None:
    partners.listing(northwind, by=editor)
    for change in (
        "version = version",
        "version = version + 2",
        "version = version + 1, slug = 'other'",
        "version = version + 1, created_at = now()",
        "version = version + 1, id = gen_random_uuid()",
    ):
        refused(f"UPDATE marketplace_listings SET {change}")
    run("UPDATE marketplace_listings SET version = version + 1")


def test_a_listing_begins_as_a_draft(northwind: Partner, editor: Actor) -> None:
    partners.published(northwind, by=editor)
    assert "begins as a draft" in refused("""
        INSERT INTO marketplace_listings
        SELECT (jsonb_populate_record(l, jsonb_build_object('id', gen_random_uuid(), 'slug', 'other'))).*
        FROM marketplace_listings l
    """)


def test_the_text_is_the_listing_s_own(northwind: Partner, editor: Actor) -> None:
    first, other = (partners.listing(northwind, slug, by=editor) for slug in ("one", "two"))
    with transaction.atomic():
        Listing.objects.filter(id=first.id).update(latest=other.latest_id, version=2)
        with pytest.raises(IntegrityError, match="listings_latest_own"):
            run("SET CONSTRAINTS ALL IMMEDIATE")
        transaction.set_rollback(True)


@pytest.mark.parametrize(
    "table", ["marketplace_listing_transitions", "marketplace_listing_revisions", "marketplace_listing_images"]
)
def test_evidence_stays_as_it_was_written(northwind: Partner, editor: Actor, table: str) -> None:
    partners.listing(northwind, by=editor, image=png())
    run("SET CONSTRAINTS ALL IMMEDIATE")
    for statement in (f"UPDATE {table} SET id = id", f"DELETE FROM {table}", f"UPDATE {table} SET id = id WHERE false"):
        assert "is append-only" in refused(statement)
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("SET LOCAL session_replication_role = replica")
        with pytest.raises(IntegrityError, match="append-only"), transaction.atomic():
            cursor.execute(f"DELETE FROM {table}")


def test_a_listing_is_not_deleted(northwind: Partner, editor: Actor) -> None:
    partners.listing(northwind, by=editor)
    assert "append-only" in refused("DELETE FROM marketplace_listings")


def test_a_version_has_one_step(northwind: Partner, editor: Actor) -> None:
    row = partners.listing(northwind, by=editor)
    with pytest.raises(IntegrityError, match="one_a_version"):
        ListingTransition.objects.create(
            listing=row,
            version=1,
            step=Step.PUBLISH,
            to_status="published",
            to_change=Change.NONE,
            revision_id=row.latest_id,
            actor="x",
            recorded_at=NOW,
        )
