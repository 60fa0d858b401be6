from datetime import UTC, datetime

import pytest
from django.db import transaction

from billing.infra import outbox
from billing.kernel.ids import new_id
from billing.models import OutboxEvent

NOW = datetime(2026, 3, 1, tzinfo=UTC)


@pytest.mark.django_db
def test_emit_adds_a_waiting_row() -> None:
    organization = new_id()
    outbox.emit(organization_id=organization, topic="quota.exhausted", payload={"used": "500"}, now=NOW)
    row = OutboxEvent.objects.get()
    assert (row.organization_id, row.topic, row.payload, row.created_at, row.processed_at) == (
        organization,
        "quota.exhausted",
        {"used": "500"},
        NOW,
        None,
    )


@pytest.mark.django_db
def test_emit_goes_with_the_transaction_that_caused_it() -> None:
    with transaction.atomic():
        outbox.emit(organization_id=new_id(), topic="x", payload={}, now=NOW)
        transaction.set_rollback(True)
    assert not OutboxEvent.objects.exists()


def test_emit_outside_of_a_transaction_is_refused(real_db: str) -> None:
    with pytest.raises(transaction.TransactionManagementError):
        outbox.emit(organization_id=new_id(), topic="x", payload={}, now=NOW)
    assert not OutboxEvent.objects.exists()
