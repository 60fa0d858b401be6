"""The webhook tasks: the sweep distributes and hands out, and may be sent twice."""

from collections.abc import Iterator
from datetime import timedelta

import pytest
from django.utils import timezone
from pytest_django import Settings

from billing import tasks
from billing.infra import encryption
from billing.models import OutboxEvent, WebhookDelivery, WebhookSecret
from billing.notifications import operations
from billing_project.celery import app
from tests.support import factories, receivers, webhooks
from tests.support.receivers import Receiver

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def run_at_once() -> Iterator[None]:
    app.conf.update(task_always_eager=True, task_eager_propagates=True)
    yield
    app.conf.update(task_always_eager=False, task_eager_propagates=False)


@pytest.fixture
def receiver(settings: Settings) -> Iterator[Receiver]:
    settings.BILLING_WEBHOOKS_ALLOW_LOCAL = True
    with receivers.receiver() as made:
        yield made


def test_the_sweep_tells_every_endpoint_sandboxes_too_and_drains_the_rest(receiver: Receiver) -> None:
    sandbox = factories.sandbox(clock_at=factories.at("2023-11-17"))
    made = [webhooks.endpoint(receiver.url)[0], webhooks.endpoint(receiver.url, organization=sandbox)[0]]
    sent = [webhooks.emit(each.organization, "a")[0] for each in made]
    webhooks.emit(factories.organization(), "a")
    assert tasks.deliver_due_webhooks() == 2
    assert tasks.deliver_due_webhooks() == 0
    assert sorted(receiver.ids) == sorted(sent)
    assert not OutboxEvent.objects.filter(processed_at=None).exists()


def test_a_task_that_comes_twice_or_for_nobody_does_nothing(receiver: Receiver) -> None:
    made, _ = webhooks.endpoint(receiver.url)
    webhooks.emit(made.organization, "a")
    tasks.deliver_due_webhooks()
    assert tasks.deliver_webhooks(str(made.id)) == 0
    assert tasks.deliver_webhooks(str(made.organization_id)) == 0
    assert len(receiver.received) == 1


def test_a_sweep_that_finds_more_than_it_hands_out_leaves_them_to_the_next(
    receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tasks, "DELIVER_SWEEP_MAX", 2)
    for _ in range(3):
        webhooks.emit(webhooks.endpoint(receiver.url)[0].organization, "a")
    assert [tasks.deliver_due_webhooks() for _ in range(3)] == [2, 1, 0]
    assert len(receiver.received) == 3


def test_private_targets_are_refused_without_the_setting(receiver: Receiver, settings: Settings) -> None:
    made, _ = webhooks.endpoint(receiver.url)
    webhooks.emit(made.organization, "a")
    settings.BILLING_WEBHOOKS_ALLOW_LOCAL = False
    assert tasks.deliver_due_webhooks() == 1
    assert not receiver.received
    assert WebhookDelivery.objects.get().failures == 1


def test_the_log_is_pruned(receiver: Receiver) -> None:
    made, _ = webhooks.endpoint(receiver.url)
    webhooks.emit(made.organization, "a")
    tasks.deliver_due_webhooks()
    assert tasks.prune_webhook_log() == 0
    WebhookDelivery.objects.update(finished_at=timezone.now() - timedelta(days=31))
    assert tasks.prune_webhook_log() == 1


def test_signing_secrets_are_encrypted_and_those_from_before_become_so(receiver: Receiver) -> None:
    made, secret = webhooks.endpoint(receiver.url)
    (row,) = WebhookSecret.objects.all()
    assert secret not in row.text
    assert secret.removeprefix("whsec_") not in row.text
    WebhookSecret.objects.update(text=secret)
    for _ in range(2):
        webhooks.emit(made.organization, "a")
        tasks.deliver_due_webhooks()
        tasks.prune_webhook_log()
        row.refresh_from_db()
        assert encryption.is_encrypted(row.text)
    assert len(receiver.received) == 2
    assert all(webhooks.is_signed(each, secret) for each in receiver.received)


def test_without_its_key_nothing_is_sent_until_there_is_a_new_secret(receiver: Receiver, settings: Settings) -> None:
    made, _ = webhooks.endpoint(receiver.url)
    webhooks.emit(made.organization, "a")
    settings.BILLING_ENCRYPTION_KEYS = ["another key"]
    clock = webhooks.Clock()
    with pytest.raises(encryption.UnreadableSecret):
        webhooks.deliver(made, clock)
    assert not receiver.received
    _, secret = operations.rotate(endpoint=made, actor=webhooks.ACTOR, now=clock.now, grace=timedelta(0))
    # The lease of the worker that failed has run out.
    clock.move(seconds=61)
    assert webhooks.deliver(made, clock) == 1
    assert [webhooks.is_signed(each, secret) for each in receiver.received] == [True]
