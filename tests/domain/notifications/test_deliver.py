"""Delivering to a real server on this machine, with time as the test moves it."""

import json
from collections.abc import Iterator
from datetime import timedelta

import pytest
from pytest_django import Settings

from billing.kernel.ids import new_id
from billing.models import AuditEntry, WebhookAttempt, WebhookDelivery, WebhookEndpoint
from billing.notifications import backoff, dispatch, operations, queries
from tests.support import factories, receivers, webhooks
from tests.support.receivers import Receiver
from tests.support.webhooks import ACTOR, NOW, Clock

pytestmark = pytest.mark.django_db


@pytest.fixture
def receiver(settings: Settings) -> Iterator[Receiver]:
    settings.BILLING_WEBHOOKS_ALLOW_LOCAL = True
    with receivers.receiver() as made:
        yield made


@pytest.fixture
def clock() -> Clock:
    return Clock()


def head(endpoint: WebhookEndpoint) -> WebhookDelivery:
    return WebhookDelivery.objects.filter(endpoint=endpoint, status="pending").order_by("position")[0]


def fail_until_paused(endpoint: WebhookEndpoint, receiver: Receiver, clock: Clock) -> None:
    receiver.answers = [503] * backoff.ATTEMPTS_MAX
    for _ in range(backoff.ATTEMPTS_MAX):
        assert webhooks.deliver(endpoint, clock) == 1
        clock.now = max(clock.now, head(endpoint).next_attempt_at or clock.now)


def test_a_message_says_what_happened_and_is_signed(receiver: Receiver, clock: Clock) -> None:
    endpoint, secret = webhooks.endpoint(receiver.url)
    (sent,) = webhooks.emit(endpoint.organization, "invoice.issued", when=factories.at("2026-02-03 04:05:06"))
    assert webhooks.deliver(endpoint, clock) == 1
    (received,) = receiver.received
    assert received.id == sent
    assert received.headers["webhook-timestamp"] == str(int(NOW.timestamp()))
    assert received.headers["content-type"] == "application/json"
    assert json.loads(received.body) == {
        "type": "invoice.issued",
        "timestamp": "2026-02-03T04:05:06Z",
        "data": {"n": "0", "organization_id": str(endpoint.organization_id)},
    }
    assert webhooks.is_signed(received, secret)
    assert not webhooks.is_signed(received, "whsec_" + "A" * 43 + "=")


def test_order_is_kept_and_delivered_once(receiver: Receiver, clock: Clock) -> None:
    endpoint, _ = webhooks.endpoint(receiver.url)
    sent = webhooks.emit(endpoint.organization, *["a"] * 5)
    assert [webhooks.deliver(endpoint, clock), webhooks.deliver(endpoint, clock)] == [5, 0]
    assert receiver.ids == sent
    row = webhooks.fresh(endpoint)
    assert (row.last_delivered_at, row.last_failed_at, row.lease_holder) == (NOW, None, None)


def test_a_failure_blocks_those_behind_it_and_the_same_bytes_come_again(receiver: Receiver, clock: Clock) -> None:
    endpoint, secret = webhooks.endpoint(receiver.url)
    sent = webhooks.emit(endpoint.organization, "a", "b", "c")
    receiver.answers = [204, 500, 500]
    assert webhooks.deliver(endpoint, clock) == 2
    assert receiver.ids == sent[:2]
    clock.move(seconds=4.9)
    assert webhooks.deliver(endpoint, clock) == 0
    clock.move(seconds=0.1)
    assert webhooks.deliver(endpoint, clock) == 1
    clock.move(seconds=20)
    assert webhooks.deliver(endpoint, clock) == 2
    assert receiver.ids == [sent[0], sent[1], sent[1], sent[1], sent[2]]
    first, again = receiver.received[1], receiver.received[3]
    assert first.body == again.body
    # A retry is signed for its own time, or the receiver would take it for a replay by somebody else.
    assert int(again.headers["webhook-timestamp"]) - int(first.headers["webhook-timestamp"]) == 25
    assert webhooks.is_signed(again, secret)


