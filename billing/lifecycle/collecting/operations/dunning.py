"""The steps of a dunning: opened, then a charge or a reminder at each step. The caller holds the lock."""

from __future__ import annotations

from datetime import datetime

from billing.accounts.actors import Actor
from billing.lifecycle.collecting import letters, policy
from billing.lifecycle.collecting.operations import telling
from billing.lifecycle.happenings import Happening
from billing.models import Collection, Invoice


def begin(collection: Collection, invoice: Invoice, *, code: str, actor: Actor, now: datetime) -> Happening:
    """Open the dunning, now. ``code`` says why the charge failed, "" where none was tried."""
    schedule = policy.schedule()
    collection.dunning_at, collection.grace_ends_at = now, schedule.grace_ends_at(now)
    collection.next_at = schedule.next_at(now, behind=0)
    collection.save(update_fields=["dunning_at", "grace_ends_at", "next_at"])
    letters.opened(collection, invoice, code=code, now=now)
    return telling.tell(
        collection,
        invoice,
        "dunning.opened",
        actor=actor,
        at=now,
        method=collection.method,
        code=code,
        grace_ends_at=collection.grace_ends_at.isoformat(),
    )


def take_step(collection: Collection, *, now: datetime) -> bool:
    """Put the latest due step behind; whether there was one. Until its outcome is known nothing else is due."""
    if collection.dunning_at is None:
        return False
    step = policy.schedule().latest_due(collection.dunning_at, behind=collection.step, now=now)
    taken = step > collection.step
    collection.step, collection.next_at = step, None
    collection.save(update_fields=["step", "next_at"])
    return taken


def wait_for_next(collection: Collection) -> None:
    """Note when the schedule has its next say."""
    if collection.dunning_at is not None:
        collection.next_at = policy.schedule().next_at(collection.dunning_at, behind=collection.step)
        collection.save(update_fields=["next_at"])


def remind(collection: Collection, invoice: Invoice, *, code: str, actor: Actor, now: datetime) -> Happening:
    """Tell of the step that was taken: the charge failed again (``code``), or nothing came."""
    wait_for_next(collection)
    letters.reminder(collection, invoice, code=code, now=now)
    return telling.tell(collection, invoice, "dunning.step", actor=actor, at=now, step=collection.step, code=code)
