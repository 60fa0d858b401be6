"""What the database shows of other organizations when the product's own filters are gone."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Any

import pytest
from django.db import ProgrammingError, connection, transaction
from psycopg import errors

from billing.accounts import actors
from billing.infra import inserting, second_wall, statements
from billing.kernel.ids import new_id
from billing.models import (
    BalanceEntry,
    CreditEntry,
    Invoice,
    Organization,
    OutboxEvent,
    Subscription,
    UsageEvent,
    UsageWindow,
)
from tests.support import api, databases, desk
from tests.support.api import Api, World

pytestmark = pytest.mark.skipif(
    databases.RUNTIME_VARIABLE not in os.environ, reason="on a given server nobody made the role that serves"
)

_GUARDED = """
SELECT class.relname, class.relrowsecurity, policy.polname IS NOT NULL, attribute.attname
FROM pg_class class JOIN pg_namespace AS space ON space.oid = class.relnamespace AND space.nspname = 'public'
JOIN pg_attribute attribute ON attribute.attrelid = class.oid AND NOT attribute.attisdropped
    AND (attribute.attname = 'organization_id' OR (class.relname = 'organizations' AND attribute.attname = 'id'))
LEFT JOIN pg_policy policy ON policy.polrelid = class.oid AND policy.polname = 'billing_row_security'
WHERE class.relkind IN ('r', 'p') AND class.relname NOT LIKE 'casework%%'
ORDER BY 1
"""


def guarded() -> list[tuple[str, str]]:
    """Tables of organizations and the column that says whose a row is."""
    with connection.cursor() as cursor:
        cursor.execute(_GUARDED.replace("%%", "%"))
        rows = cursor.fetchall()
    assert not [name for name, is_on, has_policy, _ in rows if not (is_on and has_policy)]
    return [(name, column) for name, _, _, column in rows]


@pytest.fixture
def served(real_db: str) -> Iterator[None]:
    """The rows are the owner's doing; from here on the product is the role that serves."""
    desk.fill(3)
    # A request of an earlier test leaves this thread with what it was shown.
    second_wall.widen()
    with databases.served():
        yield
        second_wall.widen()


@pytest.fixture
def world(real_db: str) -> Iterator[World]:
    built = api.build()
    with databases.served():
        yield built
        second_wall.widen()


def mine_and_theirs(table: str, column: str, organization: Organization) -> tuple[int, int]:
    with connection.cursor() as cursor:
        cursor.execute(
            f'SELECT count(*) FILTER (WHERE "{column}" = %s), count(*) FILTER (WHERE "{column}" IS DISTINCT FROM %s) '
            f'FROM "{table}"',
            [organization.id, organization.id],
        )
        mine, theirs = cursor.fetchone()
    return mine, theirs


@pytest.mark.usefixtures("real_db")
def test_every_table_of_organizations_has_its_policy() -> None:
    assert len(guarded()) > 40


@pytest.mark.usefixtures("served")
def test_a_list_without_its_filter_shows_no_others_rows() -> None:
    organization, another, _ = Organization.objects.order_by("slug")
    before = {table: mine_and_theirs(table, column, organization) for table, column in guarded()}
    assert sum(theirs > 0 for _, theirs in before.values()) > 20
    second_wall.narrow([organization.id])
    for table, column in guarded():
        mine, theirs = mine_and_theirs(table, column, organization)
        assert (mine, theirs) == (before[table][0], 0), table
    second_wall.narrow([organization.id, another.id])
    assert set(Invoice.objects.values_list("organization_id", flat=True)) == {organization.id, another.id}
    second_wall.widen()
    assert {table: mine_and_theirs(table, column, organization) for table, column in guarded()} == before


@pytest.mark.usefixtures("served")
def test_nothing_of_others_can_be_written() -> None:
    organization, another, _ = Organization.objects.order_by("slug")
    subscription = Subscription.objects.get(organization=another)
    second_wall.narrow([organization.id])
    assert Organization.objects.filter(id=another.id).update(name="theirs no more") == 0
    assert Subscription.objects.filter(id=subscription.id).update(status="canceled") == 0
    for write in (
        lambda: BalanceEntry.objects.create(
            organization=another, sequence=1, currency="USD", amount_minor=1, balance_after_minor=1, kind="adjustment",
            actor="a", booked_at=desk.NOW,
        ),
        lambda: inserting.insert(
            OutboxEvent, ("id", "organization_id", "topic", "payload", "created_at"),
            [(new_id(), another.id, "t", {}, desk.NOW)],
        ),
    ):  # fmt: skip
        with pytest.raises(ProgrammingError) as raised, transaction.atomic():
            write()
        assert isinstance(raised.value.__cause__, errors.InsufficientPrivilege)
    OutboxEvent.objects.create(organization_id=organization.id, topic="t", payload={}, created_at=desk.NOW)
    second_wall.widen()
    assert Organization.objects.get(id=another.id).name == another.name
    assert Subscription.objects.get(id=subscription.id).status == subscription.status


