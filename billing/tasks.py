"""Celery tasks: a door like the others. They take ids, find their work in rows, and are safe to run twice."""

from __future__ import annotations

import logging
import random
from collections.abc import Callable, Sequence
from datetime import timedelta
from itertools import islice
from typing import Any
from uuid import UUID

from celery import Task, shared_task
from django.conf import settings
from django.utils import timezone
from kombu.exceptions import OperationalError

from billing.accounts import actors
from billing.accounts import queries as accounts_queries
from billing.credits import sealing
from billing.infra import logs, refusals, retention
from billing.invoicing import operations as invoicing_operations
from billing.invoicing import queries as invoicing_queries
from billing.lifecycle import provider_events, reconciling, renew
from billing.lifecycle.collecting import operations as collecting_operations
from billing.lifecycle.collecting import queries as collecting_queries
from billing.lifecycle.purchasing import operations as purchasing_operations
from billing.lifecycle.purchasing import queries as purchasing_queries
from billing.mail import queries as mail_queries
from billing.mail import sending as mail_sending
from billing.metering import reserving
from billing.notifications import dispatch, keeping
from billing.notifications import queries as notifications_queries
from billing.payments import inbox
from billing.reporting import doctor
from billing.subscriptions import queries as subscriptions_queries

# Periods per task: enough to share the queries, few enough that no organization waits long for its books.
DRAFT_CHUNK = 200
# Messages of a sweep last until its next run, which finds again whatever no worker had time for. Else a backlog of
# hours would grow by itself with every run.
RENEW_EXPIRES_SECONDS, ISSUE_EXPIRES_SECONDS, DRAFT_EXPIRES_SECONDS = 15, 60, 300


@shared_task(name="billing.tasks.draft_due_invoices")
def draft_due_invoices() -> int:
    """Hand every ended period without an invoice to ``draft_chunk``; returns how many there were. Sandboxes are left
    out: their time passes when somebody advances it."""
    due = iter(invoicing_queries.iterate_due(timezone.now()))
    found = 0
    while chunk := [str(period_id) for period_id in islice(due, DRAFT_CHUNK)]:
        draft_chunk.apply_async((chunk,), expires=DRAFT_EXPIRES_SECONDS)
        found += len(chunk)
    if found:
        logs.event("invoices.due", periods=found)
    return found


# A reservation that is over is left alone for a day, so that whoever is late still finds it as it was.
RESERVATIONS_KEPT_OPEN = timedelta(days=1)


@shared_task(name="billing.tasks.mark_expired_reservations")
def mark_expired_reservations() -> int:
    """Say of reservations that expired that they did; no decision waits for it. Returns how many."""
    return reserving.mark_expired(before=timezone.now() - RESERVATIONS_KEPT_OPEN)


# Use is told up to 35 days late, and a sweep may be missed.
FINALS_LOOKED_FOR = timedelta(days=40)


@shared_task(name="billing.tasks.draft_finals")
def draft_finals() -> int:
    """Draft final invoices that a crash kept from being drafted with the use they bill; returns how many."""
    now = timezone.now()
    found = invoicing_queries.list_unbilled_finals(ended_after=now - FINALS_LOOKED_FOR, limit=DRAFT_CHUNK)
    drafted = invoicing_operations.draft_finals(period_ids=found, actor=actors.system("draft"), now=now)
    return sum(outcome.invoice_id is not None for outcome in drafted)


