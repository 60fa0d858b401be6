"""From the outbox into the queues: each event once, in order, and the outbox drains."""

from datetime import timedelta

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from billing.kernel.ids import new_id
from billing.models import OutboxEvent, WebhookDelivery
from billing.notifications import dispatch, operations
from tests.support import factories, webhooks
from tests.support.webhooks import ACTOR, NOW

pytestmark = pytest.mark.django_db


def test_every_endpoint_gets_what_it_wants_in_order() -> None:
    organization = factories.organization()
    every, _ = webhooks.endpoint(organization=organization)
    some, _ = webhooks.endpoint(organization=organization, patterns=["invoice.*", "quota.exhausted"])
    foreign, _ = webhooks.endpoint()
    sent = webhooks.emit(
        organization, "invoice.issued", "invoice", "invoicex.issued", "quota.exhausted", "quota.reached", "invoice.a.b"
    )
    assert dispatch.distribute(now=NOW) == 6
    assert [id_ for id_, _ in webhooks.states(every)] == sent
    assert [id_ for id_, _ in webhooks.states(some)] == [sent[0], sent[3], sent[5]]
    assert webhooks.states(foreign) == []
    assert not OutboxEvent.objects.filter(processed_at=None).exists()


def test_twice_changes_nothing() -> None:
    made, _ = webhooks.endpoint()
    webhooks.emit(made.organization, "a", "b")
    assert [dispatch.distribute(now=NOW), dispatch.distribute(now=NOW)] == [2, 0]
    # As after a restore in which the mark was lost and the queue was not.
    OutboxEvent.objects.update(processed_at=None)
    before = list(WebhookDelivery.objects.order_by("id").values())
    assert dispatch.distribute(now=NOW + timedelta(hours=1)) == 2
    assert list(WebhookDelivery.objects.order_by("id").values()) == before


def test_the_outbox_drains_without_any_endpoint() -> None:
    webhooks.emit(factories.organization(), "a", "b", "c")
    assert dispatch.distribute(now=NOW) == 3
    assert set(OutboxEvent.objects.values_list("processed_at", flat=True)) == {NOW}
    assert not WebhookDelivery.objects.exists()


def test_a_paused_endpoint_goes_on_queueing() -> None:
    made, _ = webhooks.endpoint()
    operations.pause(endpoint=made, actor=ACTOR, now=NOW)
    sent = webhooks.emit(made.organization, "a")
    dispatch.distribute(now=NOW)
    assert webhooks.states(made) == [(sent[0], "pending")]


def test_the_number_of_statements_does_not_grow_with_events_and_endpoints() -> None:
    organization = factories.organization()
    for _ in range(3):
        webhooks.endpoint(organization=organization)
    webhooks.emit(organization, *["a"] * 300)
    with CaptureQueriesContext(
        connection,
    ) as queries:
        assert dispatch.distribute(now=NOW) == 300
    assert len(queries) <= 4
    assert WebhookDelivery.objects.count() == 900


def test_more_than_a_batch_is_all_distributed_in_order(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dispatch, "DISTRIBUTE_BATCH", 4)
    made, _ = webhooks.endpoint()
    sent = webhooks.emit(made.organization, *"abcdefghij")
    assert dispatch.distribute(now=NOW) == 10
    assert [id_ for id_, _ in webhooks.states(made)] == sent


def test_the_first_batch_holds_the_first_events_whatever_their_ids(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dispatch, "DISTRIBUTE_BATCH", 2)
    made, _ = webhooks.endpoint()
    backwards = sorted((new_id() for _ in range(6)), reverse=True)
    for id_ in backwards:
        OutboxEvent.objects.create(id=id_, organization_id=made.organization_id, topic="a", payload={}, created_at=NOW)
    assert dispatch._distribute_batch(NOW) == 2
    assert [id_ for id_, _ in webhooks.states(made)] == [str(id_) for id_ in backwards[:2]]


def test_events_of_one_moment_keep_their_order() -> None:
    organization = factories.organization()
    sent = webhooks.emit(organization, *["a"] * 50)
    events = {str(event.id): event.payload["n"] for event in OutboxEvent.objects.all()}
    assert [events[id_] for id_ in sent] == [str(number) for number in range(50)]
