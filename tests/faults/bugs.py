"""Bugs that are planted into the product's own processes, so that neither rounds nor ordeal are there for show."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

import pytest
from django.db import connections, transaction

from billing.infra import idempotency, outbox
from billing.infra.idempotency import Kept
from billing.models import OutboxEvent, WebhookDelivery
from billing.notifications import dispatch
from billing.notifications.messages import Message
from billing.notifications.sending import Reply
from billing.payments import inbox
from tests.planted import code_bugs

Patch = pytest.MonkeyPatch


@dataclass(frozen=True)
class ProcessBug:
    """``run`` are the arguments of the proof that has to see it, and ``says`` a pattern of what it finds then."""

    name: str
    plant: Callable[[Patch], None]
    run: tuple[str, ...]
    says: str


def a_key_that_is_forgotten(patch: Patch) -> None:
    """Every request with a key is carried out as if it were the first."""

    def once(*, caller: str, key: str, fingerprint: bytes, act: Callable[[], Kept]) -> Kept:
        del caller, key, fingerprint
        with transaction.atomic():
            return act()

    patch.setattr(idempotency, "once", once)


def acked_before_it_is_kept(patch: Patch) -> None:
    """The answer goes out while what it says is in the memory of a server that may be killed."""
    for alias in connections:
        options = connections.settings[alias]["OPTIONS"]
        patch.setitem(options, "options", f"{options['options']} -c synchronous_commit=off")


def delivered_before_it_is_sent(patch: Patch) -> None:
    honest = dispatch.send

    def send(message: Message, *, now: datetime, allow_local: bool) -> Reply:
        WebhookDelivery.objects.filter(id=message.delivery_id).update(
            status="delivered", next_attempt_at=None, finished_at=now
        )
        time.sleep(0.2)
        return honest(message, now=now, allow_local=allow_local)

    patch.setattr(dispatch, "send", send)


def a_sweep_that_finds_nothing(patch: Patch) -> None:
    """What a provider told is dealt with only if the message that wakes a worker arrives."""

    def list_due(*, now: datetime, limit: int) -> Sequence[UUID]:
        del now, limit
        return []

    patch.setattr(inbox, "list_due", list_due)


def told_after_the_commit(patch: Patch) -> None:
    """Domain events in a transaction of their own, behind that of what caused them."""

    def emit_all(events: Iterable[outbox.Event]) -> None:
        rows = list(events)

        def tell() -> None:
            time.sleep(0.3)
            OutboxEvent.objects.bulk_create(OutboxEvent(**row._asdict()) for row in rows)

        transaction.on_commit(tell)

    patch.setattr(outbox, "emit_all", emit_all)


def _rounds(*faults: str) -> tuple[str, ...]:
    return ("rounds", "--rounds", "1", "--fault", "|".join(f"^{fault}$" for fault in faults))


PROCESS_BUGS = (
    ProcessBug(
        "a doubled retry, in the server", code_bugs.a_doubled_retry, _rounds("a web worker killed"), "doubled: "
    ),
    ProcessBug(
        "a lost lock and guard, in the server",
        code_bugs.a_lost_lock_and_a_lost_guard,
        _rounds("a web worker killed"),
        "over: |doctor: ",
    ),
    ProcessBug(
        "a key that is forgotten",
        a_key_that_is_forgotten,
        _rounds("web workers killed after commit"),
        "doubled: .* credits|doubled: .* changes",
    ),
    ProcessBug("acked before it is kept", acked_before_it_is_kept, _rounds("the cluster killed"), "lost: "),
    ProcessBug(
        "delivered before it is sent",
        delivered_before_it_is_sent,
        _rounds("a pool child killed", "the worker killed"),
        "order: |lost: .* was told of",
    ),
    ProcessBug(
        "a sweep that finds nothing", a_sweep_that_finds_nothing, _rounds("Valkey killed"), "lost: .* is not applied"
    ),
    ProcessBug(
        "told after the commit",
        told_after_the_commit,
        ("ordeal", "--subscriptions", "60", "--kills", "6"),
        "messages of renewal|were told",
    ),
)


def plant(name: str) -> None:
    """For as long as the process lives."""
    (bug,) = (each for each in PROCESS_BUGS if each.name == name)
    bug.plant(pytest.MonkeyPatch())
