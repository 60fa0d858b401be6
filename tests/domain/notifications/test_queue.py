"""Test messages, skipping and sending again."""

from collections.abc import Iterator
from datetime import timedelta

import pytest
from pytest_django import Settings

from billing.kernel.errors import Invalid
from billing.models import OutboxEvent, WebhookDelivery
from billing.notifications import dispatch, operations, queries
from billing.notifications.operations import queue
from billing.notifications.operations.queue import DeliveryFinished, EndpointPaused
from billing.notifications.queries import DeliveryNotFound, Queue
from tests.support import factories, receivers, webhooks
from tests.support.receivers import Receiver
from tests.support.webhooks import ACTOR, NOW, Clock

pytestmark = pytest.mark.django_db
DAY = timedelta(days=1)


@pytest.fixture
def receiver(settings: Settings) -> Iterator[Receiver]:
    settings.BILLING_WEBHOOKS_ALLOW_LOCAL = True
    with receivers.receiver() as made:
        yield made


@pytest.fixture
def clock() -> Clock:
    return Clock()


def test_a_test_message_goes_to_this_endpoint_alone_whatever_it_subscribed_to(receiver: Receiver, clock: Clock) -> None:
    organization = factories.organization()
    endpoint, _ = webhooks.endpoint(receiver.url, organization=organization, patterns=["invoice.issued"])
    other, _ = webhooks.endpoint(receiver.url, organization=organization)
    queued = operations.send_test(endpoint=endpoint, actor=ACTOR, now=NOW, told_at=NOW)
    assert (webhooks.deliver(endpoint, clock), webhooks.deliver(other, clock)) == (1, 0)
    assert receiver.ids == [str(queued.event_id)]
    assert b'"type":"webhook.test"' in receiver.received[0].body


def test_a_paused_endpoint_is_not_tested() -> None:
    endpoint, _ = webhooks.endpoint()
    operations.pause(endpoint=endpoint, actor=ACTOR, now=NOW)
    with pytest.raises(EndpointPaused):
        operations.send_test(endpoint=endpoint, actor=ACTOR, now=NOW, told_at=NOW)
    assert not OutboxEvent.objects.exists()


def test_skipping_the_first_lets_the_others_move_on(receiver: Receiver, clock: Clock) -> None:
    endpoint, _ = webhooks.endpoint(receiver.url)
    sent = webhooks.emit(endpoint.organization, "a", "b")
    receiver.answers = [500]
    webhooks.deliver(endpoint, clock)
    operations.skip(endpoint=endpoint, message_id=sent[0], actor=ACTOR, now=NOW)
    assert webhooks.deliver(endpoint, clock) == 1
    assert webhooks.states(endpoint) == [(sent[0], "skipped"), (sent[1], "delivered")]
    for finished in sent:
        with pytest.raises(DeliveryFinished):
            operations.skip(endpoint=endpoint, message_id=finished, actor=ACTOR, now=NOW)


def test_what_is_skipped_during_its_attempt_stays_skipped(receiver: Receiver, clock: Clock) -> None:
    endpoint, _ = webhooks.endpoint(receiver.url)
    (sent,) = webhooks.emit(endpoint.organization, "a")
    dispatch.distribute(now=NOW)
    message = dispatch.take(endpoint_id=endpoint.id, holder=endpoint.id, now=NOW)
    assert message is not None
    operations.skip(endpoint=endpoint, message_id=sent, actor=ACTOR, now=NOW)
    operations.replay(endpoint=endpoint, message_id=sent, actor=ACTOR, now=NOW)
    reply = dispatch.send(message, now=NOW, allow_local=True)
    assert dispatch.settle(message=message, reply=reply, started_at=NOW, now=NOW, chance=0.5)
    dispatch.release(endpoint_id=endpoint.id, holder=endpoint.id)
    # Queued anew meanwhile, and therefore sent anew.
    assert webhooks.states(endpoint) == [(sent, "pending")]
    assert webhooks.deliver(endpoint, clock) == 1
    assert [row.number for row in queries.list_attempts(queries.get_delivery(endpoint, sent))] == [1, 2]


def test_a_replay_goes_behind_what_waits_under_the_same_id(receiver: Receiver, clock: Clock) -> None:
    endpoint, _ = webhooks.endpoint(receiver.url)
    first, second = webhooks.emit(endpoint.organization, "a", "b")
    webhooks.deliver(endpoint, clock)
    operations.replay(endpoint=endpoint, message_id=first, actor=ACTOR, now=NOW)
    operations.replay(endpoint=endpoint, message_id=first, actor=ACTOR, now=NOW)
    (third,) = webhooks.emit(endpoint.organization, "c")
    webhooks.deliver(endpoint, clock)
    assert receiver.ids == [first, second, first, third]
    assert receiver.received[0].body == receiver.received[2].body
    assert queries.get_delivery(endpoint, first).attempts == 2