def test_the_log_tells_every_attempt(receiver: Receiver, clock: Clock) -> None:
    endpoint, _ = webhooks.endpoint(receiver.url)
    (sent,) = webhooks.emit(endpoint.organization, "a")
    receiver.answers, receiver.body = [500, 302, 200], b"x" * 600
    for _ in range(3):
        webhooks.deliver(endpoint, clock)
        clock.move(minutes=1)
    delivery = queries.get_delivery(endpoint, sent)
    log = queries.list_attempts(delivery)
    assert [(row.number, row.status_code, row.error) for row in log] == [
        (1, 500, "status"),
        (2, 302, "redirect"),
        (3, 200, ""),
    ]
    assert [row.started_at for row in log] == [NOW, NOW + timedelta(minutes=1), NOW + timedelta(minutes=2)]
    assert {row.excerpt for row in log} == {"x" * 500}
    assert (delivery.status, delivery.attempts, delivery.failures) == ("delivered", 3, 0)


def test_an_address_that_is_refused_at_the_time_of_sending_is_a_failure(receiver: Receiver, clock: Clock) -> None:
    endpoint, _ = webhooks.endpoint(receiver.url)
    webhooks.emit(endpoint.organization, "a")
    dispatch.distribute(now=NOW)
    assert dispatch.deliver(endpoint_id=endpoint.id, clock=clock, chance=lambda: 0.5, allow_local=False) == 1
    assert not receiver.received
    assert WebhookAttempt.objects.get().error == "refused_url"


def test_jitter_moves_the_retry(receiver: Receiver, clock: Clock) -> None:
    endpoint, _ = webhooks.endpoint(receiver.url)
    webhooks.emit(endpoint.organization, "a")
    receiver.answers = [500]
    webhooks.deliver(endpoint, clock, chance=0.0)
    assert head(endpoint).next_attempt_at == NOW + timedelta(seconds=4)


def test_after_the_last_attempt_it_is_paused_and_resumes_where_it_stopped(receiver: Receiver, clock: Clock) -> None:
    endpoint, _ = webhooks.endpoint(receiver.url)
    sent = webhooks.emit(endpoint.organization, "a", "b")
    fail_until_paused(endpoint, receiver, clock)
    assert timedelta(days=2, hours=12) < clock.now - NOW < timedelta(days=3, hours=12)
    row = webhooks.fresh(endpoint)
    assert (row.pause_reason, row.paused_at is not None) == ("failing", True)
    assert AuditEntry.objects.filter(act="webhook.pause", object_id=str(endpoint.id), reason="failing").count() == 1
    clock.move(days=1)
    webhooks.emit(endpoint.organization, "c")
    assert webhooks.deliver(endpoint, clock) == 0
    assert queries.list_due(now=clock.now, limit=10) == []
    operations.resume(endpoint=endpoint, actor=ACTOR, now=clock.now)
    assert webhooks.deliver(endpoint, clock) == 3
    assert receiver.ids == [sent[0]] * (backoff.ATTEMPTS_MAX + 1) + [sent[1], states_last(endpoint)]


def states_last(endpoint: WebhookEndpoint) -> str:
    return webhooks.states(endpoint)[-1][0]


def test_one_attempt_less_does_not_pause(receiver: Receiver, clock: Clock) -> None:
    endpoint, _ = webhooks.endpoint(receiver.url)
    webhooks.emit(endpoint.organization, "a")
    receiver.answers = [503] * (backoff.ATTEMPTS_MAX - 1)
    for _ in range(backoff.ATTEMPTS_MAX - 1):
        assert webhooks.deliver(endpoint, clock) == 1
        clock.move(days=1)
    assert webhooks.fresh(endpoint).paused_at is None
    assert webhooks.deliver(endpoint, clock) == 1
    assert webhooks.states(endpoint)[0][1] == "delivered"


