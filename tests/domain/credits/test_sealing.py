"""The ledger's hash chain: whatever is done to a sealed row shows, at that row."""

from decimal import Decimal
from uuid import UUID

import pytest
from django.db import IntegrityError, connection, transaction

from billing.accounts import actors
from billing.credits import operations, sealing
from billing.kernel.ids import new_id
from billing.lifecycle import onboard, usage
from billing.metering.offers import Offer
from billing.models import CreditEntry, CreditSeal, GrantKind, MarketplaceSubscription
from billing.reporting.doctor import verify
from tests.support import catalogs, factories

pytestmark = pytest.mark.django_db
NOW = factories.at("2026-03-01")


@pytest.fixture
def account() -> MarketplaceSubscription:
    catalogs.sync()
    organization = factories.sandbox(clock_at=NOW)
    subscription = onboard.subscribe(
        organization=organization, plan_code="team", actor=actors.operator("test"), now=NOW
    )
    for number in range(4):
        usage.record([Offer(organization, "tokens", Decimal(100), str(number))], now=NOW)
    return subscription.marketplace


def chain_violations() -> list[int]:
    found = [violation for violation in verify() if violation.name == "ledger-chain-whole"]
    return [int(row["sequence"]) for violation in found for row in violation.rows]


def behind_the_triggers(sql: str, *parameters: UUID) -> None:
    table, trigger = "marketplace_credit_ledger", "marketplace_credit_ledger_append_only"
    with connection.cursor() as cursor:
        # Otherwise deferred checks of the same transaction stand in the way of ALTER TABLE.
        cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")
        cursor.execute(f"ALTER TABLE {table} DISABLE TRIGGER USER")
        cursor.execute(sql, parameters)
        cursor.execute(f"ALTER TABLE {table} ENABLE ALWAYS TRIGGER {trigger}")


def test_every_entry_is_sealed_once(account: MarketplaceSubscription) -> None:
    assert sealing.seal() == 5
    assert sealing.seal() == 0
    assert list(CreditSeal.objects.order_by("sequence").values_list("sequence", flat=True)) == [1, 2, 3, 4, 5]
    assert verify() == []


def test_sealing_goes_on_where_it_stopped(account: MarketplaceSubscription) -> None:
    sealing.seal()
    operations.grant(
        account=account,
        kind=GrantKind.PROMOTION,
        credits=Decimal(3),
        starts_at=NOW,
        expires_at=None,
        actor="test",
        reason="welcome",
        now=NOW,
    )
    assert sealing.seal() == 1
    assert chain_violations() == []


def test_a_long_ledger_is_sealed_in_several_runs(
    account: MarketplaceSubscription, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sealing, "ENTRIES_MAX", 2)
    assert [sealing.seal() for _ in range(4)] == [2, 2, 1, 0]
    assert chain_violations() == []


@pytest.mark.parametrize(
    "change",
    [
        "amount = amount - 1, balance_after = balance_after - 1",
        "reason = 'something else'",
        "actor = 'somebody else'",
        "booked_at = booked_at + interval '1 second'",
        "event_id = NULL",
        "kind = 'adjustment'",
    ],
)
def test_an_edited_row_shows(account: MarketplaceSubscription, change: str) -> None:
    sealing.seal()
    behind_the_triggers(f"UPDATE marketplace_credit_ledger SET {change} WHERE sequence = 3")
    assert chain_violations() == [3]


def test_a_removed_row_shows(account: MarketplaceSubscription) -> None:
    sealing.seal()
    behind_the_triggers("DELETE FROM marketplace_credit_ledger WHERE sequence = 5")
    assert chain_violations() == [5]


def test_swapped_rows_show(account: MarketplaceSubscription) -> None:
    sealing.seal()
    behind_the_triggers("UPDATE marketplace_credit_ledger SET sequence = 99 WHERE sequence = 3")
    behind_the_triggers("UPDATE marketplace_credit_ledger SET sequence = 3 WHERE sequence = 4")
    behind_the_triggers("UPDATE marketplace_credit_ledger SET sequence = 4 WHERE sequence = 99")
    assert chain_violations() == [3, 4]


def test_an_inserted_row_shows(account: MarketplaceSubscription) -> None:
    sealing.seal()
    behind_the_triggers("UPDATE marketplace_credit_ledger SET sequence = 6 WHERE sequence = 5")
    behind_the_triggers(
        """
        INSERT INTO marketplace_credit_ledger (id, organization_id, subscription_id, sequence, kind, amount,
            balance_after, grant_id, event_id, actor, reason, booked_at)
        SELECT %s, organization_id, subscription_id, 5, kind, amount, balance_after, grant_id, event_id, actor, reason,
            booked_at
        FROM marketplace_credit_ledger WHERE sequence = 4
        """,
        new_id(),
    )
    assert chain_violations() == [5]


def test_seals_refuse_changes(account: MarketplaceSubscription) -> None:
    sealing.seal()
    for sql in ("UPDATE marketplace_credit_seals SET sequence = 9", "DELETE FROM marketplace_credit_seals"):
        with pytest.raises(IntegrityError), transaction.atomic(), connection.cursor() as cursor:
            cursor.execute(sql)
    assert CreditEntry.objects.count() == CreditSeal.objects.count()
