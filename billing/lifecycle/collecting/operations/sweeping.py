"""Doing what is due for an organization: safe run twice, by two workers, late, and after a kill at any point."""

from __future__ import annotations

import logging
from collections.abc import Callable
from datetime import datetime
from uuid import UUID

from django.db import transaction

from billing.accounts.actors import Actor
from billing.infra import locks, logs
from billing.invoicing import queries as invoicing_queries
from billing.kernel.errors import BillingError, Busy
from billing.lifecycle import cancel
from billing.lifecycle.collecting import queries
from billing.lifecycle.collecting.operations import charging, dunning, holding, telling
from billing.lifecycle.happenings import Happening
from billing.models import Collection, CollectionMethod, Organization, Status

_Act = Callable[[UUID, datetime, Actor], list[Happening]]


def run(*, organization_id: UUID, now: datetime, actor: Actor = telling.COLLECTING) -> list[Happening]:
    """Ask for charges, take the steps of dunnings, and end graces that are due by ``now``, the organization's time.

    Not inside a transaction, but for a sandbox, whose charges use no network. One that fails is logged and found again;
    in a sandbox it is raised, because its time must not pass by it.
    """
    is_sandbox = Organization.objects.values_list("is_sandbox", flat=True).get(id=organization_id)
    work: list[tuple[_Act, list[UUID]]] = [
        (_ask, list(queries.due_attempts(now=now, organization_id=organization_id).values_list("id", flat=True))),
        (_step, list(queries.due_collections(now=now, organization_id=organization_id).values_list("id", flat=True))),
        (_grace, list(queries.ended_graces(now=now, organization_id=organization_id).values_list("id", flat=True))),
        (_end, list(queries.ending(now=now, organization_id=organization_id).values_list("id", flat=True))),
    ]
    happenings = []
    for act, found in work:
        for each in found:
            try:
                happenings += act(each, now, actor)
            except Busy:
                raise
            except BillingError as error:
                if is_sandbox:
                    raise
                logs.event(
                    "collecting.failed", level=logging.ERROR, error=error, organization=organization_id, row=each
                )
    return happenings


def _ask(attempt_id: UUID, now: datetime, actor: Actor) -> list[Happening]:
    return charging.ask(attempt_id, actor=actor, now=now)


def _step(collection_id: UUID, now: datetime, actor: Actor) -> list[Happening]:
    with transaction.atomic():
        collection = _locked(collection_id)
        if collection.closed_at is not None or collection.next_at is None or collection.next_at > now:
            return []
        invoice = invoicing_queries.get_invoice(str(collection.invoice_id))
        was_tried = collection.attempts.filter(step=0).exists()
        if collection.dunning_at is None and (collection.method == CollectionMethod.MANUAL or was_tried):
            return [dunning.begin(collection, invoice, code="", actor=actor, now=now)]
        taken = dunning.take_step(collection, now=now)
        if collection.dunning_at is not None and not taken:
            dunning.wait_for_next(collection)
            return []
        if collection.method == CollectionMethod.MANUAL:
            return [dunning.remind(collection, invoice, code="", actor=actor, now=now)]
        attempt = charging.intend(collection, invoice, step=collection.step, now=now)
        if collection.dunning_at is None:
            collection.next_at = None
            collection.save(update_fields=["next_at"])
        if attempt is None:
            return []
    # Committed before anybody is asked: outside of a sandbox this is no transaction any more.
    return charging.ask(attempt.id, actor=actor, now=now)


def _grace(collection_id: UUID, now: datetime, actor: Actor) -> list[Happening]:
    with transaction.atomic():
        collection = _locked(collection_id)
        ends_at = collection.grace_ends_at
        if collection.closed_at is not None or collection.past_due_at is not None or ends_at is None or ends_at > now:
            return []
        return holding.end_grace(collection, actor=actor, now=now)


def _end(collection_id: UUID, now: datetime, actor: Actor) -> list[Happening]:
    with transaction.atomic():
        collection = _locked(collection_id)
        subscription = collection.subscription
        if collection.lifted_at is not None or collection.cancels_at is None or collection.cancels_at > now:
            return []
        if subscription.status != Status.PAST_DUE:
            return []
        cancel.cancel_now(subscription=subscription, actor=actor, now=now, reason="past due for too long")
        details = {"plan": subscription.plan.code}
        return [Happening(now, "subscription.canceled", str(subscription.id), details)]


def _locked(collection_id: UUID) -> Collection:
    """The collection as it is, under its organization's lock."""
    organization_id = Collection.objects.values_list("organization_id", flat=True).get(id=collection_id)
    locks.lock_organization(organization_id)
    return Collection.objects.select_related("organization", "subscription__organization", "subscription__plan").get(
        id=collection_id
    )