@shared_task(name="billing.tasks.draft_chunk")
def draft_chunk(period_ids: Sequence[str]) -> int:
    """Draft the invoices of these periods; returns how many have one. One that cannot be drafted is logged with its
    reason and does not stop the others."""
    try:
        drafted = invoicing_operations.draft_many(
            period_ids=[UUID(each) for each in period_ids], actor=actors.system("draft"), now=timezone.now()
        )
    except Exception as error:
        if len(period_ids) > 1:
            # One set of broken books, or one organization's lock, fails the whole statement: each alone, then.
            for each in period_ids:
                draft_chunk.apply_async(([each],), expires=DRAFT_EXPIRES_SECONDS)
            return 0
        logs.event("invoice.undrafted", level=logging.ERROR, error=error, period=period_ids[0])
        raise
    for outcome in drafted:
        if outcome.refusal is not None:
            logs.event(
                "invoice.undrafted",
                level=logging.WARNING,
                period=outcome.period_id,
                code=outcome.refusal.code,
                reason=outcome.refusal.message,
            )
    return sum(outcome.refusal is None for outcome in drafted)


# Organizations that one sweep looks at; what is left over is found by the next, a few seconds later.
RENEW_SWEEP_MAX = 5000
# Organizations of one message: handing out five thousand one by one takes longer than the time to the next sweep.
SWEEP_CHUNK = 25


def _hand_out(task: Task[..., int], organization_ids: Sequence[UUID], *, expires: int) -> int:
    for start in range(0, len(organization_ids), SWEEP_CHUNK):
        chunk = [str(each) for each in organization_ids[start : start + SWEEP_CHUNK]]
        task.apply_async((chunk,), expires=expires)
    return len(organization_ids)


def _each(act: Callable[[UUID], int], organization_ids: Sequence[str], *, task: Task[..., int], expires: int) -> int:
    """Act on one after the other, each in its own transaction. One that fails fails in a task of its own."""
    done = 0
    for each in organization_ids:
        try:
            done += act(UUID(each))
        except Exception:
            if len(organization_ids) == 1:
                raise
            task.apply_async(([each],), expires=expires)
    return done


@shared_task(name="billing.tasks.renew_due")
def renew_due() -> int:
    """Hand every organization that something fell due for to ``renew_organizations``; returns how many there were."""
    due = subscriptions_queries.list_due_organizations(now=timezone.now(), limit=RENEW_SWEEP_MAX)
    return _hand_out(renew_organizations, due, expires=RENEW_EXPIRES_SECONDS)


@shared_task(name="billing.tasks.renew_organizations")
def renew_organizations(organization_ids: Sequence[str]) -> int:
    """Run what fell due for these organizations; returns how many things happened."""

    def renewed(organization_id: UUID) -> int:
        return len(renew.renew_due(organization_id=organization_id, now=timezone.now()))

    return _each(renewed, organization_ids, task=renew_organizations, expires=RENEW_EXPIRES_SECONDS)


@shared_task(name="billing.tasks.issue_due_invoices")
def issue_due_invoices() -> int:
    """Hand every organization with a draft whose time has come to ``issue_organizations``; returns how many."""
    due = invoicing_queries.list_issue_due_organizations(now=timezone.now(), limit=RENEW_SWEEP_MAX)
    return _hand_out(issue_organizations, due, expires=ISSUE_EXPIRES_SECONDS)


@shared_task(name="billing.tasks.issue_organizations")
def issue_organizations(organization_ids: Sequence[str]) -> int:
    """Issue what is due of these organizations; returns how many invoices moved."""

    def issued(organization_id: UUID) -> int:
        return len(invoicing_operations.issue_due(organization_id=organization_id, now=timezone.now()))

    return _each(issued, organization_ids, task=issue_organizations, expires=ISSUE_EXPIRES_SECONDS)


# Refusals are kept by the hour for this long, then as one total.
REFUSALS_KEPT = timedelta(days=90)


@shared_task(name="billing.tasks.prune_refusals")
def prune_refusals() -> int:
    """Fold old refusal counts into totals; returns how many totals grew."""
    return refusals.prune(before=timezone.now() - REFUSALS_KEPT)


@shared_task(name="billing.tasks.prune_kept")
def prune_kept() -> dict[str, int]:
    """Drop payloads, kept answers and sent events that are older than their settings say; returns how many of what."""
    dropped = retention.prune(now=timezone.now())
    if any(dropped.values()):
        logs.event("retention.pruned", dropped=dropped)
    return dropped