def test_replaying_what_waits_tries_it_at_once_in_its_place(receiver: Receiver, clock: Clock) -> None:
    endpoint, _ = webhooks.endpoint(receiver.url)
    sent = webhooks.emit(endpoint.organization, "a", "b")
    receiver.answers = [500]
    webhooks.deliver(endpoint, clock)
    operations.replay(endpoint=endpoint, message_id=sent[0], actor=ACTOR, now=clock.now)
    assert webhooks.deliver(endpoint, clock) == 2
    assert receiver.ids == [sent[0], *sent]


def test_a_message_that_never_was_is_not_found() -> None:
    endpoint, _ = webhooks.endpoint()
    other, _ = webhooks.endpoint()
    (foreign,) = webhooks.emit(other.organization, "a")
    dispatch.distribute(now=NOW)
    for act in (operations.replay, operations.skip):
        for name in (foreign, "nonsense", str(endpoint.id)):
            with pytest.raises(DeliveryNotFound):
                act(endpoint=endpoint, message_id=name, actor=ACTOR, now=NOW)


def test_a_range_is_half_open_in_order_and_leaves_what_waits(receiver: Receiver, clock: Clock) -> None:
    organization = factories.organization()
    before = webhooks.emit(organization, "a", when=NOW)
    within = webhooks.emit(organization, "a", "quota.x", "a", when=NOW + DAY)
    after = webhooks.emit(organization, "a", when=NOW + 2 * DAY)
    dispatch.distribute(now=NOW)
    # Made after all that, it gets them all the same.
    endpoint, _ = webhooks.endpoint(receiver.url, organization=organization, patterns=["a"])
    operations.send_test(endpoint=endpoint, actor=ACTOR, now=NOW, told_at=NOW + DAY)

    def replay(since: timedelta, until: timedelta) -> int:
        return operations.replay_range(
            endpoint=endpoint, since=NOW + since, until=NOW + until, actor=ACTOR, now=clock.now
        )

    assert replay(DAY, 2 * DAY) == 2
    assert replay(DAY, 2 * DAY) == 0
    assert replay(timedelta(0), timedelta(seconds=1)) == 1
    webhooks.deliver(endpoint, clock)
    assert receiver.ids[1:] == [within[0], within[2], before[0]]
    receiver.received.clear()
    assert replay(timedelta(0), 3 * DAY) == 4
    webhooks.deliver(endpoint, clock)
    assert receiver.ids == [before[0], within[0], within[2], after[0]]


def test_a_range_that_is_empty_or_too_large_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    endpoint, _ = webhooks.endpoint()
    webhooks.emit(endpoint.organization, *["a"] * 3)
    dispatch.distribute(now=NOW)
    WebhookDelivery.objects.all().delete()
    for until in (NOW, NOW - DAY):
        with pytest.raises(Invalid):
            operations.replay_range(endpoint=endpoint, since=NOW, until=until, actor=ACTOR, now=NOW)
    monkeypatch.setattr(queue, "REPLAY_MAX", 2)
    with pytest.raises(Invalid):
        operations.replay_range(endpoint=endpoint, since=NOW, until=NOW + DAY, actor=ACTOR, now=NOW)
    assert not WebhookDelivery.objects.exists()
    monkeypatch.setattr(queue, "REPLAY_MAX", 3)
    assert operations.replay_range(endpoint=endpoint, since=NOW, until=NOW + DAY, actor=ACTOR, now=NOW) == 3


def test_what_waits_is_told(receiver: Receiver, clock: Clock) -> None:
    endpoint, _ = webhooks.endpoint(receiver.url)
    idle, _ = webhooks.endpoint()
    webhooks.emit(endpoint.organization, "a", "b")
    receiver.answers = [500]
    webhooks.deliver(endpoint, clock)
    queues = queries.queues_of([endpoint, idle])
    assert queues == {endpoint.id: Queue(2, 1, NOW + timedelta(seconds=5)), idle.id: Queue()}
    assert [row.event.topic for row in queries.list_deliveries(endpoint)] == ["b", "a"]
    assert queries.list_deliveries(endpoint, status="delivered") == []