def test_resumed_it_has_all_attempts_ahead(receiver: Receiver, clock: Clock) -> None:
    endpoint, _ = webhooks.endpoint(receiver.url)
    webhooks.emit(endpoint.organization, "a")
    fail_until_paused(endpoint, receiver, clock)
    operations.resume(endpoint=endpoint, actor=ACTOR, now=clock.now)
    fail_until_paused(endpoint, receiver, clock)
    assert webhooks.fresh(endpoint).pause_reason == "failing"
    assert head(endpoint).attempts == 2 * backoff.ATTEMPTS_MAX


def test_a_paused_endpoint_gets_nothing_and_then_everything_in_order(receiver: Receiver, clock: Clock) -> None:
    endpoint, _ = webhooks.endpoint(receiver.url)
    operations.pause(endpoint=endpoint, actor=ACTOR, now=NOW)
    sent = webhooks.emit(endpoint.organization, "a", "b", "c")
    assert webhooks.deliver(endpoint, clock) == 0
    operations.resume(endpoint=endpoint, actor=ACTOR, now=NOW)
    assert webhooks.deliver(endpoint, clock) == 3
    assert receiver.ids == sent


def test_one_that_is_paused_during_an_attempt_gets_no_more_after_it(receiver: Receiver, clock: Clock) -> None:
    endpoint, _ = webhooks.endpoint(receiver.url)
    webhooks.emit(endpoint.organization, "a", "b")
    dispatch.distribute(now=NOW)
    message = dispatch.take(endpoint_id=endpoint.id, holder=new_id(), now=NOW)
    assert message is not None
    operations.pause(endpoint=endpoint, actor=ACTOR, now=NOW)
    reply = dispatch.send(message, now=NOW, allow_local=True)
    assert dispatch.settle(message=message, reply=reply, started_at=NOW, now=NOW, chance=0.5)
    assert [status for _, status in webhooks.states(endpoint)] == ["delivered", "pending"]
    assert webhooks.deliver(endpoint, clock) == 0


def test_during_rotation_old_and_new_secret_sign_and_then_the_new_alone(receiver: Receiver, clock: Clock) -> None:
    endpoint, old = webhooks.endpoint(receiver.url)
    _, new = operations.rotate(endpoint=endpoint, actor=ACTOR, now=NOW, grace=timedelta(hours=1))
    for moved in (timedelta(0), timedelta(minutes=59, seconds=59), timedelta(hours=1)):
        clock.now = NOW + moved
        webhooks.emit(endpoint.organization, "a")
        webhooks.deliver(endpoint, clock)
    signed = [(webhooks.is_signed(each, old), webhooks.is_signed(each, new)) for each in receiver.received]
    assert signed == [(True, True), (True, True), (False, True)]
    assert [len(each.headers["webhook-signature"].split(" ")) for each in receiver.received] == [2, 2, 1]


def test_a_new_url_is_tried_at_once(receiver: Receiver, clock: Clock) -> None:
    with receivers.receiver() as other:
        endpoint, _ = webhooks.endpoint(other.url)
        sent = webhooks.emit(endpoint.organization, "a", "b")
        other.answers = [500] * 2
        webhooks.deliver(endpoint, clock)
        operations.update(endpoint=endpoint, url=receiver.url, actor=ACTOR, now=clock.now)
        webhooks.deliver(endpoint, clock)
        assert (other.ids, receiver.ids) == ([sent[0]], sent)


def test_one_slow_endpoint_does_not_keep_others_of_the_organization_waiting(receiver: Receiver, clock: Clock) -> None:
    organization = factories.organization()
    broken, _ = webhooks.endpoint("http://127.0.0.1:1024/", organization=organization)
    well, _ = webhooks.endpoint(receiver.url, organization=organization)
    webhooks.emit(organization, "a")
    webhooks.deliver(broken, clock)
    webhooks.deliver(well, clock)
    clock.move(minutes=1)
    webhooks.emit(organization, "b")
    dispatch.distribute(now=clock.now)
    # The one that failed comes after the one that did not, though it is due for longer.
    assert queries.list_due(now=clock.now, limit=10) == [well.id, broken.id]
    assert webhooks.deliver(well, clock) == 1