@shared_task(name="billing.tasks.seal_ledgers")
def seal_ledgers() -> int:
    """Seal the credit ledgers' new entries into their hash chains; returns how many there were."""
    return sealing.seal()


# Whole books take as long as there is history.
VERIFY_SECONDS = 4 * 3600


@shared_task(name="billing.tasks.verify_books", soft_time_limit=VERIFY_SECONDS, time_limit=VERIFY_SECONDS + 60)
def verify_books(*, is_whole: bool = False) -> int:
    """Hold what is open of all books to every invariant, or all of them from their beginning; returns how many are
    violated. The outcome is what the metrics and the desk show."""
    return len(doctor.run(actor=actors.system("verify"), is_whole=is_whole))


@shared_task(name="billing.tasks.seal_use", soft_time_limit=VERIFY_SECONDS, time_limit=VERIFY_SECONDS + 60)
def seal_use() -> int:
    """Verify and seal the use of periods of which no more can be told; returns how many periods."""
    return doctor.seal_use(now=timezone.now())


# Endpoints that one sweep hands out. A message that no worker had time for is dropped before the next sweeps have sent
# it several times over: the endpoint is still due, and found again.
DELIVER_SWEEP_MAX = 500
DELIVER_EXPIRES_SECONDS = 15
_chance = random.SystemRandom().random


@shared_task(name="billing.tasks.deliver_due_webhooks")
def deliver_due_webhooks() -> int:
    """Distribute new events to webhook endpoints and hand every endpoint with something due to ``deliver_webhooks``;
    returns how many there were. Sandboxes too: their receivers live by real time."""
    dispatch.distribute(now=timezone.now())
    due = notifications_queries.list_due(now=timezone.now(), limit=DELIVER_SWEEP_MAX)
    for endpoint_id in due:
        deliver_webhooks.apply_async((str(endpoint_id),), expires=DELIVER_EXPIRES_SECONDS)
    return len(due)


@shared_task(name="billing.tasks.deliver_webhooks")
def deliver_webhooks(endpoint_id: str) -> int:
    """Send what is due to one endpoint, unless another worker does; returns how many attempts were made."""
    return dispatch.deliver(
        endpoint_id=UUID(endpoint_id),
        clock=timezone.now,
        chance=_chance,
        allow_local=settings.BILLING_WEBHOOKS_ALLOW_LOCAL,
    )


@shared_task(name="billing.tasks.prune_webhook_log")
def prune_webhook_log() -> int:
    """Drop what is too old of the log of deliveries; returns how many deliveries went. Encrypts signing secrets from
    before they were."""
    keeping.close_rest()
    return dispatch.prune(now=timezone.now())


# Organizations that one sweep hands out. A task that no worker had time for is dropped before the next sweeps have sent
# it several times over: what it is about is still due, and found again.
COLLECT_SWEEP_MAX = 5000
COLLECT_EXPIRES_SECONDS = 60


@shared_task(name="billing.tasks.collect_due")
def collect_due() -> int:
    """Hand every organization that collecting has something to do for to ``collect_organization``; returns how many."""
    due = collecting_queries.list_due_organizations(now=timezone.now(), limit=COLLECT_SWEEP_MAX)
    for organization_id in due:
        collect_organization.apply_async((str(organization_id),), expires=COLLECT_EXPIRES_SECONDS)
    return len(due)


@shared_task(name="billing.tasks.collect_organization")
def collect_organization(organization_id: str) -> int:
    """Charge, remind and stop service where that is due; returns how many things happened."""
    return len(collecting_operations.run(organization_id=UUID(organization_id), now=timezone.now()))


