"""What recording reads does not grow with what was recorded before."""

from datetime import UTC, datetime
from decimal import Decimal

from django.db import connection, transaction

from billing.accounts import operations as accounts_operations
from billing.accounts.actors import SYSTEM
from billing.lifecycle import onboard
from billing.metering import operations
from billing.metering.offers import Offer
from tests.support import catalogs

NOW = datetime(2026, 1, 10, tzinfo=UTC)


def test_keys_are_looked_up_and_not_searched_for(real_db: str) -> None:
    catalogs.sync()
    organization = accounts_operations.create_organization(
        slug="acme", name="Acme", is_sandbox=True, clock_at=NOW, actor=SYSTEM
    )
    onboard.subscribe(organization=organization, plan_code="team", actor=SYSTEM, now=NOW)

    def record(batch: int) -> None:
        offers = [Offer(organization, "free_form", Decimal(1), f"{batch}:{number}") for number in range(200)]
        assert {outcome.status for outcome in operations.record(offers, now=NOW)} == {"accepted"}

    # The plan that the connection keeps is made while the table is small.
    for batch in range(8):
        record(batch)
    with transaction.atomic():
        record(8)
        with connection.cursor() as cursor:
            cursor.execute(
                "SELECT seq_tup_read + idx_tup_fetch FROM pg_stat_xact_user_tables"
                " WHERE relname = 'marketplace_usage_events'"
            )
            (rows_read,) = cursor.fetchone()
    # None of the keys is known, so there is no row to read.
    assert rows_read == 0