@pytest.mark.usefixtures("served")
def test_a_rollback_takes_nothing_of_the_wall_down() -> None:
    organization, another, _ = Organization.objects.order_by("slug")

    def shown() -> set[Any]:
        return {row[0] for row in statements.fetch_all("SELECT organization_id FROM marketplace_invoices", [])}

    with transaction.atomic():
        second_wall.narrow([organization.id])
        assert shown() == {organization.id}
        transaction.set_rollback(True)
    assert shown() == {organization.id}
    with transaction.atomic():
        assert shown() == {organization.id}
        second_wall.narrow([another.id])
        assert shown() == {another.id}
        with second_wall.everything():
            assert len(shown()) == 3
        assert shown() == {another.id}
    assert shown() == {another.id}
    second_wall.widen()
    assert len(shown()) == 3


@pytest.mark.usefixtures("served")
def test_a_savepoint_given_up_takes_nothing_of_it_down() -> None:
    organization, *_ = Organization.objects.order_by("slug")
    with transaction.atomic():
        assert Invoice.objects.count() == 3
        with transaction.atomic():
            second_wall.narrow([organization.id])
            assert Invoice.objects.count() == 1
            transaction.set_rollback(True)
        assert Invoice.objects.count() == 1
        second_wall.widen()
        assert Invoice.objects.count() == 3


def test_a_key_reaches_nobody_elses_rows_though_every_right_is_given(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(actors, "may", lambda *_: True)
    monkeypatch.setattr(actors, "is_visible", lambda *_: True)
    assert world.theirs.get("/billing/organizations/other/subscription").status == 200
    theirs = world.foreign.id
    for method, path, body in (
        ("GET", "/billing/organizations/other", None),
        ("GET", "/billing/organizations/other/subscription", None),
        ("GET", "/billing/organizations/other/usage", None),
        ("GET", f"/billing/subscriptions/{theirs}", None),
        ("GET", f"/billing/subscriptions/{theirs}/credits/ledger", None),
        ("GET", f"/billing/subscriptions/{theirs}/invoices/preview", None),
        ("POST", f"/billing/subscriptions/{theirs}/cancel", {}),
        ("POST", f"/billing/subscriptions/{theirs}/credits/adjust", {"credits": "5", "reason": "r"}),
        ("POST", "/billing/organizations/other/quotas/check", {"event": "tokens", "record_usage": True}),
        ("POST", "/billing/usage", {"organization": "other", "meter": "tokens", "quantity": 1}),
    ):
        answer = world.own.get(path) if method == "GET" else world.own.post(path, body)
        assert answer.status == 404, (method, path, answer.status)
    second_wall.widen()
    assert not UsageEvent.objects.exists()
    assert Subscription.objects.get(id=theirs).status == "active"
    assert CreditEntry.objects.filter(organization=world.other, kind="adjustment").count() == 0


def test_own_use_goes_through_it(world: World) -> None:
    for number in range(3):
        sent = {"meter": "tokens", "quantity": 1, "idempotency_key": f"k{number}"}
        for key, organization in ((world.own, world.acme), (world.theirs, world.other), (world.platform, world.acme)):
            assert key.post("/billing/usage", sent | {"organization": organization.slug}).status in (200, 201)
    second_wall.widen()
    counts = UsageWindow.objects.filter(cadence="never").values_list("organization__slug", "used")
    assert {slug: int(used) for slug, used in counts} == {"acme": 3, "other": 3}


def test_whoever_serves_nobody_in_particular_sees_all(world: World) -> None:
    assert world.own.get("/billing/organizations/acme/subscription").status == 200
    assert Api(world.platform.key).get("/billing/organizations/other/subscription").status == 200
    second_wall.widen()
    assert Organization.objects.count() == 2
