"""Several workers at once: in order, one at a time per endpoint, and nothing lost when one is killed."""

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest
from django.db import connections, transaction
from django.utils import timezone
from pytest_django import Settings

from billing.infra import locks, outbox
from billing.models import Organization, OutboxEvent, WebhookAttempt, WebhookDelivery
from billing.notifications import dispatch, operations
from tests.support import factories, receivers, webhooks
from tests.support.webhooks import ACTOR

WORKERS = 4
_WORKER = """
import random, sys
from uuid import UUID
import django
django.setup()
from django.utils import timezone
from billing.notifications import dispatch
dispatch.deliver(endpoint_id=UUID(sys.argv[1]), clock=timezone.now, chance=random.random, allow_local=True)
"""


@pytest.fixture(autouse=True)
def local(settings: Settings) -> None:
    settings.BILLING_WEBHOOKS_ALLOW_LOCAL = True


def in_threads(count: int, act: Callable[[int], object]) -> None:
    """Run ``act(n)`` in ``count`` threads that start together, each on a connection of its own."""
    start = threading.Barrier(count)

    def run(number: int) -> None:
        try:
            start.wait()
            act(number)
        finally:
            connections.close_all()

    with ThreadPoolExecutor(count) as pool:
        for future in [pool.submit(run, number) for number in range(count)]:
            future.result()


def emit_as_writers_do(organization: Organization, topic: str) -> None:
    with transaction.atomic():
        locks.lock_organization(organization.id)
        outbox.emit(organization_id=organization.id, topic=topic, payload={}, now=timezone.now())


def test_workers_on_one_endpoint_take_turns(real_db: str) -> None:
    at_once, most = 0, 0
    guard = threading.Lock()

    def watch() -> None:
        nonlocal at_once, most
        with guard:
            at_once += 1
            most = max(most, at_once)
        time.sleep(0.02)
        with guard:
            at_once -= 1

    with receivers.receiver() as receiver:
        receiver.before_answer = watch
        endpoint, _ = webhooks.endpoint(receiver.url)
        sent = webhooks.emit(endpoint.organization, *["a"] * 20)
        dispatch.distribute(now=timezone.now())

        def work(_: int) -> None:
            while WebhookDelivery.objects.filter(status="pending").exists():
                dispatch.deliver(endpoint_id=endpoint.id, clock=timezone.now, chance=lambda: 0.5, allow_local=True)

        in_threads(WORKERS, work)
        assert receiver.ids == sent
    assert most == 1
    assert WebhookAttempt.objects.count() == 20


def test_distributing_while_events_are_written_keeps_their_order(real_db: str) -> None:
    organizations = [factories.organization() for _ in range(2)]
    endpoints = [webhooks.endpoint(organization=organization)[0] for organization in organizations]
    writing = threading.Event()
    seen: dict[object, list[object]] = {endpoint.id: [] for endpoint in endpoints}

    def watch() -> None:
        """What a worker would have delivered so far, in that order: a later look may only add at the end."""
        for endpoint in endpoints:
            queue = [id_ for id_, _ in webhooks.states(endpoint)]
            assert queue[: len(seen[endpoint.id])] == seen[endpoint.id]
            seen[endpoint.id] = list(queue)

    def act(number: int) -> None:
        if number < WORKERS:
            for turn in range(60):
                emit_as_writers_do(organizations[turn % 2], f"w{number}")
            return
        while not writing.is_set():
            dispatch.distribute(now=timezone.now())
            if number == WORKERS:
                watch()

    def stop_when_written() -> None:
        deadline = time.monotonic() + 60
        while OutboxEvent.objects.count() < WORKERS * 60 and time.monotonic() < deadline:
            time.sleep(0.02)
        writing.set()

    in_threads(WORKERS + 4, lambda number: stop_when_written() if number == WORKERS + 3 else act(number))
    dispatch.distribute(now=timezone.now())
    watch()
    assert not OutboxEvent.objects.filter(processed_at=None).exists()
    for organization, endpoint in zip(organizations, endpoints, strict=True):
        events = OutboxEvent.objects.filter(organization_id=organization.id).order_by("position")
        assert [str(event.id) for event in events] == seen[endpoint.id]
        assert len(events) == WORKERS * 30


def test_distributing_is_left_to_whoever_does_it_already(real_db: str) -> None:
    endpoint, _ = webhooks.endpoint()
    webhooks.emit(endpoint.organization, "a")
    found: list[int] = []
    with transaction.atomic():
        assert dispatch.distribute(now=timezone.now()) == 1
        in_threads(1, lambda _: found.append(dispatch.distribute(now=timezone.now())))
    assert found == [0]
    assert len(webhooks.states(endpoint)) == 1


def test_a_worker_that_is_killed_while_it_sends_loses_nothing(real_db: str) -> None:
    hanging = threading.Event()
    let_go = threading.Event()

    def hang() -> None:
        hanging.set()
        let_go.wait(30)

    with receivers.receiver() as receiver:
        receiver.before_answer = hang
        endpoint, _ = webhooks.endpoint(receiver.url)
        sent = webhooks.emit(endpoint.organization, "a", "b")
        dispatch.distribute(now=timezone.now())
        worker = subprocess.Popen(
            [sys.executable, "-c", _WORKER, str(endpoint.id)],
            env=os.environ | {"DJANGO_SETTINGS_MODULE": "billing_project.settings.test", "DATABASE_URL": real_db},
        )
        try:
            assert hanging.wait(30)
        finally:
            worker.send_signal(signal.SIGKILL)
            worker.wait()
            let_go.set()
        receiver.before_answer = lambda: None
        early = dispatch.deliver(endpoint_id=endpoint.id, clock=timezone.now, chance=lambda: 0.5, allow_local=True)
        assert early == 0
        clock = webhooks.Clock(timezone.now() + dispatch.LEASE)
        dispatch.deliver(endpoint_id=endpoint.id, clock=clock, chance=lambda: 0.5, allow_local=True)
        assert receiver.ids == [sent[0], *sent]
    assert {status for _, status in webhooks.states(endpoint)} == {"delivered"}


def test_no_more_endpoints_than_allowed_are_made_at_once(real_db: str) -> None:
    organization = factories.organization()
    for _ in range(17):
        webhooks.endpoint(organization=organization)
    outcomes: list[str] = []

    def create(_: int) -> None:
        try:
            webhooks.endpoint(organization=organization)
            outcomes.append("made")
        except operations.endpoints.TooManyEndpoints:
            outcomes.append("refused")

    in_threads(8, create)
    assert sorted(outcomes) == ["made"] * 3 + ["refused"] * 5


def test_rotations_at_once_leave_one_current_secret_and_every_one_signs(real_db: str) -> None:
    endpoint, first = webhooks.endpoint()
    made: list[str] = []
    in_threads(
        WORKERS,
        lambda _: made.append(
            operations.rotate(endpoint=endpoint, actor=ACTOR, now=timezone.now(), grace=timedelta(hours=1))[1]
        ),
    )
    webhooks.emit(endpoint.organization, "a")
    dispatch.distribute(now=timezone.now())
    message = dispatch.take(endpoint_id=endpoint.id, holder=endpoint.id, now=timezone.now())
    assert message is not None
    assert sorted(message.secrets) == sorted([first, *made])