def test_a_turn_ends_and_the_rest_is_found_again(receiver: Receiver, clock: Clock) -> None:
    endpoint, _ = webhooks.endpoint(receiver.url)
    sent = webhooks.emit(endpoint.organization, *["a"] * 4)
    receiver.before_answer = lambda: clock.move(seconds=20)
    assert webhooks.deliver(endpoint, clock) == 2
    assert queries.list_due(now=clock.now, limit=10) == [endpoint.id]
    assert webhooks.deliver(endpoint, clock) == 2
    assert receiver.ids == sent


def test_killed_between_claim_and_result_it_is_sent_again_after_the_lease(receiver: Receiver, clock: Clock) -> None:
    endpoint, _ = webhooks.endpoint(receiver.url)
    sent = webhooks.emit(endpoint.organization, "a", "b")
    dispatch.distribute(now=NOW)
    message = dispatch.take(endpoint_id=endpoint.id, holder=new_id(), now=NOW)
    assert message is not None
    dispatch.send(message, now=NOW, allow_local=True)
    # Here the worker dies: sent, and nobody wrote it down.
    clock.move(seconds=59)
    assert queries.list_due(now=clock.now, limit=10) == []
    assert webhooks.deliver(endpoint, clock) == 0
    clock.move(seconds=1)
    assert queries.list_due(now=clock.now, limit=10) == [endpoint.id]
    assert webhooks.deliver(endpoint, clock) == 2
    assert receiver.ids == [sent[0], *sent]
    assert [row.number for row in WebhookAttempt.objects.order_by("id")] == [1, 1]


def test_one_who_comes_back_after_its_lease_has_no_say(receiver: Receiver, clock: Clock) -> None:
    endpoint, _ = webhooks.endpoint(receiver.url)
    webhooks.emit(endpoint.organization, "a")
    dispatch.distribute(now=NOW)
    late = dispatch.take(endpoint_id=endpoint.id, holder=new_id(), now=NOW)
    assert late is not None
    clock.move(seconds=60)
    current = dispatch.take(endpoint_id=endpoint.id, holder=new_id(), now=clock.now)
    assert current is not None
    reply = dispatch.send(late, now=clock.now, allow_local=True)
    assert not dispatch.settle(message=late, reply=reply, started_at=NOW, now=clock.now, chance=0.5)
    assert not WebhookAttempt.objects.exists()
    assert webhooks.states(endpoint)[0][1] == "pending"
    assert dispatch.settle(message=current, reply=reply, started_at=NOW, now=clock.now, chance=0.5)
    dispatch.release(endpoint_id=endpoint.id, holder=late.holder)
    assert webhooks.fresh(endpoint).lease_holder == current.holder


def test_the_secrets_are_in_no_repr(receiver: Receiver) -> None:
    endpoint, secret = webhooks.endpoint(receiver.url)
    webhooks.emit(endpoint.organization, "a")
    dispatch.distribute(now=NOW)
    message = dispatch.take(endpoint_id=endpoint.id, holder=new_id(), now=NOW)
    assert secret not in repr(message)


def test_the_log_is_kept_for_thirty_days(receiver: Receiver, clock: Clock) -> None:
    endpoint, _ = webhooks.endpoint(receiver.url)
    webhooks.emit(endpoint.organization, "a")
    webhooks.deliver(endpoint, clock)
    receiver.answers = [500]
    waiting = webhooks.emit(endpoint.organization, "b")
    webhooks.deliver(endpoint, clock)
    assert dispatch.prune(now=NOW + timedelta(days=30)) == 0
    assert WebhookAttempt.objects.count() == 2
    assert dispatch.prune(now=NOW + timedelta(days=30, seconds=1)) == 1
    # What still waits is kept, however old.
    assert webhooks.states(endpoint) == [(waiting[0], "pending")]
    assert not WebhookAttempt.objects.exists()
    clock.move(days=31)
    assert webhooks.deliver(endpoint, clock) == 1
    operations.disable(endpoint=endpoint, actor=ACTOR, now=clock.now)
    dispatch.prune(now=clock.now + timedelta(days=31))
    assert webhooks.states(endpoint) == []