@shared_task(name="billing.tasks.withdraw_lapsed_purchases")
def withdraw_lapsed_purchases() -> int:
    """Hand every organization with an order of credits that nobody paid in time to ``withdraw_purchases``; returns how
    many."""
    lapsing = purchasing_queries.list_lapsing_organizations(now=timezone.now(), limit=RENEW_SWEEP_MAX)
    return _hand_out(withdraw_purchases, lapsing, expires=COLLECT_EXPIRES_SECONDS)


@shared_task(name="billing.tasks.withdraw_purchases")
def withdraw_purchases(organization_ids: Sequence[str]) -> int:
    """Withdraw what these organizations ordered and did not pay in time; returns how many orders."""

    def withdrawn(organization_id: UUID) -> int:
        return len(purchasing_operations.withdraw_due(organization_id=organization_id, now=timezone.now()))

    return _each(withdrawn, organization_ids, task=withdraw_purchases, expires=COLLECT_EXPIRES_SECONDS)


MAIL_SWEEP_MAX = 500
MAIL_EXPIRES_SECONDS = 30


@shared_task(name="billing.tasks.send_due_mail")
def send_due_mail() -> int:
    """Hand every message that is due to ``send_mail``; returns how many there were."""
    due = mail_queries.list_due(now=timezone.now(), limit=MAIL_SWEEP_MAX)
    for mail_id in due:
        send_mail.apply_async((str(mail_id),), expires=MAIL_EXPIRES_SECONDS)
    return len(due)


@shared_task(name="billing.tasks.send_mail")
def send_mail(mail_id: str) -> bool:
    """Send one message if it is due; returns whether it was handed to the server."""
    return mail_sending.send(mail_id=UUID(mail_id), clock=timezone.now)


# Events that one sweep hands out; what is left over is found by the next, a few seconds later.
PROVIDER_SWEEP_MAX = 500
PROVIDER_EXPIRES_SECONDS = 60


def send(task: Task[Any, Any], *arguments: str) -> None:
    """Wake a worker for work that stands in rows. Where no broker answers, the next sweep finds it."""
    try:
        task.apply_async(arguments)
    except (OperationalError, OSError) as error:
        logs.event("task.not_sent", level=logging.WARNING, error=error, task=task.name)


@shared_task(name="billing.tasks.process_due_provider_events")
def process_due_provider_events() -> int:
    """Hand every provider's event that waits to ``process_provider_event``; returns how many there were."""
    due = inbox.list_due(now=timezone.now(), limit=PROVIDER_SWEEP_MAX)
    for event_id in due:
        process_provider_event.apply_async((str(event_id),), expires=PROVIDER_EXPIRES_SECONDS)
    return len(due)


@shared_task(name="billing.tasks.process_provider_event")
def process_provider_event(event_id: str) -> str:
    """Apply one event of a provider, unless it does not wait any more; returns its status."""
    return str(provider_events.process(event_id=UUID(event_id), now=timezone.now()) or "")


@shared_task(name="billing.tasks.prune_provider_events")
def prune_provider_events() -> int:
    """Drop the bodies of providers' events that were dealt with long ago; returns how many."""
    return inbox.prune(now=timezone.now())


@shared_task(name="billing.tasks.reconcile_usage")
def reconcile_usage() -> int:
    """Hand every organization that the provider knows to ``reconcile_organization``; returns how many there were."""
    found, after = 0, ""
    while batch := reconciling.list_reconciled(after=after):
        for organization_id in batch:
            reconcile_organization.delay(organization_id)
        found, after = found + len(batch), batch[-1]
    return found


@shared_task(name="billing.tasks.reconcile_organization")
def reconcile_organization(organization_id: str) -> int:
    """Compare the last days of one organization with what its provider metered; returns how many meters differed."""
    organization, now = accounts_queries.get_organization(organization_id), timezone.now()
    differences = [
        each
        for starts_at, ends_at in reconciling.list_windows(now)
        for each in reconciling.reconcile(
            organization=organization, starts_at=starts_at, ends_at=ends_at, actor=actors.system("reconcile"), now=now
        )
    ]
    return sum(each.outcome != "equal" for each in differences)
