"""Placement policy: may this be launched? A decision that is kept and can be explained, and that is no when in doubt.

Failures are ``billing:…`` notes. Any of them sets ``evaluation_required`` and so blocks the launch; a missing
subscription and an error set ``governance_required`` too.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any
from uuid import UUID, uuid4

from django.db import Error, InterfaceError, OperationalError, transaction
from django.utils import timezone
from psycopg import errors as pg_errors

from billing.accounts import queries as accounts_queries
from billing.accounts.queries import Reference
from billing.catalog import queries as catalog_queries
from billing.infra import deadlines, locks, logs, refusals
from billing.kernel.decimals import plain
from billing.kernel.errors import Busy, InvariantViolation, NotFound
from billing.kernel.ids import new_id
from billing.kernel.periods import LIFETIME
from billing.lifecycle import quota, remedies, usage
from billing.lifecycle.quota import BillingQuotaOutcome
from billing.lifecycle.remedies import Need
from billing.metering.offers import GuardReading, Offer, Outcome, Refusal, Standing
from billing.models import Organization, PolicyDecision
from billing.reporting.representations import instant

# An answer is due within five; connecting anew may take two more.
SECONDS = 2.8
SOURCE = "policy"
MISSING = "billing:subscription-missing"
ERROR = "billing:error:"
_CONTENDED = (pg_errors.LockNotAvailable, pg_errors.DeadlockDetected, pg_errors.SerializationFailure)


class DecisionNotFound(NotFound):
    """No such decision, or none that the caller may know of."""


@dataclass(frozen=True, slots=True)
class Requirement:
    """What a launch needs: ``quantity`` of an event or of what an entitlement guards; exactly one of them is named.

    ``idempotency_key`` names the use if it is recorded. An entitlement that is a yes or no is asked and never counted.
    """

    event: str = ""
    entitlement: str = ""
    quantity: Decimal | int = 1
    idempotency_key: str | None = None


def evaluate(
    organization: Reference,
    requirements: Sequence[Requirement],
    *,
    actor: str,
    records: bool = False,
    now: datetime | None = None,
) -> PolicyDecision:
    """Decide whether all of ``requirements`` are met, and with ``records`` count them then, all or none.

    The decision is stored in the caller's transaction, if there is one. Whatever goes wrong is a decision that blocks:
    with the note ``billing:error:<what>``, and stored if that is possible at all; else its id is found in the log only.
    Answers within five seconds whatever becomes of the database. Raises ``OrganizationNotFound`` and nothing else.
    ``actor`` is an ``Actor.name``.
    """
    at = now or timezone.now()
    found: Organization | None = None
    with deadlines.within(SECONDS):
        try:
            found = accounts_queries.resolve(organization)
            return _decide(found, requirements, actor=actor, records=records, now=at)
        except NotFound:
            raise
        except Exception as error:
            # Whatever it is, a broken invariant too: nothing is launched on it, and it is loud in the log.
            return undecided(error, organization=found, actor=actor, records=records, now=at)


def undecided(
    error: BaseException, *, organization: Organization | None, actor: str, records: bool, now: datetime
) -> PolicyDecision:
    """The decision that blocks because of ``error``; stored where there is an organization and a database."""
    what = _what(error)
    decision = _decision(organization, [f"{ERROR}{what}"], [], actor=actor, records=records, now=now)
    logs.event(
        "policy.undecided",
        level=logging.WARNING if isinstance(error, Busy) else logging.ERROR,
        error=error,
        decision=decision.id,
        organization=organization.id if organization else "",
        notes=decision.notes,
    )
    if organization is not None and what != "database":
        try:
            with transaction.atomic():
                decision.save(force_insert=True)
        except Error as unsaved:
            logs.event("policy.unsaved", level=logging.ERROR, error=unsaved, decision=decision.id)
    return decision


def find_decision(decision_id: UUID) -> PolicyDecision | None:
    """The decision, with its organization."""
    return PolicyDecision.objects.select_related("organization").filter(id=decision_id).first()


def _decide(
    organization: Organization, requirements: Sequence[Requirement], *, actor: str, records: bool, now: datetime
) -> PolicyDecision:
    with transaction.atomic():
        if records:
            locks.lock_organization(organization.id)
        needs = _needs(organization, requirements, records=records, now=now)
        refused = [need.refusal for need in needs if need.refusal is not None]
        outcomes: dict[str, Outcome] = {}
        if records and not refused:
            offers = [need.offer for need in needs if need.offer is not None]
            outcomes = {outcome.offer.key: outcome for outcome in usage.record(offers, now=now)}
            if any(outcome.refusal is not None for outcome in outcomes.values()):
                raise InvariantViolation("what was just judged to fit was refused under the same lock")
        offered = remedies.list_remedies(organization, needs, now=now) if refused else [[] for _ in needs]
        decision = _decision(
            organization,
            list(dict.fromkeys(_note(refusal) for refusal in refused)),
            [
                _explain(requirement, need, offered[index], outcomes)
                for index, (requirement, need) in enumerate(zip(requirements, needs, strict=True))
            ],
            actor=actor,
            records=records,
            now=now,
        )
        decision.save(force_insert=True)
    if refused:
        refusals.count(organization.id, decision.notes, decision.decided_at)
    logs.event(
        "policy.decided",
        organization=organization.id,
        decision=decision.id,
        allowed=decision.allowed,
        notes=decision.notes,
    )
    return decision


def _decision(
    organization: Organization | None,
    notes: list[str],
    explained: list[dict[str, Any]],
    *,
    actor: str,
    records: bool,
    now: datetime,
) -> PolicyDecision:
    return PolicyDecision(
        id=new_id(),
        organization=organization,
        actor=actor,
        allowed=not notes,
        notes=notes,
        evaluation_required=bool(notes),
        governance_required=any(note == MISSING or note.startswith(ERROR) for note in notes),
        records=records,
        requirements=explained,
        decided_at=(organization.clock_at if organization else None) or now,
        recorded_at=now,
    )


def _needs(
    organization: Organization, requirements: Sequence[Requirement], *, records: bool, now: datetime
) -> list[Need]:
    """Every requirement with its answer: uses are judged together, as if those before were counted."""
    named = [_name(organization, requirement, records=records) for requirement in requirements]
    offers = [each for each in named if isinstance(each, Offer)]
    judged = iter(usage.judge(offers, now=now) if offers else [])
    needs = []
    for requirement, each in zip(requirements, named, strict=True):
        if isinstance(each, Offer):
            judgement = next(judged)
            needs.append(Need(each, requirement.entitlement, judgement.outcome.refusal, judgement.standing))
        else:
            refusal = None if each.allowed else Refusal(each.code, each.notes[0], each.message, each.entitlement)
            needs.append(Need(None, requirement.entitlement, refusal, None))
    return needs


def _name(organization: Organization, requirement: Requirement, *, records: bool) -> Offer | BillingQuotaOutcome:
    meter: str | BillingQuotaOutcome = requirement.event
    if requirement.entitlement:
        meter = quota.find_meter_of(organization, requirement.entitlement, record_usage=False)
    if isinstance(meter, BillingQuotaOutcome):
        return meter
    # A mere question is of no use that was counted before.
    key = (requirement.idempotency_key if records else None) or str(uuid4())
    return Offer(organization, meter, Decimal(requirement.quantity), key, SOURCE)


def _note(refusal: Refusal) -> str:
    return refusal.note or f"{ERROR}{refusal.code.replace('_', '-')}"


def _what(error: BaseException) -> str:
    if isinstance(error, Busy):
        return "busy" if isinstance(error, locks.BooksBusy) else error.code.replace("_", "-")
    if isinstance(error, OperationalError | InterfaceError):
        return "busy" if isinstance(error.__cause__, _CONTENDED) else "database"
    return "internal"


def _explain(
    requirement: Requirement, need: Need, offered: list[remedies.Remedy], outcomes: dict[str, Outcome]
) -> dict[str, Any]:
    """What is kept of one requirement: plain values, enough to understand the decision years later."""
    offer, refusal, standing = need.offer, need.refusal, need.standing
    outcome = outcomes.get(offer.key) if offer else None
    return {
        "event": offer.meter if offer else "",
        "entitlement": requirement.entitlement,
        "quantity": plain(Decimal(requirement.quantity)),
        "allowed": refusal is None,
        "code": refusal.code if refusal else "",
        "note": _note(refusal) if refusal else "",
        "message": refusal.message if refusal else "",
        "subscription": str(standing.subscription_id) if standing else None,
        "plan": _plan(standing) if standing else None,
        "limits": [_limit(guard) for guard in standing.guards] if standing else [],
        "usage_event": str(outcome.event.id) if outcome and outcome.event else None,
        "duplicate": outcome is not None and outcome.status == "duplicate",
        "remedies": offered,
    }


def _plan(standing: Standing) -> dict[str, Any]:
    plan = catalog_queries.compiled_plan(standing.plan_id)
    return {"code": plan.code, "version": plan.version}


def _limit(guard: GuardReading) -> dict[str, Any]:
    """A guard as it stood before the decision."""
    is_calendar = guard.starts_at is not None and guard.starts_at != LIFETIME.starts_at
    return {
        "entitlement": guard.key,
        "enabled": guard.enabled,
        "limit": None if guard.limit is None else plain(guard.limit),
        "used": plain(guard.used),
        "reserved": plain(guard.reserved),
        "cadence": guard.cadence,
        "window": {"starts_at": instant(guard.starts_at), "ends_at": instant(guard.ends_at)}
        if is_calendar and guard.starts_at and guard.ends_at
        else None,
    }
